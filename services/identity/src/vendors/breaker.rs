//! A circuit breaker: a vendor that keeps failing is left alone for a while, so that people get
//! an answer at once instead of a time-out each.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use time::{Duration, OffsetDateTime};
use zhiyuan_domain::SharedClock;

use super::error::ConfigError;

/// The `breaker` section of a vendor's configuration.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerConfig {
    /// Calls that must fail in a row before the vendor is left alone.
    pub failures: u32,
    /// How long it is left alone before one call tries again, in milliseconds.
    pub cool_down_ms: u32,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { failures: 5, cool_down_ms: 5_000 }
    }
}

impl BreakerConfig {
    pub(crate) fn check(&self, key: &str) -> Result<(), ConfigError> {
        if self.failures == 0 {
            return Err(ConfigError::new(format!("{key}.failures"), "must be at least 1"));
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Calls pass; so many have failed in a row.
    Closed { failures: u32 },
    /// Calls are turned away.
    Open { since: OffsetDateTime },
    /// One call is trying whether the vendor is back.
    HalfOpen { open_since: OffsetDateTime },
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Success,
    Failure,
    /// The caller went away; that says nothing about the vendor.
    Abandoned,
}

/// The rules alone. The time is handed in.
#[derive(Debug)]
struct Machine {
    limit: u32,
    cool_down: Duration,
    state: State,
    /// Counts the changes of state. A call belongs to the round it began in: what it reports in
    /// a later one is old news.
    round: u64,
}

impl Machine {
    fn new(config: BreakerConfig) -> Self {
        Self {
            limit: config.failures,
            cool_down: Duration::milliseconds(i64::from(config.cool_down_ms)),
            state: State::Closed { failures: 0 },
            round: 0,
        }
    }

    /// Returns the round that the call belongs to, or `None` if it must not be made.
    fn admit(&mut self, now: OffsetDateTime) -> Option<u64> {
        match self.state {
            State::Closed { .. } => {}
            State::HalfOpen { .. } => return None,
            State::Open { since } => {
                // A clock that was set back must not keep the breaker open for ever.
                if now >= since && now - since < self.cool_down {
                    return None;
                }
                self.enter(State::HalfOpen { open_since: since });
            }
        }
        Some(self.round)
    }

    fn report(&mut self, round: u64, end: End, now: OffsetDateTime) {
        if round != self.round {
            return;
        }
        match (self.state, end) {
            (State::Closed { .. }, End::Success) => self.state = State::Closed { failures: 0 },
            (State::Closed { failures }, End::Failure) if failures + 1 < self.limit => {
                self.state = State::Closed { failures: failures + 1 };
            }
            (State::Closed { .. } | State::HalfOpen { .. }, End::Failure) => {
                self.enter(State::Open { since: now });
            }
            (State::HalfOpen { .. }, End::Success) => self.enter(State::Closed { failures: 0 }),
            // The next call tries in its place.
            (State::HalfOpen { open_since }, End::Abandoned) => {
                self.enter(State::Open { since: open_since });
            }
            (State::Closed { .. }, End::Abandoned) | (State::Open { .. }, _) => {}
        }
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.round += 1;
    }

    fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }
}

/// A breaker that many calls share.
#[derive(Debug)]
pub(crate) struct Breaker {
    machine: Mutex<Machine>,
    clock: SharedClock,
}

impl Breaker {
    pub(crate) fn new(config: BreakerConfig, clock: SharedClock) -> Self {
        Self { machine: Mutex::new(Machine::new(config)), clock }
    }

    /// Returns leave to make one call, or `None` while the vendor is left alone.
    pub(crate) fn admit(&self) -> Option<Permit<'_>> {
        let round = self.machine().admit(self.clock.now())?;
        Some(Permit { breaker: self, round, end: End::Abandoned })
    }

    fn report(&self, round: u64, end: End) {
        let now = self.clock.now();
        let mut machine = self.machine();
        let was_closed = machine.is_closed();
        machine.report(round, end, now);
        let is_closed = machine.is_closed();
        drop(machine);
        match (was_closed, is_closed) {
            (true, false) => tracing::warn!("circuit breaker opened: the vendor keeps failing"),
            (false, true) => tracing::info!("circuit breaker closed: the vendor answers again"),
            (true, true) | (false, false) => {}
        }
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leave to make one call. Dropped without a word, the call counts as abandoned: the place of a
/// cancelled probe must not stay taken.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    breaker: &'a Breaker,
    round: u64,
    end: End,
}

impl Permit<'_> {
    /// Tells whether the vendor did its work.
    pub(crate) fn report(mut self, healthy: bool) {
        self.end = if healthy { End::Success } else { End::Failure };
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.breaker.report(self.round, self.end);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier};
    use std::time::Duration as StdDuration;

