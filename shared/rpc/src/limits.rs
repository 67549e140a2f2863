//! How many calls run at once, by class and in all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zhiyuan_contracts::access::v1::LimitClass;

use crate::error::Error;

/// Calls that run at once in one process; the next one is refused at once instead of
/// queueing.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassSizes {
    /// All classes together, but for long-lived streams. The last quarter of it is not
    /// for the suite's own calls, the last eighth not for reads, and the last sixteenth for
    /// signing in alone: who has least time to wait is served longest. About so: calls that come
    /// at the same moment may each find the last place that is theirs. Of less than 16, nothing is
    /// kept for signing in.
    pub total: usize,
    /// `LIMIT_CLASS_READ`.
    pub read: usize,
    /// `LIMIT_CLASS_WRITE`.
    pub write: usize,
    /// `LIMIT_CLASS_MESSAGE`.
    pub message: usize,
    /// `LIMIT_CLASS_SUITE`.
    pub suite: usize,
    /// `LIMIT_CLASS_STREAM`; one caller that is known has a quarter of them at most.
    pub stream: usize,
    /// `LIMIT_CLASS_CONTROL`, which is not part of `total`.
    pub control: usize,
    /// `LIMIT_CLASS_SIGN_IN`.
    pub sign_in: usize,
}

/// The permits of every class.
#[derive(Debug, Clone)]
pub struct ClassLimits {
    sizes: ClassSizes,
    total: Arc<Semaphore>,
    read: Arc<Semaphore>,
    write: Arc<Semaphore>,
    message: Arc<Semaphore>,
    suite: Arc<Semaphore>,
    stream: Arc<Semaphore>,
    control: Arc<Semaphore>,
    sign_in: Arc<Semaphore>,
    streams_of: Arc<Callers>,
}

/// How many long-lived streams each caller has.
#[derive(Debug, Default)]
struct Callers(Mutex<BTreeMap<Arc<str>, usize>>);

impl Callers {
    fn count(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, usize>> {
        // Plain numbers: a panic while they are held leaves them whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more, unless the caller has as many as it may.
    fn enter(self: &Arc<Self>, name: &Arc<str>, most: usize) -> Option<Share> {
        let mut streams = self.count();
        let of_caller = streams.entry(Arc::clone(name)).or_default();
        if *of_caller >= most {
            return None;
        }
        *of_caller += 1;
        Some(Share { all: Arc::clone(self), name: Arc::clone(name) })
    }
}

/// A stream in the count of its caller.
#[derive(Debug)]
struct Share {
    all: Arc<Callers>,
    name: Arc<str>,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut streams = self.all.count();
        if let Some(of_caller) = streams.get_mut(&self.name) {
            *of_caller -= 1;
            if *of_caller == 0 {
                streams.remove(&self.name);
            }
        }
    }
}

/// The place of a call, until it is dropped.
#[derive(Debug)]
pub struct Permit {
    _of_class: OwnedSemaphorePermit,
    _of_all: Option<OwnedSemaphorePermit>,
    _of_caller: Option<Share>,
}

impl From<OwnedSemaphorePermit> for Permit {
    fn from(place: OwnedSemaphorePermit) -> Self {
        Self { _of_class: place, _of_all: None, _of_caller: None }
    }
}

impl ClassLimits {
    /// Permits for these sizes.
    pub fn new(sizes: &ClassSizes) -> Self {
        let of = |size| Arc::new(Semaphore::new(size));
        Self {
            sizes: sizes.clone(),
            total: of(sizes.total),
            read: of(sizes.read),
            write: of(sizes.write),
            message: of(sizes.message),
            suite: of(sizes.suite),
            stream: of(sizes.stream),
            control: of(sizes.control),
            sign_in: of(sizes.sign_in),
            streams_of: Arc::default(),
        }
    }

    /// Lets a call in whose caller is known. It has a quarter of the long-lived streams at
    /// most: who opens more of them than it reads must not keep the suite's own out.
    ///
    /// # Errors
    /// As [`enter`](Self::enter).
    pub fn enter_as(&self, class: LimitClass, caller: &Arc<str>) -> Result<Permit, Error> {
        let permit = self.enter(class)?;
        if class != LimitClass::Stream {
            return Ok(permit);
        }
        let share = self.streams_of.enter(caller, (self.sizes.stream / 4).max(1));
        Ok(Permit { _of_caller: Some(share.ok_or_else(full)?), ..permit })
    }

