//! The SQL of a feed that is written and served.

use sqlx::{FromRow, PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::outbox::NewEvent;
use crate::statement::sql;

pub(crate) async fn append(
    transaction: &mut PgConnection,
    schema: &'static str,
    events: &[NewEvent],
) -> Result<(), sqlx::Error> {
    let partitions: Vec<i16> = events.iter().map(|event| event.partition).collect();
    let keys: Vec<&str> = events.iter().map(|event| event.key.as_str()).collect();
    let revisions: Vec<i64> = events.iter().map(|event| event.revision).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    let payloads: Vec<&[u8]> = events.iter().map(|event| event.payload.as_slice()).collect();
    let places = events.iter().map(|event| event.places.as_ref());
    let before: Vec<Option<&str>> =
        places.clone().map(|places| places.map(|(before, _)| before.as_str())).collect();
    let after: Vec<Option<&str>> =
        places.map(|places| places.map(|(_, after)| after.as_str())).collect();
    sqlx::query(sql(
        "INSERT INTO {s}.outbox
             (partition, key, revision, type, payload, place_before, place_after)
         SELECT partition, key, revision, type, payload, place_before, place_after
         FROM unnest($1::smallint[], $2::text[], $3::bigint[], $4::text[], $5::bytea[],
                     $6::text[], $7::text[])
              WITH ORDINALITY
              AS new (partition, key, revision, type, payload, place_before, place_after, n)
         ORDER BY n",
        schema,
    ))
    .bind(partitions)
    .bind(keys)
    .bind(revisions)
    .bind(kinds)
    .bind(payloads)
    .bind(before)
    .bind(after)
    .execute(transaction)
    .await
    .map(drop)
}

/// Takes the lock that makes this transaction the only sequencer; the first statement
/// of a pass, so that what it reads afterwards holds all that the one before committed.
pub(crate) async fn try_lead(
    transaction: &mut PgConnection,
    schema: &'static str,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(hashtextextended($1 || '.outbox', 0))")
        .bind(schema)
        .fetch_one(transaction)
        .await
}

/// As [`try_lead`], but waits for it.
pub(crate) async fn lead(
    transaction: &mut PgConnection,
    schema: &'static str,
) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1 || '.outbox', 0))")
        .bind(schema)
        .execute(transaction)
        .await
        .map(drop)
}

/// The watermark, the database's clock, and whether anything waits in the outbox.
pub(crate) async fn times(
    transaction: &mut PgConnection,
    schema: &'static str,
) -> Result<(OffsetDateTime, OffsetDateTime, bool), sqlx::Error> {
    sqlx::query_as(sql(
        "SELECT watermark, clock_timestamp(), EXISTS (SELECT FROM {s}.outbox)
         FROM {s}.feed_watermark",
        schema,
    ))
    .fetch_one(transaction)
    .await
}

/// Gives the next positions to what is visible in the outbox, and tells to how many.
pub(crate) async fn sequence(
    transaction: &mut PgConnection,
    schema: &'static str,
    stamp: OffsetDateTime,
    limit: i64,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(sql(
        "WITH taken AS (
             DELETE FROM {s}.outbox
             WHERE seq IN (SELECT seq FROM {s}.outbox ORDER BY seq LIMIT $2)
             RETURNING seq, partition, event_id, key, revision, type, payload, place_before,
                       place_after
         ), placed AS (
             SELECT t.partition, t.event_id, t.key, t.revision, t.type, t.payload,
                    t.place_before, t.place_after,
                    coalesce(h.position, 0) + row_number() OVER w AS position,
                    coalesce(lag(t.event_id) OVER w, h.event_id) AS previous_event_id
             FROM taken t LEFT JOIN {s}.feed_head h USING (partition)
             WINDOW w AS (PARTITION BY t.partition ORDER BY t.seq)
         ), inserted AS (
             INSERT INTO {s}.event (partition, position, event_id, previous_event_id,
                                    sequenced_at, key, revision, type, payload,
                                    place_before, place_after)
             SELECT partition, position, event_id, previous_event_id, $1, key, revision, type,
                    payload, place_before, place_after
             FROM placed
         ), heads AS (
             INSERT INTO {s}.feed_head (partition, position, event_id, previous_event_id)
             SELECT DISTINCT ON (partition) partition, position, event_id, previous_event_id
             FROM placed ORDER BY partition, position DESC
             ON CONFLICT (partition) DO UPDATE
             SET position = excluded.position, event_id = excluded.event_id,
                 previous_event_id = excluded.previous_event_id
         )
         SELECT count(*) FROM placed",
        schema,
    ))
    .bind(stamp)
    .bind(limit)
    .fetch_one(transaction)
    .await
}

