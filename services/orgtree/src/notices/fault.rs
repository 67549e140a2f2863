//! What of notices is refused, and how it is told.

use zhiyuan_contracts::orgtree::v1::ErrorReason as Reason;
use zhiyuan_contracts::reason::Reason as _;
use zhiyuan_rpc::{Code, Error as RpcError};

/// What of notices is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// There is no such notice, or it is hidden from the caller.
    #[error("there is no such notice")]
    NotFound,
    /// It was issued.
    #[error("the notice was issued")]
    Issued,
    /// It is a draft.
    #[error("the notice is a draft")]
    NotIssued,
    /// Another one has taken its place.
    #[error("the notice was superseded")]
    Superseded,
    /// The organization has confirmed it before.
    #[error("the notice was confirmed")]
    Confirmed,
    /// There is nobody to compare.
    #[error("nothing was right below the organization")]
    WithoutRows,
    /// As many drafts wait as may.
    #[error("too many drafts")]
    TooManyDrafts,
}

impl Fault {
    /// Why the caller may not have what it asked for, as the contract calls it; none if it was
    /// not for that.
    pub(crate) fn refusal(self) -> Option<&'static str> {
        match self {
            Self::NotFound => Some(Reason::NoticeNotFound.wire()),
            Self::Issued
            | Self::NotIssued
            | Self::Superseded
            | Self::Confirmed
            | Self::WithoutRows
            | Self::TooManyDrafts => None,
        }
    }
}

impl From<Fault> for RpcError {
    fn from(fault: Fault) -> Self {
        let (code, reason, message) = match fault {
            Fault::NotFound => {
                (Code::NotFound, Reason::NoticeNotFound, "没有这份通报，请刷新列表后重试")
            }
            Fault::Issued => (
                Code::Precondition,
                Reason::NoticeIssued,
                "这份通报已印发，不能再改动；如有错误，请另行起草并在印发时选择替代这一份",
            ),
            Fault::NotIssued => {
                (Code::Precondition, Reason::NoticeNotIssued, "这份通报还是草稿，请印发后再操作")
            }
            Fault::Superseded => (
                Code::Precondition,
                Reason::NoticeSuperseded,
                "所选的通报已被另一份替代，请刷新列表后选择最新的一份",
            ),
            Fault::Confirmed => (
                Code::AlreadyExists,
                Reason::NoticeConfirmed,
                "本组织已确认阅知这份通报，无需再次确认，请刷新页面",
            ),
            Fault::WithoutRows => (
                Code::Precondition,
                Reason::NoticeWithoutRows,
                "该组织在统计时点没有直属下级组织，无法编制通报，请改选时点或由上级组织编制",
            ),
            Fault::TooManyDrafts => (
                Code::Exhausted,
                Reason::NoticeDraftsTooMany,
                "该组织的通报草稿已达 50 份，请先印发或删除一部分",
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
        for (fault, code, reason) in [
            (Fault::NotFound, Code::NotFound, "NOTICE_NOT_FOUND"),
            (Fault::Issued, Code::Precondition, "NOTICE_ISSUED"),
            (Fault::NotIssued, Code::Precondition, "NOTICE_NOT_ISSUED"),
            (Fault::Superseded, Code::Precondition, "NOTICE_SUPERSEDED"),
            (Fault::Confirmed, Code::AlreadyExists, "NOTICE_CONFIRMED"),
            (Fault::WithoutRows, Code::Precondition, "NOTICE_WITHOUT_ROWS"),
            (Fault::TooManyDrafts, Code::Exhausted, "NOTICE_DRAFTS_TOO_MANY"),
        ] {
            let told = RpcError::from(fault);
            assert_eq!((told.code(), told.reason()), (code, reason));
            assert!(!told.message().is_ascii());
            assert!(fault.refusal().is_none_or(|refusal| refusal == reason));
        }
    }
}
