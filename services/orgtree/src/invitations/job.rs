//! Forgetting invitations that are over, and wrong codes.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use zhiyuan_domain::SharedClock;
use zhiyuan_rpc::chain;

use super::{db, wrong_codes};
use crate::error::Result;

/// Invitations are kept for so long after they were made: all of them are over by then. The
/// grants and the audit stay.
const KEPT: time::Duration = time::Duration::days(180);
/// Counts of wrong codes are kept for so long.
const COUNTED: time::Duration = time::Duration::days(1);
/// Rows deleted in one statement.
const PURGE: i64 = 1_000;

/// Deletes what is older at once and every `interval`, until `stop`.
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
            tracing::warn!(error = chain(&error), "failed to delete old invitations");
        }
        if stop.run_until_cancelled(tokio::time::sleep(interval)).await.is_none() {
            return Ok(());
        }
    }
}

async fn purge_all(pool: &PgPool, clock: &SharedClock) -> Result<()> {
    while db::purge(pool, clock.now() - KEPT, PURGE).await? > 0 {}
    while wrong_codes::db::purge(pool, clock.now() - COUNTED, PURGE).await? > 0 {}
    Ok(())
}
