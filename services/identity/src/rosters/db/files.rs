//! The SQL of uploaded files.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::Result;

/// An uploaded file.
#[derive(Debug, Clone, Copy)]
pub(in crate::rosters) struct File {
    /// The subject of the data key; `None` of one that was deleted.
    pub(in crate::rosters) key_id: Option<Uuid>,
    pub(in crate::rosters) expire_at: OffsetDateTime,
}

/// Finds a file.
#[tracing::instrument(name = "db.roster_file.find", skip_all)]
pub(in crate::rosters) async fn find(
    conn: &mut PgConnection,
    file_id: Uuid,
) -> Result<Option<File>> {
    Ok(sqlx::query_as!(
        File,
        "SELECT key_id, expire_at FROM identity.roster_file WHERE file_id = $1",
        file_id,
    )
    .fetch_optional(conn)
    .await?)
}

/// Keeps a file from being deleted until the transaction ends; the subject of its data key,
/// unless it was deleted.
#[tracing::instrument(name = "db.roster_file.hold", skip_all)]
pub(in crate::rosters) async fn hold(tx: &mut PgConnection, file_id: Uuid) -> Result<Option<Uuid>> {
    let key_id = sqlx::query_scalar!(
        "SELECT key_id FROM identity.roster_file WHERE file_id = $1 FOR SHARE",
        file_id,
    )
    .fetch_optional(tx)
    .await?;
    Ok(key_id.flatten())
}

/// Begins a file; `false` if it was begun, or deleted, before.
#[tracing::instrument(name = "db.roster_file.insert", skip_all)]
pub(in crate::rosters) async fn insert(
    conn: &mut PgConnection,
    file_id: Uuid,
    key_id: Uuid,
    expire_at: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO identity.roster_file (file_id, key_id, created_at, expire_at)
         VALUES ($1, $2, $3, $4) ON CONFLICT (file_id) DO NOTHING",
        file_id,
        key_id,
        now,
        expire_at,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Stores a piece; `false` if one is there.
#[tracing::instrument(name = "db.roster_piece.insert", skip_all)]
pub(in crate::rosters) async fn insert_piece(
    tx: &mut PgConnection,
    file_id: Uuid,
    index: i16,
    data: &[u8],
) -> Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO identity.roster_piece (file_id, index, data) VALUES ($1, $2, $3)
         ON CONFLICT (file_id, index) DO NOTHING",
        file_id,
        index,
        data,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A piece, sealed, of a file that is not over.
#[tracing::instrument(name = "db.roster_piece.find", skip_all)]
pub(in crate::rosters) async fn piece(
    conn: &mut PgConnection,
    file_id: Uuid,
    index: i16,
    now: OffsetDateTime,
) -> Result<Option<(Uuid, Vec<u8>)>> {
    let row = sqlx::query!(
        r#"SELECT f.key_id AS "key_id!", p.data
           FROM identity.roster_file f JOIN identity.roster_piece p USING (file_id)
           WHERE f.file_id = $1 AND p.index = $2 AND f.deleted_at IS NULL AND f.expire_at > $3"#,
        file_id,
        index,
        now,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.key_id, row.data)))
}

/// Deletes a file with its pieces, and leaves a tombstone, of one that is not known too. The
/// subject of the data key, which is to be destroyed.
#[tracing::instrument(name = "db.roster_file.delete", skip_all)]
pub(in crate::rosters) async fn delete(
    tx: &mut PgConnection,
    file_id: Uuid,
    now: OffsetDateTime,
) -> Result<Option<Uuid>> {
    sqlx::query!(
        "INSERT INTO identity.roster_file (file_id, created_at, expire_at, deleted_at)
         VALUES ($1, $2, $2, $2) ON CONFLICT (file_id) DO NOTHING",
        file_id,
        now,
    )
    .execute(&mut *tx)
    .await?;
    let key_id = sqlx::query_scalar!(
        "SELECT key_id FROM identity.roster_file WHERE file_id = $1 FOR UPDATE",
        file_id,
    )
    .fetch_one(&mut *tx)
    .await?;
    if key_id.is_some() {
        sqlx::query!("DELETE FROM identity.roster_piece WHERE file_id = $1", file_id)
            .execute(&mut *tx)
            .await?;
        sqlx::query!(
            "UPDATE identity.roster_file SET key_id = NULL, deleted_at = $2 WHERE file_id = $1",
            file_id,
            now,
        )
        .execute(tx)
        .await?;
    }
    Ok(key_id)
}

/// Files whose time is over, the first ones.
#[tracing::instrument(name = "db.roster_file.due", skip_all)]
pub(in crate::rosters) async fn due(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar!(
        "SELECT file_id FROM identity.roster_file
         WHERE deleted_at IS NULL AND expire_at <= $1 ORDER BY expire_at LIMIT $2",
        now,
        limit,
    )
    .fetch_all(conn)
    .await?)
}

/// Deletes tombstones that no late piece is expected at any more.
#[tracing::instrument(name = "db.roster_file.purge", skip_all)]
pub(in crate::rosters) async fn purge(
    conn: &mut PgConnection,
    deleted_before: OffsetDateTime,
) -> Result<()> {
    sqlx::query!("DELETE FROM identity.roster_file WHERE deleted_at < $1", deleted_before)
        .execute(conn)
        .await?;
    Ok(())
}
