//! Whether a page that calls is one of this site.

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, request};
use zhiyuan_contracts::rpc::v1::ErrorReason as Common;
use zhiyuan_rpc::{Code, Error};

use crate::config::Cookies;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// An origin of the configuration is none.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` in [cookies] origins is not of the form https://host or https://host:port")]
pub struct OriginError(String);

/// Where the pages of this site come from.
#[derive(Debug)]
pub(super) struct Site {
    /// Nothing but https.
    secure: bool,
    /// None: from the host that is called.
    origins: Vec<Origin>,
}

/// Where a page comes from (RFC 6454).
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    scheme: Scheme,
    host: String,
    port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = match text.split_once("://")? {
            ("http", rest) => (Scheme::Http, rest),
            ("https", rest) => (Scheme::Https, rest),
            _ => return None,
        };
        Self::of_host(scheme, rest)
    }

    /// What is called by this host, if it is called by this scheme.
    fn of_host(scheme: Scheme, host: &str) -> Option<Self> {
        let authority: Authority = host.parse().ok()?;
        // No `user@`, and no `*.`, which would look like more than the one host that it is.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        let bare = !authority.host().is_empty() && host.bytes().all(plain);
        let port = authority.port_u16().unwrap_or_else(|| scheme.port());
        bare.then(|| Self { scheme, host: authority.host().to_ascii_lowercase(), port })
    }
}

impl Site {
    pub(super) fn new(config: &Cookies) -> Result<Self, OriginError> {
        let parsed = |text: &String| Origin::parse(text).ok_or_else(|| OriginError(text.clone()));
        let origins = config.origins.iter().map(parsed).collect::<Result<_, _>>()?;
        Ok(Self { secure: config.secure, origins })
    }

    /// Refuses a call that a browser made for a page of another site. A caller that is no
    /// browser says nothing of this, and has no cookies of others either.
    ///
    /// # Errors
    /// `CROSS_SITE`.
    pub(super) fn check(&self, head: &request::Parts) -> Result<(), Error> {
        // Of several, another reader may believe the other.
        let origin = only(&head.headers, &ORIGIN).map_err(|Several| cross_site())?;
        if origin.is_some_and(|origin| !self.is_ours(origin, head)) {
            return Err(cross_site());
        }
        let mut sites = head.headers.get_all(SEC_FETCH_SITE).iter();
        // `same-site` is a neighbour below the same domain; `none` the person, by hand.
        if sites.any(|site| site != "same-origin" && site != "none") {
            return Err(cross_site());
        }
        Ok(())
    }

    fn is_ours(&self, origin: &str, head: &request::Parts) -> bool {
        // `null` is none: that of a sandbox, a file, or a redirect between sites.
        let Some(origin) = Origin::parse(origin) else { return false };
        if !self.origins.is_empty() {
            return self.origins.contains(&origin);
        }
        if self.secure && origin.scheme == Scheme::Http {
            return false;
        }
        let called = match head.uri.authority() {
            // `:authority` of HTTP/2, or all of the address over HTTP/1.1, where `host`
            // doesn't count (RFC 9112, 3.2.2).
            Some(authority) => Some(authority.as_str()),
            None => only(&head.headers, &HOST).unwrap_or_default(),
        };
        called.and_then(|host| Origin::of_host(origin.scheme, host)) == Some(origin)
    }
}

struct Several;

/// The value of a header that may be there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Several> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().map(|value| value.to_str().unwrap_or_default());
    if values.next().is_some() { Err(Several) } else { Ok(value) }
}

fn cross_site() -> Error {
    let message = "为保护您的账号，不接受其他网站发起的请求，请在本站页面操作";
    Error::new(Code::Forbidden, Common::CrossSite, message)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn config(secure: bool, origins: &[&str]) -> Cookies {
        Cookies { secure, origins: origins.iter().map(|&origin| origin.to_owned()).collect() }
    }

    fn passes(config: &Cookies, uri: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::post(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        Site::new(config).unwrap().check(&head).is_ok()
    }

    #[test]
    fn a_page_is_ours_when_it_comes_from_the_host_that_is_called() {
        let plain = config(false, &[]);
        for (host, origin, ours) in [
            ("vol.example", "http://vol.example", true),
            ("vol.example", "https://vol.example", true),
            ("VOL.example:443", "https://vol.EXAMPLE", true),
            ("vol.example:80", "http://vol.example", true),
            ("vol.example:8080", "http://vol.example:8080", true),
            ("[::1]:8080", "http://[::1]:8080", true),
            ("vol.example:8080", "http://vol.example", false),
            ("vol.example:443", "http://vol.example", false),
            ("vol.example", "http://evil.example", false),
            ("vol.example", "http://vol.example.evil.example", false),
            ("vol.example", "http://evil.vol.example", false),
            ("vol.example", "http://evil@vol.example", false),
            ("evil@vol.example", "http://vol.example", false),
            ("vol.example", "http://vol.example/", false),
            ("vol.example", "http://vol.example, http://evil.example", false),
            ("vol.example", "vol.example", false),
            ("vol.example", "ftp://vol.example", false),
            ("vol.example", "null", false),
            ("null", "null", false),
            ("vol.example", "", false),
            ("", "http://", false),
        ] {
            let headers = [("host", host), ("origin", origin)];
            assert_eq!(passes(&plain, "/", &headers), ours, "{origin} at {host}");
        }
    }

    #[test]
    fn the_authority_counts_before_the_host_and_two_hosts_not_at_all() {
        let (plain, origin) = (config(false, &[]), ("origin", "http://vol.example"));
        assert!(passes(&plain, "http://vol.example/", &[origin]));
        let host = ("host", "vol.example");
        assert!(!passes(&plain, "http://evil.example/", &[origin, host]));
        assert!(!passes(&plain, "/", &[origin]));
        assert!(!passes(&plain, "/", &[origin, host, host]));
        assert!(!passes(&plain, "/", &[origin, origin, host]));
    }

    #[test]
    fn secure_cookies_are_for_secure_pages() {
        let host = ("host", "vol.example");
        let secure = config(true, &[]);
        assert!(passes(&secure, "/", &[host, ("origin", "https://vol.example")]));
        assert!(!passes(&secure, "/", &[host, ("origin", "http://vol.example")]));
    }

    #[test]
    fn listed_origins_alone_count() {
        let listed = config(true, &["https://h5.example", "http://localhost:5173"]);
        let host = ("host", "gateway:8080");
        for (origin, ours) in [
            ("https://h5.example", true),
            ("https://h5.example:443", true),
            ("http://localhost:5173", true),
            ("http://h5.example", false),
            ("https://gateway:8080", false),
        ] {
            assert_eq!(passes(&listed, "/", &[host, ("origin", origin)]), ours, "{origin}");
        }
        for bad in ["h5.example", "https://h5.example/", "https://*.example", "null", "*", ""] {
            assert!(Site::new(&config(true, &["https://good.example", bad])).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_the_browser_says_of_the_site_counts_too() {
        let plain = config(false, &[]);
        let site = |site| passes(&plain, "/", &[("sec-fetch-site", site)]);
        assert!(site("same-origin") && site("none"));
        for other in ["cross-site", "same-site", "", "Same-Origin", "same-origin, none"] {
            assert!(!site(other), "{other}");
        }
        let two = [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")];
        assert!(!passes(&plain, "/", &two));
        let ours = [("host", "a"), ("origin", "http://a"), ("sec-fetch-site", "cross-site")];
        assert!(!passes(&plain, "/", &ours));
        assert!(passes(&plain, "/", &[]));
    }
}
