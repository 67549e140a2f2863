//! Changes of the tree that take two people. Each acts by a grant of their own; of the two
//! neither is one by the grace of the other, over however many others, nor since the proposal.

mod db;
mod deciding;

pub(super) use deciding::approve;

use std::collections::HashSet;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use zhiyuan_domain::{OrganizationCode, Remark};

use super::splitting::Part;
use crate::authority::Grant;
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

/// What a grant has to be, so that two who change something together are two.
#[derive(Debug, Clone, Copy)]
struct Ground {
    /// The other one, who does not stand behind it.
    other: Uuid,
    /// It was given by then.
    given_by: OffsetDateTime,
}

impl Ground {
    /// Whether at each organization one of the grants that allow it will do. What the operator
    /// gave, nobody gave to have a second voice.
    fn holds(self, basis: &Basis) -> bool {
        let will_do = |grant: &Grant| {
            grant.granted_by.is_none()
                || grant.created_at <= self.given_by
                    && !basis.behind.contains(&(grant.id, self.other))
        };
        basis.held.iter().all(|held| held.iter().any(will_do))
    }
}

/// That by which somebody may make a change.
#[derive(Debug)]
struct Basis {
    /// The grants of their own, at each organization that the change concerns.
    held: Vec<Vec<Grant>>,
    /// Who stands behind each of these grants: who gave it or invited to it, and who stands
    /// behind any grant that those have or had.
    behind: HashSet<(Uuid, Uuid)>,
}

impl Basis {
    /// Those at the organization itself.
    fn at_first(&self) -> &[Grant] {
        self.held.first().map(Vec::as_slice).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::authority::Role;

    const PROPOSED: OffsetDateTime = datetime!(2026-11-25 12:00 UTC);

    fn grant(granted_by: Option<u128>, created_at: OffsetDateTime) -> Grant {
        Grant {
            id: Uuid::from_u128(granted_by.unwrap_or_default()),
            account_id: Uuid::from_u128(9),
            organization_code: "A".to_owned(),
            role: Role::Administrator,
            created_at,
            expires_at: None,
            delegated_from: None,
            granted_by: granted_by.map(Uuid::from_u128),
        }
    }

    fn basis(held: Vec<Vec<Grant>>) -> Basis {
        let given = |grant: &Grant| grant.granted_by.map(|by| (grant.id, by));
        Basis { behind: held.iter().flatten().filter_map(given).collect(), held }
    }

    #[test]
    fn a_grant_of_the_other_or_one_since_the_proposal_makes_no_second_person() {
        let ground = Ground { other: Uuid::from_u128(1), given_by: PROPOSED };
        let later = PROPOSED + Duration::SECOND;
        for (granted_by, created_at, holds) in [
            (Some(2), PROPOSED, true),
            (Some(2), later, false),
            (Some(1), PROPOSED, false),
            (None, later, true),
        ] {
            let held = vec![vec![grant(granted_by, created_at)]];
            assert_eq!(ground.holds(&basis(held)), holds, "{granted_by:?} {created_at}");
        }
        // One that will do is enough, but it takes one at each organization.
        let both = || vec![grant(Some(1), PROPOSED), grant(Some(2), PROPOSED)];
        assert!(ground.holds(&basis(vec![both()])));
        assert!(!ground.holds(&basis(vec![both(), vec![grant(Some(1), PROPOSED)]])));
        assert!(!ground.holds(&basis(vec![both(), vec![]])));
        // Somebody is between the two.
        let mut over_another = basis(vec![vec![grant(Some(2), PROPOSED)]]);
        over_another.behind.insert((Uuid::from_u128(2), Uuid::from_u128(1)));
        assert!(!ground.holds(&over_another));
    }

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
