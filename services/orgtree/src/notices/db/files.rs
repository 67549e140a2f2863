//! The SQL of files and of the keys that they are signed by.

use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::error::Result;
use crate::notices::document::Format;

/// A file with its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::notices) struct File {
    pub(in crate::notices) content: Vec<u8>,
    pub(in crate::notices) key_id: String,
    pub(in crate::notices) signature: Vec<u8>,
}

#[tracing::instrument(name = "db.notice_file.insert", skip_all)]
pub(in crate::notices) async fn insert_file(
    transaction: &mut PgConnection,
    id: Uuid,
    whole: bool,
    format: Format,
    file: &File,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO orgtree.notice_file (notice_id, whole, format, content, key_id, signature)
         VALUES ($1, $2, $3, $4, $5, $6)",
        id,
        whole,
        format.number(),
        file.content,
        file.key_id,
        file.signature,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

#[tracing::instrument(name = "db.notice_file.find", skip_all)]
pub(in crate::notices) async fn find_file(
    executor: impl PgExecutor<'_>,
    id: Uuid,
    whole: bool,
    format: Format,
) -> Result<Option<File>> {
    Ok(sqlx::query_as!(
        File,
        "SELECT content, key_id, signature FROM orgtree.notice_file
         WHERE notice_id = $1 AND whole = $2 AND format = $3",
        id,
        whole,
        format.number(),
    )
    .fetch_optional(executor)
    .await?)
}

/// Keeps a public key for ever, if it is not kept yet.
#[tracing::instrument(name = "db.notice_key.insert", skip_all)]
pub(in crate::notices) async fn insert_key(
    executor: impl PgExecutor<'_>,
    key_id: &str,
    public_key: &[u8],
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO orgtree.notice_key (key_id, public_key) VALUES ($1, $2)
         ON CONFLICT DO NOTHING",
        key_id,
        public_key,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Keys after one of them, by id.
#[tracing::instrument(name = "db.notice_key.list", skip_all)]
pub(in crate::notices) async fn keys(
    executor: impl PgExecutor<'_>,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<(String, Vec<u8>)>> {
    let rows = sqlx::query!(
        "SELECT key_id, public_key FROM orgtree.notice_key
         WHERE $1::text IS NULL OR key_id > $1 ORDER BY key_id LIMIT $2",
        after,
        limit,
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(|row| (row.key_id, row.public_key)).collect())
}