pub(crate) async fn set_watermark(
    transaction: &mut PgConnection,
    schema: &'static str,
    stamp: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query(sql("UPDATE {s}.feed_watermark SET watermark = $1", schema))
        .bind(stamp)
        .execute(transaction)
        .await
        .map(drop)
}

/// A head as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub(crate) struct HeadRow {
    pub(crate) partition: i16,
    pub(crate) position: i64,
    pub(crate) event_id: Uuid,
    pub(crate) previous_event_id: Option<Uuid>,
}

#[derive(FromRow)]
struct HeadsRow {
    watermark: OffsetDateTime,
    partition: Option<i16>,
    position: Option<i64>,
    event_id: Option<Uuid>,
    previous_event_id: Option<Uuid>,
}

/// The watermark and the heads that belong to it: one statement, one snapshot.
pub(crate) async fn heads(
    executor: impl PgExecutor<'_>,
    schema: &'static str,
) -> Result<(OffsetDateTime, Vec<HeadRow>), sqlx::Error> {
    let rows: Vec<HeadsRow> = sqlx::query_as(sql(
        "SELECT w.watermark, h.partition, h.position, h.event_id, h.previous_event_id
         FROM {s}.feed_watermark w LEFT JOIN {s}.feed_head h ON true",
        schema,
    ))
    .fetch_all(executor)
    .await?;
    let watermark = rows.first().map(|row| row.watermark).ok_or(sqlx::Error::RowNotFound)?;
    let heads = rows.into_iter().filter_map(|row| {
        Some(HeadRow {
            partition: row.partition?,
            position: row.position?,
            event_id: row.event_id?,
            previous_event_id: row.previous_event_id,
        })
    });
    Ok((watermark, heads.collect()))
}

/// The head of one partition.
pub(crate) async fn head(
    executor: impl PgExecutor<'_>,
    schema: &'static str,
    partition: i16,
) -> Result<Option<HeadRow>, sqlx::Error> {
    sqlx::query_as(sql(
        "SELECT partition, position, event_id, previous_event_id FROM {s}.feed_head
         WHERE partition = $1",
        schema,
    ))
    .bind(partition)
    .fetch_optional(executor)
    .await
}

/// What the service knows of the place that a cursor names.
#[derive(Debug, FromRow)]
pub(crate) struct Place {
    pub(crate) partition: i16,
    pub(crate) position: i64,
    pub(crate) head: i64,
    pub(crate) trimmed_to: i64,
    /// The event at the position.
    pub(crate) found: Option<Uuid>,
    /// What the event after it says of it.
    pub(crate) told_by_next: Option<Uuid>,
}

pub(crate) async fn places(
    executor: impl PgExecutor<'_>,
    schema: &'static str,
    partitions: &[i16],
    positions: &[i64],
) -> Result<Vec<Place>, sqlx::Error> {
    sqlx::query_as(sql(
        "SELECT c.partition, c.position, coalesce(h.position, 0) AS head,
                coalesce(h.trimmed_to, 0) AS trimmed_to, e.event_id AS found,
                n.previous_event_id AS told_by_next
         FROM unnest($1::smallint[], $2::bigint[]) AS c (partition, position)
         LEFT JOIN {s}.feed_head h ON h.partition = c.partition
         LEFT JOIN {s}.event e ON e.partition = c.partition AND e.position = c.position
         LEFT JOIN {s}.event n ON n.partition = c.partition AND n.position = c.position + 1",
        schema,
    ))
    .bind(partitions)
    .bind(positions)
    .fetch_all(executor)
    .await
}

/// An event as it is stored.
#[derive(Debug, FromRow)]
pub(crate) struct EventRow {
    pub(crate) partition: i16,
    pub(crate) position: i64,
    pub(crate) event_id: Uuid,
    pub(crate) previous_event_id: Option<Uuid>,
    pub(crate) sequenced_at: OffsetDateTime,
    pub(crate) key: String,
    pub(crate) revision: i64,
    #[sqlx(rename = "type")]
    pub(crate) kind: String,
    pub(crate) payload: Vec<u8>,
    /// Absent where it is not known, and where it was not asked for.
    pub(crate) place_before: Option<String>,
    pub(crate) place_after: Option<String>,
}

