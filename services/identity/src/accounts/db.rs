use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::Partition;

use super::Claim;
use crate::consents::Given;
use crate::error::{Error, Result};

/// A new account, its columns sealed.
#[derive(Debug)]
pub(crate) struct NewAccount<'a> {
    pub(crate) account_id: Uuid,
    pub(crate) enrolment_id: Uuid,
    pub(crate) level: i16,
    pub(crate) name: &'a [u8],
    pub(crate) id_number: &'a [u8],
    pub(crate) phone: &'a [u8],
    pub(crate) index_version: i16,
    pub(crate) phone_index: &'a [u8],
    pub(crate) password_hash: &'a str,
}

/// Claims a number for a new, inactive account: one row for each active index key.
/// The transaction is to be rolled back unless the claim is won.
#[tracing::instrument(name = "db.account.claim", skip_all)]
pub(crate) async fn claim(
    tx: &mut PgConnection,
    account: &NewAccount<'_>,
    number_indexes: &[(i16, [u8; 32])],
    consents: &[Given],
    now: OffsetDateTime,
) -> Result<Claim> {
    let partition = Partition::of(account.account_id).get();
    sqlx::query!(
        "INSERT INTO identity.account
             (partition, account_id, enrolment_id, state, level, name, id_number, phone,
              index_version, phone_index, password_hash, claimed_at)
         VALUES ($1, $2, $3, 'INACTIVE', $4, $5, $6, $7, $8, $9, $10, $11)",
        partition,
        account.account_id,
        account.enrolment_id,
        account.level,
        account.name,
        account.id_number,
        account.phone,
        account.index_version,
        account.phone_index,
        account.password_hash,
        now,
    )
    .execute(&mut *tx)
    .await?;
    for (version, index) in number_indexes {
        let inserted = sqlx::query!(
            "INSERT INTO identity.number (index_version, number_index, partition, account_id)
             VALUES ($1, $2, $3, $4) ON CONFLICT (index_version, number_index) DO NOTHING",
            version,
            index.as_slice(),
            partition,
            account.account_id,
        )
        .execute(&mut *tx)
        .await?;
        if inserted.rows_affected() == 0 {
            let account_id = owner(tx, *version, index).await?;
            return Ok(Claim::Taken { account_id });
        }
    }
    for given in consents {
        sqlx::query!(
            "INSERT INTO identity.consent (partition, account_id, purpose, version, given_at)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            partition,
            account.account_id,
            i16::try_from(i32::from(given.purpose.to_wire())).unwrap_or_default(),
            given.version,
            now,
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(Claim::Won)
}

async fn owner(tx: &mut PgConnection, version: i16, index: &[u8]) -> Result<Option<Uuid>> {
    Ok(sqlx::query_scalar!(
        "SELECT account_id FROM identity.number WHERE index_version = $1 AND number_index = $2",
        version,
        index,
    )
    .fetch_optional(tx)
    .await?)
}

/// Activates an account. Its revision and level, unless it is active already.
#[tracing::instrument(name = "db.account.activate", skip_all)]
pub(crate) async fn activate(
    tx: &mut PgConnection,
    account_id: Uuid,
    now: OffsetDateTime,
) -> Result<Option<(i64, i16)>> {
    let row = sqlx::query!(
        "UPDATE identity.account
         SET state = 'ACTIVE', activated_at = $3, revision = revision + 1
         WHERE partition = $1 AND account_id = $2 AND state = 'INACTIVE'
         RETURNING revision, level",
        Partition::of(account_id).get(),
        account_id,
        now,
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| (row.revision, row.level)))
}

/// Deletes an account that never became active, and frees its number.
#[tracing::instrument(name = "db.account.delete_inactive", skip_all)]
pub(crate) async fn delete_inactive(tx: &mut PgConnection, account_id: Uuid) -> Result<()> {
    let done = sqlx::query!(
        "DELETE FROM identity.account
         WHERE partition = $1 AND account_id = $2 AND state = 'INACTIVE'",
        Partition::of(account_id).get(),
        account_id,
    )
    .execute(tx)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(Error::Inconsistent("identity.account")) }
}

/// What of an account is needed to tell whose it is.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) active: bool,
    pub(crate) name: Vec<u8>,
    pub(crate) phone: Vec<u8>,
    pub(crate) index_version: i16,
    pub(crate) phone_index: Vec<u8>,
}

/// Finds an account.
#[tracing::instrument(name = "db.account.find", skip_all)]
pub(crate) async fn find(conn: &mut PgConnection, account_id: Uuid) -> Result<Option<Holder>> {
    Ok(sqlx::query_as!(
        Holder,
        r#"SELECT state = 'ACTIVE' AS "active!", name, phone, index_version, phone_index
           FROM identity.account WHERE partition = $1 AND account_id = $2"#,
        Partition::of(account_id).get(),
        account_id,
    )
    .fetch_optional(conn)
    .await?)
}
