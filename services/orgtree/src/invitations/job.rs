//! Forgetting invitations that are over, and wrong codes.

use sqlx::PgPool;
use time::{Duration, OffsetDateTime};

use super::{db, wrong_codes};
use crate::error::Result;
use crate::forgetting::ROWS;

/// Invitations are kept for so long after they were made: all of them are over by then. The
/// grants and the audit stay.
const KEPT: Duration = Duration::days(180);
/// Counts of wrong codes are kept for so long.
const COUNTED: Duration = Duration::days(1);

/// Deletes what is older.
///
/// # Errors
/// Those of the database.
pub(crate) async fn forget(pool: &PgPool, now: OffsetDateTime) -> Result<()> {
    while db::purge(pool, now - KEPT, ROWS).await? > 0 {}
    while wrong_codes::db::purge(pool, now - COUNTED, ROWS).await? > 0 {}
    Ok(())
}
