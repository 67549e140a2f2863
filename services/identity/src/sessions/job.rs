use std::time::Duration as StdDuration;

use sqlx::PgPool;
use time::Duration;
use tokio_util::sync::CancellationToken;
use zhiyuan_rpc::chain;

use super::db;
use super::word::MATTERS;
use crate::clock::AgreedClock;
use crate::error::Result;

const EVERY: StdDuration = StdDuration::from_secs(600);

/// Deletes what is over until `stop`.
pub(crate) async fn purge(pool: PgPool, clock: AgreedClock, stop: CancellationToken) -> Result<()> {
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        if let Err(error) = purge_once(&pool, &clock).await {
            tracing::warn!(error = chain(&error), "sessions could not be purged");
        }
    }
    Ok(())
}

async fn purge_once(pool: &PgPool, clock: &AgreedClock) -> Result<()> {
    let mut conn = pool.acquire().await?;
    let now = clock.now(&mut conn).await?;
    // A process may read with a cursor that is some minutes old.
    db::purge(&mut conn, now, MATTERS + Duration::HOUR).await
}
