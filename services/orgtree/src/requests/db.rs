//! The SQL of requests.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use super::Request;
use crate::error::{Error, Result};

/// The answer that a call had before; none if it is new.
///
/// # Errors
/// [`Error::RequestIdReused`] when the id came with another request.
#[tracing::instrument(name = "db.request.find", skip_all)]
pub(crate) async fn find_answer(
    transaction: &mut PgConnection,
    request: &Request,
) -> Result<Option<Vec<u8>>> {
    let row = sqlx::query!(
        "SELECT digest, answer FROM orgtree.request
         WHERE request_id = $1 AND caller = $2 AND method = $3",
        request.request_id.as_uuid(),
        request.caller,
        request.method,
    )
    .fetch_optional(transaction)
    .await?;
    match row {
        Some(row) if request.is(&row.digest) => Ok(Some(row.answer)),
        Some(_other) => Err(Error::RequestIdReused),
        None => Ok(None),
    }
}

/// Keeps the answer of a call, in the transaction of its effect.
#[tracing::instrument(name = "db.request.insert", skip_all)]
pub(crate) async fn insert(
    transaction: &mut PgConnection,
    request: &Request,
    answer: &[u8],
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO orgtree.request (caller, method, request_id, digest, answer, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        request.caller,
        request.method,
        request.request_id.as_uuid(),
        request.digest.as_slice(),
        answer,
        now,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Deletes up to `limit` calls that are older; tells how many.
#[tracing::instrument(name = "db.request.purge", skip_all)]
pub(super) async fn purge(pool: &PgPool, before: OffsetDateTime, limit: i64) -> Result<u64> {
    let result = sqlx::query!(
        "DELETE FROM orgtree.request WHERE (request_id, caller, method) IN
             (SELECT request_id, caller, method FROM orgtree.request
              WHERE created_at < $1 ORDER BY created_at LIMIT $2)",
        before,
        limit,
    )
    .execute(pool)
    .await?;
    Ok(result.rows_affected())
}
