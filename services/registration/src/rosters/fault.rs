//! What of rosters is refused, and how it is told.

use std::time::Duration;

use zhiyuan_contracts::registration::v1::ErrorReason as Reason;
use zhiyuan_rpc::{Code, Error as RpcError};

/// What of rosters is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// There is no such organization, or it is hidden from the caller.
    #[error("there is no such organization")]
    OrganizationNotFound,
    /// It takes no roster any more.
    #[error("the organization is closed")]
    OrganizationClosed,
    /// There is no such import, or it is hidden from the caller.
    #[error("there is no such import")]
    ImportNotFound,
    /// It is not in a state for that.
    #[error("the import is in another state")]
    ImportState,
    /// Another piece is there.
    #[error("another piece is there")]
    PieceDiffers,
    /// The file is larger than a roster may be.
    #[error("the file is too large")]
    FileTooLarge,
    /// The file was deleted.
    #[error("the file is gone")]
    FileGone,
    /// Somebody else has begun it.
    #[error("somebody else has begun the import")]
    ImportOfAnother,
    /// As many were begun in 24 hours as may be.
    #[error("too many imports were begun")]
    ImportsTooMany {
        /// Until one more may be.
        wait: Duration,
    },
}

#[cfg(test)]
impl Fault {
    pub(crate) const ALL: [Self; 9] = [
        Self::OrganizationNotFound,
        Self::OrganizationClosed,
        Self::ImportNotFound,
        Self::ImportState,
        Self::PieceDiffers,
        Self::FileTooLarge,
        Self::FileGone,
        Self::ImportOfAnother,
        Self::ImportsTooMany { wait: Duration::from_secs(1) },
    ];
}

impl From<Fault> for RpcError {
    fn from(fault: Fault) -> Self {
        let (code, reason, message) = match fault {
            Fault::OrganizationNotFound => {
                (Code::NotFound, Reason::OrganizationNotFound, "没有这个组织，或不在您的管理范围内")
            }
            Fault::OrganizationClosed => (
                Code::Precondition,
                Reason::OrganizationClosed,
                "该组织已撤销或合并，不能再导入名册，请在承接它的组织办理",
            ),
            Fault::ImportNotFound => (
                Code::NotFound,
                Reason::RosterImportNotFound,
                "没有这次名册导入，或不在您的管理范围内，请刷新列表",
            ),
            Fault::ImportState => (
                Code::Precondition,
                Reason::RosterImportState,
                "这次名册导入当前不能进行该操作，请刷新页面查看最新状态",
            ),
            Fault::PieceDiffers => (
                Code::Precondition,
                Reason::RosterPieceDiffers,
                "该位置已上传过不同的内容，文件可能已被修改，请重新选择文件，新建一次导入",
            ),
            Fault::FileTooLarge => (
                Code::Exhausted,
                Reason::RosterFileTooLarge,
                "名册文件不能超过 20 MB，请删除图片等无关内容，或拆分后分别导入",
            ),
            Fault::FileGone => (
                Code::Precondition,
                Reason::RosterFileGone,
                "名册文件上传满 7 天后已自动删除，请重新上传，新建一次导入",
            ),
            Fault::ImportOfAnother => (
                Code::Forbidden,
                Reason::RosterImportOfAnother,
                "这次名册导入由其他管理员发起，请由发起人操作，或自行新建一次导入",
            ),
            Fault::ImportsTooMany { wait } => {
                let message = "24 小时内新建的名册导入已达上限，请稍后再办，或把名册合并为一个文件";
                return Self::new(Code::Exhausted, Reason::RosterImportsTooMany, message)
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
            (Fault::OrganizationNotFound, Code::NotFound, "ORGANIZATION_NOT_FOUND"),
            (Fault::OrganizationClosed, Code::Precondition, "ORGANIZATION_CLOSED"),
            (Fault::ImportNotFound, Code::NotFound, "ROSTER_IMPORT_NOT_FOUND"),
            (Fault::ImportState, Code::Precondition, "ROSTER_IMPORT_STATE"),
            (Fault::PieceDiffers, Code::Precondition, "ROSTER_PIECE_DIFFERS"),
            (Fault::FileTooLarge, Code::Exhausted, "ROSTER_FILE_TOO_LARGE"),
            (Fault::FileGone, Code::Precondition, "ROSTER_FILE_GONE"),
            (Fault::ImportOfAnother, Code::Forbidden, "ROSTER_IMPORT_OF_ANOTHER"),
            (
                Fault::ImportsTooMany { wait: Duration::from_secs(1) },
                Code::Exhausted,
                "ROSTER_IMPORTS_TOO_MANY",
            ),
        ] {
            let told = RpcError::from(fault);
            assert_eq!((told.code(), told.reason()), (code, reason));
            assert!(!told.message().is_ascii());
        }
    }
}