    use time::macros::datetime;
    use zhiyuan_domain::ManualClock;

    use super::*;

    const COOL_DOWN: StdDuration = StdDuration::from_secs(5);

    fn breaker(failures: u32) -> (Breaker, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(datetime!(2026-11-23 08:00 UTC)));
        let config = BreakerConfig { failures, ..BreakerConfig::default() };
        (Breaker::new(config, clock.clone()), clock)
    }

    fn fail(breaker: &Breaker, times: u32) {
        for _ in 0..times {
            breaker.admit().unwrap().report(false);
        }
    }

    #[test]
    fn opens_after_failures_in_a_row_only() {
        let (breaker, _) = breaker(5);
        fail(&breaker, 4);
        breaker.admit().unwrap().report(true);
        fail(&breaker, 4);
        assert!(breaker.admit().is_some());
        fail(&breaker, 1);
        assert!(breaker.admit().is_none());
    }

    #[test]
    fn tries_once_after_the_cool_down_and_closes_on_success() {
        let (breaker, clock) = breaker(1);
        fail(&breaker, 1);
        clock.advance(COOL_DOWN - StdDuration::from_millis(1));
        assert!(breaker.admit().is_none());
        clock.advance(StdDuration::from_millis(1));
        let probe = breaker.admit().unwrap();
        assert!(breaker.admit().is_none(), "one probe at a time");
        probe.report(true);
        let calls: Vec<_> = (0..3).map(|_| breaker.admit().unwrap()).collect();
        drop(calls);
    }

    #[test]
    fn a_failed_probe_starts_the_cool_down_anew() {
        let (breaker, clock) = breaker(3);
        fail(&breaker, 3);
        clock.advance(COOL_DOWN);
        fail(&breaker, 1);
        assert!(breaker.admit().is_none());
        clock.advance(COOL_DOWN);
        breaker.admit().unwrap().report(true);
        fail(&breaker, 2);
        assert!(breaker.admit().is_some(), "a closed breaker counts from zero");
    }

    #[test]
    fn an_abandoned_probe_leaves_its_place_to_the_next_call() {
        let (breaker, clock) = breaker(1);
        fail(&breaker, 1);
        clock.advance(COOL_DOWN);
        drop(breaker.admit().unwrap());
        breaker.admit().unwrap().report(true);
        assert!(breaker.admit().is_some());
    }

    #[test]
    fn abandoned_calls_are_no_failures() {
        let (breaker, _) = breaker(1);
        for _ in 0..10 {
            drop(breaker.admit().unwrap());
        }
        assert!(breaker.admit().is_some());
    }

    #[test]
    fn what_an_old_call_reports_changes_nothing() {
        let (breaker, clock) = breaker(1);
        let (late_success, late_failure) = (breaker.admit().unwrap(), breaker.admit().unwrap());
        fail(&breaker, 1);
        late_success.report(true);
        assert!(breaker.admit().is_none(), "a success from before does not close it");
        clock.advance(COOL_DOWN);
        breaker.admit().unwrap().report(true);
        late_failure.report(false);
        assert!(breaker.admit().is_some(), "a failure from before does not open it");
    }

    #[test]
    fn a_clock_set_back_does_not_keep_it_open() {
        let (breaker, clock) = breaker(1);
        fail(&breaker, 1);
        clock.set(datetime!(2020-01-01 0:00 UTC));
        assert!(breaker.admit().is_some());
    }

    #[test]
    fn a_hundred_threads_get_one_probe() {
        let (breaker, clock) = breaker(1);
        for _ in 0..20 {
            fail(&breaker, 1);
            clock.advance(COOL_DOWN);
            let barrier = Barrier::new(100);
            let admitted: Vec<Permit<'_>> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..100)
                    .map(|_| {
                        scope.spawn(|| {
                            barrier.wait();
                            breaker.admit()
                        })
                    })
                    .collect();
                threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(admitted.len(), 1);
            admitted.into_iter().for_each(|probe| probe.report(true));
        }
    }

    #[test]
    fn a_limit_of_zero_is_refused() {
        let config = BreakerConfig { failures: 0, cool_down_ms: 1 };
        assert_eq!(config.check("breaker").unwrap_err().key(), "breaker.failures");
    }
}
