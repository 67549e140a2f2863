//! Gives positions to what was committed.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use zhiyuan_domain::SharedClock;
use zhiyuan_rpc::chain;

use crate::config::FeedConfig;
use crate::error::Error;
use crate::writer_db;

/// Commits that come together are sequenced together: a pass, and all that follows it in
/// the services that listen, costs as much for one event as for twenty.
const DEBOUNCE: Duration = Duration::from_millis(15);

/// One of any number of sequencers of a schema; whoever gets the lock makes the pass.
#[derive(Debug)]
pub(crate) struct Sequencer {
    pub(crate) pool: PgPool,
    pub(crate) schema: &'static str,
    pub(crate) config: FeedConfig,
    pub(crate) clock: SharedClock,
    /// Rung after commits.
    pub(crate) woken: Arc<Notify>,
    /// Rung after passes that moved something.
    pub(crate) moved: Arc<Notify>,
}

/// What a pass did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Another process is at it.
    Elsewhere,
    /// There was nothing to do, and nothing to say yet.
    Idle,
    /// So many events were given positions.
    Moved(i64),
}

impl Sequencer {
    /// Makes passes until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.pass().await {
                Ok(Pass::Moved(moved)) => {
                    self.moved.notify_one();
                    if moved >= self.config.pass {
                        continue;
                    }
                }
                Ok(Pass::Elsewhere | Pass::Idle) => {}
                Err(error @ Error::Skew { .. }) => {
                    tracing::error!(error = chain(&error), "nothing is sequenced: mend the clock");
                }
                Err(error) => tracing::warn!(error = chain(&error), "failed to sequence"),
            }
            tokio::select! {
                () = self.woken.notified() => tokio::time::sleep(DEBOUNCE).await,
                () = tokio::time::sleep(self.config.poll()) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// One pass, one transaction.
    ///
    /// # Errors
    /// `Skew`, and those of the database; nothing was moved then.
    pub(crate) async fn pass(&self) -> Result<Pass, Error> {
        let mut transaction = self.pool.begin().await?;
        if !writer_db::try_lead(&mut transaction, self.schema).await? {
            return Ok(Pass::Elsewhere);
        }
        let (watermark, there, waiting) = writer_db::times(&mut transaction, self.schema).await?;
        let here = self.clock.now();
        let skew = here - there;
        if skew.unsigned_abs() > Duration::from_millis(self.config.max_skew_ms) {
            // Dropped, it would hold the lock for a moment longer.
            transaction.rollback().await?;
            return Err(Error::Skew { seconds: skew.whole_seconds() });
        }
        // With several processes the watermark need not be told by each of them.
        if !waiting && here >= watermark && here - watermark < self.config.poll() / 2 {
            transaction.rollback().await?;
            return Ok(Pass::Idle);
        }
        let stamp = stamp(here, watermark);
        let moved = if waiting {
            writer_db::sequence(&mut transaction, self.schema, stamp, self.config.pass).await?
        } else {
            0
        };
        writer_db::set_watermark(&mut transaction, self.schema, stamp).await?;
        transaction.commit().await?;
        Ok(if moved == 0 { Pass::Idle } else { Pass::Moved(moved) })
    }
}

/// The clock, to the microsecond that the database keeps, but later than the stamp of
/// the pass before.
fn stamp(now: OffsetDateTime, before: OffsetDateTime) -> OffsetDateTime {
    let now = now.replace_nanosecond(now.nanosecond() / 1000 * 1000).unwrap_or(now);
    now.max(before + Duration::from_micros(1))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_stamp_is_later_than_the_one_before_whatever_the_clock_says() {
        let before = datetime!(2026-11-24 0:00:00.000005 UTC);
        let now = datetime!(2026-11-24 0:00:01.123456789 UTC);
        assert_eq!(stamp(now, before), datetime!(2026-11-24 0:00:01.123456 UTC));
        for now in
            [before, before - Duration::from_secs(3600), datetime!(2026-11-24 0:00:00.0000059 UTC)]
        {
            assert_eq!(stamp(now, before), datetime!(2026-11-24 0:00:00.000006 UTC));
        }
    }
}
