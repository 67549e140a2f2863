//! What of articles is refused, and how it is told.

use zhiyuan_contracts::orgtree::v1::ErrorReason as Reason;
use zhiyuan_contracts::reason::Reason as _;
use zhiyuan_rpc::{Code, Error as RpcError};

/// What of articles is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// There is no such article, or it is hidden from the caller.
    #[error("there is no such article")]
    NotFound,
    /// It is published.
    #[error("the article is published")]
    Published,
    /// It was withdrawn.
    #[error("the article was withdrawn")]
    Withdrawn,
}

impl Fault {
    /// Why the caller may not have what it asked for, as the contract calls it; none if it was
    /// not for that.
    pub(crate) fn refusal(self) -> Option<&'static str> {
        match self {
            Self::NotFound => Some(Reason::ArticleNotFound.wire()),
            Self::Published | Self::Withdrawn => None,
        }
    }
}

impl From<Fault> for RpcError {
    fn from(fault: Fault) -> Self {
        let (code, reason, message) = match fault {
            Fault::NotFound => (
                Code::NotFound,
                Reason::ArticleNotFound,
                "没有这篇文章，或者已经撤下，请返回列表查看其他内容",
            ),
            Fault::Published => (
                Code::Precondition,
                Reason::ArticlePublished,
                "这篇文章已经发布，如需更正请直接修改",
            ),
            Fault::Withdrawn => (
                Code::Precondition,
                Reason::ArticleWithdrawn,
                "这篇文章已经撤下，不能再修改或发布，如有需要请另写一篇",
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
            (Fault::NotFound, Code::NotFound, "ARTICLE_NOT_FOUND"),
            (Fault::Published, Code::Precondition, "ARTICLE_PUBLISHED"),
            (Fault::Withdrawn, Code::Precondition, "ARTICLE_WITHDRAWN"),
        ] {
            let told = RpcError::from(fault);
            assert_eq!((told.code(), told.reason()), (code, reason));
            assert!(!told.message().is_ascii());
            assert!(fault.refusal().is_none_or(|refusal| refusal == reason));
        }
    }
}
