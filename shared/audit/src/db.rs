//! The SQL of the audit.

use sqlx::{FromRow, PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::canonical::{Content, Hash};
use crate::record::Record;
use crate::statement::sql;

pub(crate) async fn append(
    transaction: &mut PgConnection,
    schema: &'static str,
    at: OffsetDateTime,
    record: &Record,
    trace_id: Option<String>,
    lease_ends_at: Option<OffsetDateTime>,
) -> Result<(), sqlx::Error> {
    let (keys, values): (Vec<&str>, Vec<&str>) =
        record.details.iter().map(|(key, value)| (*key, value.as_str())).unzip();
    sqlx::query(sql(
        "INSERT INTO {s}.audit_pending ({content}, lease_ends_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        schema,
    ))
    .bind(at)
    .bind(record.actor.kind())
    .bind(record.actor.name())
    .bind(record.action)
    .bind(record.subject.map(|subject| subject.as_uuid()))
    .bind(record.organization.as_deref())
    .bind(record.purpose.as_deref())
    .bind(record.outcome.name())
    .bind(keys)
    .bind(values)
    .bind(trace_id)
    .bind(lease_ends_at)
    .execute(transaction)
    .await
    .map(drop)
}

/// The time by the clock of the database, as it goes on within a transaction too.
pub(crate) async fn time(transaction: &mut PgConnection) -> Result<OffsetDateTime, sqlx::Error> {
    sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(transaction).await
}

/// The role that a session was opened with.
pub(crate) async fn session_user(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    sqlx::query_scalar("SELECT session_user::text").fetch_one(connection).await
}

/// What is known without taking a lock.
#[derive(Debug, Clone, Copy, FromRow)]
pub(crate) struct Outlook {
    /// Whether anything is to be sealed.
    pub(crate) pending: bool,
    /// How long the chain is.
    pub(crate) size: i64,
    /// How long it was when it was signed last.
    pub(crate) signed_size: i64,
    pub(crate) signed_at: Option<OffsetDateTime>,
}

pub(crate) async fn outlook(
    executor: impl PgExecutor<'_>,
    schema: &'static str,
) -> Result<Outlook, sqlx::Error> {
    sqlx::query_as(sql(
        "SELECT EXISTS (SELECT FROM {s}.audit_pending) AS pending,
                coalesce((SELECT max(index) FROM {s}.audit_entry), 0) AS size,
                coalesce(h.size, 0) AS signed_size, h.signed_at
         FROM (VALUES (1)) AS one
         LEFT JOIN (SELECT size, signed_at FROM {s}.audit_head ORDER BY size DESC LIMIT 1) h
             ON true",
        schema,
    ))
    .fetch_one(executor)
    .await
}

/// Takes the lock that makes this transaction the only sealer; the first statement of a
/// pass, so that what it reads afterwards holds all that the one before committed.
pub(crate) async fn try_lead(
    transaction: &mut PgConnection,
    schema: &'static str,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(hashtextextended($1 || '.audit', 0))")
        .bind(schema)
        .fetch_one(transaction)
        .await
}

/// What was committed and is not sealed yet.
#[derive(Debug, FromRow)]
pub(crate) struct PendingRow {
    pub(crate) seq: i64,
    #[sqlx(flatten)]
    pub(crate) content: Content,
}

pub(crate) async fn pending(
    transaction: &mut PgConnection,
    schema: &'static str,
    limit: i64,
) -> Result<Vec<PendingRow>, sqlx::Error> {
    sqlx::query_as(sql(
        "SELECT seq, {content} FROM {s}.audit_pending ORDER BY seq LIMIT $1",
        schema,
    ))
    .bind(limit)
    .fetch_all(transaction)
    .await
}

/// The places that pending records are given in the chain, column by column.
#[derive(Debug, Default)]
pub(crate) struct Places {
    pub(crate) seqs: Vec<i64>,
    pub(crate) indexes: Vec<i64>,
    pub(crate) previous: Vec<Hash>,
    pub(crate) hashes: Vec<Hash>,
}

/// Moves records to their places; tells how many.
pub(crate) async fn seal(
    transaction: &mut PgConnection,
    schema: &'static str,
    places: &Places,
) -> Result<u64, sqlx::Error> {
    let previous: Vec<&[u8]> = places.previous.iter().map(<[u8; 32]>::as_slice).collect();
    let hashes: Vec<&[u8]> = places.hashes.iter().map(<[u8; 32]>::as_slice).collect();
    let done = sqlx::query(sql(
        "WITH taken AS (
             DELETE FROM {s}.audit_pending WHERE seq = ANY ($1) RETURNING *
         )
         INSERT INTO {s}.audit_entry (index, previous_hash, hash, {content})
         SELECT p.index, p.previous_hash, p.hash, {content}
         FROM taken
         JOIN unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bytea[])
              AS p (seq, index, previous_hash, hash) USING (seq)
         ORDER BY p.index",
        schema,
    ))
    .bind(&places.seqs)
    .bind(&places.indexes)
    .bind(previous)
    .bind(hashes)
    .execute(transaction)
    .await?;
    Ok(done.rows_affected())
}

