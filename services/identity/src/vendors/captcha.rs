//! Image captchas, by way of a vendor: the person solves one on a page of the vendor's and
//! brings the ticket.

use serde::Deserialize;
use tracing::Span;
use tracing::field::Empty;
use uuid::Uuid;
use zhiyuan_domain::SharedClock;

use super::breaker::BreakerConfig;
use super::client::ClientConfig;
use super::endpoint::Endpoint;
use super::error::ConfigError;
use super::request::{Request, RequestShape};
use super::response::ResponseShape;

/// The configuration of a vendor of captchas.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptchaConfig {
    /// How a ticket is verified. Placeholders: `{ticket}`, `{request_id}` (32 hexadecimal
    /// digits, fresh for each call).
    pub request: RequestShape,
    /// What the answers mean.
    pub response: ResponseShape<CaptchaOutcome>,
    /// The HTTP client.
    #[serde(default)]
    pub http: ClientConfig,
    /// The circuit breaker.
    #[serde(default)]
    pub breaker: BreakerConfig,
}

/// What a vendor says of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptchaOutcome {
    /// The captcha was solved, and the ticket is used up now.
    Passed,
    /// It was not, or the ticket is old, used or none.
    Failed,
    /// No answer, or none that is understood.
    Unavailable,
}

impl CaptchaOutcome {
    const fn label(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Unavailable => "unavailable",
        }
    }
}

const NAMES: [&str; 2] = ["ticket", "request_id"];

/// A vendor of captchas.
#[derive(Debug)]
pub(crate) struct CaptchaVendor {
    request: Request,
    endpoint: Endpoint<CaptchaOutcome>,
}

impl CaptchaVendor {
    /// Prepares the calls. The clock is the breaker's.
    ///
    /// # Errors
    /// The first key whose value cannot be used.
    pub(crate) fn new(config: &CaptchaConfig, clock: SharedClock) -> Result<Self, ConfigError> {
        let request = config.request.compile("request", &NAMES, config.http.allow_plain_http)?;
        if !request.uses(0) {
            return Err(ConfigError::new("request.body", "lacks {ticket}"));
        }
        let good = CaptchaOutcome::Passed;
        let endpoint = Endpoint::new(&config.http, config.breaker, &config.response, good, clock)?;
        Ok(Self { request, endpoint })
    }

    /// Verifies a ticket. The vendor takes each once.
    #[tracing::instrument(name = "vendor.captcha.verify", skip_all, fields(outcome = Empty))]
    pub(crate) async fn verify(&self, ticket: &str) -> CaptchaOutcome {
        let request_id = Uuid::new_v4().simple().to_string();
        // In the order of the names.
        let request = self.request.fill(&[ticket, &request_id]);
        let called = self.endpoint.call(request, CaptchaOutcome::Unavailable).await;
        let outcome = called.unwrap_or_else(|failure| {
            tracing::warn!(%failure, "failed to verify a captcha");
            CaptchaOutcome::Unavailable
        });
        Span::current().record("outcome", outcome.label());
        outcome
    }
}
