//! The Connect protocol, unary: `POST` with JSON or protobuf
//! (<https://connectrpc.com/docs/protocol>). Messages are turned into gRPC and back
//! by descriptor.

mod frame;
mod json;
mod refusal;
mod scan;

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::Full;
use tonic::Status;
use tonic::body::Body;
use zhiyuan_contracts::rpc::v1::ErrorReason as Common;
use zhiyuan_rpc::deadline::Bounds;
use zhiyuan_rpc::{Code, Error, arrival};

use crate::bounded;
use crate::browser::Browser;
use crate::call::{Call, Deadline};
use crate::config::MessageSizes;
use crate::passage;
use crate::protocol::Codec;

pub(crate) use refusal::Refusals;

const VERSION: &str = "connect-protocol-version";
const TIMEOUT: &str = "connect-timeout-ms";

/// Checks the headers of the protocol.
///
/// # Errors
/// `MALFORMED_REQUEST` for another version; a compressed body is `UNIMPLEMENTED`.
pub(crate) fn check(headers: &HeaderMap) -> Result<(), Error> {
    if headers.get_all(VERSION).iter().any(|version| version != "1") {
        return Err(Error::new(
            Code::InvalidInput,
            Common::MalformedRequest,
            "connect-protocol-version 应为 1",
        ));
    }
    if headers.get_all(CONTENT_ENCODING).iter().any(|encoding| encoding != "identity") {
        return Err(Error::new(
            Code::Unimplemented,
            Common::MalformedRequest,
            "暂不支持压缩的请求，请去掉 content-encoding",
        ));
    }
    Ok(())
}

/// Reads `connect-timeout-ms`: at most ten digits.
///
/// # Errors
/// `DEADLINE_MALFORMED`.
pub(crate) fn deadline(headers: &HeaderMap, bounds: &Bounds) -> Result<Deadline, Error> {
    let Some(value) = headers.get(TIMEOUT) else { return Ok(Deadline::of_unary(bounds.default)) };
    let milliseconds = value
        .to_str()
        .ok()
        .filter(|text| text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| {
            Error::new(
                Code::InvalidInput,
                Common::DeadlineMalformed,
                "connect-timeout-ms 应为不超过 10 位的毫秒数",
            )
        })?;
    Ok(Deadline::of_unary(Duration::from_millis(milliseconds).min(bounds.max)))
}

/// Serves a call.
///
/// # Errors
/// The status that the service answered, or our own.
pub(crate) async fn serve(
    call: Call,
    codec: Codec,
    body: Body,
    sizes: MessageSizes,
    browser: Option<&Browser<'_>>,
) -> Result<Response<Body>, Status> {
    let method = &call.policy.method;
    if method.is_client_streaming() || method.is_server_streaming() {
        return Err(Error::new(
            Code::Unimplemented,
            Common::MethodNotFound,
            "这是流式接口，请用 gRPC 调用",
        )
        .into());
    }
    let work = async {
        let limit = sizes.request_bytes;
        // Whoever sends slowly takes no place meanwhile.
        let body = arrival::whole(body, limit, &call.extensions).await;
        let body = body.map_err(|error| bounded::told(error, limit))?;
        let _permit = call.enter()?;
        let message = match codec {
            Codec::Json => Bytes::from(json::read(&method.input(), &body)?),
            Codec::Proto => json::check(&method.input(), &body).map(|()| body)?,
        };
        let request = call.request(Body::new(Full::new(frame::wrap(&message))))?;
        answer(call.upstream.call(&call.policy, request).await?, sizes.answer_bytes).await
    };
    let message = call.deadline.run(work).await??;
    let (message, cookies) = match browser {
        Some(browser) => browser.answered(&method.output(), message)?,
        None => (message, Vec::new()),
    };
    let body = match codec {
        Codec::Json => Bytes::from(json::write(&method.output(), message)?),
        Codec::Proto => message,
    };
    let mut response = Response::new(Body::new(Full::new(body)));
    let content_type = HeaderValue::from_static(codec.media_type());
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Reads an answer to its end: its message, or the status that refuses.
async fn answer(response: Response<Body>, limit: usize) -> Result<Result<Bytes, Status>, Error> {
    let (head, body) = response.into_parts();
    let body = bounded::answer(body, limit).await?;
    let in_head = head.headers.contains_key("grpc-status");
    let mut told = match body.trailers() {
        Some(trailers) if !in_head => trailers.clone(),
        _ => head.headers,
    };
    passage::settle(&mut told);
    match Status::from_header_map(&told) {
        None => Err(Error::unavailable("the answer has no status")),
        Some(status) if status.code() == tonic::Code::Ok => frame::unwrap(&body.to_bytes())
            .map(Ok)
            .ok_or_else(|| Error::internal("the answer is not one message")),
        Some(status) => Ok(Err(status)),
    }
}
