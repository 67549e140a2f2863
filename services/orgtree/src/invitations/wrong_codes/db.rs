//! The SQL of wrong codes.

use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{OF_ALL, OF_ONE, until_next_hour};
use crate::error::Result;
use crate::invitations::Fault;

/// Counts a code as wrong, before it is looked up: of many that come at once no more are looked
/// at than may be wrong.
///
/// # Errors
/// [`Fault::CodesWrong`] if there were too many within the hour.
#[tracing::instrument(name = "db.wrong_code.count", skip_all)]
pub(in crate::invitations) async fn count(
    pool: &PgPool,
    caller: Uuid,
    now: OffsetDateTime,
) -> Result<()> {
    let of_all = sqlx::query_scalar!(
        r#"SELECT coalesce(sum(wrong), 0)::bigint AS "wrong!" FROM orgtree.wrong_code
           WHERE hour = date_trunc('hour', $1::timestamptz, 'UTC')"#,
        now,
    )
    .fetch_one(pool)
    .await?;
    let refused = || Fault::CodesWrong { wait: until_next_hour(now) };
    if of_all >= OF_ALL {
        tracing::warn!(wrong = of_all, "codes of invitations are being tried out");
        return Err(refused().into());
    }
    let counted = sqlx::query_scalar!(
        "INSERT INTO orgtree.wrong_code AS w (caller, hour, wrong)
         VALUES ($1, date_trunc('hour', $2::timestamptz, 'UTC'), 1)
         ON CONFLICT (caller, hour) DO UPDATE SET wrong = w.wrong + 1 WHERE w.wrong < $3
         RETURNING wrong",
        caller,
        now,
        OF_ONE,
    )
    .fetch_optional(pool)
    .await?;
    Ok(counted.map(|_| ()).ok_or_else(refused)?)
}

/// It was none.
#[tracing::instrument(name = "db.wrong_code.take_back", skip_all)]
pub(in crate::invitations) async fn take_back(
    pool: &PgPool,
    caller: Uuid,
    counted_at: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE orgtree.wrong_code SET wrong = wrong - 1
         WHERE caller = $1 AND hour = date_trunc('hour', $2::timestamptz, 'UTC') AND wrong > 0",
        caller,
        counted_at,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Deletes up to `limit` counts that are older; tells how many.
#[tracing::instrument(name = "db.wrong_code.purge", skip_all)]
pub(in crate::invitations) async fn purge(
    pool: &PgPool,
    before: OffsetDateTime,
    limit: i64,
) -> Result<u64> {
    let result = sqlx::query!(
        "DELETE FROM orgtree.wrong_code WHERE (caller, hour) IN
             (SELECT caller, hour FROM orgtree.wrong_code WHERE hour < $1 ORDER BY hour LIMIT $2)",
        before,
        limit,
    )
    .execute(pool)
    .await?;
    Ok(result.rows_affected())
}
