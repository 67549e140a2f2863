//! What a caller speaks.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, StatusCode, Version};

/// The protocols of the one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// gRPC, passed through.
    Grpc,
    /// A unary call of the Connect protocol.
    Connect(Codec),
}

/// How a message of the Connect protocol is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// proto3 JSON.
    Json,
    /// Protobuf.
    Proto,
}

impl Codec {
    /// The media type.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Proto => "application/proto",
        }
    }
}

impl Protocol {
    /// Tells the protocol of a request.
    ///
    /// # Errors
    /// The HTTP status for a request that is of none: 405, 415, or 505 for gRPC over
    /// HTTP/1.1, which has no trailers to carry the status.
    pub(crate) fn of<B>(request: &Request<B>) -> Result<Self, StatusCode> {
        if request.method() != Method::POST {
            return Err(StatusCode::METHOD_NOT_ALLOWED);
        }
        match media_type(request.headers()).as_deref() {
            Some("application/grpc" | "application/grpc+proto") => {
                if request.version() == Version::HTTP_2 {
                    Ok(Self::Grpc)
                } else {
                    Err(StatusCode::HTTP_VERSION_NOT_SUPPORTED)
                }
            }
            Some("application/json") => Ok(Self::Connect(Codec::Json)),
            Some("application/proto") => Ok(Self::Connect(Codec::Proto)),
            _ => Err(StatusCode::UNSUPPORTED_MEDIA_TYPE),
        }
    }
}

/// The media type without parameters. A charset other than UTF-8 is another type:
/// JSON between systems is UTF-8 (RFC 8259, 8.1).
fn media_type(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let value = value.to_str().ok()?.to_ascii_lowercase();
    let mut parts = value.split(';').map(str::trim);
    let media_type = parts.next()?.to_owned();
    for parameter in parts {
        if let Some(charset) = parameter.strip_prefix("charset=")
            && !matches!(charset.trim_matches('"'), "utf-8" | "utf8")
        {
            return None;
        }
    }
    Some(media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: Method, version: Version, content_type: &str) -> Result<Protocol, StatusCode> {
        let request = Request::builder()
            .method(method)
            .version(version)
            .header(CONTENT_TYPE, content_type)
            .body(())
            .unwrap();
        Protocol::of(&request)
    }

    #[test]
    fn is_told_by_the_content_type() {
        let json = Ok(Protocol::Connect(Codec::Json));
        for (version, content_type, expected) in [
            (Version::HTTP_2, "application/grpc", Ok(Protocol::Grpc)),
            (Version::HTTP_2, "application/grpc+proto", Ok(Protocol::Grpc)),
            (Version::HTTP_11, "application/grpc", Err(StatusCode::HTTP_VERSION_NOT_SUPPORTED)),
            (Version::HTTP_2, "application/grpc-web", Err(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
            (Version::HTTP_11, "application/json", json),
            (Version::HTTP_2, "Application/JSON; Charset=\"UTF-8\"", json),
            (
                Version::HTTP_11,
                "application/json; charset=gbk",
                Err(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            ),
            (Version::HTTP_11, "application/proto", Ok(Protocol::Connect(Codec::Proto))),
            (Version::HTTP_11, "application/connect+json", Err(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
            (Version::HTTP_11, "text/plain", Err(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
        ] {
            assert_eq!(of(Method::POST, version, content_type), expected, "{content_type}");
        }
    }

    #[test]
    fn calls_are_posted() {
        for method in [Method::GET, Method::PUT, Method::OPTIONS, Method::DELETE] {
            let refused = of(method, Version::HTTP_2, "application/json");
            assert_eq!(refused, Err(StatusCode::METHOD_NOT_ALLOWED));
        }
    }
}
