use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Stored, Term};
use crate::error::Result;

/// One process makes a key at a time. Any number that nobody else uses in this database.
const LOCK: i64 = 0x7a79_6964_0002;

/// Waits until no other process makes a key.
#[tracing::instrument(name = "db.signing_key.lock", skip_all)]
pub(crate) async fn lock(tx: &mut PgConnection) -> Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", LOCK).fetch_one(tx).await?;
    Ok(())
}

/// The keys whose tokens count, oldest first.
#[tracing::instrument(name = "db.signing_key.list", skip_all)]
pub(crate) async fn list(conn: &mut PgConnection, now: OffsetDateTime) -> Result<Vec<Stored>> {
    let rows = sqlx::query!(
        "SELECT signing_key_id, public_key, seed, use_at, retire_at FROM identity.signing_key
         WHERE expire_at > $1 ORDER BY use_at, signing_key_id",
        now,
    )
    .fetch_all(conn)
    .await?;
    let keys = rows.into_iter().map(|row| Stored {
        id: row.signing_key_id,
        public_key: row.public_key,
        seed: row.seed,
        term: Term { use_at: row.use_at, retire_at: row.retire_at },
    });
    Ok(keys.collect())
}

/// Stores a new key.
#[tracing::instrument(name = "db.signing_key.insert", skip_all)]
pub(crate) async fn insert(tx: &mut PgConnection, key: &Stored, now: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "INSERT INTO identity.signing_key
             (signing_key_id, public_key, seed, created_at, use_at, retire_at, expire_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        key.id,
        key.public_key,
        key.seed,
        now,
        key.term.use_at,
        key.term.retire_at,
        key.term.expire_at(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Deletes the keys whose tokens don't count any more; their ids.
#[tracing::instrument(name = "db.signing_key.delete_expired", skip_all)]
pub(crate) async fn delete_expired(
    conn: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar!(
        "DELETE FROM identity.signing_key WHERE expire_at <= $1 RETURNING signing_key_id",
        now,
    )
    .fetch_all(conn)
    .await?)
}
