//! What of applications is refused, and how it is told.

use std::time::Duration;

use zhiyuan_contracts::orgtree::v1::ErrorReason as Reason;
use zhiyuan_contracts::reason::Reason as _;
use zhiyuan_rpc::{Code, Error as RpcError};

use super::State;
use crate::error::Error;

/// What of applications is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// There is no such application, or it is hidden from the caller.
    #[error("there is no such application")]
    NotFound,
    /// It is over.
    #[error("the application is {0:?}")]
    Ended(State),
    /// It is the other side's turn.
    #[error("the application is with the other side")]
    NotWithCaller,
    /// Somebody decides about the own one.
    #[error("the application is the caller's own")]
    Own,
    /// The account has as many open ones as it may.
    #[error("too many open applications")]
    TooMany,
    /// The account has applied as often today as it may.
    #[error("too many applications today")]
    TooManyToday {
        /// Until the day is over.
        wait: Duration,
    },
    /// It has changed since the caller has seen it.
    #[error("the application has changed since")]
    Changed,
}

impl Fault {
    /// Why the caller may not have what it asked for, as the contract calls it; none if it was
    /// not for that.
    pub(crate) fn refusal(self) -> Option<&'static str> {
        match self {
            Self::NotFound => Some(Reason::ApplicationNotFound.wire()),
            Self::Own => Some(Reason::ApplicationOwn.wire()),
            Self::Ended(_)
            | Self::NotWithCaller
            | Self::TooMany
            | Self::TooManyToday { .. }
            | Self::Changed => None,
        }
    }
}

/// Of one that is over.
fn ended(state: State) -> &'static str {
    match state {
        State::Accepted => "这项申请已经通过，无需再办，请刷新页面查看",
        State::Rejected => "这项申请未获同意，已经办结；如需设立组织，请重新申请",
        State::Withdrawn => "这项申请已由申请人撤回，不能再办理",
        State::Expired => "这项申请超过 30 天无人办理，已自动结束，请重新申请",
        State::Lapsed => "申请所向的上级组织已撤销，申请随之结束，请向其他组织申请",
        State::Submitted | State::Returned => "这项申请的状态已变化，请刷新页面",
    }
}

impl From<Fault> for RpcError {
    fn from(fault: Fault) -> Self {
        let (code, reason, message) = match fault {
            Fault::NotFound => {
                (Code::NotFound, Reason::ApplicationNotFound, "没有这项设立申请，请刷新列表")
            }
            Fault::Ended(state) => {
                let error = Self::new(Code::Precondition, Reason::ApplicationEnded, ended(state));
                return error.with_metadata("state", state.name());
            }
            Fault::NotWithCaller => (
                Code::Precondition,
                Reason::ApplicationNotWithCaller,
                "这项申请正等待对方办理：退回后才能修改，提交后才能审批，请刷新页面",
            ),
            Fault::Own => (
                Code::Forbidden,
                Reason::ApplicationOwn,
                "不能审批自己提出的申请，请由上级组织的其他管理员办理",
            ),
            Fault::TooMany => (
                Code::Exhausted,
                Reason::ApplicationsTooMany,
                "您已有 3 项设立申请等待办理，请先等待结果或撤回一项",
            ),
            Fault::TooManyToday { wait } => {
                let message = "您今天提交的设立申请已达 5 次，请明天再提交";
                return Self::new(Code::Exhausted, Reason::ApplicationsTooManyToday, message)
                    .with_retry_after(wait);
            }
            Fault::Changed => (
                Code::Conflict,
                Reason::ApplicationChanged,
                "这项申请刚刚有变动，请刷新后按最新内容办理",
            ),
        };
        Self::new(code, reason, message)
    }
}

/// How whoever accepts an application is told what its applicant has to mend.
pub(crate) fn to_return(error: &Error) -> String {
    match error {
        Error::RegionNotFound | Error::RegionAbolished { .. } => {
            "申请所填的地区不存在或已撤销，请将申请退回，由申请人重新选择".to_owned()
        }
        Error::CreditCodeTaken { by } => format!(
            "申请所填的统一社会信用代码已登记在组织 {by} 名下，请核对；如填写有误，请将申请退回，由申请人修改"
        ),
        _ => "同一上级组织下已有同名组织，请将申请退回，由申请人换一个名称".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_code_and_reason_and_says_what_to_do() {
        let wait = Duration::from_secs(5);
        for (fault, code, reason) in [
            (Fault::NotFound, Code::NotFound, "APPLICATION_NOT_FOUND"),
            (Fault::NotWithCaller, Code::Precondition, "APPLICATION_NOT_WITH_CALLER"),
            (Fault::Own, Code::Forbidden, "APPLICATION_OWN"),
            (Fault::TooMany, Code::Exhausted, "APPLICATIONS_TOO_MANY"),
            (Fault::TooManyToday { wait }, Code::Exhausted, "APPLICATIONS_TOO_MANY_TODAY"),
            (Fault::Changed, Code::Conflict, "APPLICATION_CHANGED"),
        ] {
            let told = RpcError::from(fault);
            assert_eq!((told.code(), told.reason()), (code, reason));
            assert!(!told.message().is_ascii());
            assert!(fault.refusal().is_none_or(|refusal| refusal == reason));
        }
        let messages = State::ALL.map(|state| {
            let told = RpcError::from(Fault::Ended(state));
            assert_eq!((told.code(), told.reason()), (Code::Precondition, "APPLICATION_ENDED"));
            told.message().to_owned()
        });
        assert!(messages.iter().all(|message| !message.is_ascii()));
    }
}
