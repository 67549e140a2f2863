//! Registrations about which the register could not tell, and which wait for an administrator
//! to decide. Who may decide is orgtree's to tell, and who the applicant is, identity's; known
//! here is which wait where, and what was decided.

pub(crate) mod applicants;
pub(crate) mod db;
pub(crate) mod grpc;
mod listing;
mod reviewing;

pub(crate) use reviewing::Reviews;

use time::OffsetDateTime;
use zhiyuan_contracts::identity::v1::EnrolmentDecision;
use zhiyuan_contracts::registration::v1::ReviewDecision;
use zhiyuan_domain::{AccountId, EnrolmentId, OrganizationCode, RequestId};

use crate::error::{Error, Result};
use crate::registering::Step;

/// How a review is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Accept,
    NameMismatch,
    NumberNotFound,
}

impl Decision {
    const ALL: [Self; 3] = [Self::Accept, Self::NameMismatch, Self::NumberNotFound];

    pub(crate) fn from_wire(wire: ReviewDecision) -> Option<Self> {
        match wire {
            ReviewDecision::Unspecified => None,
            ReviewDecision::Accept => Some(Self::Accept),
            ReviewDecision::NameMismatch => Some(Self::NameMismatch),
            ReviewDecision::NumberNotFound => Some(Self::NumberNotFound),
        }
    }

    /// As identity is told.
    pub(crate) fn to_identity(self) -> EnrolmentDecision {
        match self {
            Self::Accept => EnrolmentDecision::Accept,
            Self::NameMismatch => EnrolmentDecision::NameMismatch,
            Self::NumberNotFound => EnrolmentDecision::NumberNotFound,
        }
    }

    /// As in the column `decision`.
    pub(crate) fn as_column(self) -> &'static str {
        match self {
            Self::Accept => "ACCEPT",
            Self::NameMismatch => "NAME_MISMATCH",
            Self::NumberNotFound => "NUMBER_NOT_FOUND",
        }
    }

    /// From the column `decision`.
    pub(crate) fn from_column(column: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|decision| decision.as_column() == column)
    }
}

/// A review that waits.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    /// Told instead of the `request_id`, with which anybody could ask for the registration.
    pub(crate) id: EnrolmentId,
    pub(crate) organization: String,
    pub(crate) submitted_at: OffsetDateTime,
    pub(crate) expires_at: OffsetDateTime,
}

/// A registration that may be in review.
#[derive(Debug)]
pub(crate) struct Review {
    pub(crate) id: EnrolmentId,
    pub(crate) request_id: RequestId,
    pub(crate) organization: OrganizationCode,
    pub(crate) step: Step,
    pub(crate) decided: bool,
    /// Who has looked at whom it is about.
    pub(crate) seen_by: Vec<AccountId>,
}

impl Review {
    /// Tells whether it waits.
    ///
    /// # Errors
    /// `ReviewDecided`; `ReviewNotFound` when nobody decided, and nobody has to.
    fn check_waits(&self) -> Result<()> {
        match (self.decided, self.step) {
            (true, _) => Err(Error::ReviewDecided),
            (false, Step::Review) => Ok(()),
            (false, _) => Err(Error::ReviewNotFound),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_survives_its_column_and_means_the_same_to_all() {
        for decision in Decision::ALL {
            assert_eq!(Decision::from_column(decision.as_column()), Some(decision));
            let wire = format!("REVIEW_DECISION_{}", decision.as_column());
            let wire = ReviewDecision::from_str_name(&wire).unwrap();
            assert_eq!(Decision::from_wire(wire), Some(decision));
            let told = decision.to_identity().as_str_name();
            assert_eq!(told, format!("ENROLMENT_DECISION_{}", decision.as_column()));
        }
        assert_eq!(Decision::from_wire(ReviewDecision::Unspecified), None);
    }

    #[test]
    fn only_what_waits_undecided_is_decided() {
        let review = |step, decided| Review {
            id: EnrolmentId::from(uuid::Uuid::from_u128(1)),
            request_id: RequestId::from(uuid::Uuid::from_u128(2)),
            organization: OrganizationCode::parse("AH").unwrap(),
            step,
            decided,
            seen_by: Vec::new(),
        };
        for step in Step::ALL {
            let decided = review(step, true).check_waits();
            assert!(matches!(decided, Err(Error::ReviewDecided)), "{step:?}");
            let waits = review(step, false).check_waits();
            assert_eq!(waits.is_ok(), step == Step::Review, "{step:?}");
        }
    }
}
