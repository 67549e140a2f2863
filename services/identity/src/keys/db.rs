use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::{Error, Result};

/// The advisory lock under which the set of active index keys is read (shared) and
/// changed (exclusive). Any number that nobody else uses in this database.
const INDEX_KEYS_LOCK: i64 = 0x7a79_6964_0001;

/// Versions of the active index keys, newest last, held until the transaction ends.
#[tracing::instrument(name = "db.index_key.lock_active", skip_all)]
pub(crate) async fn lock_active_index_keys(tx: &mut PgConnection) -> Result<Vec<i16>> {
    sqlx::query!("SELECT pg_advisory_xact_lock_shared($1)", INDEX_KEYS_LOCK)
        .fetch_one(&mut *tx)
        .await?;
    active(tx).await
}

/// The newest active version, for new rows, and for failed checks, which count for a day.
#[tracing::instrument(name = "db.index_key.newest", skip_all)]
pub(crate) async fn newest_index_key(conn: &mut PgConnection) -> Result<i16> {
    active(conn).await?.last().copied().ok_or(Error::Inconsistent("identity.index_key"))
}

/// Versions of the active index keys, newest last: a look-up tries all of them.
#[tracing::instrument(name = "db.index_key.active", skip_all)]
pub(crate) async fn active_index_keys(conn: &mut PgConnection) -> Result<Vec<i16>> {
    let versions = active(conn).await?;
    if versions.is_empty() { Err(Error::Inconsistent("identity.index_key")) } else { Ok(versions) }
}

async fn active(conn: &mut PgConnection) -> Result<Vec<i16>> {
    Ok(sqlx::query_scalar!("SELECT version FROM identity.index_key WHERE active ORDER BY version")
        .fetch_all(conn)
        .await?)
}

/// On the very first start the newest configured index key becomes the active one.
/// Later changes are a rotation, not a matter of configuration.
#[tracing::instrument(name = "db.index_key.begin", skip_all)]
pub(crate) async fn begin_index_keys(
    tx: &mut PgConnection,
    newest: i16,
    now: OffsetDateTime,
) -> Result<Vec<i16>> {
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", INDEX_KEYS_LOCK).fetch_one(&mut *tx).await?;
    sqlx::query!(
        "INSERT INTO identity.index_key (version, active, created_at)
         SELECT $1, true, $2 WHERE NOT EXISTS (SELECT FROM identity.index_key)",
        newest,
        now,
    )
    .execute(&mut *tx)
    .await?;
    active(tx).await
}

/// Stores a wrapped data key unless there is one, or there was one that was
/// destroyed.
#[tracing::instrument(name = "db.data_key.insert", skip_all)]
pub(crate) async fn insert_data_key(
    conn: &mut PgConnection,
    subject: Uuid,
    kek: i16,
    wrapped: &[u8],
    now: OffsetDateTime,
) -> std::result::Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO keys.data_key (subject, kek, wrapped, created_at)
         SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT FROM keys.destroyed WHERE subject = $1)
         ON CONFLICT (subject) DO NOTHING",
        subject,
        kek,
        wrapped,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Destroys a data key, while nobody makes one for the subject, and remembers that it was.
#[tracing::instrument(name = "db.data_key.destroy", skip_all)]
pub(crate) async fn destroy_data_key(
    tx: &mut PgConnection,
    subject: Uuid,
    now: OffsetDateTime,
) -> std::result::Result<(), sqlx::Error> {
    lock_subject(tx, subject).await?;
    destroy_data_keys(tx, &[subject], now).await
}

/// Stores wrapped data keys of people on rosters, whose ids nobody had before; how many were
/// stored, as one that is there or was destroyed is not.
#[tracing::instrument(name = "db.data_key.insert_held", skip_all)]
pub(crate) async fn insert_held_keys(
    tx: &mut PgConnection,
    subjects: &[Uuid],
    keks: &[i16],
    wrapped: &[Vec<u8>],
    now: OffsetDateTime,
) -> std::result::Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "INSERT INTO keys.data_key (subject, kek, wrapped, created_at, held_since)
         SELECT subject, kek, wrapped, 'infinity', $4
         FROM unnest($1::uuid[], $2::smallint[], $3::bytea[]) AS new (subject, kek, wrapped)
         WHERE NOT EXISTS (SELECT FROM keys.destroyed d WHERE d.subject = new.subject)
         ON CONFLICT (subject) DO NOTHING",
        subjects,
        keks,
        wrapped,
        now,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// The wrapped data keys of those of the subjects that have one.
