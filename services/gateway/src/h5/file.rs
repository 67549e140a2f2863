//! A file of the pages, as it is answered.

use std::pin::Pin;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, InvalidHeaderValue,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::{Frame, SizeHint};
use sha2::{Digest as _, Sha256};
use tonic::body::Body;

use super::accept;

/// Its name changes whenever it does.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// May be kept, and is asked for each time whether it is still that.
const ASK: &str = "no-cache";

/// An answer leaves in pieces, or a slow reader would be charged for all of it: see the
/// count of what is unread in `zhiyuan_rpc`.
const PIECE: usize = 32 * 1024;

/// A file, in the encodings in which it is there.
#[derive(Debug)]
pub(super) struct File {
    content_type: &'static str,
    cache: &'static str,
    /// From the one that is preferred to the one that everybody reads.
    variants: Vec<Variant>,
}

/// A file in one encoding.
#[derive(Debug)]
struct Variant {
    coding: &'static str,
    bytes: Bytes,
    /// Of these bytes: the same file in another encoding has another one.
    tag: HeaderValue,
}

impl Variant {
    fn new(coding: &'static str, bytes: Bytes) -> Result<Self, InvalidHeaderValue> {
        let digest = Sha256::digest(&bytes);
        let digest = URL_SAFE_NO_PAD.encode(digest.get(..16).unwrap_or(&digest));
        Ok(Self { coding, bytes, tag: HeaderValue::try_from(format!("\"{digest}\""))? })
    }
}

impl File {
    /// A file with its encodings, `(coding, bytes)`.
    pub(super) fn new(
        name: &str,
        plain: Bytes,
        encoded: impl IntoIterator<Item = (&'static str, Bytes)>,
    ) -> Result<Self, InvalidHeaderValue> {
        let mut variants = Vec::new();
        for (coding, bytes) in encoded {
            // Larger than it was: nobody is helped.
            if bytes.len() < plain.len() {
                variants.push(Variant::new(coding, bytes)?);
            }
        }
        variants.push(Variant::new("identity", plain)?);
        let cache = if is_fingerprinted(name) { FOREVER } else { ASK };
        Ok(Self { content_type: content_type(name), cache, variants })
    }

    /// Whether it is a text of some size that is there in no encoding.
    pub(super) fn should_be_smaller(&self) -> bool {
        let [only] = self.variants.as_slice() else { return false };
        only.bytes.len() > 4096 && is_text(self.content_type)
    }

    /// Answers who wants it: in the encoding that is wanted most, and without a body if
    /// that is known already.
    pub(super) fn answer(&self, headers: &HeaderMap) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        let Some(variant) = self.wanted(headers) else { return response };
        let (bytes, tag) = (&variant.bytes, &variant.tag);
        let fields = response.headers_mut();
        fields.insert(CACHE_CONTROL, HeaderValue::from_static(self.cache));
        fields.insert(ETAG, tag.clone());
        if accept::has(headers, tag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        fields.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        if variant.coding != "identity" {
            fields.insert(CONTENT_ENCODING, HeaderValue::from_static(variant.coding));
        }
        *response.body_mut() = Body::new(Pieces { rest: bytes.clone() });
        response
    }

    fn wanted(&self, headers: &HeaderMap) -> Option<&Variant> {
        // Of equals the last one is taken, which is to be the preferred one. Who wants none
        // gets what everybody reads.
        let weighed = self.variants.iter().rev();
        let weighed = weighed.map(|variant| (accept::weight_of(headers, variant.coding), variant));
        let wanted = weighed.filter(|(weight, _)| *weight > 0).max_by_key(|(weight, _)| *weight);
        wanted.map(|(_, variant)| variant).or(self.variants.last())
    }
}

/// The bytes of an answer.
struct Pieces {
    rest: Bytes,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let length = self.rest.len().min(PIECE);
        if length == 0 {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// Whether the name has a fingerprint of the content, as Vite gives one: `index-BXq3d8fZ.js`.
fn is_fingerprinted(name: &str) -> bool {
    let Some((stem, _)) = name.strip_prefix("assets/").and_then(|name| name.split_once('.')) else {
        return false;
    };
    let Some((rest, hash)) = stem.len().checked_sub(8).and_then(|at| stem.split_at_checked(at))
    else {
        return false;
    };
    rest.ends_with('-')
        && hash.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        // Else `touch-iconfont.woff2` would be kept for a year.
        && hash.bytes().any(|byte| !byte.is_ascii_lowercase())
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "gif" => "image/gif",
        "ico" => "image/vnd.microsoft.icon",
        "woff2" => "font/woff2",
        "woff" => "font/woff",
        "txt" => "text/plain; charset=utf-8",
        "xml" => "application/xml",
        "pdf" => "application/pdf",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}

fn is_text(content_type: &str) -> bool {
    content_type.starts_with("text/")
        || content_type.ends_with("json")
        || content_type.ends_with("xml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_fingerprint_is_kept_for_ever() {
        for (name, forever) in [
            ("assets/index-BXq3d8fZ.js", true),
            ("assets/index-BXq3d8fZ.js.map", true),
            ("assets/PageFrame-_QT7t_lk.css", true),
            ("assets/HomePage-B-ZCjAKU.js", true),
            ("assets/index.js", false),
            ("assets/index-BXq3d8f.js", false),
            ("assets/indexBXq3d8fZ.js", false),
            ("assets/touch-iconfont.woff2", false),
            ("assets/-志愿服务.js", false),
            ("index-BXq3d8fZ.js", false),
            ("index.html", false),
            ("icon.svg", false),
        ] {
            assert_eq!(is_fingerprinted(name), forever, "{name}");
        }
    }
}
