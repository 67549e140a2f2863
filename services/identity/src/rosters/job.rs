//! Deletes rosters whose time is over.

use std::time::Duration as StdDuration;

use time::Duration;
use tokio_util::sync::CancellationToken;
use zhiyuan_rpc::chain;

use super::Rosters;
use super::db::{adoption, files};
use crate::clock::AgreedClock;
use crate::error::Result;

const BATCH: i64 = 32;
/// A piece that comes later than this after its file was deleted is that of another one.
const TOMBSTONE_KEPT: Duration = Duration::days(30);

/// Deletes what is over until `stop`.
pub(crate) async fn purge(
    rosters: Rosters,
    clock: AgreedClock,
    every: StdDuration,
    stop: CancellationToken,
) -> Result<()> {
    while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        if let Err(error) = pass(&rosters, &clock).await {
            tracing::warn!(error = chain(&error), "rosters could not be deleted");
        }
    }
    Ok(())
}

async fn pass(rosters: &Rosters, clock: &AgreedClock) -> Result<()> {
    let mut conn = rosters.pool.acquire().await?;
    let now = clock.now(&mut conn).await?;
    files::purge(&mut conn, now - TOMBSTONE_KEPT).await?;
    adoption::purge(&mut conn).await?;
    let due = files::due(&mut conn, now, BATCH).await?;
    drop(conn);
    for file_id in due {
        rosters.delete_file(file_id).await?;
    }
    Ok(())
}