#[tracing::instrument(name = "db.data_key.find_many", skip_all)]
pub(crate) async fn find_data_keys(
    conn: &mut PgConnection,
    subjects: &[Uuid],
) -> std::result::Result<Vec<(Uuid, i16, Vec<u8>)>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT subject, kek, wrapped FROM keys.data_key WHERE subject = ANY($1)",
        subjects,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.subject, row.kek, row.wrapped)).collect())
}

/// Destroys data keys of subjects of whom nobody makes one at the same time, and remembers it.
/// The tombstone comes first: an insert that runs at the same time meets it or is deleted.
#[tracing::instrument(name = "db.data_key.destroy_many", skip_all)]
pub(crate) async fn destroy_data_keys(
    tx: &mut PgConnection,
    subjects: &[Uuid],
    now: OffsetDateTime,
) -> std::result::Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO keys.destroyed (subject, destroyed_at)
         SELECT subject, $2 FROM unnest($1::uuid[]) AS subject ORDER BY subject
         ON CONFLICT (subject) DO NOTHING",
        subjects,
        now,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!("DELETE FROM keys.data_key WHERE subject = ANY($1)", subjects).execute(tx).await?;
    Ok(())
}

/// Serializes the making and the destroying of one subject's key.
#[tracing::instrument(name = "db.data_key.lock", skip_all)]
pub(crate) async fn lock_subject(
    tx: &mut PgConnection,
    subject: Uuid,
) -> std::result::Result<(), sqlx::Error> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended($1::text, 1))",
        subject.to_string()
    )
    .fetch_one(tx)
    .await?;
    Ok(())
}

/// Subjects of keys made before then, in id order: for the sweep of keys that
/// belong to nobody.
#[tracing::instrument(name = "db.data_key.page", skip_all)]
pub(crate) async fn page_subjects(
    conn: &mut PgConnection,
    after: Uuid,
    before: OffsetDateTime,
    limit: i64,
) -> std::result::Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT subject FROM keys.data_key
         WHERE subject > $1 AND coalesce(held_since, created_at) < $2
         ORDER BY subject LIMIT $3",
        after,
        before,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Those of the subjects that are no account that goes on, no applicant, nobody on a roster, no
/// roster, no queued notice and no signing key.
#[tracing::instrument(name = "db.data_key.without_owner", skip_all)]
pub(crate) async fn without_owner(conn: &mut PgConnection, subjects: &[Uuid]) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar!(
        r#"SELECT subject AS "subject!" FROM unnest($1::uuid[]) AS subject
           WHERE NOT EXISTS (SELECT FROM identity.account a
                             WHERE a.partition = (get_byte(uuid_send(subject), 15) & 63)
                               AND a.account_id = subject AND a.state <> 'CLOSED')
             AND NOT EXISTS (SELECT FROM identity.roster_person p
                             WHERE p.partition = (get_byte(uuid_send(subject), 15) & 63)
                               AND p.person_id = subject)
             AND NOT EXISTS (SELECT FROM identity.roster_file f WHERE f.key_id = subject)
             AND NOT EXISTS (SELECT FROM identity.enrolment e
                             WHERE e.account_id = subject
                               AND e.state IN ('ACCEPTED', 'PENDING', 'REVIEW'))
             AND NOT EXISTS (SELECT FROM identity.notice n
                             WHERE n.notice_id = subject AND n.state = 'QUEUED')
             AND NOT EXISTS (SELECT FROM identity.signing_key s
                             WHERE s.signing_key_id = subject)"#,
        subjects,
    )
    .fetch_all(conn)
    .await?)
}
