//! An answer that is no success, the same whichever protocol told it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use prost::Message as _;
use serde_json::Value;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// What was refused, and why.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) domain: String,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) violations: Vec<(String, String)>,
    pub(crate) retry_after: Option<Duration>,
    /// All that was told, for those who look for what must not be told.
    pub(crate) whole: Vec<u8>,
}

impl std::fmt::Debug for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Refusal")
            .field("code", &self.code)
            .field("reason", &self.reason)
            .field("message", &self.message)
            .field("violations", &self.violations)
            .field("retry_after", &self.retry_after)
            .finish_non_exhaustive()
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().cloned();
        let (domain, reason) = info.map(|info| (info.domain, info.reason)).unwrap_or_default();
        let mut whole = format!("{status:?} {:?}", status.metadata()).into_bytes();
        whole.extend_from_slice(status.message().as_bytes());
        whole.extend_from_slice(status.details());
        Self {
            code: status.code(),
            domain,
            reason,
            message: status.message().to_owned(),
            violations: details
                .bad_request()
                .iter()
                .flat_map(|bad| &bad.field_violations)
                .map(|violation| (violation.field.clone(), violation.reason.clone()))
                .collect(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
            whole,
        }
    }
}

impl Refusal {
    /// Reads an error of the Connect protocol.
    pub(crate) fn of_connect(body: &Value) -> Self {
        let details = body["details"].as_array().into_iter().flatten().map(any);
        let message = body["message"].as_str().unwrap_or_default();
        let code = code_of(body["code"].as_str().unwrap_or_default());
        let rich = tonic_types::pb::Status {
            code: code as i32,
            message: message.to_owned(),
            details: details.collect(),
        };
        let mut refusal =
            Self::from(Status::with_details(code, message, rich.encode_to_vec().into()));
        refusal.whole.extend_from_slice(body.to_string().as_bytes());
        refusal
    }

    /// Whether the same call may be sent again.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self.code, Code::Unavailable | Code::DeadlineExceeded)
            // Not a change that was made on an older state: it would be refused again.
            || (self.code == Code::Aborted && self.reason != "ETAG_STALE")
            || self.reason == "OVERLOADED"
    }
}

fn any(detail: &Value) -> prost_types::Any {
    prost_types::Any {
        type_url: format!("type.googleapis.com/{}", detail["type"].as_str().unwrap_or_default()),
        value: STANDARD_NO_PAD.decode(detail["value"].as_str().unwrap_or_default()).unwrap(),
    }
}

/// The code of a name in the Connect protocol.
fn code_of(name: &str) -> Code {
    match name {
        "canceled" => Code::Cancelled,
        "invalid_argument" => Code::InvalidArgument,
        "deadline_exceeded" => Code::DeadlineExceeded,
        "not_found" => Code::NotFound,
        "already_exists" => Code::AlreadyExists,
        "permission_denied" => Code::PermissionDenied,
        "resource_exhausted" => Code::ResourceExhausted,
        "failed_precondition" => Code::FailedPrecondition,
        "aborted" => Code::Aborted,
        "out_of_range" => Code::OutOfRange,
        "unimplemented" => Code::Unimplemented,
        "internal" => Code::Internal,
        "unavailable" => Code::Unavailable,
        "data_loss" => Code::DataLoss,
        "unauthenticated" => Code::Unauthenticated,
        _ => Code::Unknown,
    }
}
