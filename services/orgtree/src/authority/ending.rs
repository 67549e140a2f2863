//! Waiting until a revoked grant, or one of what moved away, is over everywhere.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::time::Instant;
use uuid::Uuid;
use zhiyuan_domain::SharedClock;
use zhiyuan_rpc::deadline;

use super::{OVER_AFTER, db};
use crate::error::{Error, Result};

/// What a call needs besides waiting, to answer before its deadline.
const REST: Duration = Duration::from_millis(250);
/// A revocation that nobody asks about for so long is forgotten: who asks then waits once
/// more.
const REMEMBERED: Duration = Duration::from_mins(10);

/// Since when this process knows that grants are revoked, or organizations moved, on the one clock that nobody
/// sets. Another process, or this one after a restart, counts from when it first sees it:
/// later than needed, and never too early.
#[derive(Debug, Clone, Default)]
pub(crate) struct Endings(Arc<Mutex<HashMap<Uuid, Instant>>>);

impl Endings {
    /// Waits until nothing that was allowed by a grant can take effect, and notes that it is so.
    /// Its revocation is committed.
    ///
    /// # Errors
    /// [`Error::RevocationInProgress`] at once when the deadline of the call comes sooner.
    pub(crate) async fn settle(
        &self,
        pool: &PgPool,
        clock: &SharedClock,
        grant_id: Uuid,
    ) -> Result<()> {
        self.wait(grant_id).await?;
        db::settle(pool, grant_id, clock.now()).await?;
        self.forget(grant_id);
        Ok(())
    }

    /// Waits until nothing that was allowed by a grant can take effect. Its revocation is
    /// committed; or a move, which has an id of its own.
    ///
    /// # Errors
    /// As [`Self::settle`].
    pub(crate) async fn wait(&self, grant_id: Uuid) -> Result<()> {
        let now = Instant::now();
        let wait = self.left(grant_id, now);
        if deadline::left().is_some_and(|left| left < wait + REST) {
            return Err(Error::RevocationInProgress { wait });
        }
        tokio::time::sleep_until(now + wait).await;
        Ok(())
    }

    /// How long it takes yet, since it was first asked.
    fn left(&self, grant_id: Uuid, now: Instant) -> Duration {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, since| now.saturating_duration_since(*since) < REMEMBERED);
        let since = *known.entry(grant_id).or_insert(now);
        OVER_AFTER.saturating_sub(now.saturating_duration_since(since))
    }

    /// It is noted elsewhere that it is over.
    fn forget(&self, grant_id: Uuid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&grant_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRANT: Uuid = Uuid::from_u128(1);

    #[test]
    fn time_runs_from_when_it_was_known_and_not_from_each_question() {
        let endings = Endings::default();
        let begin = Instant::now();
        let left = |ms| endings.left(GRANT, begin + Duration::from_millis(ms));
        assert_eq!(left(0), OVER_AFTER);
        assert_eq!(left(2_000), OVER_AFTER - Duration::from_secs(2));
        assert_eq!((left(5_049), left(5_050)), (Duration::from_millis(1), Duration::ZERO));
        // Long ago is forgotten: waiting once more is never wrong.
        let minutes = REMEMBERED.as_secs() * 1000;
        assert_eq!((left(minutes - 1), left(minutes)), (Duration::ZERO, OVER_AFTER));
        endings.forget(GRANT);
        assert_eq!(left(minutes + 1_000), OVER_AFTER);
    }

    #[tokio::test]
    async fn a_call_without_the_time_is_told_at_once_how_long_it_takes() {
        let endings = Endings::default();
        let begin = Instant::now();
        let called = deadline::run(Duration::from_secs(5), endings.wait(GRANT)).await.unwrap();
        assert!(matches!(called, Err(Error::RevocationInProgress { wait }) if wait == OVER_AFTER));
        assert!(begin.elapsed() < Duration::from_secs(1));
    }
}
