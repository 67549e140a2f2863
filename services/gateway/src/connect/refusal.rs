//! A gRPC status as an error of the Connect protocol.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use prost::Message as _;
use prost_reflect::{DescriptorError, DescriptorPool, DynamicMessage};
use serde::Serialize;
use tonic::body::Body;
use tonic::{Code, Status};

/// The body of an error.
#[derive(Debug, Serialize)]
struct Refusal<'a> {
    code: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail>,
}

#[derive(Debug, Serialize)]
struct Detail {
    #[serde(rename = "type")]
    type_name: String,
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    debug: Option<DynamicMessage>,
}

/// Writes errors; knows the details of `google.rpc`.
#[derive(Debug, Clone)]
pub(crate) struct Refusals {
    known: DescriptorPool,
}

impl Refusals {
    /// Reads the descriptors of `google.rpc`.
    ///
    /// # Errors
    /// When they can't be read: never with the ones compiled in.
    pub(crate) fn new() -> Result<Self, DescriptorError> {
        let known = DescriptorPool::decode(tonic_types::pb::FILE_DESCRIPTOR_SET)?;
        Ok(Self { known })
    }

    /// The answer that tells a status.
    pub(crate) fn answer(&self, status: &Status) -> Response<Body> {
        self.answer_with(status, http_status(status.code()))
    }

    /// The answer that tells a status, under an HTTP status of its own.
    pub(crate) fn answer_with(&self, status: &Status, http: StatusCode) -> Response<Body> {
        let refusal = Refusal {
            code: code_name(status.code()),
            message: status.message(),
            details: self.details(status),
        };
        let body = serde_json::to_vec(&refusal).unwrap_or_else(|error| {
            tracing::error!(%error, "an error could not be written as JSON");
            br#"{"code":"internal"}"#.to_vec()
        });
        let mut response = Response::new(Body::new(http_body_util::Full::from(body)));
        *response.status_mut() = http;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    fn details(&self, status: &Status) -> Vec<Detail> {
        let Ok(rich) = tonic_types::pb::Status::decode(status.details()) else { return Vec::new() };
        let details = rich.details.into_iter().map(|any| {
            let type_name = match any.type_url.rsplit_once('/') {
                Some((_, name)) => name.to_owned(),
                None => any.type_url,
            };
            let known = self.known.get_message_by_name(&type_name);
            let debug =
                known.and_then(|desc| DynamicMessage::decode(desc, any.value.as_slice()).ok());
            Detail { value: STANDARD_NO_PAD.encode(&any.value), type_name, debug }
        });
        details.collect()
    }
}

/// The name of a code in the Connect protocol.
fn code_name(code: Code) -> &'static str {
    match code {
        // An error with the code of success is none that anybody could act on.
        Code::Ok | Code::Unknown => "unknown",
        Code::Cancelled => "canceled",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}

/// The HTTP status of a code, as the Connect protocol has it.
fn http_status(code: Code) -> StatusCode {
    match code {
        // "Client closed request" has no name in the registry of HTTP.
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
            StatusCode::BAD_REQUEST
        }
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}
