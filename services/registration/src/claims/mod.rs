//! Claims on an ID number that somebody else holds: two administrators from outside of the
//! organizations concerned decide whose it is.
//!
//! Who may decide is known here, and both sides to identity alone. A decision is a row, written in
//! the transaction that records it; identity hears of it at once, or by the recovery task if the
//! process dies between the two. What becomes of the claim, the registration hears as of any.

pub(crate) mod db;
mod deciding;
pub(crate) mod fault;
pub(crate) mod grpc;
mod identity;
pub(crate) mod job;
mod listing;
mod looking;
mod permission;

pub(crate) use deciding::Claims;
pub(crate) use fault::{Fault, Refusal};
pub(crate) use identity::Sides;
pub(crate) use permission::Deciders;

use std::collections::BTreeSet;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use zhiyuan_contracts::registration::v1::ClaimDecision;
use zhiyuan_domain::OrganizationCode;

/// How long claims are kept.
pub(crate) const KEPT: Duration = Duration::days(180);
/// Before it is tried again to tell identity.
pub(crate) const TRY_AGAIN: Duration = Duration::seconds(30);
/// Before it is looked again whether both administrators of one that is accepted still may.
pub(crate) const LOOK_AGAIN: Duration = Duration::minutes(10);

/// How far a claim is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It waits for administrators: for two, or for the second.
    Open,
    /// Two have accepted it, and identity is to be told.
    Accepting,
    /// Identity knows, and the delay passes.
    Accepted,
    /// It is rejected, and identity is to be told.
    Rejecting,
    /// Identity knows.
    Rejected,
    /// The registration has gone on.
    Over,
}

impl Step {
    const ALL: [Self; 6] =
        [Self::Open, Self::Accepting, Self::Accepted, Self::Rejecting, Self::Rejected, Self::Over];

    /// As in the column `step`.
    pub(crate) fn as_column(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Accepting => "ACCEPTING",
            Self::Accepted => "ACCEPTED",
            Self::Rejecting => "REJECTING",
            Self::Rejected => "REJECTED",
            Self::Over => "OVER",
        }
    }

    /// From the column `step`.
    pub(crate) fn from_column(column: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.as_column() == column)
    }
}

/// How an administrator decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Accept,
    Reject,
}

impl Decision {
    pub(crate) fn from_wire(wire: ClaimDecision) -> Option<Self> {
        match wire {
            ClaimDecision::Unspecified => None,
            ClaimDecision::Accept => Some(Self::Accept),
            ClaimDecision::Reject => Some(Self::Reject),
        }
    }

    /// As it is recorded.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Accept => "ACCEPT",
            Self::Reject => "REJECT",
        }
    }

    /// Whether it can be decided so at a step.
    fn is_open_at(self, step: Step) -> bool {
        match step {
            Step::Open => true,
            // Until it is carried out.
            Step::Accepting | Step::Accepted => self == Self::Reject,
            Step::Rejecting | Step::Rejected | Step::Over => false,
        }
    }
}

/// A claim, as its row has it, and the organizations that it concerned when it was opened.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) claim_id: Uuid,
    pub(crate) holder_id: Uuid,
    pub(crate) step: Step,
    /// Who has looked.
    pub(crate) seen_by: Vec<Uuid>,
    pub(crate) first_by: Option<Uuid>,
    pub(crate) second_by: Option<Uuid>,
    pub(crate) rejected_by: Option<Uuid>,
    pub(crate) opened_at: OffsetDateTime,
    /// The one that the claimant chose.
    pub(crate) organization: OrganizationCode,
    /// The one that the holder was with.
    pub(crate) holder_organization: Option<OrganizationCode>,
    /// The one on whose roster the holder was.
    pub(crate) roster_organization: Option<OrganizationCode>,
}

impl Claim {
    /// The organizations that it concerns, none of whose administrators decides.
    pub(crate) fn concerned(&self) -> BTreeSet<OrganizationCode> {
        std::iter::once(&self.organization)
            .chain(&self.holder_organization)
            .chain(&self.roster_organization)
            .cloned()
            .collect()
    }

    /// Checks that an administrator may decide so, as it stands here.
    ///
    /// # Errors
    /// `Over`; `NeedsAnother`.
    fn may_be_decided(&self, me: Uuid, decision: Decision) -> Result<(), Fault> {
        if !decision.is_open_at(self.step) {
            return Err(Fault::Over);
        }
        if decision == Decision::Accept && self.first_by == Some(me) {
            return Err(Fault::NeedsAnother);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn claim(step: Step, first_by: Option<u128>) -> Claim {
        let code = |code: &str| OrganizationCode::parse(code).unwrap();
        Claim {
            claim_id: Uuid::from_u128(1),
            holder_id: Uuid::from_u128(2),
            step,
            seen_by: Vec::new(),
            first_by: first_by.map(Uuid::from_u128),
            second_by: None,
            rejected_by: None,
            opened_at: datetime!(2026-11-23 12:00 UTC),
            organization: code("AH-1-2"),
            holder_organization: Some(code("AH-1-1")),
            roster_organization: Some(code("AH-1-2")),
        }
    }

    #[test]
    fn steps_survive_their_column() {
        for step in Step::ALL {
            assert_eq!(Step::from_column(step.as_column()), Some(step));
        }
    }

    #[test]
    fn it_is_accepted_while_it_is_open_and_rejected_until_it_is_carried_out() {
        let me = Uuid::from_u128(9);
        for (step, accept, reject) in [
            (Step::Open, Ok(()), Ok(())),
            (Step::Accepting, Err(Fault::Over), Ok(())),
            (Step::Accepted, Err(Fault::Over), Ok(())),
            (Step::Rejecting, Err(Fault::Over), Err(Fault::Over)),
            (Step::Rejected, Err(Fault::Over), Err(Fault::Over)),
            (Step::Over, Err(Fault::Over), Err(Fault::Over)),
        ] {
            assert_eq!(claim(step, None).may_be_decided(me, Decision::Accept), accept, "{step:?}");
            assert_eq!(claim(step, None).may_be_decided(me, Decision::Reject), reject, "{step:?}");
        }
    }

    #[test]
    fn who_has_accepted_is_not_the_second_and_may_change_their_mind() {
        let open = claim(Step::Open, Some(9));
        let (first, other) = (Uuid::from_u128(9), Uuid::from_u128(8));
        assert_eq!(open.may_be_decided(first, Decision::Accept), Err(Fault::NeedsAnother));
        assert_eq!(open.may_be_decided(first, Decision::Reject), Ok(()));
        assert_eq!(open.may_be_decided(other, Decision::Accept), Ok(()));
    }

    #[test]
    fn it_concerns_both_sides_and_the_roster_each_once() {
        let codes: Vec<String> =
            claim(Step::Open, None).concerned().iter().map(ToString::to_string).collect();
        assert_eq!(codes, ["AH-1-1", "AH-1-2"]);
    }
}
