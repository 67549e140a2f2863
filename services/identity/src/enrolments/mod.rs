//! How an applicant becomes a person with an account: consents, age, code, the
//! check against the register, the claim of the ID number, activation, and the way
//! back.

pub(crate) mod begin;
mod claiming;
pub(crate) mod db;
mod ending;
mod grpc;
pub(crate) mod guardian;
pub(crate) mod job;
mod reviewing;
mod verdict;

pub(crate) use begin::Enrolments;
pub(crate) use claiming::spend_codes;
pub(crate) use db::{Pending, guardians};
pub(crate) use grpc::EnrolmentRpc;
pub(crate) use reviewing::Waiter;
pub(crate) use verdict::Opened;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::{EnrolmentDecision, EnrolmentRefusal, EnrolmentState};

use crate::sms_codes::Outcome;

/// A verdict is awaited, or a review waits for a person, that long.
pub(crate) const DECIDE_WITHIN: Duration = Duration::days(7);
/// While the register is asked, nobody else asks it.
pub(crate) const LEASE: Duration = Duration::seconds(20);
/// The longest wait between two tries.
pub(crate) const LONGEST_WAIT: Duration = Duration::minutes(15);

/// Where an enrolment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Accepted,
    Pending,
    Review,
    Claimed,
    Active,
    Refused,
    Discarded,
}

impl State {
    /// As in the column `state`.
    pub(crate) fn as_column(self) -> &'static str {
        match self {
            Self::Accepted => "ACCEPTED",
            Self::Pending => "PENDING",
            Self::Review => "REVIEW",
            Self::Claimed => "CLAIMED",
            Self::Active => "ACTIVE",
            Self::Refused => "REFUSED",
            Self::Discarded => "DISCARDED",
        }
    }

    /// From the column `state`.
    pub(crate) fn from_column(column: &str) -> Option<Self> {
        [
            Self::Accepted,
            Self::Pending,
            Self::Review,
            Self::Claimed,
            Self::Active,
            Self::Refused,
            Self::Discarded,
        ]
        .into_iter()
        .find(|state| state.as_column() == column)
    }

    pub(crate) fn to_wire(self) -> EnrolmentState {
        match self {
            Self::Accepted => EnrolmentState::Accepted,
            Self::Pending => EnrolmentState::Pending,
            Self::Review => EnrolmentState::Review,
            Self::Claimed => EnrolmentState::Claimed,
            Self::Active => EnrolmentState::Active,
            Self::Refused => EnrolmentState::Refused,
            Self::Discarded => EnrolmentState::Discarded,
        }
    }
}

/// Why an enrolment was refused; as `EnrolmentRefusal` of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    SmsCodeWrong,
    SmsCodeExpired,
    SmsCodeUsed,
    SmsCodeTriesExhausted,
    ConsentMissing,
    ConsentOutdated,
    UnderAge,
    GuardianRequired,
    IdNameMismatch,
    IdNotFound,
    IdCheckLimit,
    IdCheckExpired,
    AlreadyRegistered,
    GuardianSmsCodeWrong,
    GuardianSmsCodeExpired,
    GuardianSmsCodeUsed,
    GuardianSmsCodeTriesExhausted,
    GuardianIdMismatch,
    ActivationProofOver,
    ClaimOpen,
    ClaimsExhausted,
    ClaimAgainstProven,
    ClaimRejected,
    ClaimExpired,
}

impl Refusal {
    const ALL: [Self; 24] = [
        Self::SmsCodeWrong,
        Self::SmsCodeExpired,
        Self::SmsCodeUsed,
        Self::SmsCodeTriesExhausted,
        Self::ConsentMissing,
        Self::ConsentOutdated,
        Self::UnderAge,
        Self::GuardianRequired,
        Self::IdNameMismatch,
        Self::IdNotFound,
        Self::IdCheckLimit,
        Self::IdCheckExpired,
        Self::AlreadyRegistered,
        Self::GuardianSmsCodeWrong,
        Self::GuardianSmsCodeExpired,
        Self::GuardianSmsCodeUsed,
        Self::GuardianSmsCodeTriesExhausted,
        Self::GuardianIdMismatch,
        Self::ActivationProofOver,
        Self::ClaimOpen,
        Self::ClaimsExhausted,
        Self::ClaimAgainstProven,
        Self::ClaimRejected,
        Self::ClaimExpired,
    ];