    /// Lets a call in, until the permit is dropped.
    ///
    /// # Errors
    /// `OVERLOADED` when the class is full, or what the class may take of the whole.
    pub fn enter(&self, class: LimitClass) -> Result<Permit, Error> {
        let total = self.sizes.total;
        // Of the whole, how much is left to others.
        let (semaphore, left) = match class {
            LimitClass::Unspecified | LimitClass::Read => (&self.read, Some(total / 8)),
            LimitClass::Write => (&self.write, Some(total / 16)),
            LimitClass::Message => (&self.message, Some(total / 16)),
            LimitClass::Suite => (&self.suite, Some(total / 4)),
            // Most of the time it only waits.
            LimitClass::Stream => (&self.stream, None),
            // Few, and without them others may not go on.
            LimitClass::Control => (&self.control, None),
            LimitClass::SignIn => (&self.sign_in, Some(0)),
        };
        let take = |semaphore: &Arc<Semaphore>| {
            Arc::clone(semaphore).try_acquire_owned().map_err(|_full| full())
        };
        let of_all = match left {
            Some(left) if self.total.available_permits() <= left => return Err(full()),
            Some(_) => Some(take(&self.total)?),
            None => None,
        };
        Ok(Permit { _of_class: take(semaphore)?, _of_all: of_all, _of_caller: None })
    }
}

fn full() -> Error {
    Error::overloaded(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [LimitClass; 7] = [
        LimitClass::Read,
        LimitClass::Write,
        LimitClass::Message,
        LimitClass::Suite,
        LimitClass::Stream,
        LimitClass::Control,
        LimitClass::SignIn,
    ];

    fn sizes(total: usize, each: usize) -> ClassSizes {
        ClassSizes {
            total,
            read: each,
            write: each,
            message: each,
            suite: each,
            stream: each,
            control: each,
            sign_in: each,
        }
    }

    #[test]
    fn a_full_class_leaves_room_for_the_others() {
        let limits = ClassLimits::new(&sizes(100, 1));
        let held = limits.enter(LimitClass::Message).unwrap();
        assert_eq!(limits.enter(LimitClass::Message).unwrap_err().reason(), "OVERLOADED");
        assert!(limits.enter(LimitClass::Read).is_ok());
        drop(held);
        assert!(limits.enter(LimitClass::Message).is_ok());
    }

    #[test]
    fn one_caller_has_a_quarter_of_the_streams_at_most() {
        let limits = ClassLimits::new(&sizes(100, 8));
        let (account, suite) = (Arc::from("account"), Arc::from("orgtree"));
        let stream = |caller| limits.enter_as(LimitClass::Stream, caller);
        let held = [stream(&account).unwrap(), stream(&account).unwrap()];
        assert_eq!(stream(&account).unwrap_err().reason(), "OVERLOADED");
        let _of_suite = [stream(&suite).unwrap(), stream(&suite).unwrap()];
        // Of what is answered once, a caller has what its class has.
        assert!(limits.enter_as(LimitClass::Suite, &account).is_ok());
        drop(held);
        assert!(stream(&account).is_ok());
        assert_eq!(limits.streams_of.count().len(), 1, "who has none is forgotten");
    }

    #[test]
    fn near_the_limit_of_all_the_suite_goes_first_and_who_signs_in_last() {
        use LimitClass::{Message, Read, SignIn, Suite, Write};
        let limits = ClassLimits::new(&sizes(32, 32));
        let mut held = Vec::new();
        let mut refused = Vec::new();
        for _used in 0..=32 {
            let shut = ALL.into_iter().filter(|class| limits.enter(*class).is_err());
            refused.push(shut.collect::<Vec<_>>());
            held.extend(limits.enter(SignIn));
        }
        for (used, expected) in [
            (23, vec![]),
            (24, vec![Suite]),
            (27, vec![Suite]),
            (28, vec![Read, Suite]),
            (29, vec![Read, Suite]),
            (30, vec![Read, Write, Message, Suite]),
            (31, vec![Read, Write, Message, Suite]),
            (32, vec![Read, Write, Message, Suite, SignIn]),
        ] {
            assert_eq!(refused[used], expected, "{used}");
        }
        assert!(limits.enter(LimitClass::Stream).is_ok());
        held.clear();
        assert!(ALL.iter().all(|class| limits.enter(*class).is_ok()));
    }
}
