//! What the audit has of articles: who did what with which one, and not what it says.

use uuid::Uuid;
use zhiyuan_audit::Record;

use super::{Article, Step};
use crate::authority::records::person;

/// What it calls that an article was written.
pub(super) const CREATED: &str = "orgtree.article.created";

impl Step {
    /// What the audit calls it.
    pub(super) fn action(self) -> &'static str {
        match self {
            Self::Update => "orgtree.article.updated",
            Self::Publish => "orgtree.article.published",
            Self::Withdraw => "orgtree.article.withdrawn",
        }
    }
}

/// Somebody did something with an article, by a grant.
pub(super) fn done(caller: Uuid, action: &'static str, article: &Article, grant: Uuid) -> Record {
    Record::done(person(caller), action)
        .within(article.organization_code.as_str())
        .with("article", article.id)
        .with("allowed_by", grant)
}

/// Somebody wanted to do something at an organization and may not.
pub(super) fn refused(
    caller: Uuid,
    action: &'static str,
    organization_code: Option<&str>,
    reason: &'static str,
) -> Record {
    let record = Record::refused(person(caller), action);
    let record = match organization_code {
        Some(code) => record.within(code),
        None => record,
    };
    record.with("reason", reason)
}
