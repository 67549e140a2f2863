//! How often a service account may call: a minute and a day, of all processes together.
//!
//! Each process counts alone, tells identity every few seconds, and hears how much it is in
//! all. So the quota is exact in one process, and between several what they did since they
//! told last comes on top.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const MINUTE: i64 = 60;
const DAY: i64 = 86_400;
/// Days begin at midnight in Shanghai, which has no summer time.
const SHANGHAI: i64 = 8 * 3600;

/// Calls that an account may make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// A minute.
    pub per_minute: u32,
    /// A day, from midnight to midnight in Shanghai.
    pub per_day: u32,
}

/// Ids of keys, and when each was used last, in seconds since 1970.
pub(crate) type LastUses = Vec<(Arc<str>, i64)>;

/// Which of the two is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// This minute.
    Minute,
    /// This day.
    Day,
}

/// An account may not call just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// Which is full.
    pub window: Window,
    /// Until the next one begins.
    pub wait: Duration,
}

/// The number of a minute, from a time in seconds since 1970.
pub const fn minute_of(at: i64) -> i64 {
    at.div_euclid(MINUTE)
}

/// The number of a day in Shanghai, from a time in seconds since 1970.
pub const fn day_of(at: i64) -> i64 {
    at.saturating_add(SHANGHAI).div_euclid(DAY)
}

/// Calls of an account in all processes, as identity counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Which minute.
    pub minute: i64,
    /// Calls in it.
    pub in_minute: u32,
    /// Which day.
    pub day: i64,
    /// Calls in it.
    pub in_day: u32,
}

/// Calls of a minute or a day.
#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    number: i64,
    /// Calls here that identity was not told of.
    own: u32,
    /// Calls that identity knows of, anywhere.
    told: u32,
}

impl Calls {
    /// Goes on to a window. Not back to the one before, which a process thinks it is whose clock
    /// is a moment behind: it would begin anew with each word. Further back a clock was wrong.
    fn turn(&mut self, number: i64) {
        if self.number < number || self.number > number.saturating_add(1) {
            *self = Self { number, own: 0, told: 0 };
        }
    }

    fn is_full(&self, quota: u32) -> bool {
        self.own.saturating_add(self.told) >= quota
    }

    fn hear(&mut self, number: i64, calls: u32) {
        // Of another minute it says nothing of this one; clocks differ.
        if self.number < number {
            self.turn(number);
        }
        if self.number == number {
            self.told = calls;
        }
    }

    fn told(&mut self, calls: u32) {
        let calls = calls.min(self.own);
        self.own -= calls;
        // Until identity says how many there are in all.
        self.told = self.told.saturating_add(calls);
    }
}

/// What one process counts of one account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter {
    pub(crate) quota: Quota,
    minute: Calls,
    day: Calls,
    untold: u32,
    keys: BTreeMap<Arc<str>, i64>,
    /// When identity was tried to be told last.
    tried: Option<Instant>,
}

impl Counter {
    pub(crate) fn spend(&mut self, key_id: &Arc<str>, now: i64) -> Result<(), Spent> {
        self.minute.turn(minute_of(now));
        self.day.turn(day_of(now));
        let rest = |at: i64, of: i64| Duration::from_secs((of - at.rem_euclid(of)).unsigned_abs());
        if self.day.is_full(self.quota.per_day) {
            let wait = rest(now.saturating_add(SHANGHAI), DAY);
            return Err(Spent { window: Window::Day, wait });
        }
        if self.minute.is_full(self.quota.per_minute) {
            return Err(Spent { window: Window::Minute, wait: rest(now, MINUTE) });
        }
        self.minute.own += 1;
        self.day.own += 1;
        self.untold += 1;
        self.keys.insert(Arc::clone(key_id), now);
        Ok(())
    }

    pub(crate) fn hear(&mut self, count: Count) {
        self.minute.hear(count.minute, count.in_minute);
        self.day.hear(count.day, count.in_day);
    }

    pub(crate) fn untold(&mut self, now: Instant, after: Duration) -> Option<(u32, LastUses)> {
        let waits = |tried| now.saturating_duration_since(tried) < after;
        if self.untold == 0 || self.tried.is_some_and(waits) {
            return None;
        }
        self.tried = Some(now);
        let keys = self.keys.iter().map(|(key, at)| (Arc::clone(key), *at));
        Some((self.untold, keys.collect()))
    }

    pub(crate) fn told(&mut self, calls: u32, keys: &[(Arc<str>, i64)]) {
        self.untold = self.untold.saturating_sub(calls);
        self.minute.told(calls);
        self.day.told(calls);
        for (key, at) in keys {
            if self.keys.get(key) == Some(at) {
                self.keys.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 23:59:30 in Shanghai.
    const LATE: i64 = 1_000_000 * DAY - SHANGHAI - 30;

    fn counter(per_minute: u32, per_day: u32) -> (Counter, Arc<str>) {
        let quota = Quota { per_minute, per_day };
        (Counter { quota, ..Counter::default() }, "key".into())
    }

    fn full(window: Window, wait: u64) -> Spent {
        Spent { window, wait: Duration::from_secs(wait) }
    }

    #[test]
    fn a_minute_is_full_until_the_next_one_and_a_day_until_midnight_in_shanghai() {
        let (mut counter, key) = counter(2, 3);
        let begin = LATE - 90;
        assert_eq!(counter.spend(&key, begin), Ok(()));
        assert_eq!(counter.spend(&key, begin + 29), Ok(()));
        assert_eq!(counter.spend(&key, begin + 29), Err(full(Window::Minute, 31)));
        assert_eq!(counter.spend(&key, begin + 60), Ok(()));
        // Also the minute is not full: the day is.
        assert_eq!(counter.spend(&key, LATE), Err(full(Window::Day, 30)));
        assert_eq!(counter.spend(&key, LATE + 30), Ok(()));
    }

    #[test]
    fn what_others_did_counts_and_what_was_told_counts_once() {
        let (mut counter, key) = counter(10, 100);
        for _ in 0..4 {
            counter.spend(&key, LATE).unwrap();
        }
        let (calls, keys) = counter.untold(Instant::now(), Duration::ZERO).unwrap();
        counter.told(calls, &keys);
        let (minute, day) = (minute_of(LATE), day_of(LATE));
        // Not yet told of in all: its own calls count still.
        let left = |counter: &Counter| {
            let mut counter = counter.clone();
            (0..).take_while(|_| counter.spend(&key, LATE).is_ok()).count()
        };
        assert_eq!(left(&counter), 6);
        counter.hear(Count { minute, in_minute: 7, day, in_day: 7 });
        assert_eq!(left(&counter), 3);
        // A word of the minute before says nothing of this one.
        counter.hear(Count { minute: minute - 1, in_minute: 10, day, in_day: 7 });
        assert_eq!(left(&counter), 3);
        counter.hear(Count { minute, in_minute: 7, day, in_day: 99 });
        assert_eq!(left(&counter), 1);
    }
}
