//! Challenges: work that a caller has to prove while a method is used far more than usual.
//!
//! No address is looked at: a thousand people behind the one address of a campus are
//! slowed like anybody else, and never shut out; and who changes addresses or phones pays
//! for each call. What is asked for depends on how much is going on, on what was spent of
//! one phone's codes, and on whether the device is known; never on whether anybody is
//! registered.
//!
//! A challenge is a text that only we can make; until it is solved nothing is stored of
//! it. A solution is spent in the transaction of what it is given for: if that does not
//! come about, the solution is still good.

mod admission;
pub(crate) mod db;
mod text;

pub(crate) use admission::{Challenges, Fault, Scope, Solved};
pub(crate) use text::{Solution, solution_field};

use time::{Duration, OffsetDateTime};

/// What `algorithm` says.
pub(crate) const ALGORITHM: &str = "sha256-leading-zero-bits";
/// A challenge is good that long.
pub(crate) const LIFE: Duration = Duration::minutes(2);
/// So many of a phone's codes in a day are sent to anybody; the others of them are kept
/// for devices that proved the phone, and for whoever does harder work.
pub(crate) const OF_A_PHONE: usize = 7;
/// Bits more for a code of those that are kept: sixteen times the work.
const KEPT_EXTRA: u8 = 4;
/// Bits that a challenge may lack because there was less going on when it was given, so
/// that hardly anybody has to work twice.
const GRACE: u8 = 1;

/// What an operator sets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Codes a minute, of all phones together, that are sent without work.
    pub(crate) normal_per_minute: u32,
    /// Failed attempts to sign in a minute, of everybody together, up to which none needs
    /// work.
    pub(crate) normal_failures_per_minute: u32,
    /// The work above that; one bit more each time the load doubles.
    pub(crate) difficulty_bits: u8,
    /// The most work that is ever asked for.
    pub(crate) max_bits: u8,
}

/// The work that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need {
    /// What a new challenge asks for.
    pub(crate) bits: u8,
    /// What a challenge must have asked for at least, to be taken.
    least: u8,
}

impl Need {
    /// Whether a solved challenge is enough that asked for so many bits.
    pub(crate) fn is_met_by(self, bits: u8) -> bool {
        bits >= self.least
    }
}

impl Rules {
    /// The work for a code by text message, or `None`. `load` is how many codes the
    /// current minute has sent, `of_phone` how many this phone got within 24 hours.
    pub(crate) fn required(&self, load: u32, of_phone: usize, known_device: bool) -> Option<Need> {
        let least = if of_phone >= OF_A_PHONE { KEPT_EXTRA } else { 0 };
        let rise = rise(load, self.normal_per_minute);
        if known_device || (least == 0 && rise.is_none()) {
            return None;
        }
        Some(self.need(least, rise.unwrap_or(0)))
    }

    /// The work for an attempt to sign in, or `None`. `failed` is how many attempts of
    /// everybody together failed within the last minute. A known device is one of the very
    /// account.
    pub(crate) fn required_for_sign_in(&self, failed: u32, known_device: bool) -> Option<Need> {
        let rise = rise(failed, self.normal_failures_per_minute)?;
        (!known_device).then(|| self.need(0, rise))
    }

    /// `extra` bits have to be there in any case, those of the load but for the grace.
    fn need(&self, extra: u8, rise: u8) -> Need {
        let bounded = |more: u8| self.difficulty_bits.saturating_add(more).min(self.max_bits);
        Need {
            bits: bounded(extra.saturating_add(rise)),
            least: bounded(extra.saturating_add(rise.saturating_sub(GRACE))),
        }
    }
}

/// How often the load has doubled since it was normal; `None` while it is.
fn rise(load: u32, normal: u32) -> Option<u8> {
    let times = load.checked_div(normal).unwrap_or(load);
    (load >= normal).then(|| u8::try_from(times.max(1).ilog2()).unwrap_or(u8::MAX))
}

/// What happened within the last minute, from the counts of two calendar minutes: of the
/// one before as large a share as the last minute reaches into it.
pub(crate) fn within_a_minute(before: u32, current: u32, now: OffsetDateTime) -> u32 {
    let left = 60_u32.saturating_sub(u32::from(now.second()));
    let share = u64::from(before) * u64::from(left) / 60;
    current.saturating_add(u32::try_from(share).unwrap_or(u32::MAX))
}

/// The minute that a time falls into.
pub(crate) fn minute_of(at: OffsetDateTime) -> OffsetDateTime {
    at - Duration::seconds(i64::from(at.second()))
        - Duration::nanoseconds(i64::from(at.nanosecond()))
}

/// How many bits at the beginning are zero.
fn leading_zero_bits(hash: &[u8]) -> u32 {
    let zeros = hash.iter().take_while(|byte| **byte == 0).count();
    let rest = hash.get(zeros).map_or(0, |byte| byte.leading_zeros());
    u32::try_from(zeros).unwrap_or(u32::MAX).saturating_mul(8).saturating_add(rest)
}

#[cfg(test)]
mod tests;
