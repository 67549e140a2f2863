use std::time::Duration as StdDuration;

use sqlx::PgPool;
use time::Duration;
use tokio_util::sync::CancellationToken;
use zhiyuan_domain::SharedClock;
use zhiyuan_rpc::chain;

use super::db;
use super::word::MATTERS;
use crate::error::Result;

const EVERY: StdDuration = StdDuration::from_secs(600);

/// Deletes what is over until `stop`.
pub(crate) async fn purge(pool: PgPool, clock: SharedClock, stop: CancellationToken) -> Result<()> {
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        if let Err(error) = purge_once(&pool, &clock).await {
            tracing::warn!(error = chain(&error), "sessions could not be purged");
        }
    }
    Ok(())
}

async fn purge_once(pool: &PgPool, clock: &SharedClock) -> Result<()> {
    let now = clock.now();
    // A process may read with a cursor that is some minutes old.
    db::purge(&mut *pool.acquire().await?, now, now - MATTERS - Duration::HOUR).await
}
