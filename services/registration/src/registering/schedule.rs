//! When the recovery task looks at a registration.

use time::{Duration, OffsetDateTime};

use super::{Change, Step};

/// Whoever works on a registration has it that long before somebody else may begin.
/// Two who do work on one change nothing twice; it only saves calls.
pub(crate) const LEASE: Duration = Duration::seconds(20);
/// A form that identity has not kept is given up that long after its last call.
pub(crate) const ABANDONED_AFTER: Duration = Duration::minutes(15);
/// The longest time between two looks.
pub(crate) const LONGEST_WAIT: Duration = Duration::minutes(15);
/// A review ends after that.
pub(crate) const LONGEST_REVIEW: Duration = Duration::days(7);
/// A claimed account without a registration is an orphan after that.
pub(crate) const ORPHANED_AFTER: Duration = Duration::minutes(15);
/// How long a finished registration is kept for its replays.
pub(crate) const KEPT: Duration = Duration::days(30);
/// How long one is kept that was refused before the code was right: anybody can make
/// such rows, and a code is long expired by then.
pub(crate) const JUNK_KEPT: Duration = Duration::days(1);
/// No look is planned further ahead than that, even if the clocks of two instances
/// differ by a lease: what is, was planned by a clock that has been set back since.
pub(crate) const LATEST: Duration = LONGEST_WAIT.saturating_add(LEASE);

/// identity looks at `retry_at` itself: a moment later its answer is there.
const AFTER_IDENTITY: Duration = Duration::seconds(1);

/// When to look at a registration after a change; `None` once it is final.
pub(crate) fn after(change: &Change, now: OffsetDateTime) -> Option<OffsetDateTime> {
    match change {
        // A reviewer may decide long before the review ends.
        Change::Pending { retry_at } | Change::Review { retry_at, .. } => Some(
            retry_at.saturating_add(AFTER_IDENTITY).clamp(now + AFTER_IDENTITY, now + LONGEST_WAIT),
        ),
        // Who made the change carries on.
        Change::Claimed { .. } | Change::Registered | Change::Undoing { .. } => Some(now + LEASE),
        Change::Done | Change::Refused { .. } | Change::Undone => None,
    }
}

/// When to look again after a look that changed nothing: 1, 2, 4 … seconds, 15
/// minutes at most.
pub(crate) fn after_attempt(
    step: Step,
    attempts: i32,
    last_call_at: OffsetDateTime,
    now: OffsetDateTime,
) -> OffsetDateTime {
    let exponent = u32::try_from(attempts.clamp(1, 12)).unwrap_or(1) - 1;
    let next = now + Duration::seconds(1_i64 << exponent).min(LONGEST_WAIT);
    let abandoned = last_call_at + ABANDONED_AFTER;
    // Given up on time, not at the next look after it.
    if step == Step::Started && abandoned > now { next.min(abandoned) } else { next }
}

/// Until when the client is told to wait, at most.
pub(crate) fn told(step: Step, retry_at: OffsetDateTime, now: OffsetDateTime) -> OffsetDateTime {
    let longest = if step == Step::Review { LONGEST_REVIEW } else { LONGEST_WAIT };
    retry_at.clamp(now + Duration::seconds(1), now + longest)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::registering::Refusal;

    const NOW: OffsetDateTime = datetime!(2026-11-23 4:00 UTC);

    #[test]
    fn looks_a_moment_after_identity_did() {
        let retry_at = NOW + Duration::seconds(30);
        assert_eq!(after(&Change::Pending { retry_at }, NOW), Some(retry_at + AFTER_IDENTITY));
    }

    #[test]
    fn looks_within_a_quarter_of_an_hour_whatever_identity_says() {
        for retry_at in [NOW + Duration::days(7), NOW + Duration::days(400_000)] {
            assert_eq!(
                after(&Change::Review { retry_at, claim: None }, NOW),
                Some(NOW + LONGEST_WAIT)
            );
        }
        let past = NOW - Duration::days(1);
        assert_eq!(after(&Change::Pending { retry_at: past }, NOW), Some(NOW + AFTER_IDENTITY));
    }

    #[test]
    fn a_final_step_is_not_looked_at() {
        for change in [Change::Done, Change::Refused { refusal: Refusal::Expired }, Change::Undone]
        {
            assert_eq!(after(&change, NOW), None);
        }
    }

    #[test]
    fn attempts_wait_longer_each_time_up_to_a_quarter_of_an_hour() {
        let wait = |attempts| after_attempt(Step::Claimed, attempts, NOW, NOW) - NOW;
        assert_eq!(wait(0), Duration::seconds(1));
        assert_eq!(wait(1), Duration::seconds(1));
        assert_eq!(wait(4), Duration::seconds(8));
        assert_eq!(wait(i32::MAX), LONGEST_WAIT);
    }

    #[test]
    fn what_nobody_sends_again_is_given_up_on_time() {
        let last_call = NOW - Duration::minutes(14);
        let next = after_attempt(Step::Started, 12, last_call, NOW);
        assert_eq!(next, last_call + ABANDONED_AFTER);
    }

    #[test]
    fn the_client_is_told_a_time_within_the_promise() {
        let far = NOW + Duration::days(30);
        assert_eq!(told(Step::Pending, far, NOW), NOW + LONGEST_WAIT);
        assert_eq!(told(Step::Review, far, NOW), NOW + LONGEST_REVIEW);
        assert_eq!(told(Step::Pending, NOW - Duration::days(1), NOW), NOW + Duration::seconds(1));
    }
}
