//! Delays between attempts: who failed waits, longer each time, and is never locked out
//! for good.
//!
//! Failures count for an identifier as it was typed, whether or not anybody has it, and
//! separately for each way to prove oneself, so that failed passwords delay no code. A
//! known device of the account has counters of its own: a stranger's failures don't delay
//! the owner there.
//!
//! The numbers are a choice of ours, no standard's: four attempts without a wait cover
//! what people mistype, and whoever goes on gets fewer than [`PER_DAY`] attempts a day
//! evaluated for an identifier and a way.

pub(crate) mod db;

use time::{Duration, OffsetDateTime};

/// What is waited after the first failure, the second, and so on; after any further one
/// as long as after the last.
const STEPS: [Duration; 11] = [
    Duration::ZERO,
    Duration::ZERO,
    Duration::ZERO,
    Duration::SECOND,
    Duration::seconds(3),
    Duration::seconds(5),
    Duration::seconds(10),
    Duration::seconds(30),
    Duration::MINUTE,
    Duration::minutes(2),
    LONGEST,
];
/// The longest wait. Bounded, since anybody can make anybody else's identifier wait.
pub(crate) const LONGEST: Duration = Duration::minutes(5);
/// Failures are forgotten when that long there was none.
pub(crate) const FORGOTTEN_AFTER: Duration = Duration::hours(24);
/// More attempts than this are never evaluated in 24 hours: one each five minutes, and
/// those before the wait is that long.
#[cfg(test)]
pub(crate) const PER_DAY: usize = 300;

/// How somebody proves to be the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// By a password.
    Password,
    /// By a code, or what goes with it.
    Code,
}

impl Way {
    /// As in the column `way`.
    fn as_column(self) -> i16 {
        match self {
            Self::Password => 1,
            Self::Code => 2,
        }
    }
}

/// Failures of one counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delay {
    pub(crate) failures: u32,
    pub(crate) last_failure_at: OffsetDateTime,
    pub(crate) next_try_at: OffsetDateTime,
}

/// Whether an attempt may be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// Now.
    Allowed,
    /// Not before then.
    Wait(OffsetDateTime),
}

impl Delay {
    /// A counter without failures.
    pub(crate) fn none(now: OffsetDateTime) -> Self {
        Self { failures: 0, last_failure_at: now, next_try_at: now }
    }

    /// The counter as it is to be read now. A clock that was once ahead must not block
    /// anybody for as long: what lies in the future is taken to have happened now, and is to
    /// be stored so, or the wait would begin anew with each look.
    pub(crate) fn as_of(self, now: OffsetDateTime) -> Self {
        if self.last_failure_at > now {
            let next_try_at = self.next_try_at.min(now + wait_after(self.failures));
            return Self { last_failure_at: now, next_try_at, ..self };
        }
        if self.last_failure_at + FORGOTTEN_AFTER <= now { Self::none(now) } else { self }
    }

    /// Whether an attempt may be evaluated now.
    pub(crate) fn check(self, now: OffsetDateTime) -> Check {
        let next_try_at = self.as_of(now).next_try_at;
        if next_try_at > now { Check::Wait(next_try_at) } else { Check::Allowed }
    }

    /// Counts a failure.
    pub(crate) fn fail(self, now: OffsetDateTime) -> Self {
        let failures = self.as_of(now).failures.saturating_add(1);
        Self { failures, last_failure_at: now, next_try_at: now + wait_after(failures) }
    }

    /// Forgets all failures, as deleting its row does.
    #[cfg(test)]
    pub(crate) fn succeed(self, now: OffsetDateTime) -> Self {
        Self::none(now)
    }

    /// Takes back one failure that was counted in advance, for an attempt that was not
    /// evaluated. What was reserved after it stays.
    pub(crate) fn give_back(self, reserved: &Self, before: &Self) -> Self {
        if self == *reserved {
            return *before;
        }
        Self { failures: self.failures.saturating_sub(1), ..self }
    }
}

fn wait_after(failures: u32) -> Duration {
    match usize::try_from(failures).unwrap_or(usize::MAX).checked_sub(1) {
        None => Duration::ZERO,
        Some(step) => STEPS.get(step).copied().unwrap_or(LONGEST),
    }
}

#[cfg(test)]
mod tests;
