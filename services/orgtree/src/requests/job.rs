//! Forgetting calls that nobody sends again any more.

use sqlx::PgPool;
use time::OffsetDateTime;

use super::{KEPT, db};
use crate::error::Result;
use crate::forgetting::ROWS;

/// Deletes what is older than 30 days.
///
/// # Errors
/// Those of the database.
pub(crate) async fn forget(pool: &PgPool, now: OffsetDateTime) -> Result<()> {
    while db::purge(pool, now - KEPT, ROWS).await? > 0 {}
    Ok(())
}
