//! What of claims is refused, and how it is told.

use zhiyuan_contracts::registration::v1::ErrorReason as Reason;
use zhiyuan_rpc::{Code, Error as RpcError};

/// What administrators are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// There is no such claim, or it is hidden from the caller.
    #[error("there is no such claim")]
    NotFound,
    /// There is no such organization, or it is hidden from the caller.
    #[error("there is no such organization")]
    OrganizationNotFound,
    /// It is decided, or over.
    #[error("the claim is over")]
    Over,
    /// Two decide, who are outside and have nothing from each other.
    #[error("a claim needs another administrator")]
    NeedsAnother,
    /// The grant of the caller is too young.
    #[error("the grant is too young")]
    GrantTooNew,
}

/// Why a claim came to nothing, or was not even opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Open,
    Exhausted,
    AgainstProven,
    Rejected,
    Expired,
}

impl Refusal {
    /// As in the column `refusal`: the reason on the wire.
    pub(crate) fn as_column(self) -> &'static str {
        match self {
            Self::Open => "CLAIM_OPEN",
            Self::Exhausted => "CLAIMS_EXHAUSTED",
            Self::AgainstProven => "CLAIM_AGAINST_PROVEN",
            Self::Rejected => "CLAIM_REJECTED",
            Self::Expired => "CLAIM_EXPIRED",
        }
    }

    /// How it is told.
    pub(crate) fn told(self) -> (Code, Reason, &'static str) {
        match self {
            Self::Open => (
                Code::Precondition,
                Reason::ClaimOpen,
                "您已用这个手机号提出认领，或该身份证号码已有三份认领申请正在办理，请等待办结；\
                 如非您本人提出，请持身份证到上级团组织，请管理员核对后办结",
            ),
            Self::Exhausted => (
                Code::Exhausted,
                Reason::ClaimsExhausted,
                "该身份证号码或手机号 30 天内的认领申请已达上限，请稍后再提出，或持身份证联系当地团组织",
            ),
            Self::AgainstProven => (
                Code::Precondition,
                Reason::ClaimAgainstProven,
                "该身份证号码的持有人已经过证件核对，不能在线认领；如有异议，请持身份证联系当地团组织",
            ),
            Self::Rejected => (
                Code::Precondition,
                Reason::ClaimRejected,
                "您的身份认领申请未获核定；如有异议，请持身份证联系上级团组织",
            ),
            Self::Expired => (
                Code::Precondition,
                Reason::ClaimExpired,
                "您的身份认领申请未能在期限内办结，可以重新提出",
            ),
        }
    }
}

impl From<Fault> for RpcError {
    fn from(fault: Fault) -> Self {
        let (code, reason, message) = match fault {
            Fault::NotFound => (
                Code::NotFound,
                Reason::ClaimNotFound,
                "没有这份身份认领申请，或您的管理范围不足以办理，请由双方组织共同的上级组织办理",
            ),
            Fault::OrganizationNotFound => {
                (Code::NotFound, Reason::OrganizationNotFound, "没有这个组织，或不在您的管理范围内")
            }
            Fault::Over => (
                Code::Precondition,
                Reason::ClaimOver,
                "这份身份认领申请已有结论或已经办结，请刷新列表",
            ),
            Fault::NeedsAnother => (
                Code::Precondition,
                Reason::ClaimNeedsAnother,
                "身份认领须由两位相互独立的上级组织管理员分别核定：同一人不能核定两次，双方不能由对方（包括经他人）授权，\
                 由同一人授权的须均已任职一定期限，也不能在所涉组织任职；请由另一位管理员办理",
            ),
            Fault::GrantTooNew => (
                Code::Precondition,
                Reason::ClaimGrantTooNew,
                "您的管理授权生效时间较短，暂不能核定身份认领，请由任职时间较长的管理员办理",
            ),
        };
        Self::new(code, reason, message)
    }
}

#[cfg(test)]
impl Fault {
    pub(crate) const ALL: [Self; 5] = [
        Self::NotFound,
        Self::OrganizationNotFound,
        Self::Over,
        Self::NeedsAnother,
        Self::GrantTooNew,
    ];
}

#[cfg(test)]
impl Refusal {
    const ALL: [Self; 5] =
        [Self::Open, Self::Exhausted, Self::AgainstProven, Self::Rejected, Self::Expired];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_code_and_reason_and_says_what_to_do() {
        for (fault, code, reason) in [
            (Fault::NotFound, Code::NotFound, "CLAIM_NOT_FOUND"),
            (Fault::OrganizationNotFound, Code::NotFound, "ORGANIZATION_NOT_FOUND"),
            (Fault::Over, Code::Precondition, "CLAIM_OVER"),
            (Fault::NeedsAnother, Code::Precondition, "CLAIM_NEEDS_ANOTHER"),
            (Fault::GrantTooNew, Code::Precondition, "CLAIM_GRANT_TOO_NEW"),
        ] {
            let told = RpcError::from(fault);
            assert_eq!((told.code(), told.reason()), (code, reason));
            assert!(!told.message().is_ascii());
        }
        for refusal in Refusal::ALL {
            let (_code, reason, message) = refusal.told();
            let reason = reason.as_str_name();
            assert_eq!(reason.strip_prefix("ERROR_REASON_"), Some(refusal.as_column()));
            assert!(!message.is_ascii());
        }
    }
}