    /// Those that say nothing of a person, and that anybody can bring about.
    pub(crate) const BEFORE_CODE: [Self; 9] = [
        Self::SmsCodeWrong,
        Self::SmsCodeExpired,
        Self::SmsCodeUsed,
        Self::SmsCodeTriesExhausted,
        Self::ConsentMissing,
        Self::ConsentOutdated,
        Self::UnderAge,
        Self::GuardianRequired,
        Self::ActivationProofOver,
    ];

    pub(crate) fn to_wire(self) -> EnrolmentRefusal {
        match self {
            Self::SmsCodeWrong => EnrolmentRefusal::SmsCodeWrong,
            Self::SmsCodeExpired => EnrolmentRefusal::SmsCodeExpired,
            Self::SmsCodeUsed => EnrolmentRefusal::SmsCodeUsed,
            Self::SmsCodeTriesExhausted => EnrolmentRefusal::SmsCodeTriesExhausted,
            Self::ConsentMissing => EnrolmentRefusal::ConsentMissing,
            Self::ConsentOutdated => EnrolmentRefusal::ConsentOutdated,
            Self::UnderAge => EnrolmentRefusal::UnderAge,
            Self::GuardianRequired => EnrolmentRefusal::GuardianRequired,
            Self::IdNameMismatch => EnrolmentRefusal::IdNameMismatch,
            Self::IdNotFound => EnrolmentRefusal::IdNotFound,
            Self::IdCheckLimit => EnrolmentRefusal::IdCheckLimit,
            Self::IdCheckExpired => EnrolmentRefusal::IdCheckExpired,
            Self::AlreadyRegistered => EnrolmentRefusal::AlreadyRegistered,
            Self::GuardianSmsCodeWrong => EnrolmentRefusal::GuardianSmsCodeWrong,
            Self::GuardianSmsCodeExpired => EnrolmentRefusal::GuardianSmsCodeExpired,
            Self::GuardianSmsCodeUsed => EnrolmentRefusal::GuardianSmsCodeUsed,
            Self::GuardianSmsCodeTriesExhausted => EnrolmentRefusal::GuardianSmsCodeTriesExhausted,
            Self::GuardianIdMismatch => EnrolmentRefusal::GuardianIdMismatch,
            Self::ActivationProofOver => EnrolmentRefusal::ActivationProofOver,
            Self::ClaimOpen => EnrolmentRefusal::ClaimOpen,
            Self::ClaimsExhausted => EnrolmentRefusal::ClaimsExhausted,
            Self::ClaimAgainstProven => EnrolmentRefusal::ClaimAgainstProven,
            Self::ClaimRejected => EnrolmentRefusal::ClaimRejected,
            Self::ClaimExpired => EnrolmentRefusal::ClaimExpired,
        }
    }

