//! Forgetting events that nobody needs any more.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use zhiyuan_domain::SharedClock;
use zhiyuan_rpc::chain;

use crate::config::FeedConfig;
use crate::writer_db;

const EVERY: Duration = Duration::from_secs(600);
/// Of one partition, in one transaction.
const CHUNK: i64 = 500;

/// Trims every ten minutes until `stop`.
pub(crate) async fn run(
    pool: PgPool,
    schema: &'static str,
    config: FeedConfig,
    clock: SharedClock,
    stop: CancellationToken,
) {
    loop {
        loop {
            match once(&pool, schema, &config, &clock).await {
                Ok(0) => break,
                Ok(_more) if stop.is_cancelled() => break,
                Ok(_more) => {}
                Err(error) => {
                    tracing::warn!(error = chain(&error), "failed to trim the feed");
                    break;
                }
            }
        }
        if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
            return;
        }
    }
}

/// Trims one chunk of each partition; tells how many events went.
pub(crate) async fn once(
    pool: &PgPool,
    schema: &'static str,
    config: &FeedConfig,
    clock: &SharedClock,
) -> Result<i64, sqlx::Error> {
    let now = clock.now();
    let keep = now - Duration::from_secs(u64::from(config.keep_hours) * 3600);
    let retention = now - Duration::from_secs(u64::from(config.retention_days) * 24 * 3600);
    let mut transaction = pool.begin().await?;
    // Not beside a pass: both write the heads.
    writer_db::lead(&mut transaction, schema).await?;
    writer_db::forget_followers(&mut transaction, schema, retention).await?;
    let trimmed = writer_db::trim(&mut transaction, schema, keep, retention, CHUNK).await?;
    transaction.commit().await?;
    Ok(trimmed)
}
