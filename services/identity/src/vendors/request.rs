//! What a call to a vendor looks like.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Uri, uri};
use serde::Deserialize;
use zhiyuan_settings::Secret;

use super::error::ConfigError;
use super::template::{Escape, Template, Vocabulary};

/// A `request` section: where a call goes and what it says.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestShape {
    /// The HTTP method.
    #[serde(default)]
    pub method: Method,
    /// The absolute address. Without placeholders: addresses end up in the logs of every proxy
    /// on the way.
    pub url: String,
    /// How the body is written, always in UTF-8.
    pub content_type: ContentType,
    /// Headers, as they are; a `content-type` among them replaces the usual one.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// What the body may mention as `{secret.<key>}`.
    #[serde(default)]
    pub secrets: BTreeMap<String, Secret>,
    /// The body, with placeholders.
    pub body: Body,
}

/// HTTP methods that carry a body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// `POST`.
    #[default]
    Post,
    /// `PUT`.
    Put,
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContentType {
    /// `application/json`.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
}

/// A body with placeholders, whose values are escaped as the content type demands.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub enum Body {
    /// The whole body; in JSON, placeholders stand inside of quotes.
    Template(String),
    /// Fields by name. In JSON they may be nested; in a form they are text, numbers or booleans.
    Fields(BTreeMap<String, serde_json::Value>),
}

impl fmt::Debug for RequestShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Some vendors want their key in the query.
        let address = self.url.split(['?', '#']).next().unwrap_or_default();
        f.debug_struct("RequestShape")
            .field("method", &self.method)
            .field("url", &address)
            .field("content_type", &self.content_type)
            .field("headers", &self.headers.keys())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body(***)")
    }
}

/// A request that lacks nothing but its values.
pub(crate) struct Request {
    method: http::Method,
    uri: Uri,
    headers: HeaderMap,
    body: Template,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("host", &self.uri.host()).finish_non_exhaustive()
    }
}

impl RequestShape {
    /// Checks the shape, and compiles it. `names` are the placeholders that each call fills in.
    pub(crate) fn compile(
        &self,
        key: &str,
        names: &[&'static str],
        allow_plain_http: bool,
    ) -> Result<Request, ConfigError> {
        Ok(Request {
            method: match self.method {
                Method::Post => http::Method::POST,
                Method::Put => http::Method::PUT,
            },
            uri: read_url(&self.url, allow_plain_http)
                .map_err(|problem| ConfigError::new(format!("{key}.url"), problem))?,
            headers: self.read_headers(&format!("{key}.headers"))?,
            body: self.read_body(&format!("{key}.body"), names)?,
        })
    }

    fn read_headers(&self, key: &str) -> Result<HeaderMap, ConfigError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let content_type = match self.content_type {
            ContentType::Json => "application/json; charset=utf-8",
            ContentType::Form => "application/x-www-form-urlencoded; charset=utf-8",
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        for (name, value) in &self.headers {
            let problem = |text: &str| ConfigError::new(format!("{key}.{name}"), text);
            let name = HeaderName::try_from(name).map_err(|_| problem("not a header's name"))?;
            // The connection is the client's business: a wrong length would smuggle a request.
            if [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION]
                .contains(&name)
            {
                return Err(problem("set by the client itself"));
            }
            let mut value = HeaderValue::from_str(value.expose())
                .map_err(|_| problem("has characters that no header may have"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(headers)
    }

    fn read_body(&self, key: &str, names: &[&'static str]) -> Result<Template, ConfigError> {
        let vocabulary = Vocabulary { names, secrets: &self.secrets };
        let escape = match self.content_type {
            ContentType::Json => Escape::Json,
            ContentType::Form => Escape::Form,
        };
        let template = match (&self.body, escape) {
            (Body::Template(text), _) => {
                let mut template = Template::empty(escape);
                template
                    .push(text, vocabulary, str::to_owned)
                    .map_err(|problem| ConfigError::new(key, problem))?;
                template
            }
            (Body::Fields(fields), Escape::Json) => json_fields(fields, key, vocabulary)?,
            (Body::Fields(fields), Escape::Form) => form_fields(fields, key, vocabulary)?,
        };
        // One letter for every value: whatever breaks now is the template's own fault.
        let sample = template.render(&vec!["x"; names.len()]);
        let well_formed = match escape {
            Escape::Json => serde_json::from_str::<serde::de::IgnoredAny>(&sample).is_ok(),
            Escape::Form => sample.bytes().all(is_form_byte),
        };
        if !well_formed {
            let problem = match escape {
                Escape::Json => "not json, or a placeholder is not inside of quotes",
                Escape::Form => "not a form: other characters must be percent-encoded",
            };
            return Err(ConfigError::new(key, problem));
        }
        Ok(template)
    }
}

impl Request {
    /// Makes one call's request. The values stand in the order of the names.
    pub(crate) fn fill(&self, values: &[&str]) -> http::Request<Bytes> {
        let mut request = http::Request::new(Bytes::from(self.body.render(values)));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }

    /// Tells whether a value has a place in the request.
    pub(crate) fn uses(&self, value: usize) -> bool {
        self.body.uses(value)
    }
}

fn is_form_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"*-._~+%&=".contains(&byte)
}

fn json_fields(
    fields: &BTreeMap<String, serde_json::Value>,
    key: &str,
    vocabulary: Vocabulary<'_>,
) -> Result<Template, ConfigError> {
    let mut template = Template::empty(Escape::Json);
    for (index, (name, value)) in fields.iter().enumerate() {
        let separator = if index == 0 { "{" } else { "," };
        template.push_fixed(format!("{separator}\"{}\":", Escape::Json.apply(name)));
        // Braces and names are the same in JSON as outside, so placeholders survive.
        template
            .push(&value.to_string(), vocabulary, str::to_owned)
            .map_err(|problem| ConfigError::new(format!("{key}.{name}"), problem))?;
    }
    template.push_fixed(if fields.is_empty() { "{}" } else { "}" });
    Ok(template)
}

fn form_fields(
    fields: &BTreeMap<String, serde_json::Value>,
    key: &str,
    vocabulary: Vocabulary<'_>,
) -> Result<Template, ConfigError> {
    let mut template = Template::empty(Escape::Form);
    for (index, (name, value)) in fields.iter().enumerate() {
        let problem = |text| ConfigError::new(format!("{key}.{name}"), text);
        let text = match value {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Number(_) | serde_json::Value::Bool(_) => value.to_string(),
            _ => return Err(problem("a form has no nested fields".to_owned())),
        };
        let separator = if index == 0 { "" } else { "&" };
        template.push_fixed(format!("{separator}{}=", Escape::Form.apply(name)));
        template.push(&text, vocabulary, |fixed| Escape::Form.apply(fixed)).map_err(problem)?;
    }
    Ok(template)
}

fn read_url(url: &str, allow_plain_http: bool) -> Result<Uri, &'static str> {
    if url.contains(['{', '}']) {
        return Err("an address has no placeholders: it ends up in logs");
    }
    let uri: Uri = url.parse().map_err(|_| "not an address")?;
    let host = uri.host().unwrap_or_default();
    if host.is_empty() {
        return Err("not an absolute address");
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("an address has no credentials: use headers");
    }
    match uri.scheme() {
        Some(scheme) if *scheme == uri::Scheme::HTTPS => Ok(uri),
        Some(scheme) if *scheme == uri::Scheme::HTTP => {
            if allow_plain_http || is_loopback(host) {
                Ok(uri)
            } else {
                Err("plain http needs allow_plain_http: names and numbers travel in clear")
            }
        }
        _ => Err("neither http nor https"),
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}
