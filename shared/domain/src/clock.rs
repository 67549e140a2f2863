//! The time, as something that is handed in.

use std::sync::{Arc, Mutex, PoisonError};

use time::{Date, OffsetDateTime, Time, UtcOffset, macros::offset};

/// The offset of Asia/Shanghai; China has kept it all year round since 1992.
const SHANGHAI: UtcOffset = offset!(+8);

/// Tells the time. Injected wherever the time matters, so that tests can choose it.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Returns the present moment.
    fn now(&self) -> OffsetDateTime;
}

/// A clock shared by the parts of a process.
pub type SharedClock = Arc<dyn Clock>;

/// The clock of the machine, in UTC.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the machine is asked")]
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }
}

/// A clock that stands still until it is told otherwise; for tests and demonstrations.
#[derive(Debug)]
pub struct ManualClock(Mutex<OffsetDateTime>);

impl ManualClock {
    /// Starts a clock that shows `at`.
    pub fn new(at: OffsetDateTime) -> Self {
        Self(Mutex::new(at))
    }

    /// Sets the clock, forwards or backwards.
    pub fn set(&self, at: OffsetDateTime) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// Moves the clock forwards; it stops at the last moment that can be expressed.
    pub fn advance(&self, by: std::time::Duration) {
        let by = time::Duration::try_from(by).unwrap_or(time::Duration::MAX);
        let mut at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *at = at.saturating_add(by);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the calendar date in Asia/Shanghai, by which ages and deadlines in days are counted.
pub fn shanghai_date(at: OffsetDateTime) -> Date {
    // Out of range only at the very ends of the calendar, where the date itself is as good.
    at.checked_to_offset(SHANGHAI).unwrap_or(at).date()
}

/// Returns the midnight of Asia/Shanghai that ends the day of a moment.
pub fn next_shanghai_midnight(at: OffsetDateTime) -> OffsetDateTime {
    let today = shanghai_date(at);
    today.next_day().unwrap_or(today).with_time(Time::MIDNIGHT).assume_offset(SHANGHAI)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use time::macros::{date, datetime};

    use super::*;

    #[test]
    fn a_day_ends_at_midnight_in_shanghai() {
        for (at, end) in [
            (datetime!(2026-11-24 15:59:59.999999 UTC), datetime!(2026-11-24 16:00 UTC)),
            (datetime!(2026-11-24 16:00 UTC), datetime!(2026-11-25 16:00 UTC)),
            (datetime!(2026-12-31 17:00 UTC), datetime!(2027-01-01 16:00 UTC)),
        ] {
            assert_eq!(next_shanghai_midnight(at), end);
        }
    }

    #[test]
    fn the_day_in_shanghai_begins_at_sixteen_utc() {
        assert_eq!(shanghai_date(datetime!(2026-11-23 15:59:59.999 UTC)), date!(2026 - 11 - 23));
        assert_eq!(shanghai_date(datetime!(2026-11-23 16:00 UTC)), date!(2026 - 11 - 24));
        assert_eq!(shanghai_date(datetime!(2026-12-31 17:00 UTC)), date!(2027 - 01 - 01));
        assert_eq!(shanghai_date(datetime!(2026-11-23 12:00 -9)), date!(2026 - 11 - 24));
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Arc::new(ManualClock::new(datetime!(2026-11-23 0:00 UTC)));
        let shared: SharedClock = clock.clone();
        assert_eq!(shared.now(), datetime!(2026-11-23 0:00 UTC));
        clock.advance(Duration::from_secs(61));
        assert_eq!(shared.now(), datetime!(2026-11-23 0:01:01 UTC));
        clock.set(datetime!(2020-01-01 0:00 UTC));
        assert_eq!(shared.now(), datetime!(2020-01-01 0:00 UTC));
    }

    #[test]
    fn a_manual_clock_does_not_overflow() {
        let clock = ManualClock::new(datetime!(2026-11-23 0:00 UTC));
        clock.advance(Duration::MAX);
        assert!(clock.now() > datetime!(2026-11-23 0:00 UTC));
    }

    #[test]
    fn the_system_clock_runs() {
        assert!(SystemClock.now() > datetime!(2024-01-01 0:00 UTC));
    }
}
