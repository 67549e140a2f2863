//! The time, as long as this process and the database agree on it.
//!
//! Who deletes, or tells that something is over, by a clock that is ahead, does so for every
//! process: what is gone is gone. So whatever can't be taken back asks here, and waits for an
//! operator while the clocks are apart.

use std::time::Duration;

use sqlx::PgConnection;
use time::OffsetDateTime;
use zhiyuan_domain::SharedClock;

use crate::error::{Error, Result};

/// The clock of this process, compared with the database's.
#[derive(Debug, Clone)]
pub(crate) struct AgreedClock {
    clock: SharedClock,
    most: Duration,
}

impl AgreedClock {
    /// `most`: how far the clocks may be apart.
    pub(crate) fn new(clock: SharedClock, most: Duration) -> Self {
        Self { clock, most }
    }

    /// The time.
    ///
    /// # Errors
    /// `ClockOff`, when the clocks are apart.
    #[tracing::instrument(name = "db.clock", skip_all)]
    pub(crate) async fn now(&self, conn: &mut PgConnection) -> Result<OffsetDateTime> {
        let there =
            sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(conn).await?;
        self.compare(there)
    }

    /// The time, for who has just read the database's by another statement.
    ///
    /// # Errors
    /// `ClockOff`, when the clocks are apart.
    pub(crate) fn compare(&self, there: OffsetDateTime) -> Result<OffsetDateTime> {
        let here = self.clock.now();
        let apart = here - there;
        if apart.unsigned_abs() > self.most {
            return Err(Error::ClockOff { seconds: apart.whole_seconds() });
        }
        Ok(here)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sqlx::PgPool;
    use zhiyuan_domain::{Clock as _, ManualClock, SystemClock};
    use zhiyuan_testkit::TestDatabase;

    use super::*;
    use crate::MIGRATOR;

    #[tokio::test]
    async fn a_minute_apart_is_borne_and_more_is_not_in_either_direction() {
        let database = TestDatabase::create("identity", &MIGRATOR).await;
        let pool = PgPool::connect(&database.runtime_url_of("identity")).await.unwrap();
        let mut conn = pool.acquire().await.unwrap();
        for (seconds, agreed) in [(0, true), (50, true), (-50, true), (70, false), (-70, false)] {
            let here = SystemClock.now() + time::Duration::seconds(seconds);
            let clock = AgreedClock::new(Arc::new(ManualClock::new(here)), Duration::from_secs(60));
            let now = clock.now(&mut conn).await;
            assert_eq!(now.is_ok(), agreed, "{seconds}");
            if let Err(error) = now {
                assert!(matches!(error, Error::ClockOff { .. }), "{error:?}");
            }
        }
    }
}
