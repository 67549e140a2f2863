//! What another service answered that is no success.

use std::time::Duration;

use tonic::Status;
use tonic_types::StatusExt as _;

use crate::error::Error;

/// The answer of another service, read.
#[derive(Debug, thiserror::Error)]
#[error("{code:?} {domain} {reason}")]
pub struct Remote {
    /// The code.
    pub code: tonic::Code,
    /// The domain of the reason; empty when none was sent.
    pub domain: String,
    /// The reason; empty when none was sent.
    pub reason: String,
    /// When to come again.
    pub retry_after: Option<Duration>,
}

impl From<Status> for Remote {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let (domain, reason) = details
            .error_info()
            .map(|info| (info.domain.clone(), info.reason.clone()))
            .unwrap_or_default();
        let retry_after = details.retry_info().and_then(|info| info.retry_delay);
        Self { code: status.code(), domain, reason, retry_after }
    }
}

impl Remote {
    /// Whether the same call may work later.
    pub fn is_transient(&self) -> bool {
        matches!(
            self.code,
            tonic::Code::Unavailable
                | tonic::Code::DeadlineExceeded
                | tonic::Code::ResourceExhausted
                | tonic::Code::Aborted
                | tonic::Code::Cancelled
        )
    }

    /// What our own caller is told: that it may come again, or that it is our
    /// fault. Answers that mean something else are handled before.
    pub fn into_error(self) -> Error {
        if self.is_transient() {
            let wait = self.retry_after;
            let error = Error::unavailable(self);
            match wait {
                Some(wait) => error.with_retry_after(wait),
                None => error,
            }
        } else {
            Error::internal(self)
        }
    }
}
