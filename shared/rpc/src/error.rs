//! The one way to an answer that is no success.

use std::time::Duration;

use tonic::Status;
use tonic_types::{ErrorDetails, FieldViolation, LocalizedMessage, StatusExt as _};
use zhiyuan_contracts::orgtree::v1::Permission;
use zhiyuan_contracts::reason::Reason;
use zhiyuan_contracts::rpc::v1::ErrorReason as Common;
use zhiyuan_domain::Violation;

const LOCALE: &str = "zh-CN";

/// The most faults that are told at once. An answer tells them in its headers, in four
/// encodings together, and callers take no more than 16 KiB of these.
const MOST_FAULTS: usize = 14;

/// The closed set of codes that the suite answers with, both mappings side by
/// side. The HTTP column is that of the Connect protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The request alone is wrong.
    InvalidInput,
    /// No valid caller, or no valid code or password.
    Unauthenticated,
    /// The caller is known, and not allowed.
    Forbidden,
    /// Absent, or hidden from this caller.
    NotFound,
    /// A unique rule.
    AlreadyExists,
    /// The state refuses: closed, expired, not of age.
    Precondition,
    /// Two changes met: the same call may be sent again.
    Conflict,
    /// A limit.
    Exhausted,
    /// A dependency is down, or the process is draining.
    Unavailable,
    /// The deadline has passed.
    Timeout,
    /// What is asked for lies before or after what there is.
    OutOfRange,
    /// There is no such method here.
    Unimplemented,
    /// Stored data failed its integrity check.
    DataLoss,
    /// Our fault; the text is fixed.
    Internal,
}

impl Code {
    /// All codes, for tables and tests.
    pub const ALL: [Self; 14] = [
        Self::InvalidInput,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::AlreadyExists,
        Self::Precondition,
        Self::Conflict,
        Self::Exhausted,
        Self::Unavailable,
        Self::Timeout,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::DataLoss,
        Self::Internal,
    ];

    /// The code of gRPC.
    pub fn grpc(self) -> tonic::Code {
        match self {
            Self::InvalidInput => tonic::Code::InvalidArgument,
            Self::Unauthenticated => tonic::Code::Unauthenticated,
            Self::Forbidden => tonic::Code::PermissionDenied,
            Self::NotFound => tonic::Code::NotFound,
            Self::AlreadyExists => tonic::Code::AlreadyExists,
            Self::Precondition => tonic::Code::FailedPrecondition,
            Self::Conflict => tonic::Code::Aborted,
            Self::Exhausted => tonic::Code::ResourceExhausted,
            Self::Unavailable => tonic::Code::Unavailable,
            Self::Timeout => tonic::Code::DeadlineExceeded,
            Self::OutOfRange => tonic::Code::OutOfRange,
            Self::Unimplemented => tonic::Code::Unimplemented,
            Self::DataLoss => tonic::Code::DataLoss,
            Self::Internal => tonic::Code::Internal,
        }
    }
}

/// A field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// The path of the field, such as `id_number` or `consents[0].version`.
    pub field: String,
    /// Stable, such as `ID_NUMBER_CHECKSUM`.
    pub reason: String,
    /// zh-CN; never holds the value.
    pub message: String,
}

impl FieldFault {
    /// Says what is wrong with a field.
    pub fn new(field: impl Into<String>, violation: impl Into<Violation>) -> Self {
        let violation = violation.into();
        Self {
            field: field.into(),
            reason: violation.reason.to_owned(),
            message: violation.message,
        }
    }
}

/// An answer that is no success. Small, since every result carries room for it.
#[derive(Debug)]
pub struct Error(Box<Parts>);

