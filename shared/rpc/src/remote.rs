//! What another service answered that is no success.

use std::collections::HashMap;
use std::time::Duration;

use tonic::Status;
use tonic_types::StatusExt as _;
use zhiyuan_contracts::reason::Reason;

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
    /// What the reason says besides; empty when no reason was sent.
    pub metadata: HashMap<String, String>,
    /// When to come again.
    pub retry_after: Option<Duration>,
}

impl From<Status> for Remote {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let (domain, reason, metadata) = details
            .error_info()
            .map(|info| (info.domain.clone(), info.reason.clone(), info.metadata.clone()))
            .unwrap_or_default();
        let retry_after = details.retry_info().and_then(|info| info.retry_delay);
        // Only a status that was made on this side has a source: the connection broke, and
        // whether the call had its effect is not known. The transport calls that `Unknown`.
        let unanswered = std::error::Error::source(&status).is_some();
        let code = if unanswered { tonic::Code::Unavailable } else { status.code() };
        Self { code, domain, reason, metadata, retry_after }
    }
}

impl Remote {
    /// Whether the reason is this one.
    pub fn is<R: Reason>(&self, reason: R) -> bool {
        self.domain == R::DOMAIN && self.reason == reason.wire()
    }

    /// Passes over one reason.
    ///
    /// # Errors
    /// For any other one, the answer itself.
    pub fn unless(self, reason: impl Reason) -> Result<(), Self> {
        if self.is(reason) { Ok(()) } else { Err(self) }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_of_its_domain() {
        use zhiyuan_contracts::{identity, registration};
        let of_identity = identity::v1::ErrorReason::VolunteerNotFound;
        let of_registration = registration::v1::ErrorReason::VolunteerNotFound;
        assert_eq!(of_identity.wire(), of_registration.wire());
        let told = || {
            let error = Error::new(crate::error::Code::NotFound, of_identity, "没有");
            Remote::from(Status::from(error))
        };
        assert!(told().is(of_identity) && !told().is(of_registration));
        assert!(told().unless(of_identity).is_ok() && told().unless(of_registration).is_err());
    }

    #[test]
    fn a_broken_connection_is_no_fault_of_ours() {
        let broken = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        let status = Status::from_error(Box::new(broken));
        assert_eq!(status.code(), tonic::Code::Unknown);
        assert_eq!(Remote::from(status).into_error().reason(), "UNAVAILABLE");
        let told = Status::unknown("told by somebody who answered");
        assert_eq!(Remote::from(told).into_error().reason(), "INTERNAL");
    }
}
