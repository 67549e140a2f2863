//! The SQL of commands that were carried out.

use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use zhiyuan_domain::Partition;

use super::Command;
use crate::error::Result;

/// How a command is known again.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) digest: Vec<u8>,
    pub(crate) digest_version: i16,
}

/// Finds what was carried out under the id of a command.
#[tracing::instrument(name = "db.request.find", skip_all)]
pub(crate) async fn find(
    executor: impl PgExecutor<'_>,
    command: &Command,
) -> Result<Option<Known>> {
    let caller = command.caller.as_uuid();
    Ok(sqlx::query_as!(
        Known,
        "SELECT digest, digest_version FROM registration.request
         WHERE partition = $1 AND caller = $2 AND method = $3 AND request_id = $4",
        Partition::of(caller).get(),
        caller,
        command.method,
        command.request_id.as_uuid(),
    )
    .fetch_optional(executor)
    .await?)
}

/// Stores that a command is carried out; `false` if there is one under its id.
#[tracing::instrument(name = "db.request.insert", skip_all)]
pub(crate) async fn insert(
    transaction: &mut PgConnection,
    command: &Command,
    known: &Known,
    now: OffsetDateTime,
) -> Result<bool> {
    let caller = command.caller.as_uuid();
    let done = sqlx::query!(
        "INSERT INTO registration.request
             (partition, caller, method, request_id, digest, digest_version, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        Partition::of(caller).get(),
        caller,
        command.method,
        command.request_id.as_uuid(),
        known.digest,
        known.digest_version,
        now,
    )
    .execute(transaction)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes commands that are known no longer, oldest first; returns how many.
#[tracing::instrument(name = "db.request.delete_old", skip_all)]
pub(crate) async fn delete_old(
    executor: impl PgExecutor<'_>,
    before: OffsetDateTime,
    limit: i64,
) -> Result<u64> {
    let result = sqlx::query!(
        "DELETE FROM registration.request WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM registration.request
             WHERE created_at < $1 ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
        before,
        limit,
    )
    .execute(executor)
    .await?;
    Ok(result.rows_affected())
}
