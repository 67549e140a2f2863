//! The two cookies of a session (RFC 6265).

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use zhiyuan_contracts::rpc::v1::ErrorReason as Common;
use zhiyuan_rpc::{Code, Error};

use super::secret;

/// Browsers keep a cookie whose name and value have no more bytes than this together, and
/// drop a longer one without a word.
const LONGEST: usize = 4096;

/// Both cookies.
#[derive(Debug)]
pub(super) struct Jar {
    pub(super) access: Cookie,
    pub(super) refresh: Cookie,
}

/// One cookie.
#[derive(Debug)]
pub(super) struct Cookie {
    name: &'static str,
    secure: bool,
}

impl Jar {
    /// For all paths of this host: a browser believes `__Host-` for nothing less, and with
    /// it no neighbour below the same domain can plant a session of somebody else's.
    pub(super) fn new(secure: bool) -> Self {
        let (access, refresh) = if secure {
            ("__Host-zhiyuan-access", "__Host-zhiyuan-refresh")
        } else {
            ("zhiyuan-access", "zhiyuan-refresh")
        };
        let cookie = |name| Cookie { name, secure };
        Self { access: cookie(access), refresh: cookie(refresh) }
    }

    /// Tells a browser to forget both.
    pub(super) fn cleared(&self) -> Vec<HeaderValue> {
        let cleared = |cookie: &Cookie| HeaderValue::try_from(cookie.line("", 0)).ok();
        [&self.access, &self.refresh].into_iter().filter_map(cleared).collect()
    }
}

impl Cookie {
    /// Reads the cookie. A caller over HTTP/2 may split its cookies over several headers
    /// (RFC 9113, 8.2.3). Of two of the name, two readers could believe different ones.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` when it is not there once, or its value is none that we write.
    pub(super) fn read<'a>(&self, headers: &'a HeaderMap) -> Result<&'a str, Error> {
        let sent = headers.get_all(COOKIE).iter();
        let pairs = sent.flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
        let mut values = pairs.filter_map(|pair| {
            let rest = pair.trim_ascii().strip_prefix(self.name.as_bytes())?;
            rest.strip_prefix(b"=")
        });
        let value = values.next().ok_or_else(|| refused("请先登录"))?;
        if values.next().is_some() {
            return Err(refused("登录信息重复，请清除本站的 Cookie 后重新登录"));
        }
        let value = str::from_utf8(value).ok().filter(|value| self.holds(value));
        value.ok_or_else(|| refused("登录信息已损坏，请重新登录"))
    }

    /// Writes the cookie, for so many seconds.
    ///
    /// # Errors
    /// `INTERNAL` for a value that would be another cookie, or none.
    pub(super) fn write(&self, value: &str, seconds: i64) -> Result<HeaderValue, Error> {
        if !self.holds(value) {
            return Err(Error::internal("the service answered a token that fits in no cookie"));
        }
        secret(&self.line(value, seconds))
    }

    /// Whether a value is all of a cookie (RFC 6265, 4.1.1: `cookie-octet`).
    fn holds(&self, value: &str) -> bool {
        let plain =
            |byte: u8| matches!(byte, 0x21 | 0x23..=0x2B | 0x2D..=0x3A | 0x3C..=0x5B | 0x5D..=0x7E);
        !value.is_empty()
            && value.len().saturating_add(self.name.len()) <= LONGEST
            && value.bytes().all(plain)
    }

    fn line(&self, value: &str, seconds: i64) -> String {
        let (name, secure) = (self.name, if self.secure { "; Secure" } else { "" });
        format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
    }
}

fn refused(message: &str) -> Error {
    Error::new(Code::Unauthenticated, Common::Unauthenticated, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sent: &[&'static str]) -> Result<String, Code> {
        let mut headers = HeaderMap::new();
        for value in sent {
            headers.append(COOKIE, HeaderValue::from_static(value));
        }
        let jar = Jar::new(false);
        jar.access.read(&headers).map(str::to_owned).map_err(|error| error.code())
    }

    #[test]
    fn reads_its_own_name_to_the_letter() {
        let good = Ok("a.b-c_d=".to_owned());
        assert_eq!(read(&["zhiyuan-access=a.b-c_d="]), good);
        assert_eq!(read(&["theme=dark;zhiyuan-access=a.b-c_d=;;x"]), good);
        assert_eq!(read(&["theme=dark", "zhiyuan-access=a.b-c_d=", "y=z"]), good);
        let none = Err(Code::Unauthenticated);
        for sent in [
            "",
            "zhiyuan-access",
            "zhiyuan-access=",
            "zhiyuan-access =x",
            "Zhiyuan-Access=x",
            "__Host-zhiyuan-access=x",
            "my-zhiyuan-access=x",
            "zhiyuan-access-2=x",
            "a=zhiyuan-access=x",
            "a=1, zhiyuan-access=x",
            "zhiyuan-refresh=x",
        ] {
            assert_eq!(read(&[sent]), none, "{sent}");
        }
    }

    #[test]
    fn refuses_a_value_that_is_none_of_ours() {
        for sent in [
            "zhiyuan-access=\"x\"",
            "zhiyuan-access=x y",
            "zhiyuan-access=x,y",
            "zhiyuan-access=x\\y",
            "zhiyuan-access=x\ty",
        ] {
            assert_eq!(read(&[sent]), Err(Code::Unauthenticated), "{sent}");
        }
    }

    #[test]
    fn refuses_two_of_one_name_even_alike_and_however_they_are_sent() {
        for sent in [
            &["zhiyuan-access=x; zhiyuan-access=y"][..],
            &["zhiyuan-access=x; zhiyuan-access=x"],
            &["zhiyuan-access=x", "zhiyuan-access=y"],
            &["zhiyuan-access=x; a=\"; zhiyuan-access=y\""],
            &["zhiyuan-access=x; zhiyuan-access="],
        ] {
            assert_eq!(read(sent), Err(Code::Unauthenticated), "{sent:?}");
        }
    }

    #[test]
    fn writes_what_no_page_can_read_and_no_plain_connection_carries() {
        let jar = Jar::new(true);
        assert_eq!(
            jar.access.write("a.b", 600).unwrap(),
            "__Host-zhiyuan-access=a.b; Path=/; Max-Age=600; HttpOnly; SameSite=Strict; Secure"
        );
        assert_eq!(
            jar.refresh.write("r", 9).unwrap(),
            "__Host-zhiyuan-refresh=r; Path=/; Max-Age=9; HttpOnly; SameSite=Strict; Secure"
        );
        let cleared: Vec<_> = Jar::new(false).cleared();
        assert_eq!(
            cleared,
            [
                "zhiyuan-access=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict",
                "zhiyuan-refresh=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict",
            ]
        );
    }

    #[test]
    fn writes_no_value_that_would_be_more_than_one() {
        let jar = Jar::new(false);
        let long = "x".repeat(LONGEST - "zhiyuan-access".len());
        assert!(jar.access.write(&long, 1).is_ok());
        let longer = format!("{long}x");
        for value in ["", "x; Domain=example.com", "x\r\nset-cookie: y=z", "x y", "值", &longer] {
            assert_eq!(jar.access.write(value, 1).unwrap_err().code(), Code::Internal, "{value}");
        }
    }
}
