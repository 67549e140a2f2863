//! The SQL of a feed that is followed.

use sqlx::{FromRow, PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::statement::sql;

/// Takes or keeps a slot; by the database's clock alone.
pub(super) async fn claim(
    executor: impl PgExecutor<'_>,
    schema: &'static str,
    feed: &str,
    slot: i16,
    holder: Uuid,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(sql(
        "INSERT INTO {s}.feed_slot AS s (feed, slot, holder, leased_until)
         VALUES ($1, $2, $3, clock_timestamp() + interval '15 s')
         ON CONFLICT (feed, slot) DO UPDATE
         SET holder = excluded.holder, leased_until = excluded.leased_until
         WHERE s.holder IS NULL OR s.holder = $3 OR s.leased_until < clock_timestamp()",
        schema,
    ))
    .bind(feed)
    .bind(slot)
    .bind(holder)
    .execute(executor)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Keeps the slot and adopts a watermark, if there is one; `false` if the slot is
/// another's.
pub(super) async fn adopt(
    executor: impl PgExecutor<'_>,
    schema: &'static str,
    feed: &str,
    slot: i16,
    holder: Uuid,
    watermark: Option<OffsetDateTime>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(sql(
        "UPDATE {s}.feed_slot
         SET watermark = greatest(watermark, $4), leased_until = clock_timestamp() + interval '15 s'
         WHERE feed = $1 AND slot = $2 AND holder = $3",
        schema,
    ))
    .bind(feed)
    .bind(slot)
    .bind(holder)
    .bind(watermark)
    .execute(executor)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives a slot back, so that another process need not wait.
pub(super) async fn release(
    executor: impl PgExecutor<'_>,
    schema: &'static str,
    feed: &str,
    slot: i16,
    holder: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query(sql(
        "UPDATE {s}.feed_slot SET holder = NULL WHERE feed = $1 AND slot = $2 AND holder = $3",
        schema,
    ))
    .bind(feed)
    .bind(slot)
    .bind(holder)
    .execute(executor)
    .await
    .map(drop)
}

/// The earliest watermark of all slots of all these feeds.
pub(super) async fn as_of(
    executor: impl PgExecutor<'_>,
    schema: &'static str,
    feeds: &[&str],
    slots: i16,
) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    let expected = feeds.len() as i64 * i64::from(slots);
    let (known, earliest): (i64, Option<OffsetDateTime>) = sqlx::query_as(sql(
        "SELECT count(watermark), min(watermark) FROM {s}.feed_slot
         WHERE feed = ANY($1) AND slot < $2",
        schema,
    ))
    .bind(feeds)
    .bind(slots)
    .fetch_one(executor)
    .await?;
    Ok(earliest.filter(|_| known == expected))
}

/// A cursor as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(super) struct CursorRow {
    pub(super) partition: i16,
    pub(super) position: i64,
    pub(super) event_id: Option<Uuid>,
    pub(super) stamped_to: Option<OffsetDateTime>,
    pub(super) rebuild_type: Option<String>,
    pub(super) rebuild_token: Option<String>,
    pub(super) rebuild_after: Option<String>,
    pub(super) rebuild_position: Option<i64>,
    pub(super) rebuild_event_id: Option<Uuid>,
    pub(super) scope_version: String,
}

/// Makes cursors that are not there yet: to be rebuilt first.
pub(super) async fn insert_missing(
    executor: impl PgExecutor<'_>,
    schema: &'static str,
    feed: &str,
    partitions: &[i16],
) -> Result<(), sqlx::Error> {
    sqlx::query(sql(
        "INSERT INTO {s}.feed_cursor (feed, partition, rebuild_type)
         SELECT $1, partition, '' FROM unnest($2::smallint[]) AS p (partition) ORDER BY partition
         ON CONFLICT (feed, partition) DO NOTHING",
        schema,
    ))
    .bind(feed)
    .bind(partitions)
    .execute(executor)
    .await
    .map(drop)
}

/// The cursors of these partitions.
pub(super) async fn cursors(
    executor: impl PgExecutor<'_>,
    schema: &'static str,
    feed: &str,
    partitions: &[i16],
) -> Result<Vec<CursorRow>, sqlx::Error> {
    sqlx::query_as(sql(
        "SELECT partition, position, event_id, stamped_to, rebuild_type, rebuild_token,
                rebuild_after, rebuild_position, rebuild_event_id, scope_version
         FROM {s}.feed_cursor WHERE feed = $1 AND partition = ANY($2) ORDER BY partition",
        schema,
    ))
    .bind(feed)
    .bind(partitions)
    .fetch_all(executor)
    .await
}

/// As [`cursors`], and locks them, in their order.
pub(super) async fn lock_cursors(
    transaction: &mut PgConnection,
    schema: &'static str,
    feed: &str,
    partitions: &[i16],
) -> Result<Vec<CursorRow>, sqlx::Error> {
    sqlx::query_as(sql(
        "SELECT partition, position, event_id, stamped_to, rebuild_type, rebuild_token,
                rebuild_after, rebuild_position, rebuild_event_id, scope_version
         FROM {s}.feed_cursor WHERE feed = $1 AND partition = ANY($2) ORDER BY partition FOR UPDATE",
        schema,
    ))
    .bind(feed)
    .bind(partitions)
    .fetch_all(transaction)
    .await
}

/// Moves cursors whose rows are locked.
pub(super) async fn move_cursors(
    transaction: &mut PgConnection,
    schema: &'static str,
    feed: &str,
    partitions: &[i16],
    positions: &[i64],
    event_ids: &[Uuid],
    stamps: &[OffsetDateTime],
) -> Result<(), sqlx::Error> {
    sqlx::query(sql(
        "UPDATE {s}.feed_cursor
         SET position = new.position, event_id = new.event_id,
             stamped_to = greatest(stamped_to, new.stamp)
         FROM unnest($2::smallint[], $3::bigint[], $4::uuid[], $5::timestamptz[])
              AS new (partition, position, event_id, stamp)
         WHERE feed_cursor.feed = $1 AND feed_cursor.partition = new.partition",
        schema,
    ))
    .bind(feed)
    .bind(partitions)
    .bind(positions)
    .bind(event_ids)
    .bind(stamps)
    .execute(transaction)
    .await
    .map(drop)
}

/// Has a partition read again from snapshots.
pub(super) async fn mark_for_rebuild(
    executor: impl PgExecutor<'_>,
    schema: &'static str,
    feed: &str,
    partition: i16,
) -> Result<(), sqlx::Error> {
    sqlx::query(sql(
        "UPDATE {s}.feed_cursor
         SET rebuild_type = '', rebuild_token = NULL, rebuild_after = NULL,
             rebuild_position = NULL, rebuild_event_id = NULL
         WHERE feed = $1 AND partition = $2",
        schema,
    ))
    .bind(feed)
    .bind(partition)
    .execute(executor)
    .await
    .map(drop)
}

/// Has those partitions read again from snapshots, also where that had begun, of which was told
/// by another scope than this; all, if it is not known.
pub(super) async fn mark_other_scopes(
    executor: impl PgExecutor<'_>,
    schema: &'static str,
    feed: &str,
    partitions: &[i16],
    version: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query(sql(
        "UPDATE {s}.feed_cursor
         SET rebuild_type = '', rebuild_token = NULL, rebuild_after = NULL,
             rebuild_position = NULL, rebuild_event_id = NULL
         WHERE feed = $1 AND partition = ANY($2) AND scope_version IS DISTINCT FROM $3",
        schema,
    ))
    .bind(feed)
    .bind(partitions)
    .bind(version)
    .execute(executor)
    .await
    .map(drop)
}

/// Stores a cursor whose row is locked.
pub(super) async fn set_cursor(
    transaction: &mut PgConnection,
    schema: &'static str,
    feed: &str,
    cursor: &CursorRow,
) -> Result<(), sqlx::Error> {
    sqlx::query(sql(
        "UPDATE {s}.feed_cursor
         SET position = $3, event_id = $4, rebuild_type = $5, rebuild_token = $6,
             rebuild_after = $7, rebuild_position = $8, rebuild_event_id = $9, stamped_to = $10,
             scope_version = $11
         WHERE feed = $1 AND partition = $2",
        schema,
    ))
    .bind(feed)
    .bind(cursor.partition)
    .bind(cursor.position)
    .bind(cursor.event_id)
    .bind(&cursor.rebuild_type)
    .bind(&cursor.rebuild_token)
    .bind(&cursor.rebuild_after)
    .bind(cursor.rebuild_position)
    .bind(cursor.rebuild_event_id)
    .bind(cursor.stamped_to)
    .bind(&cursor.scope_version)
    .execute(transaction)
    .await
    .map(drop)
}
