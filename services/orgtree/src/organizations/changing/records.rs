//! What the audit has of changes of the tree: who, of which organization, by which grant of
//! their own, or for which reason not.

use uuid::Uuid;
use zhiyuan_audit::{Actor, Record};
use zhiyuan_domain::AccountId;

/// What the audit calls each change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Created,
    Updated,
    Moved,
    Closed,
    Merged,
    Split,
    Proposed,
    Approved,
    Withdrawn,
}

impl Act {
    fn name(self) -> &'static str {
        match self {
            Self::Created => "orgtree.organization.created",
            Self::Updated => "orgtree.organization.updated",
            Self::Moved => "orgtree.organization.moved",
            Self::Closed => "orgtree.organization.closed",
            Self::Merged => "orgtree.organization.merged",
            Self::Split => "orgtree.organization.split",
            Self::Proposed => "orgtree.change.proposed",
            Self::Approved => "orgtree.change.approved",
            Self::Withdrawn => "orgtree.change.withdrawn",
        }
    }

    /// It was done, by a grant; or by right of who has made the proposal.
    pub(super) fn done(self, caller: Uuid, code: &str, allowed_by: impl ToString) -> Record {
        let actor = Actor::Person(AccountId::from(caller));
        Record::done(actor, self.name()).within(code).with("allowed_by", allowed_by)
    }

    /// Somebody wanted it and may not, for a reason of the contract.
    pub(super) fn refused(self, caller: Uuid, code: &str, reason: &'static str) -> Record {
        let actor = Actor::Person(AccountId::from(caller));
        Record::refused(actor, self.name()).within(code).with("reason", reason)
    }
}
