//! The outside world that identity calls over HTTP: whoever delivers text messages, the
//! real-name register, and a vendor of captchas where there is one.
//!
//! What a call looks like and what its answer means is configuration, because vendors differ;
//! `README.md` beside this file describes it. Nothing personal gets into logs, spans or errors:
//! a call leaves its outcome and, where it failed, a phrase that names the kind of failure.

mod breaker;
mod captcha;
mod client;
mod endpoint;
mod error;
mod real_name;
mod request;
mod response;
mod sms;
mod template;
#[cfg(test)]
mod tests;

pub use self::breaker::BreakerConfig;
pub use self::captcha::{CaptchaConfig, CaptchaOutcome};
pub use self::client::ClientConfig;
pub use self::error::ConfigError;
pub use self::real_name::{RealNameConfig, Verdict};
pub use self::request::{Body, ContentType, Method, RequestShape};
pub use self::response::ResponseShape;
pub use self::sms::{SmsOutcome, SmsVendorConfig};

pub(crate) use self::captcha::CaptchaVendor;
pub(crate) use self::real_name::RealNameRegister;
pub(crate) use self::sms::{SmsError, SmsVendor};