#[derive(Debug)]
struct Parts {
    code: Code,
    domain: &'static str,
    reason: &'static str,
    message: String,
    metadata: Vec<(&'static str, String)>,
    faults: Vec<FieldFault>,
    retry_after: Option<Duration>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.reason)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl Error {
    /// An error with a reason and a message in Chinese that tells what to do. The
    /// message must hold nothing personal.
    pub fn new<R: Reason>(code: Code, reason: R, message: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            code,
            domain: R::DOMAIN,
            reason: reason.wire(),
            message: message.into(),
            metadata: Vec::new(),
            faults: Vec::new(),
            retry_after: None,
            source: None,
        }))
    }

    /// Fields that are wrong, all at once; of very many, the first ones.
    pub fn invalid_fields(mut faults: Vec<FieldFault>) -> Self {
        faults.truncate(MOST_FAULTS);
        let told: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
        let message = format!("填写的信息有误：{}", told.join("；"));
        let mut error = Self::new(Code::InvalidInput, Common::InvalidFields, message);
        error.0.faults = faults;
        error
    }

    /// Our fault: logged once with its sources when it becomes a status, told with
    /// a fixed text.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(Code::Internal, Common::Internal, "").because(source)
    }

    /// Stored data failed its integrity check: logged, and told with a fixed text.
    pub fn data_corrupt(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(Code::DataLoss, Common::DataCorrupt, "").because(source)
    }

    /// Something that is needed does not answer just now.
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let message = "系统暂时繁忙，您的信息没有丢失，请稍后用同一请求重试";
        Self::new(Code::Unavailable, Common::Unavailable, message)
            .with_retry_after(Duration::from_secs(2))
            .because(source)
    }

    /// The process stops, or the connection has come of age: the same call is for
    /// another one.
    pub fn draining() -> Self {
        Self::new(Code::Unavailable, Common::Draining, "服务正在重启，请稍后用同一请求重试")
            .with_retry_after(Duration::from_secs(1))
    }

    /// Two changes met; the same call may be sent again.
    pub fn conflict(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(Code::Conflict, Common::Conflict, "同时有另一项操作，请重试")
            .with_retry_after(Duration::from_millis(100))
            .because(source)
    }

    /// Too much at once.
    pub fn overloaded(retry_after: Duration) -> Self {
        Self::new(Code::Exhausted, Common::Overloaded, "当前访问人数较多，请稍后重试")
            .with_retry_after(retry_after)
    }

    /// The caller administers the organization, and not with a role that may do this.
    pub fn permission_missing(permission: Permission) -> Self {
        let name = permission.as_str_name();
        let message = "您在此组织的角色没有这项权限，请联系本组织或上级组织的管理员";
        Self::new(Code::Forbidden, Common::PermissionMissing, message)
            .with_metadata("permission", name.strip_prefix("PERMISSION_").unwrap_or(name))
    }

    /// The deadline has passed.
    pub fn deadline_exceeded() -> Self {
        Self::new(Code::Timeout, Common::DeadlineExceeded, "处理超时，请用同一请求重试")
    }

    /// There is no such method here.
    pub fn method_not_found() -> Self {
        Self::new(Code::Unimplemented, Common::MethodNotFound, "没有这个接口")
    }

    /// The bytes are no message of the method.
    pub fn malformed_request() -> Self {
        Self::new(Code::InvalidInput, Common::MalformedRequest, "请求格式不正确，无法解析")
    }

    /// The message is larger than the method takes.
    pub fn message_too_large() -> Self {
        Self::new(Code::Exhausted, Common::MessageTooLarge, "请求内容过大，请减少后重试")
    }

    /// Adds a machine-readable value to `ErrorInfo.metadata`.
    #[must_use]
    pub fn with_metadata(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.0.metadata.push((key, value.into()));
        self
    }

    /// Tells people the same in other words.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.0.message = message.into();
        self
    }

    /// Tells when to come again (`RetryInfo`).
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The stable reason.
    pub fn reason(&self) -> &'static str {
        self.0.reason
    }

    /// The message for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let error = *error.0;
        let message = match error.code {
            Code::Internal | Code::DataLoss => {
                tracing::error!(
                    reason = error.reason,
                    error = error.source.as_deref().map(|source| chain(source)),
                    "request failed"
                );
                fixed_text()
            }
            Code::Unavailable | Code::Conflict => {
                tracing::warn!(
                    reason = error.reason,
                    error = error.source.as_deref().map(|source| chain(source)),
                    "request could not be served"
                );
                error.message
            }
            _ => error.message,
        };
        let mut details = ErrorDetails::new();
        details.set_error_info(
            error.reason,
            error.domain,
            error
                .metadata
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect::<std::collections::HashMap<_, _>>(),
        );
        details.set_localized_message(LOCALE, message.as_str());
        if let Some(wait) = error.retry_after {
            details.set_retry_info(Some(wait));
        }
        if !error.faults.is_empty() {
            details.set_bad_request(error.faults.into_iter().map(violation).collect::<Vec<_>>());
        }
        Status::with_error_details(error.code.grpc(), message, details)
    }
}

fn violation(fault: FieldFault) -> FieldViolation {
    FieldViolation {
        field: fault.field,
        description: fault.message.clone(),
        reason: fault.reason,
        localized_message: Some(LocalizedMessage::new(LOCALE, fault.message)),
    }
}

fn fixed_text() -> String {
    match zhiyuan_telemetry::propagation::current_trace_id() {
        Some(trace) => format!("系统内部错误，请稍后重试；如仍不成功，请提供编号 {trace}"),
        None => "系统内部错误，请稍后重试".to_owned(),
    }
}

/// An error and all its sources on one line, for a log. Unlike `Debug`, it shows no row
/// that a database refused.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(next) = source {
        text.push_str(": ");
        text.push_str(&next.to_string());
        source = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_reason_message_violations_and_wait() {
        let error = Error::invalid_fields(vec![FieldFault {
            field: "phone".into(),
            reason: "MOBILE_FORMAT".into(),
            message: "请填写 11 位手机号码".into(),
        }])
        .with_retry_after(Duration::from_secs(3));
        let status = Status::from(error);
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "INVALID_FIELDS");
        assert_eq!(details.error_info().unwrap().domain, "zhiyuan");
        let violation = &details.bad_request().unwrap().field_violations[0];
        assert_eq!(
            (violation.field.as_str(), violation.reason.as_str()),
            ("phone", "MOBILE_FORMAT")
        );
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_secs(3)));
        assert_eq!(details.localized_message().unwrap().locale, "zh-CN");
    }

    #[test]
    fn however_much_is_wrong_the_answer_fits_into_headers() {
        let fault = FieldFault {
            field: "consents[15].version".into(),
            reason: "CONSENT_VERSION_INVALID".into(),
            message: "告知书版本应为 1 至 64 个字母、数字、点或短横线，请刷新页面后重新提交".into(),
        };
        let status = Status::from(Error::invalid_fields(vec![fault; 1000]));
        let mut headers = http::HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        let size: usize =
            headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
        assert!(size < 14 * 1024, "{size}");
        let told = status.get_error_details().bad_request().unwrap().field_violations.len();
        assert_eq!(told, MOST_FAULTS);
    }

    #[test]
    fn an_internal_error_tells_nothing_of_its_source() {
        let status = Status::from(Error::internal("password of db is hunter2"));
        assert_eq!(status.code(), tonic::Code::Internal);
        assert!(!format!("{status:?}").contains("hunter2"));
    }

    #[test]
    fn no_two_codes_share_a_grpc_code() {
        let mut codes: Vec<i32> = Code::ALL.iter().map(|code| code.grpc() as i32).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Code::ALL.len());
    }
}
