//! One vendor: the client, the breaker in front of it, and what its answers mean.

use bytes::Bytes;
use zhiyuan_domain::SharedClock;

use super::breaker::{Breaker, BreakerConfig};
use super::client::{CallError, ClientConfig, HttpClient};
use super::error::ConfigError;
use super::response::{CodeLabel, Reading, ResponseShape};

/// Why a call came to nothing. The text names the kind alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// The breaker is open.
    #[error("left alone because it kept failing")]
    Resting,
    /// The call itself.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The answer cannot be read.
    #[error("the answer has no result code")]
    Malformed,
    /// The answer has a code that the configuration does not know.
    #[error("unknown result code {0}")]
    UnknownCode(CodeLabel),
}

/// A vendor to call. `O` is what a call can come to.
#[derive(Debug)]
pub(crate) struct Endpoint<O> {
    client: HttpClient,
    breaker: Breaker,
    response: ResponseShape<O>,
}

impl<O: Copy + PartialEq> Endpoint<O> {
    pub(crate) fn new(
        client: &ClientConfig,
        breaker: BreakerConfig,
        response: &ResponseShape<O>,
        good: O,
        clock: SharedClock,
    ) -> Result<Self, ConfigError> {
        breaker.check("breaker")?;
        response.check("response", good)?;
        Ok(Self {
            client: HttpClient::new(client, "http")?,
            breaker: Breaker::new(breaker, clock),
            response: response.clone(),
        })
    }

    /// Makes one call. `sick` is the outcome by which the vendor says that it is out of order.
    ///
    /// A code that is not known is an answer all the same: what one person provokes must not
    /// open the breaker for all.
    pub(crate) async fn call(&self, request: http::Request<Bytes>, sick: O) -> Result<O, Failure> {
        let permit = self.breaker.admit().ok_or(Failure::Resting)?;
        let body = self.client.call(request, |status| self.response.has_code(status)).await;
        let reading = match body {
            Ok(body) => self.response.read(&body),
            Err(error) => {
                permit.report(false);
                return Err(error.into());
            }
        };
        match reading {
            Reading::Meaning(outcome) => {
                permit.report(outcome != sick);
                Ok(outcome)
            }
            Reading::UnknownCode(code) => {
                permit.report(true);
                Err(Failure::UnknownCode(code))
            }
            Reading::Malformed => {
                permit.report(false);
                Err(Failure::Malformed)
            }
        }
    }
}