/// A sealed entry as it is stored.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct EntryRow {
    pub(crate) index: i64,
    pub(crate) previous_hash: Vec<u8>,
    pub(crate) hash: Vec<u8>,
    #[sqlx(flatten)]
    pub(crate) content: Content,
}

/// The entries from one index to another, both included.
pub(crate) async fn entries(
    executor: impl PgExecutor<'_>,
    schema: &'static str,
    from: i64,
    to: i64,
) -> Result<Vec<EntryRow>, sqlx::Error> {
    sqlx::query_as(sql(
        "SELECT index, previous_hash, hash, {content} FROM {s}.audit_entry
         WHERE index BETWEEN $1 AND $2 ORDER BY index",
        schema,
    ))
    .bind(from)
    .bind(to)
    .fetch_all(executor)
    .await
}

/// The index and the hash of the last entry.
pub(crate) async fn last(
    executor: impl PgExecutor<'_>,
    schema: &'static str,
) -> Result<Option<(i64, Vec<u8>)>, sqlx::Error> {
    sqlx::query_as(sql(
        "SELECT index, hash FROM {s}.audit_entry ORDER BY index DESC LIMIT 1",
        schema,
    ))
    .fetch_optional(executor)
    .await
}

/// The index of the first entry from an index on, wherever it is.
pub(crate) async fn next_index(
    executor: impl PgExecutor<'_>,
    schema: &'static str,
    from: i64,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar(sql("SELECT min(index) FROM {s}.audit_entry WHERE index >= $1", schema))
        .bind(from)
        .fetch_one(executor)
        .await
}

/// Where the entry stands that names this hash as that of the one before. Reads the whole
/// table: only for a chain that is broken.
pub(crate) async fn follower_of(
    executor: impl PgExecutor<'_>,
    schema: &'static str,
    hash: &[u8],
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar(sql(
        "SELECT min(index) FROM {s}.audit_entry WHERE previous_hash = $1",
        schema,
    ))
    .bind(hash)
    .fetch_one(executor)
    .await
}

/// A signed head as it is stored.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct HeadRow {
    pub(crate) size: i64,
    pub(crate) hash: Vec<u8>,
    pub(crate) signed_at: OffsetDateTime,
    pub(crate) previous_size: i64,
    pub(crate) key_id: String,
    pub(crate) signature: Vec<u8>,
}

pub(crate) async fn insert_head(
    transaction: &mut PgConnection,
    schema: &'static str,
    head: &HeadRow,
) -> Result<(), sqlx::Error> {
    sqlx::query(sql(
        "INSERT INTO {s}.audit_head (size, hash, signed_at, previous_size, key_id, signature)
         VALUES ($1, $2, $3, $4, $5, $6)",
        schema,
    ))
    .bind(head.size)
    .bind(&head.hash)
    .bind(head.signed_at)
    .bind(head.previous_size)
    .bind(&head.key_id)
    .bind(&head.signature)
    .execute(transaction)
    .await
    .map(drop)
}

/// The heads of sizes from one to another, both included.
pub(crate) async fn heads(
    executor: impl PgExecutor<'_>,
    schema: &'static str,
    from: i64,
    to: i64,
) -> Result<Vec<HeadRow>, sqlx::Error> {
    sqlx::query_as(sql(
        "SELECT size, hash, signed_at, previous_size, key_id, signature FROM {s}.audit_head
         WHERE size BETWEEN $1 AND $2 ORDER BY size",
        schema,
    ))
    .bind(from)
    .bind(to)
    .fetch_all(executor)
    .await
}

/// The longest heads, at most so many.
pub(crate) async fn longest_heads(
    executor: impl PgExecutor<'_>,
    schema: &'static str,
    limit: i64,
) -> Result<Vec<HeadRow>, sqlx::Error> {
    sqlx::query_as(sql(
        "SELECT size, hash, signed_at, previous_size, key_id, signature FROM {s}.audit_head
         ORDER BY size DESC LIMIT $1",
        schema,
    ))
    .bind(limit)
    .fetch_all(executor)
    .await
}

/// What was done to one person: an entry, or what is pending and has no index yet.
#[derive(Debug, FromRow)]
pub(crate) struct SubjectRow {
    pub(crate) index: Option<i64>,
    #[sqlx(flatten)]
    pub(crate) content: Content,
}

/// In one statement: a record on its way from one table to the other is in one of both.
pub(crate) async fn by_subject(
    connection: &mut PgConnection,
    schema: &'static str,
    subject: Uuid,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<SubjectRow>, sqlx::Error> {
    sqlx::query_as(sql(
        "(SELECT NULL::bigint AS index, {content} FROM {s}.audit_pending
          WHERE $2::bigint IS NULL AND subject_account_id = $1 ORDER BY seq DESC LIMIT $3)
         UNION ALL
         (SELECT index, {content} FROM {s}.audit_entry
          WHERE subject_account_id = $1 AND index < coalesce($2, 9223372036854775807)
          ORDER BY index DESC LIMIT $3)",
        schema,
    ))
    .bind(subject)
    .bind(before)
    .bind(limit)
    .fetch_all(connection)
    .await
}
