//! What of lost phones is refused, and what the administrator is told.

use std::time::Duration;

use zhiyuan_contracts::registration::v1::ErrorReason as Reason;
use zhiyuan_rpc::{Code, Error as RpcError};

/// Why something of lost phones can't be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// There is no such recovery, or it is hidden from the caller.
    #[error("there is no such recovery of a phone")]
    NotFound,
    /// There is no such volunteer, or it is hidden from the caller.
    #[error("there is no such volunteer")]
    VolunteerNotFound,
    /// There is no such organization, or it is hidden from the caller.
    #[error("there is no such organization")]
    OrganizationNotFound,
    /// A recovery of the volunteer's phone goes on.
    #[error("a recovery goes on")]
    Open,
    /// Nobody recovers a phone for himself.
    #[error("a recovery is not for oneself")]
    OfSelf,
    /// Whoever started it does not approve it.
    #[error("a recovery needs another administrator")]
    NeedsAnother,
    /// The volunteer administers what the caller may give nobody.
    #[error("the volunteer is an administrator")]
    OfAdministrator,
    /// It does not wait for an approval.
    #[error("the recovery does not wait for an approval")]
    NotWaiting,
    /// It is over.
    #[error("the recovery is over")]
    Over,
    /// The caller has started as many recoveries as one may.
    #[error("too many recoveries were started")]
    TooMany {
        /// Until one more may be.
        wait: Duration,
    },
    /// The grant of the caller is too young.
    #[error("the grant is too young")]
    GrantTooNew,
    /// As many were started of the volunteer as may be, or the volunteer has objected lately.
    #[error("too many recoveries of the volunteer were started")]
    TooManyOfVolunteer {
        /// Until one more may be.
        wait: Duration,
    },
}

#[cfg(test)]
const WAIT: Duration = Duration::from_secs(9);

#[cfg(test)]
impl Fault {
    pub(crate) const ALL: [Self; 12] = [
        Self::NotFound,
        Self::VolunteerNotFound,
        Self::OrganizationNotFound,
        Self::Open,
        Self::OfSelf,
        Self::NeedsAnother,
        Self::OfAdministrator,
        Self::NotWaiting,
        Self::Over,
        Self::TooMany { wait: WAIT },
        Self::GrantTooNew,
        Self::TooManyOfVolunteer { wait: WAIT },
    ];
}

impl From<Fault> for RpcError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::NotFound => Self::new(
                Code::NotFound,
                Reason::RecoveryNotFound,
                "没有这份换号申请，或不在您的管理范围内",
            ),
            Fault::VolunteerNotFound => Self::new(
                Code::NotFound,
                Reason::VolunteerNotFound,
                "没有这位志愿者，或不在您的管理范围内，请核对志愿者编号",
            ),
            Fault::OrganizationNotFound => Self::new(
                Code::NotFound,
                Reason::OrganizationNotFound,
                "没有这个组织，或不在您的管理范围内",
            ),
            Fault::Open => Self::new(
                Code::Precondition,
                Reason::RecoveryOpen,
                "该志愿者已有进行中的换号申请，请先办结或撤销",
            ),
            Fault::OfSelf => Self::new(
                Code::Precondition,
                Reason::RecoveryOfSelf,
                "不能为本人办理换号，请由另外两位管理员办理",
            ),
            Fault::NeedsAnother => Self::new(
                Code::Precondition,
                Reason::RecoveryNeedsAnother,
                "须由两位相互独立的管理员分别发起和核准：发起人不能自行核准，双方不能由对方（包括经他人）授权，\
                 由同一人授权的须均已任职一定期限，且发起人须仍有办理权限；请由另一位管理员核准，或撤销后重新办理",
            ),
            Fault::OfAdministrator => Self::new(
                Code::Precondition,
                Reason::RecoveryOfAdministrator,
                "该志愿者担任管理员，须由有权授予其全部管理权限的管理员办理",
            ),
            Fault::NotWaiting => Self::new(
                Code::Precondition,
                Reason::RecoveryNotWaiting,
                "这份换号申请当前不能核准，请刷新页面查看最新状态",
            ),
            Fault::Over => Self::new(
                Code::Precondition,
                Reason::RecoveryOver,
                "这份换号申请已经生效或终止，不能撤销",
            ),
            Fault::TooMany { wait } => Self::new(
                Code::Exhausted,
                Reason::RecoveriesExhausted,
                "您 24 小时内发起的换号申请已达上限，请稍后再办，或由其他管理员办理",
            )
            .with_retry_after(wait),
            Fault::GrantTooNew => Self::new(
                Code::Precondition,
                Reason::RecoveryGrantTooNew,
                "您的管理授权生效时间较短，暂不能办理换号，请由任职时间较长的管理员办理",
            ),
            Fault::TooManyOfVolunteer { wait } => Self::new(
                Code::Exhausted,
                Reason::RecoveriesOfVolunteerExhausted,
                "该志愿者近期的换号申请已达上限，或本人刚提出过异议，请稍后再办，并与本人当面核实",
            )
            .with_retry_after(wait),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_code_and_reason_and_says_what_to_do() {
        let table = [
            (Fault::NotFound, Code::NotFound, "RECOVERY_NOT_FOUND"),
            (Fault::VolunteerNotFound, Code::NotFound, "VOLUNTEER_NOT_FOUND"),
            (Fault::OrganizationNotFound, Code::NotFound, "ORGANIZATION_NOT_FOUND"),
            (Fault::Open, Code::Precondition, "RECOVERY_OPEN"),
            (Fault::OfSelf, Code::Precondition, "RECOVERY_OF_SELF"),
            (Fault::NeedsAnother, Code::Precondition, "RECOVERY_NEEDS_ANOTHER"),
            (Fault::OfAdministrator, Code::Precondition, "RECOVERY_OF_ADMINISTRATOR"),
            (Fault::NotWaiting, Code::Precondition, "RECOVERY_NOT_WAITING"),
            (Fault::Over, Code::Precondition, "RECOVERY_OVER"),
            (Fault::TooMany { wait: WAIT }, Code::Exhausted, "RECOVERIES_EXHAUSTED"),
            (Fault::GrantTooNew, Code::Precondition, "RECOVERY_GRANT_TOO_NEW"),
            (
                Fault::TooManyOfVolunteer { wait: WAIT },
                Code::Exhausted,
                "RECOVERIES_OF_VOLUNTEER_EXHAUSTED",
            ),
        ];
        assert_eq!(table.map(|(fault, ..)| fault), Fault::ALL);
        for (fault, code, reason) in table {
            let told = RpcError::from(fault);
            assert_eq!((told.code(), told.reason()), (code, reason));
            assert!(!told.message().is_ascii());
        }
    }
}