    /// As in the column `refusal`: the name of the wire value.
    pub(crate) fn as_column(self) -> &'static str {
        self.to_wire().as_str_name()
    }

    /// From the column `refusal`.
    pub(crate) fn from_column(column: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.as_column() == column)
    }

    /// What a try of the code means for the enrolment; `None` if it goes on.
    pub(crate) fn of_code(outcome: Outcome) -> Option<Self> {
        match outcome {
            Outcome::Right => None,
            Outcome::Wrong => Some(Self::SmsCodeWrong),
            Outcome::Expired => Some(Self::SmsCodeExpired),
            Outcome::Used => Some(Self::SmsCodeUsed),
            Outcome::Exhausted => Some(Self::SmsCodeTriesExhausted),
        }
    }

    /// What a try of the guardian's code means, after that of the person was right.
    pub(crate) fn of_guardians_code(outcome: Outcome) -> Option<Self> {
        match outcome {
            Outcome::Right => None,
            Outcome::Wrong => Some(Self::GuardianSmsCodeWrong),
            Outcome::Expired => Some(Self::GuardianSmsCodeExpired),
            Outcome::Used => Some(Self::GuardianSmsCodeUsed),
            Outcome::Exhausted => Some(Self::GuardianSmsCodeTriesExhausted),
        }
    }
}

/// How a person decides about whom the register could not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Accept,
    NameMismatch,
    NumberNotFound,
}

impl Decision {
    const ALL: [Self; 3] = [Self::Accept, Self::NameMismatch, Self::NumberNotFound];

    pub(crate) fn from_wire(wire: EnrolmentDecision) -> Option<Self> {
        match wire {
            EnrolmentDecision::Unspecified => None,
            EnrolmentDecision::Accept => Some(Self::Accept),
            EnrolmentDecision::NameMismatch => Some(Self::NameMismatch),
            EnrolmentDecision::NumberNotFound => Some(Self::NumberNotFound),
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

/// An enrolment without what is sealed.
#[derive(Debug, Clone)]
pub(crate) struct Enrolment {
    pub(crate) enrolment_id: Uuid,
    pub(crate) state: State,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) account_id: Option<Uuid>,
    pub(crate) phone_index: Option<Vec<u8>>,
    pub(crate) index_version: Option<i16>,
    /// Of the guardian who consents, until there is a verdict.
    pub(crate) guardian_phone_index: Option<Vec<u8>>,
    pub(crate) next_check_at: Option<OffsetDateTime>,
    pub(crate) decide_by: Option<OffsetDateTime>,
    pub(crate) waited: bool,
    pub(crate) created_at: OffsetDateTime,
    /// Whose number is claimed, while people decide about that.
    pub(crate) claim_against: Option<Uuid>,
}

/// How long to wait before the register is asked again: 2, 4, 8 … seconds, 15
/// minutes at most.
pub(crate) fn wait_after(attempts: i32) -> Duration {
    let exponent = u32::try_from(attempts.clamp(1, 12)).unwrap_or(1);
    Duration::seconds(1_i64 << exponent).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_and_refusals_survive_their_columns() {
        for state in ["ACCEPTED", "PENDING", "REVIEW", "CLAIMED", "ACTIVE", "REFUSED", "DISCARDED"]
        {
            assert_eq!(State::from_column(state).unwrap().as_column(), state);
        }
        for refusal in Refusal::ALL {
            assert_eq!(Refusal::from_column(refusal.as_column()), Some(refusal));
        }
        for decision in Decision::ALL {
            assert_eq!(Decision::from_column(decision.as_column()), Some(decision));
            let wire = format!("ENROLMENT_DECISION_{}", decision.as_column());
            let wire = EnrolmentDecision::from_str_name(&wire).unwrap();
            assert_eq!(Decision::from_wire(wire), Some(decision));
        }
    }

    #[test]
    fn every_refusal_of_the_contract_can_be_stored() {
        for wire in 1.. {
            let Ok(wire) = EnrolmentRefusal::try_from(wire) else { break };
            assert!(Refusal::from_column(wire.as_str_name()).is_some(), "{wire:?}");
        }
    }

    #[test]
    fn waits_grow_to_a_quarter_of_an_hour_and_no_longer() {
        assert_eq!(wait_after(1), Duration::seconds(2));
        assert_eq!(wait_after(3), Duration::seconds(8));
        assert_eq!(wait_after(10), LONGEST_WAIT);
        assert_eq!(wait_after(i32::MAX), LONGEST_WAIT);
    }
}
