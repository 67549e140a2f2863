//! Forgetting old counts.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use zhiyuan_domain::SharedClock;
use zhiyuan_rpc::chain;

use super::db;
use crate::error::Result;

/// Counts are kept for so long.
const KEPT: time::Duration = time::Duration::days(30);
/// Rows deleted in one statement.
const PURGE: i64 = 1_000;

/// Deletes what is older than 30 days at once and every `interval`, until `stop`.
///
/// # Errors
/// Never: what fails is tried again.
pub(crate) async fn purge(
    pool: PgPool,
    clock: SharedClock,
    interval: Duration,
    stop: CancellationToken,
) -> Result<()> {
    loop {
        if let Err(error) = purge_all(&pool, &clock).await {
            tracing::warn!(error = chain(&error), "failed to delete old counts of refusals");
        }
        if stop.run_until_cancelled(tokio::time::sleep(interval)).await.is_none() {
            return Ok(());
        }
    }
}

async fn purge_all(pool: &PgPool, clock: &SharedClock) -> Result<()> {
    while db::purge(pool, clock.now() - KEPT, PURGE).await? > 0 {}
    Ok(())
}
