//! Changes of the tree that take two people. Each acts by a grant of their own, which is older than
//! the proposal; who is independent of whom is told by [`crate::authority::voices`].

mod db;
mod deciding;

pub(super) use deciding::approve;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use zhiyuan_domain::{OrganizationCode, Remark};

use super::splitting::Part;
use crate::error::{Error, Result};

/// How long a proposal waits.
const WAITS: Duration = Duration::days(7);

/// What is proposed. The numbers are those of the contract and of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChangeKind {
    Move = 1,
    Close = 2,
    Split = 3,
}

impl ChangeKind {
    const ALL: [Self; 3] = [Self::Move, Self::Close, Self::Split];

    pub(super) fn number(self) -> i16 {
        self as i16
    }

    pub(super) fn of_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| i32::from(kind.number()) == number)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Move => "move",
            Self::Close => "close",
            Self::Split => "split",
        }
    }
}

/// A change that is to be proposed.
#[derive(Debug)]
pub(super) struct NewProposal {
    pub(super) kind: ChangeKind,
    pub(super) code: OrganizationCode,
    pub(super) revision: i64,
    pub(super) target: Option<OrganizationCode>,
    /// Of one that is split.
    pub(super) parts: Vec<Part>,
    pub(super) purpose: Remark,
}

/// A change that was proposed.
#[derive(Debug, Clone)]
pub(super) struct Proposal {
    pub(super) id: Uuid,
    pub(super) kind: ChangeKind,
    pub(super) code: String,
    pub(super) target_code: Option<String>,
    /// Of one that is split.
    pub(super) parts: Vec<Part>,
    pub(super) revision: i64,
    pub(super) purpose: String,
    pub(super) proposed_by: Uuid,
    pub(super) proposed_at: OffsetDateTime,
    pub(super) expires_at: OffsetDateTime,
    /// Whether nobody has decided it.
    pub(super) open: bool,
}

impl Proposal {
    /// Whether it still waits.
    fn waits(&self, now: OffsetDateTime) -> Result<()> {
        if self.open && now < self.expires_at { Ok(()) } else { Err(Error::ProposalEnded) }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const PROPOSED: OffsetDateTime = datetime!(2026-11-25 12:00 UTC);

    #[test]
    fn a_proposal_waits_for_seven_days_unless_it_is_decided() {
        let mut proposal = Proposal {
            id: Uuid::nil(),
            kind: ChangeKind::Close,
            code: "A".to_owned(),
            target_code: None,
            parts: Vec::new(),
            revision: 1,
            purpose: "合并".to_owned(),
            proposed_by: Uuid::nil(),
            proposed_at: PROPOSED,
            expires_at: PROPOSED + WAITS,
            open: true,
        };
        assert!(proposal.waits(PROPOSED + Duration::days(7) - Duration::SECOND).is_ok());
        assert!(proposal.waits(PROPOSED + Duration::days(7)).is_err());
        proposal.open = false;
        assert!(proposal.waits(PROPOSED).is_err());
    }
}
