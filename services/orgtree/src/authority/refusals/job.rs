//! Forgetting old counts.

use sqlx::PgPool;
use time::{Duration, OffsetDateTime};

use super::db;
use crate::error::Result;
use crate::forgetting::ROWS;

/// Counts are kept for so long.
const KEPT: Duration = Duration::days(30);

/// Deletes what is older than 30 days.
///
/// # Errors
/// Those of the database.
pub(crate) async fn forget(pool: &PgPool, now: OffsetDateTime) -> Result<()> {
    while db::purge(pool, now - KEPT, ROWS).await? > 0 {}
    Ok(())
}
