//! What of claims is refused, and how it is told.

use std::time::Duration;

use zhiyuan_contracts::identity::v1::ErrorReason as Reason;
use zhiyuan_rpc::{Code, Error as RpcError};

/// What of claims is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// There is no such claim, or none for whoever asks.
    #[error("there is no such claim")]
    NotFound,
    /// It is over.
    #[error("the claim is over")]
    Over,
    /// Two administrators decide.
    #[error("a claim needs two administrators")]
    NeedsTwo,
    /// It is not accepted, or its delay is not over.
    #[error("the delay of the claim is not over")]
    TooEarly { wait: Duration },
    /// Who would look or decide is a side of it, or a guardian of one.
    #[error("the claim is the viewer's own")]
    Own,
}

impl From<Fault> for RpcError {
    fn from(fault: Fault) -> Self {
        let (code, reason, message) = match fault {
            Fault::NotFound => (Code::NotFound, Reason::ClaimNotFound, "没有这份身份认领申请"),
            Fault::Over => (
                Code::Precondition,
                Reason::ClaimOver,
                "这份身份认领申请已经办结，请刷新页面查看结果",
            ),
            Fault::NeedsTwo => {
                (Code::Precondition, Reason::ClaimNeedsTwo, "身份认领须由两位不同的管理员核定")
            }
            Fault::Own => (
                Code::Forbidden,
                Reason::ClaimOwn,
                "不能查看或核定与本人有关的身份认领申请，请由其他管理员办理",
            ),
            Fault::TooEarly { wait } => {
                let message = "这份身份认领申请的等待期未满，或尚未核定，请稍后再办";
                return Self::new(Code::Precondition, Reason::ClaimTooEarly, message)
                    .with_retry_after(wait);
            }
        };
        Self::new(code, reason, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_code_and_reason_and_says_what_to_do() {
        for (fault, code, reason) in [
            (Fault::NotFound, Code::NotFound, "CLAIM_NOT_FOUND"),
            (Fault::Over, Code::Precondition, "CLAIM_OVER"),
            (Fault::NeedsTwo, Code::Precondition, "CLAIM_NEEDS_TWO"),
            (Fault::Own, Code::Forbidden, "CLAIM_OWN"),
            (
                Fault::TooEarly { wait: Duration::from_secs(9) },
                Code::Precondition,
                "CLAIM_TOO_EARLY",
            ),
        ] {
            let told = RpcError::from(fault);
            assert_eq!((told.code(), told.reason()), (code, reason));
            assert!(!told.message().is_ascii());
        }
    }
}
