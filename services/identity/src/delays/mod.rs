//! Delays between attempts: who failed waits, longer each time, and is never locked out
//! for good.
//!
//! Failed passwords count for an identifier as it was typed, whether or not anybody has it.
//! A known device of the account has a counter of its own: a stranger's failures don't delay
//! the owner there. Name and end of an ID number, which are asked for after a right code,
//! count for the phone: only who gets its messages can fail there. Codes themselves are
//! counted nowhere but at their challenge, five tries each: a stranger's failures, with
//! challenges of the stranger's own, delay nobody.
//!
//! The numbers are a choice of ours, no standard's: the attempts without a wait cover what
//! people mistype, and whoever goes on gets fewer than [`PASSWORDS_PER_DAY`] passwords, or
//! [`PROOFS_PER_DAY`] proofs, evaluated a day.

pub(crate) mod db;

use time::{Duration, OffsetDateTime};

/// What is waited after the first wrong password, the second, and so on; after any further
/// one as long as after the last.
const PASSWORD_STEPS: [Duration; 11] = [
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
    Duration::minutes(5),
];
/// As for passwords, but much longer: a name is often known to who was given somebody's old
/// number, and the end of an ID number has some 15,000 values if the birthday isn't.
const PROOF_STEPS: [Duration; 6] = [
    Duration::ZERO,
    Duration::ZERO,
    Duration::MINUTE,
    Duration::minutes(10),
    Duration::HOUR,
    Duration::hours(3),
];
/// Failures are forgotten when that long there was none.
pub(crate) const FORGOTTEN_AFTER: Duration = Duration::hours(24);
/// More passwords than this are never evaluated in 24 hours: one each five minutes, and
/// those before the wait is that long.
#[cfg(test)]
pub(crate) const PASSWORDS_PER_DAY: usize = 300;
/// Nor more proofs than this.
#[cfg(test)]
pub(crate) const PROOFS_PER_DAY: usize = 13;

/// How somebody proves to be the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// By a password.
    Password,
    /// By name and the end of the ID number, after a code.
    SecondProof,
}

impl Way {
    /// As in the column `way`.
    fn as_column(self) -> i16 {
        match self {
            Self::Password => 1,
            Self::SecondProof => 2,
        }
    }

    /// Never empty.
    fn steps(self) -> &'static [Duration] {
        match self {
            Self::Password => &PASSWORD_STEPS,
            Self::SecondProof => &PROOF_STEPS,
        }
    }

    /// The longest wait. Bounded, since anybody can make anybody else's identifier wait.
    fn longest(self) -> Duration {
        self.steps().last().copied().unwrap_or_default()
    }

    fn wait_after(self, failures: u32) -> Duration {
        match usize::try_from(failures).unwrap_or(usize::MAX).checked_sub(1) {
            None => Duration::ZERO,
            Some(step) => self.steps().get(step).copied().unwrap_or(self.longest()),
        }
    }
}

/// Failures of one counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delay {
    pub(crate) way: Way,
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
    pub(crate) fn none(way: Way, now: OffsetDateTime) -> Self {
        Self { way, failures: 0, last_failure_at: now, next_try_at: now }
    }

    /// The counter as it is to be read now. A clock that was once ahead must not block
    /// anybody for as long: what lies in the future is taken to have happened now, and is to
    /// be stored so, or the wait would begin anew with each look.
    pub(crate) fn as_of(self, now: OffsetDateTime) -> Self {
        if self.last_failure_at > now {
            let next_try_at = self.next_try_at.min(now + self.way.wait_after(self.failures));
            return Self { last_failure_at: now, next_try_at, ..self };
        }
        if self.last_failure_at + FORGOTTEN_AFTER <= now { Self::none(self.way, now) } else { self }
    }

    /// Whether an attempt may be evaluated now.
    pub(crate) fn check(self, now: OffsetDateTime) -> Check {
        let next_try_at = self.as_of(now).next_try_at;
        if next_try_at > now { Check::Wait(next_try_at) } else { Check::Allowed }
    }

    /// Counts a failure.
    pub(crate) fn fail(self, now: OffsetDateTime) -> Self {
        let failures = self.as_of(now).failures.saturating_add(1);
        let next_try_at = now + self.way.wait_after(failures);
        Self { failures, last_failure_at: now, next_try_at, ..self }
    }

    /// Forgets all failures, as deleting its row does.
    #[cfg(test)]
    pub(crate) fn succeed(self, now: OffsetDateTime) -> Self {
        Self::none(self.way, now)
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

#[cfg(test)]
mod tests;
