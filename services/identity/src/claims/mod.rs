//! Claims on an ID number that somebody else holds: a classmate who knows name and number has
//! registered with them, and the true person wants them back.
//!
//! A claim is an enrolment that waits for people. It holds nothing: until it is carried out the
//! holder is in full possession, is told of each step, and may say something to it. Who may decide
//! is registration's to know; that they are two, and no side of it, is seen to here as well. Only
//! after a delay the holder's account ends, in the transaction in which the number becomes the
//! claimant's; any others on it meet an account that is proven.

pub(crate) mod db;
mod deciding;
mod displacing;
pub(crate) mod fault;
mod grpc;
mod mine;
mod opening;

pub(crate) use displacing::Displacing;
pub(crate) use fault::Fault;
pub(crate) use grpc::ClaimRpc;
pub(crate) use opening::{Opening, release};

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::clock::AgreedClock;
use crate::enrolments::{self, Enrolments, Refusal};

/// What the limits look back on, and how long one that is over is kept.
pub(crate) const WINDOW: Duration = Duration::days(30);
/// Claims on one number that go on at a time, each of another phone.
const MOST_OPEN: i64 = 3;
/// Claims that are asked for at once.
pub(crate) const MOST: usize = 500;

/// How many claims there may be in a [`WINDOW`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) per_number: i64,
    pub(crate) per_phone: i64,
}

/// Where a claim stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It waits for two administrators.
    Open,
    /// Both have accepted it.
    Accepted,
    /// The number is the claimant's.
    CarriedOut,
    /// An administrator has rejected it.
    Rejected,
    /// It was not decided in time, or who accepted it may not any more.
    Expired,
    /// There was nothing to decide any more.
    Ended,
}

impl State {
    const ALL: [Self; 6] =
        [Self::Open, Self::Accepted, Self::CarriedOut, Self::Rejected, Self::Expired, Self::Ended];

    /// As in the column `state`.
    pub(crate) fn as_column(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Accepted => "ACCEPTED",
            Self::CarriedOut => "CARRIED_OUT",
            Self::Rejected => "REJECTED",
            Self::Expired => "EXPIRED",
            Self::Ended => "ENDED",
        }
    }

    /// From the column `state`.
    pub(crate) fn from_column(column: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_column() == column)
    }

    /// Whether it may still be carried out.
    pub(crate) fn is_open(self) -> bool {
        match self {
            Self::Open | Self::Accepted => true,
            Self::CarriedOut | Self::Rejected | Self::Expired | Self::Ended => false,
        }
    }

    /// What becomes of a claim that goes on when its enrolment ends like this.
    pub(crate) fn after(state: enrolments::State, refusal: Option<Refusal>) -> Self {
        match (state, refusal) {
            (enrolments::State::Claimed, _) => Self::CarriedOut,
            (_, Some(Refusal::ClaimRejected)) => Self::Rejected,
            (_, Some(Refusal::ClaimExpired)) => Self::Expired,
            _ => Self::Ended,
        }
    }
}

/// A claim as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) claim_id: Uuid,
    pub(crate) holder_id: Uuid,
    pub(crate) state: State,
    /// What the holder says, sealed.
    pub(crate) answer: Option<Vec<u8>>,
    pub(crate) opened_at: OffsetDateTime,
    pub(crate) carry_out_after: Option<OffsetDateTime>,
    pub(crate) ended_at: Option<OffsetDateTime>,
}

impl Claim {
    /// Whether it is the one that somebody has decided about: when the number is free it goes on,
    /// and may be opened once more against whoever holds the number then.
    ///
    /// # Errors
    /// `Over`.
    pub(crate) fn is_against(&self, holder: Option<Uuid>) -> std::result::Result<(), Fault> {
        if holder.is_none_or(|holder| holder == self.holder_id) { Ok(()) } else { Err(Fault::Over) }
    }

    /// Whether it can be carried out now.
    ///
    /// # Errors
    /// `TooEarly`.
    pub(crate) fn may_be_carried_out(
        &self,
        delay: Duration,
        now: OffsetDateTime,
    ) -> std::result::Result<(), Fault> {
        let after = match (self.state, self.carry_out_after) {
            (State::Accepted, Some(after)) => after,
            // Not before somebody accepts it.
            _ => now + delay,
        };
        if now < after {
            return Err(Fault::TooEarly { wait: (after - now).try_into().unwrap_or_default() });
        }
        Ok(())
    }
}

/// Decides on claims.
#[derive(Debug, Clone)]
pub(crate) struct Claims {
    pub(crate) enrolments: Enrolments,
    pub(crate) agreed: AgreedClock,
    /// From the second acceptance on.
    pub(crate) delay: Duration,
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOON: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);
    const DELAY: Duration = Duration::hours(72);

    fn claim(state: State) -> Claim {
        Claim {
            claim_id: Uuid::from_u128(1),
            holder_id: Uuid::from_u128(2),
            state,
            answer: None,
            opened_at: NOON,
            carry_out_after: Some(NOON + DELAY),
            ended_at: None,
        }
    }

    #[test]
    fn states_survive_their_column() {
        for state in State::ALL {
            assert_eq!(State::from_column(state.as_column()), Some(state));
        }
    }

    #[test]
    fn it_is_carried_out_once_accepted_and_after_the_delay() {
        let accepted = claim(State::Accepted);
        let early = NOON + DELAY - Duration::SECOND;
        let wait = std::time::Duration::from_secs(1);
        assert_eq!(accepted.may_be_carried_out(DELAY, early), Err(Fault::TooEarly { wait }));
        assert_eq!(accepted.may_be_carried_out(DELAY, NOON + DELAY), Ok(()));
        for state in State::ALL.into_iter().filter(|state| *state != State::Accepted) {
            let told = claim(state).may_be_carried_out(DELAY, NOON + DELAY);
            assert!(matches!(told, Err(Fault::TooEarly { .. })), "{state:?}");
        }
    }

    #[test]
    fn it_ends_as_its_enrolment_does() {
        use enrolments::State as Of;
        for (state, refusal, ends) in [
            (Of::Claimed, None, State::CarriedOut),
            (Of::Refused, Some(Refusal::ClaimRejected), State::Rejected),
            (Of::Refused, Some(Refusal::ClaimExpired), State::Expired),
            (Of::Refused, Some(Refusal::IdCheckExpired), State::Ended),
            (Of::Discarded, None, State::Ended),
        ] {
            assert_eq!(State::after(state, refusal), ends);
            assert!(!ends.is_open());
        }
    }
}
