//! Text messages, by way of a vendor.

use serde::Deserialize;
use tracing::Span;
use tracing::field::Empty;
use uuid::Uuid;
use zhiyuan_domain::{Mobile, SharedClock};

use super::breaker::BreakerConfig;
use super::client::{CallError, ClientConfig};
use super::endpoint::{Endpoint, Failure};
use super::error::ConfigError;
use super::request::{Request, RequestShape};
use super::response::ResponseShape;

/// The configuration of whoever delivers text messages.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmsVendorConfig {
    /// How a text is sent. Placeholders: `{phone}` (E.164), `{national_phone}` (11 digits),
    /// `{text}`, `{sign}`, `{request_id}` (32 hexadecimal digits: of this message, the same
    /// when it is handed over once more).
    pub request: RequestShape,
    /// How a code is sent where the vendor composes the text from a template of its own; also
    /// knows `{code}`. Without it, a code is sent as a text.
    #[serde(default)]
    pub code_request: Option<RequestShape>,
    /// What the answers mean.
    pub response: ResponseShape<SmsOutcome>,
    /// Who signs the messages, as the vendor registered it.
    #[serde(default)]
    pub sign: String,
    /// The HTTP client.
    #[serde(default)]
    pub http: ClientConfig,
    /// The circuit breaker.
    #[serde(default)]
    pub breaker: BreakerConfig,
}

/// What a vendor's result code can mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmsOutcome {
    /// The vendor took the message.
    Sent,
    /// The vendor will not send this message: the number, the text or the pace is not right.
    Refused,
    /// The vendor is out of order and did not take the message.
    NotReached,
    /// The vendor does not know.
    Unknown,
}

/// Why a message was not taken, or may not have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SmsError {
    /// The vendor said no. The message was not sent.
    #[error("the vendor refused the message")]
    Refused,
    /// The vendor could not be asked, or is out of order. The message was not sent, as far as
    /// can be told.
    #[error("the vendor was not reached")]
    NotReached,
    /// The request left and no clear answer came. The message may have been sent.
    #[error("the vendor may have sent the message")]
    Unknown,
}

const PHONE: usize = 0;
const NATIONAL_PHONE: usize = 1;
const TEXT: usize = 2;
const REQUEST_ID: usize = 4;
const CODE: usize = 5;
const CODE_NAMES: [&str; 6] = ["phone", "national_phone", "text", "sign", "request_id", "code"];
const NAMES: &[&str] = {
    let [phone, national_phone, text, sign, request_id, _] = CODE_NAMES;
    &[phone, national_phone, text, sign, request_id]
};

/// Whoever delivers text messages.
#[derive(Debug)]
pub(crate) struct SmsVendor {
    request: Request,
    code_request: Option<Request>,
    sign: String,
    endpoint: Endpoint<SmsOutcome>,
}

impl SmsVendorConfig {
    /// Checks the configuration, the authorities' file included, without calling anybody.
    ///
    /// # Errors
    /// The first key whose value cannot be used.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.requests().map(|_| ())?;
        self.endpoint(std::sync::Arc::new(zhiyuan_domain::SystemClock)).map(|_| ())
    }

    fn requests(&self) -> Result<(Request, Option<Request>), ConfigError> {
        let compile = |shape: &RequestShape, key: &str, names, content: &[usize]| {
            let request = shape.compile(key, names, self.http.allow_plain_http)?;
            let body = |problem| ConfigError::new(format!("{key}.body"), problem);
            if !request.uses(PHONE) && !request.uses(NATIONAL_PHONE) {
                return Err(body("lacks {phone} or {national_phone}"));
            }
            if !content.iter().any(|value| request.uses(*value)) {
                return Err(body("lacks what the message says"));
            }
            Ok(request)
        };
        let request = compile(&self.request, "request", NAMES, &[TEXT])?;
        let code_request = self
            .code_request
            .as_ref()
            .map(|shape| compile(shape, "code_request", &CODE_NAMES, &[TEXT, CODE]))
            .transpose()?;
        Ok((request, code_request))
    }

    fn endpoint(&self, clock: SharedClock) -> Result<Endpoint<SmsOutcome>, ConfigError> {
        Endpoint::new(&self.http, self.breaker, &self.response, SmsOutcome::Sent, clock)
    }
}

