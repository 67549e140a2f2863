//! How many calls of a class run at once.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zhiyuan_contracts::access::v1::LimitClass;

use crate::error::Error;

/// Calls of each class that run at once in one process; the next one is refused at
/// once instead of queueing.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassSizes {
    /// `LIMIT_CLASS_READ`.
    pub read: usize,
    /// `LIMIT_CLASS_WRITE`.
    pub write: usize,
    /// `LIMIT_CLASS_MESSAGE`.
    pub message: usize,
    /// `LIMIT_CLASS_SUITE`.
    pub suite: usize,
}

/// The permits of every class.
#[derive(Debug, Clone)]
pub struct ClassLimits {
    read: Arc<Semaphore>,
    write: Arc<Semaphore>,
    message: Arc<Semaphore>,
    suite: Arc<Semaphore>,
}

impl ClassLimits {
    /// Permits for these sizes.
    pub fn new(sizes: &ClassSizes) -> Self {
        Self {
            read: Arc::new(Semaphore::new(sizes.read)),
            write: Arc::new(Semaphore::new(sizes.write)),
            message: Arc::new(Semaphore::new(sizes.message)),
            suite: Arc::new(Semaphore::new(sizes.suite)),
        }
    }

    /// Lets a call in, until the permit is dropped.
    ///
    /// # Errors
    /// `OVERLOADED` when the class is full.
    pub fn enter(&self, class: LimitClass) -> Result<OwnedSemaphorePermit, Error> {
        let semaphore = match class {
            LimitClass::Unspecified | LimitClass::Read => &self.read,
            LimitClass::Write => &self.write,
            LimitClass::Message => &self.message,
            LimitClass::Suite => &self.suite,
        };
        Arc::clone(semaphore)
            .try_acquire_owned()
            .map_err(|_full| Error::overloaded(Duration::from_secs(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_class_leaves_room_for_the_others() {
        let limits = ClassLimits::new(&ClassSizes { read: 1, write: 1, message: 1, suite: 1 });
        let held = limits.enter(LimitClass::Message).unwrap();
        assert_eq!(limits.enter(LimitClass::Message).unwrap_err().reason(), "OVERLOADED");
        assert!(limits.enter(LimitClass::Read).is_ok());
        drop(held);
        assert!(limits.enter(LimitClass::Message).is_ok());
    }
}
