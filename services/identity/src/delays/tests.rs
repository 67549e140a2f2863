use proptest::prelude::*;
use time::macros::datetime;

use super::*;

const NOON: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);
const LONGEST: Duration = Duration::minutes(5);

fn failed(times: u32) -> Delay {
    (0..times).fold(Delay::none(Way::Password, NOON), |delay, _| delay.fail(NOON))
}

#[test]
fn the_first_failures_cost_no_wait_and_the_next_ones_more_and_more() {
    let waits: Vec<i64> =
        (0..14).map(|times| (failed(times).next_try_at - NOON).whole_seconds()).collect();
    assert_eq!(waits, [0, 0, 0, 0, 1, 3, 5, 10, 30, 60, 120, 300, 300, 300]);
    let proofs = (0..8).map(|times| Way::SecondProof.wait_after(times).whole_minutes());
    assert_eq!(proofs.collect::<Vec<_>>(), [0, 0, 0, 1, 10, 60, 180, 180]);
}

#[test]
fn an_attempt_is_allowed_at_the_very_end_of_the_wait() {
    let delay = failed(5);
    let until = NOON + Duration::seconds(3);
    assert_eq!(delay.check(until - Duration::NANOSECOND), Check::Wait(until));
    assert_eq!(delay.check(until), Check::Allowed);
}

#[test]
fn a_day_without_a_failure_forgets_all_of_them() {
    let delay = failed(9);
    let later = NOON + FORGOTTEN_AFTER;
    assert_eq!(delay.fail(later - Duration::SECOND).failures, 10);
    assert_eq!(delay.fail(later).failures, 1);
}

#[test]
fn success_resets() {
    assert_eq!(failed(9).succeed(NOON), Delay::none(Way::Password, NOON));
}

#[test]
fn a_clock_that_was_ahead_does_not_block_for_as_long() {
    let ahead = (0..20)
        .fold(Delay::none(Way::Password, NOON), |delay, _| delay.fail(NOON + Duration::days(400)));
    // Stored as it was read, the wait passes.
    let stored = ahead.as_of(NOON);
    assert_eq!(stored.check(NOON), Check::Wait(NOON + LONGEST));
    assert_eq!(stored.as_of(NOON + LONGEST).check(NOON + LONGEST), Check::Allowed);
    assert_eq!(stored.failures, 20);
}

#[test]
fn an_attempt_that_was_not_evaluated_is_given_back() {
    let before = failed(5);
    let now = NOON + Duration::MINUTE;
    let reserved = before.fail(now);
    assert_eq!(reserved.give_back(&reserved, &before), before);
    // Somebody else's came after it: that one stays, with its time.
    let second = reserved.fail(now + Duration::MINUTE);
    let left = second.give_back(&reserved, &before);
    assert_eq!((left.failures, left.next_try_at), (6, second.next_try_at));
}

/// Evaluates whatever is allowed, at steps of the clock.
fn evaluated(way: Way, steps: impl Iterator<Item = Duration>) -> Vec<OffsetDateTime> {
    let (mut delay, mut now, mut evaluated) = (Delay::none(way, NOON), NOON, Vec::new());
    for step in steps {
        now += step;
        if delay.check(now) == Check::Allowed {
            delay = delay.fail(now);
            evaluated.push(now);
        }
    }
    evaluated
}

/// No 24 hours, wherever they begin, hold more.
fn most_in_a_day(at: &[OffsetDateTime]) -> usize {
    at.iter()
        .map(|from| *from..*from + FORGOTTEN_AFTER)
        .map(|day| at.iter().filter(|at| day.contains(*at)).count())
        .max()
        .unwrap_or_default()
}

#[test]
fn whoever_never_stops_gets_a_bounded_number_of_attempts_a_day() {
    let ways = [(Way::Password, PASSWORDS_PER_DAY, 280), (Way::SecondProof, PROOFS_PER_DAY, 7)];
    for (way, most, least) in ways {
        let at = evaluated(way, (0..3 * 86_400).map(|_| Duration::SECOND));
        assert!(most_in_a_day(&at) <= most, "{way:?}");
        // And nobody is locked out for good.
        assert!(at.len() > 3 * least, "{way:?} {}", at.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn however_attempts_are_spread_a_day_holds_no_more(
        steps in prop::collection::vec(0_i64..600, 0..800)
    ) {
        let steps = || steps.iter().copied().map(Duration::seconds);
        prop_assert!(most_in_a_day(&evaluated(Way::Password, steps())) <= PASSWORDS_PER_DAY);
        prop_assert!(most_in_a_day(&evaluated(Way::SecondProof, steps())) <= PROOFS_PER_DAY);
    }

    #[test]
    fn never_waits_longer_than_the_longest_wait_whatever_the_clock_does(
        moves in prop::collection::vec((-40_000_000_i64..40_000_000, any::<bool>()), 1..60)
    ) {
        let (mut delay, mut now) = (Delay::none(Way::Password, NOON), NOON);
        for (seconds, succeeds) in moves {
            now += Duration::seconds(seconds);
            delay = delay.as_of(now);
            match delay.check(now) {
                Check::Wait(until) => prop_assert!(until - now <= LONGEST),
                Check::Allowed if succeeds => {
                    delay = delay.succeed(now);
                    prop_assert_eq!(delay.check(now), Check::Allowed);
                }
                Check::Allowed => delay = delay.fail(now),
            }
            // Without further failures the wait ends, even if the clock stands where it was set.
            let later = now + LONGEST;
            prop_assert_eq!(delay.as_of(now).check(later), Check::Allowed);
        }
    }
}
