//! The SQL of cuts.

use sqlx::{FromRow, PgConnection, PgExecutor};
use time::OffsetDateTime;

use super::Cut;
use crate::statement::sql;

/// Waits for all effects that are on their way, and keeps others from beginning.
pub(super) async fn alone(
    transaction: &mut PgConnection,
    schema: &'static str,
) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1 || '.feed_cut', 0))")
        .bind(schema)
        .execute(transaction)
        .await
        .map(drop)
}

/// Keeps cuts from being opened and taken until the transaction ends, and tells the time
/// after which events are held back, if a cut is open.
pub(crate) async fn hold(
    transaction: &mut PgConnection,
    schema: &'static str,
) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock_shared(hashtextextended($1 || '.feed_cut', 0))")
        .bind(schema)
        .execute(&mut *transaction)
        .await?;
    // A statement of its own: its snapshot is taken under the lock.
    open(transaction, schema).await
}

/// The database's clock: every process that plans and takes cuts has the same one.
pub(crate) async fn now(executor: impl PgExecutor<'_>) -> Result<OffsetDateTime, sqlx::Error> {
    sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(executor).await
}

/// The earliest open cut.
pub(crate) async fn open(
    executor: impl PgExecutor<'_>,
    schema: &'static str,
) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    sqlx::query_scalar(sql("SELECT min(at) FROM {s}.feed_cut WHERE taken_at IS NULL", schema))
        .fetch_one(executor)
        .await
}

/// The earliest open cut, if its time has come.
pub(super) async fn due(
    executor: impl PgExecutor<'_>,
    schema: &'static str,
) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    sqlx::query_scalar(sql(
        "SELECT min(at) FROM {s}.feed_cut WHERE taken_at IS NULL AND at <= clock_timestamp()",
        schema,
    ))
    .fetch_one(executor)
    .await
}

/// Opens a cut, unless that is too late, or too early for a clock that is right.
pub(super) async fn plan(
    transaction: &mut PgConnection,
    schema: &'static str,
    at: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(sql(
        "INSERT INTO {s}.feed_cut (at)
         SELECT $1::timestamptz
         WHERE $1 < clock_timestamp() + interval '2 days'
           AND NOT EXISTS (SELECT FROM {s}.feed_cut WHERE at >= $1)
           AND NOT EXISTS (SELECT FROM {s}.feed_cursor WHERE stamped_to > $1)",
        schema,
    ))
    .bind(at)
    .execute(transaction)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Where the readers are, seen from a cut.
#[derive(Debug, FromRow)]
pub(super) struct State {
    /// Every slot of every feed has applied everything up to it, and none is being read
    /// from snapshots.
    pub(super) passed: bool,
    /// Something that may be stamped later was applied.
    pub(super) beyond: bool,
}

pub(super) async fn state(
    transaction: &mut PgConnection,
    schema: &'static str,
    feeds: &[&str],
    slots: i16,
    at: OffsetDateTime,
) -> Result<State, sqlx::Error> {
    let expected = feeds.len() as i64 * i64::from(slots);
    sqlx::query_as(sql(
        "SELECT (SELECT count(*) FROM {s}.feed_slot
                 WHERE feed = ANY($1) AND slot < $2 AND watermark >= $3) = $4
                AND NOT EXISTS (SELECT FROM {s}.feed_cursor
                                WHERE feed = ANY($1) AND rebuild_type IS NOT NULL) AS passed,
                EXISTS (SELECT FROM {s}.feed_cursor
                        WHERE feed = ANY($1) AND stamped_to > $3) AS beyond",
        schema,
    ))
    .bind(feeds)
    .bind(slots)
    .bind(at)
    .bind(expected)
    .fetch_one(transaction)
    .await
}

pub(super) async fn take(
    transaction: &mut PgConnection,
    schema: &'static str,
    at: OffsetDateTime,
    exact: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query(sql(
        "UPDATE {s}.feed_cut SET taken_at = clock_timestamp(), exact = $2
         WHERE at = $1 AND taken_at IS NULL",
        schema,
    ))
    .bind(at)
    .bind(exact)
    .execute(transaction)
    .await
    .map(drop)
}

pub(super) async fn current(
    transaction: &mut PgConnection,
    schema: &'static str,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(sql(
        "SELECT coalesce(max(cut_id), 0) FROM {s}.feed_cut WHERE taken_at IS NOT NULL",
        schema,
    ))
    .fetch_one(transaction)
    .await
}

pub(super) async fn find(
    executor: impl PgExecutor<'_>,
    schema: &'static str,
    at: OffsetDateTime,
) -> Result<Option<Cut>, sqlx::Error> {
    sqlx::query_as(sql(
        "SELECT cut_id, exact FROM {s}.feed_cut WHERE at = $1 AND taken_at IS NOT NULL",
        schema,
    ))
    .bind(at)
    .fetch_optional(executor)
    .await
}
