//! The real-name register: whether a name and an ID number belong together.

use serde::Deserialize;
use tracing::Span;
use tracing::field::Empty;
use uuid::Uuid;
use zhiyuan_domain::{IdNumber, PersonName, SharedClock};

use super::breaker::BreakerConfig;
use super::client::ClientConfig;
use super::endpoint::Endpoint;
use super::error::ConfigError;
use super::request::{Request, RequestShape};
use super::response::ResponseShape;

/// The configuration of the real-name register.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RealNameConfig {
    /// How the register is asked. Placeholders: `{name}` (in NFC), `{id_number}` (18 characters,
    /// `X` upper-case), `{request_id}` (32 hexadecimal digits, fresh for each call).
    pub request: RequestShape,
    /// What the answers mean.
    pub response: ResponseShape<Verdict>,
    /// Tells whether the register keeps characters beyond the basic multilingual plane. Where it
    /// does not, it has `?` in their place, and 不一致 for a name with such a character proves
    /// nothing: it becomes [`Verdict::CannotTell`].
    #[serde(default)]
    pub knows_rare_characters: bool,
    /// The HTTP client.
    #[serde(default)]
    pub http: ClientConfig,
    /// The circuit breaker.
    #[serde(default)]
    pub breaker: BreakerConfig,
}

/// What the register says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// 一致: the number is this name's.
    Match,
    /// 不一致: the number exists, with another name.
    Mismatch,
    /// 库中无此号: the register has no such number.
    NotFound,
    /// 无法判定: the register cannot tell; a person has to look.
    CannotTell,
    /// No answer, or none that is understood. Another time, perhaps.
    Unavailable,
}

impl Verdict {
    const fn label(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Mismatch => "mismatch",
            Self::NotFound => "not_found",
            Self::CannotTell => "cannot_tell",
            Self::Unavailable => "unavailable",
        }
    }
}

const NAMES: [&str; 3] = ["name", "id_number", "request_id"];

/// The real-name register.
#[derive(Debug)]
pub(crate) struct RealNameRegister {
    request: Request,
    knows_rare_characters: bool,
    endpoint: Endpoint<Verdict>,
}

impl RealNameConfig {
    /// Checks the configuration, the authorities' file included, without calling anybody.
    ///
    /// # Errors
    /// The first key whose value cannot be used.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.request().map(|_| ())?;
        self.endpoint(std::sync::Arc::new(zhiyuan_domain::SystemClock)).map(|_| ())
    }

    fn request(&self) -> Result<Request, ConfigError> {
        let request = self.request.compile("request", &NAMES, self.http.allow_plain_http)?;
        for (value, name) in NAMES.iter().enumerate().take(2) {
            if !request.uses(value) {
                return Err(ConfigError::new("request.body", format!("lacks {{{name}}}")));
            }
        }
        Ok(request)
    }

    fn endpoint(&self, clock: SharedClock) -> Result<Endpoint<Verdict>, ConfigError> {
        Endpoint::new(&self.http, self.breaker, &self.response, Verdict::Match, clock)
    }
}

impl RealNameRegister {
    /// Prepares the calls. The clock is the breaker's.
    ///
    /// # Errors
    /// As [`RealNameConfig::check`].
    pub(crate) fn new(config: &RealNameConfig, clock: SharedClock) -> Result<Self, ConfigError> {
        Ok(Self {
            request: config.request()?,
            knows_rare_characters: config.knows_rare_characters,
            endpoint: config.endpoint(clock)?,
        })
    }

    /// Asks whether a name and a number belong together. Asking again does no harm.
    #[tracing::instrument(name = "vendor.real_name.check", skip_all, fields(outcome = Empty))]
    pub(crate) async fn check(&self, name: &PersonName, id_number: &IdNumber) -> Verdict {
        let request_id = Uuid::new_v4().simple().to_string();
        // In the order of the names.
        let values = [name.as_str(), id_number.as_str(), &request_id];
        let called = self.endpoint.call(self.request.fill(&values), Verdict::Unavailable).await;
        let verdict = called.unwrap_or_else(|failure| {
            tracing::warn!(%failure, "failed to ask the real-name register");
            Verdict::Unavailable
        });
        let rare = name.has_rare_characters() && !self.knows_rare_characters;
        let verdict = match verdict {
            Verdict::Mismatch if rare => Verdict::CannotTell,
            verdict => verdict,
        };
        Span::current().record("outcome", verdict.label());
        verdict
    }
}
