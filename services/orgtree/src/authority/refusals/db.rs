//! The SQL of refusals.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::Result;

/// Counts a refused change; tells how many it were within the hour.
#[tracing::instrument(name = "db.refusal.count", skip_all)]
pub(super) async fn count(
    transaction: &mut PgConnection,
    caller: Uuid,
    now: OffsetDateTime,
) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        "INSERT INTO orgtree.refusal AS r (caller, hour, refused)
         VALUES ($1, date_trunc('hour', $2::timestamptz, 'UTC'), 1)
         ON CONFLICT (caller, hour) DO UPDATE SET refused = r.refused + 1
         RETURNING refused",
        caller,
        now,
    )
    .fetch_one(transaction)
    .await?)
}

/// Deletes up to `limit` counts that are older; tells how many.
#[tracing::instrument(name = "db.refusal.purge", skip_all)]
pub(super) async fn purge(pool: &PgPool, before: OffsetDateTime, limit: i64) -> Result<u64> {
    let result = sqlx::query!(
        "DELETE FROM orgtree.refusal WHERE (caller, hour) IN
             (SELECT caller, hour FROM orgtree.refusal WHERE hour < $1 ORDER BY hour LIMIT $2)",
        before,
        limit,
    )
    .execute(pool)
    .await?;
    Ok(result.rows_affected())
}
