//! Messages on their way in: complete before they take a place, and never too large.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{Extensions, HeaderMap, Response};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use tonic::Status;
use tonic::body::Body;
use zhiyuan_contracts::rpc::v1::ErrorReason as Common;

use crate::error::{Code, Error};
use crate::server::{Connection, Held};

/// The largest request of a method, in bytes.
pub const REQUEST_BYTES: usize = 256 * 1024;

/// The most headers of a request, in bytes, counted as HTTP/2 does (RFC 9113, 6.5.2).
pub const HEADER_BYTES: usize = 16 * 1024;

/// The largest answer of a unary method, in bytes.
pub const ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// The prefix of a gRPC message, in bytes: a flag and the length.
pub const PREFIX: usize = 5;

/// A request that was read, counted on its connection until it is dropped.
struct Kept {
    bytes: Bytes,
    _held: Vec<Held>,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Refuses too many headers in words, which the transport would do by an HTTP status that
/// gRPC doesn't know; it takes twice as many.
///
/// # Errors
/// `MESSAGE_TOO_LARGE`.
pub fn check_headers(headers: &HeaderMap) -> Result<(), Error> {
    let size: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
    if size <= HEADER_BYTES {
        return Ok(());
    }
    let message = "请求头过大，请减少后重试";
    Err(Error::new(Code::Exhausted, Common::MessageTooLarge, message)
        .with_metadata("limit_bytes", HEADER_BYTES.to_string()))
}

/// Reads a request to its end, up to a limit in bytes. Whoever sends slowly takes no
/// place of a call meanwhile, and what has arrived counts for the connection (of the
/// extensions of the request).
///
/// # Errors
/// `MESSAGE_TOO_LARGE`; `MALFORMED_REQUEST` when it breaks off.
pub async fn whole(mut body: Body, limit: usize, extensions: &Extensions) -> Result<Bytes, Error> {
    let connection = extensions.get::<Arc<Connection>>();
    // Its connection has nothing to keep a place for yet.
    let _arriving = connection.map(|connection| connection.arriving());
    let (mut first, mut more, mut held) = (Bytes::new(), BytesMut::new(), Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_broken| Error::malformed_request())?.into_data() else {
            continue;
        };
        if first.len() + more.len() + data.len() > limit {
            return Err(Error::message_too_large().with_metadata("limit_bytes", limit.to_string()));
        }
        held.extend(connection.map(|connection| connection.keep(data.len())));
        if first.is_empty() {
            first = data;
        } else {
            more.extend_from_slice(&data);
        }
    }
    // Nearly every message comes in one part.
    let bytes = if more.is_empty() { first } else { [first, more.freeze()].concat().into() };
    Ok(if held.is_empty() { bytes } else { Bytes::from_owner(Kept { bytes, _held: held }) })
}

/// Reads the answer of a unary method to its end, with its status.
pub(crate) async fn answer(response: Response<Body>) -> Result<Response<Body>, Error> {
    if response.headers().contains_key(Status::GRPC_STATUS) {
        return Ok(response);
    }
    let (head, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_BYTES + PREFIX).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            Error::internal("the answer is larger than the limit")
        } else {
            Error::internal(error)
        }
    })?;
    let trailers: Option<HeaderMap> = body.trailers().cloned();
    let trailers = trailers.ok_or_else(|| Error::internal("the answer has no status"))?;
    if let Some(status) = Status::from_header_map(&trailers) {
        tracing::Span::current().record("rpc.code", status.code() as i32);
    }
    let data = Full::new(body.to_bytes());
    let body = data.with_trailers(std::future::ready(Some(Ok(trailers))));
    Ok(Response::from_parts(head, Body::new(body)))
}