impl SmsVendor {
    /// Prepares the calls. The clock is the breaker's.
    ///
    /// # Errors
    /// As [`SmsVendorConfig::check`].
    pub(crate) fn new(config: &SmsVendorConfig, clock: SharedClock) -> Result<Self, ConfigError> {
        let (request, code_request) = config.requests()?;
        let endpoint = config.endpoint(clock)?;
        Ok(Self { request, code_request, sign: config.sign.clone(), endpoint })
    }

    /// Whether the vendor is told the ids of messages that are no codes, and so delivers one
    /// once that it is handed twice.
    pub(crate) fn knows_ids(&self) -> bool {
        self.request.uses(REQUEST_ID)
    }

    /// Sends the text of this id.
    ///
    /// # Errors
    /// The vendor refused it, was not reached, or may have sent it.
    #[tracing::instrument(name = "vendor.sms.send", skip_all, fields(outcome = Empty))]
    pub(crate) async fn send(
        &self,
        message_id: Uuid,
        phone: &Mobile,
        text: &str,
    ) -> Result<(), SmsError> {
        self.deliver(&self.request, message_id, phone, text, "").await
    }

    /// Sends a code. `text` says it in full, for vendors that have no template for codes.
    ///
    /// # Errors
    /// As [`Self::send`].
    #[tracing::instrument(name = "vendor.sms.send", skip_all, fields(outcome = Empty))]
    pub(crate) async fn send_code(
        &self,
        phone: &Mobile,
        text: &str,
        code: &str,
    ) -> Result<(), SmsError> {
        let request = self.code_request.as_ref().unwrap_or(&self.request);
        // It is handed over once.
        self.deliver(request, Uuid::new_v4(), phone, text, code).await
    }

    async fn deliver(
        &self,
        request: &Request,
        message_id: Uuid,
        phone: &Mobile,
        text: &str,
        code: &str,
    ) -> Result<(), SmsError> {
        let request_id = message_id.simple().to_string();
        // In the order of the names.
        let values =
            [phone.as_e164(), phone.national(), text, self.sign.as_str(), &request_id, code];
        let called = self.endpoint.call(request.fill(&values), SmsOutcome::NotReached).await;
        let outcome = called.unwrap_or_else(|failure| {
            tracing::warn!(%failure, "failed to send a text message");
            after(failure)
        });
        let (label, result) = match outcome {
            SmsOutcome::Sent => ("sent", Ok(())),
            SmsOutcome::Refused => ("refused", Err(SmsError::Refused)),
            SmsOutcome::NotReached => ("not_reached", Err(SmsError::NotReached)),
            SmsOutcome::Unknown => ("unknown", Err(SmsError::Unknown)),
        };
        Span::current().record("outcome", label);
        result
    }
}

/// What a failure leaves of the hope that the message was, or was not, sent.
fn after(failure: Failure) -> SmsOutcome {
    match failure {
        Failure::Resting | Failure::Call(CallError::NotSent | CallError::TimedOutBeforeSending) => {
            SmsOutcome::NotReached
        }
        // A gateway that gave up waiting does not know what became of the request behind it.
        Failure::Call(CallError::Status(http::StatusCode::GATEWAY_TIMEOUT)) => SmsOutcome::Unknown,
        Failure::Call(CallError::Status(status)) if status.is_success() => SmsOutcome::Unknown,
        Failure::Call(CallError::Status(_)) => SmsOutcome::NotReached,
        Failure::Call(CallError::TimedOut | CallError::Broken | CallError::TooLong)
        | Failure::Malformed
        | Failure::UnknownCode(_) => SmsOutcome::Unknown,
    }
}
