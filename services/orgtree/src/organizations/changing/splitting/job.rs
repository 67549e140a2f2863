//! Forgetting whom to ask at parts that nobody has approved in time.

use sqlx::PgPool;
use time::OffsetDateTime;

use super::db;
use crate::error::Result;

/// Forgets it of all proposals whose time is over.
///
/// # Errors
/// Those of the database.
pub(crate) async fn forget(pool: &PgPool, now: OffsetDateTime) -> Result<()> {
    db::forget_over(pool, now).await
}
