//! Destroys data keys that belong to nobody: their subject was refused or discarded
//! and the process died before the key went, or it was never stored at all.

use std::sync::Arc;
use std::time::Duration as StdDuration;

use sqlx::PgPool;
use time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use zhiyuan_crypto::keys::KeyStore as _;
use zhiyuan_domain::SharedClock;
use zhiyuan_rpc::chain;

use super::{PostgresKeyStore, db};
use crate::error::Result;

const EVERY: StdDuration = StdDuration::from_secs(3600);
const BATCH: i64 = 500;
/// A key is made a moment before what it belongs to; a day is more than a moment.
const YOUNG: Duration = Duration::days(1);

/// Destroys keys of nobody until `stop`.
pub(crate) async fn sweep(
    pool: PgPool,
    store: Arc<PostgresKeyStore>,
    clock: SharedClock,
    stop: CancellationToken,
) -> Result<()> {
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        match sweep_once(&pool, &store, &clock).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "data keys of nobody were destroyed"),
            Err(error) => tracing::warn!(error = chain(&error), "the sweep of data keys failed"),
        }
    }
    Ok(())
}

/// One pass over all keys; tells how many were destroyed.
pub(crate) async fn sweep_once(
    pool: &PgPool,
    store: &PostgresKeyStore,
    clock: &SharedClock,
) -> Result<usize> {
    let before = clock.now() - YOUNG;
    let mut after = Uuid::nil();
    let mut destroyed = 0;
    loop {
        let subjects = store.page(after, before, BATCH).await?;
        let Some(last) = subjects.last() else { return Ok(destroyed) };
        after = *last;
        let orphans = db::without_owner(&mut *pool.acquire().await?, &subjects).await?;
        for subject in orphans {
            store.destroy(subject).await?;
            destroyed += 1;
        }
    }
}