/// The next events of partitions, each from `after` to `upto`; with their places, if they are
/// asked for.
pub(crate) async fn events(
    executor: impl PgExecutor<'_>,
    schema: &'static str,
    partitions: &[i16],
    after: &[i64],
    upto: &[i64],
    (limit, with_places): (i64, bool),
) -> Result<Vec<EventRow>, sqlx::Error> {
    sqlx::query_as(sql(
        "SELECT e.partition, e.position, e.event_id, e.previous_event_id, e.sequenced_at, e.key,
                e.revision, e.type, e.payload, CASE WHEN $5 THEN e.place_before END AS place_before,
                CASE WHEN $5 THEN e.place_after END AS place_after
         FROM unnest($1::smallint[], $2::bigint[], $3::bigint[]) AS c (partition, after, upto)
         CROSS JOIN LATERAL (
             SELECT * FROM {s}.event
             WHERE event.partition = c.partition AND event.position > c.after
               AND event.position <= c.upto
             ORDER BY event.position LIMIT $4
         ) e
         LIMIT $4",
        schema,
    ))
    .bind(partitions)
    .bind(after)
    .bind(upto)
    .bind(limit)
    .bind(with_places)
    .fetch_all(executor)
    .await
}

/// Notes who follows from where.
pub(crate) async fn note_follower(
    executor: impl PgExecutor<'_>,
    schema: &'static str,
    follower: &str,
    partitions: &[i16],
    positions: &[i64],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query(sql(
        "INSERT INTO {s}.feed_follower (follower, partition, position, seen_at)
         SELECT $1, partition, position, $4
         FROM unnest($2::smallint[], $3::bigint[]) AS c (partition, position)
         ORDER BY partition
         ON CONFLICT (follower, partition) DO UPDATE
         SET position = excluded.position, seen_at = excluded.seen_at",
        schema,
    ))
    .bind(follower)
    .bind(partitions)
    .bind(positions)
    .bind(now)
    .execute(executor)
    .await
    .map(drop)
}

/// Forgets followers that have not been seen since a time.
pub(crate) async fn forget_followers(
    transaction: &mut PgConnection,
    schema: &'static str,
    since: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query(sql("DELETE FROM {s}.feed_follower WHERE seen_at < $1", schema))
        .bind(since)
        .execute(transaction)
        .await
        .map(drop)
}

/// Deletes events that every follower has passed and that are older than `keep`, and
/// those older than `retention`; never the last one of a partition. Tells how many.
pub(crate) async fn trim(
    transaction: &mut PgConnection,
    schema: &'static str,
    keep: OffsetDateTime,
    retention: OffsetDateTime,
    limit: i64,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(sql(
        "WITH passed AS (
             SELECT partition, min(position) AS position FROM {s}.feed_follower GROUP BY partition
         ), old AS (
             SELECT e.partition, e.position
             FROM {s}.feed_head h LEFT JOIN passed p ON p.partition = h.partition
             CROSS JOIN LATERAL (
                 SELECT * FROM {s}.event
                 WHERE event.partition = h.partition AND event.position > h.trimmed_to
                   AND event.position < h.position
                 ORDER BY event.position LIMIT $3
             ) e
             WHERE e.sequenced_at < $2 OR (e.sequenced_at < $1 AND e.position <= p.position)
         ), gone AS (
             DELETE FROM {s}.event USING old
             WHERE event.partition = old.partition AND event.position = old.position
         ), noted AS (
             UPDATE {s}.feed_head SET trimmed_to = o.position
             FROM (SELECT partition, max(position) AS position FROM old GROUP BY partition) o
             WHERE feed_head.partition = o.partition
         )
         SELECT count(*) FROM old",
        schema,
    ))
    .bind(keep)
    .bind(retention)
    .bind(limit)
    .fetch_one(transaction)
    .await
}

/// Wakes the other processes of the service, in a transaction of its own: commits with
/// a `NOTIFY` go one after the other.
pub(crate) async fn notify(
    executor: impl PgExecutor<'_>,
    channel: &str,
    process: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_notify($1, $2)")
        .bind(channel)
        .bind(process.to_string())
        .execute(executor)
        .await
        .map(drop)
}
