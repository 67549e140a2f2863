//! What of invitations is refused, and how it is told.

use std::time::Duration;

use zhiyuan_contracts::orgtree::v1::ErrorReason as Reason;
use zhiyuan_contracts::reason::Reason as _;
use zhiyuan_rpc::{Code, Error as RpcError};

/// What of invitations is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// There is no such invitation, it is hidden from this caller, or its code is not good.
    #[error("there is no such invitation")]
    NotFound,
    /// Too many codes were wrong.
    #[error("too many codes were wrong")]
    CodesWrong {
        /// Until the next ones are looked at.
        wait: Duration,
    },
    /// Nobody has accepted the invitation.
    #[error("nobody has accepted the invitation")]
    NotAccepted,
    /// The invitation is over.
    #[error("the invitation is over")]
    Over,
    /// The number is not the one that was shown.
    #[error("the number is not the one that was shown")]
    CheckNumberWrong,
    /// The account has as many open invitations as it may.
    #[error("too many open invitations")]
    TooMany,
    /// Only who made the invitation may.
    #[error("the invitation is somebody else's")]
    OfAnother,
}

impl Fault {
    /// Why the caller may not have what it asked for, as the contract calls it; none if it was
    /// not for that.
    pub(crate) fn refusal(self) -> Option<&'static str> {
        match self {
            Self::NotFound => Some(Reason::InvitationNotFound.wire()),
            Self::CodesWrong { .. } => Some(Reason::InvitationCodesWrong.wire()),
            Self::CheckNumberWrong => Some(Reason::CheckNumberWrong.wire()),
            Self::OfAnother => Some(Reason::InvitationOfAnother.wire()),
            Self::NotAccepted | Self::Over | Self::TooMany => None,
        }
    }
}

impl From<Fault> for RpcError {
    fn from(fault: Fault) -> Self {
        let (code, reason, message) = match fault {
            Fault::NotFound => (
                Code::NotFound,
                Reason::InvitationNotFound,
                "没有可用的邀请：邀请码有误、已被使用、已过期或已撤回，请向邀请人核对或重新索取",
            ),
            Fault::CodesWrong { wait } => {
                let message = "邀请码错误次数过多，请稍后再试，并向邀请人核对邀请码";
                return Self::new(Code::Exhausted, Reason::InvitationCodesWrong, message)
                    .with_retry_after(wait);
            }
            Fault::NotAccepted => (
                Code::Precondition,
                Reason::InvitationNotAccepted,
                "还没有人接受这项邀请，请待对方用邀请码接受后再确认",
            ),
            Fault::Over => (
                Code::Precondition,
                Reason::InvitationOver,
                "这项邀请已确认、已撤回或已过期，请刷新列表；如已授权，请用撤销授权办理",
            ),
            Fault::CheckNumberWrong => (
                Code::Precondition,
                Reason::CheckNumberWrong,
                "核对码不符，请当面或电话向您邀请的本人核对；若本人没有核对码，请撤回这项邀请",
            ),
            Fault::TooMany => (
                Code::Exhausted,
                Reason::InvitationsTooMany,
                "您待接受或待确认的邀请已达 200 项，请先确认或撤回一部分",
            ),
            Fault::OfAnother => (
                Code::Forbidden,
                Reason::InvitationOfAnother,
                "这项操作只能由发出邀请的人办理，请联系邀请人",
            ),
        };
        Self::new(code, reason, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_code_and_reason_and_says_what_to_do() {
        let wait = Duration::from_secs(5);
        for (fault, code, reason) in [
            (Fault::NotFound, Code::NotFound, "INVITATION_NOT_FOUND"),
            (Fault::CodesWrong { wait }, Code::Exhausted, "INVITATION_CODES_WRONG"),
            (Fault::NotAccepted, Code::Precondition, "INVITATION_NOT_ACCEPTED"),
            (Fault::Over, Code::Precondition, "INVITATION_OVER"),
            (Fault::CheckNumberWrong, Code::Precondition, "CHECK_NUMBER_WRONG"),
            (Fault::TooMany, Code::Exhausted, "INVITATIONS_TOO_MANY"),
            (Fault::OfAnother, Code::Forbidden, "INVITATION_OF_ANOTHER"),
        ] {
            let told = RpcError::from(fault);
            assert_eq!((told.code(), told.reason()), (code, reason));
            assert!(!told.message().is_ascii());
            assert!(fault.refusal().is_none_or(|refusal| refusal == reason));
        }
    }
}
