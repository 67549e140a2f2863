use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::Partition;

use super::{ExternalId, Found};
use crate::error::Result;
use crate::keys::Indexes;

/// More than share a phone: each of them is to read of the look-up.
const MOST: i64 = 16;

/// Who is registered with an ID number, under whichever key.
#[tracing::instrument(name = "db.look_up.of_number", skip_all)]
pub(crate) async fn of_number(conn: &mut PgConnection, number: &Indexes) -> Result<Vec<Found>> {
    Ok(sqlx::query_as!(
        Found,
        "SELECT DISTINCT a.account_id, a.level
         FROM unnest($1::smallint[], $2::bytea[]) AS k (version, hash)
         JOIN identity.number n ON n.index_version = k.version AND n.number_index = k.hash
         JOIN identity.account a USING (partition, account_id)
         WHERE a.state IN ('ACTIVE', 'DISABLED')
         ORDER BY a.account_id LIMIT $3",
        &number.versions,
        &number.indexes,
        MOST,
    )
    .fetch_all(conn)
    .await?)
}

/// Who is registered with a phone, under whichever key.
#[tracing::instrument(name = "db.look_up.of_phone", skip_all)]
pub(crate) async fn of_phone(conn: &mut PgConnection, phone: &Indexes) -> Result<Vec<Found>> {
    Ok(sqlx::query_as!(
        Found,
        "SELECT a.account_id, a.level
         FROM unnest($1::smallint[], $2::bytea[]) AS k (version, hash)
         JOIN identity.account a ON a.index_version = k.version AND a.phone_index = k.hash
         WHERE a.phone_attached AND a.state IN ('ACTIVE', 'DISABLED')
         ORDER BY a.account_id LIMIT $3",
        &phone.versions,
        &phone.indexes,
        MOST,
    )
    .fetch_all(conn)
    .await?)
}

/// Who is registered and has this id at a platform.
#[tracing::instrument(name = "db.look_up.of_external_id", skip_all)]
pub(crate) async fn of_external_id(
    conn: &mut PgConnection,
    platform: &str,
    external_id: &ExternalId,
) -> Result<Vec<Found>> {
    Ok(sqlx::query_as!(
        Found,
        "SELECT a.account_id, a.level
         FROM identity.external_id e JOIN identity.account a USING (partition, account_id)
         WHERE e.platform = $1 AND e.external_id = $2 AND a.state IN ('ACTIVE', 'DISABLED')",
        platform,
        external_id.as_str(),
    )
    .fetch_all(conn)
    .await?)
}

/// Counts one more look-up of a caller on a day; how many there are then. The row stays locked.
#[tracing::instrument(name = "db.look_up.count", skip_all)]
pub(crate) async fn count(tx: &mut PgConnection, caller: &str, day: i64) -> Result<i32> {
    Ok(sqlx::query_scalar!(
        "INSERT INTO identity.look_up_count AS c (caller, day, look_ups) VALUES ($1, $2, 1)
         ON CONFLICT (caller) DO UPDATE SET
             day = excluded.day,
             look_ups = 1 + CASE WHEN c.day = excluded.day THEN c.look_ups ELSE 0 END
         RETURNING look_ups",
        caller,
        day,
    )
    .fetch_one(tx)
    .await?)
}

/// Whether somebody is registered, who stays so until the transaction ends.
#[tracing::instrument(name = "db.look_up.lock", skip_all)]
pub(crate) async fn lock_registered(tx: &mut PgConnection, account_id: Uuid) -> Result<bool> {
    let found = sqlx::query_scalar!(
        "SELECT account_id FROM identity.account
         WHERE partition = $1 AND account_id = $2 AND state IN ('ACTIVE', 'DISABLED')
         FOR SHARE",
        Partition::of(account_id).get(),
        account_id,
    )
    .fetch_optional(tx)
    .await?;
    Ok(found.is_some())
}

/// Binds an id of a platform to an account, unless it is bound. Whether it was not.
#[tracing::instrument(name = "db.external_id.insert", skip_all)]
pub(crate) async fn bind(
    tx: &mut PgConnection,
    platform: &str,
    external_id: &ExternalId,
    account_id: Uuid,
    now: OffsetDateTime,
) -> Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO identity.external_id (platform, external_id, partition, account_id, bound_at)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (platform, external_id) DO NOTHING",
        platform,
        external_id.as_str(),
        Partition::of(account_id).get(),
        account_id,
        now,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whose an id of a platform is.
#[tracing::instrument(name = "db.external_id.owner", skip_all)]
pub(crate) async fn bound_to(
    tx: &mut PgConnection,
    platform: &str,
    external_id: &ExternalId,
) -> Result<Option<Uuid>> {
    Ok(sqlx::query_scalar!(
        "SELECT account_id FROM identity.external_id WHERE platform = $1 AND external_id = $2",
        platform,
        external_id.as_str(),
    )
    .fetch_optional(tx)
    .await?)
}

/// Frees an id of a platform; whose it was.
#[tracing::instrument(name = "db.external_id.delete", skip_all)]
pub(crate) async fn unbind(
    tx: &mut PgConnection,
    platform: &str,
    external_id: &ExternalId,
) -> Result<Option<Uuid>> {
    Ok(sqlx::query_scalar!(
        "DELETE FROM identity.external_id WHERE platform = $1 AND external_id = $2
         RETURNING account_id",
        platform,
        external_id.as_str(),
    )
    .fetch_optional(tx)
    .await?)
}
