use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::Partition;

use super::Claim;
use crate::consents::{self, NewEntry};
use crate::error::{Error, Result};
use crate::keys::Indexes;
use crate::rosters::db::adoption;

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
    /// Whose number it is, of somebody on a roster whose row is locked.
    pub(crate) person_id: Option<Uuid>,
}

/// Claims a number for a new, inactive account: one row for each active index key.
/// The transaction is to be rolled back unless the claim is won.
#[tracing::instrument(name = "db.account.claim", skip_all)]
pub(crate) async fn claim(
    tx: &mut PgConnection,
    account: &NewAccount<'_>,
    number_indexes: &[(i16, [u8; 32])],
    consents: &[NewEntry],
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
    if let Some(person_id) = account.person_id {
        adoption::hand_over(&mut *tx, person_id, account.account_id).await?;
    }
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
            let holder = owner(tx, *version, index).await?;
            // It was handed over.
            if holder != Some(account.account_id) {
                return Ok(Claim::Taken { account_id: holder });
            }
        }
    }
    consents::db::insert(tx, account.account_id, consents, now).await?;
    Ok(Claim::Won)
}

/// Whose number it is: an account's, or that of somebody on a roster.
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

/// Raises the revision of an account, whose row is locked, for something that is told of it.
#[tracing::instrument(name = "db.account.raise_revision", skip_all)]
pub(crate) async fn raise_revision(tx: &mut PgConnection, account_id: Uuid) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        "UPDATE identity.account SET revision = revision + 1
         WHERE partition = $1 AND account_id = $2 RETURNING revision",
        Partition::of(account_id).get(),
        account_id,
    )
    .fetch_one(tx)
    .await?)
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
    /// Whether it is an account, and not on the way to become one.
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
        r#"SELECT state IN ('ACTIVE', 'DISABLED') AS "active!", name AS "name!",
                  phone AS "phone!", index_version, phone_index AS "phone_index!"
           FROM identity.account
           WHERE partition = $1 AND account_id = $2 AND state <> 'CLOSED'"#,
        Partition::of(account_id).get(),
        account_id,
    )
    .fetch_optional(conn)
    .await?)
}

/// Locks an account, and tells whether somebody can be signed in to it.
#[tracing::instrument(name = "db.account.lock_active", skip_all)]
pub(crate) async fn lock_active(tx: &mut PgConnection, account_id: Uuid) -> Result<bool> {
    let state = sqlx::query_scalar!(
        "SELECT state FROM identity.account WHERE partition = $1 AND account_id = $2
         FOR NO KEY UPDATE",
        Partition::of(account_id).get(),
        account_id,
    )
    .fetch_optional(tx)
    .await?;
    Ok(state.is_some_and(|state| state == "ACTIVE"))
}

/// Locks an account that somebody can be signed in to, and tells its level.
#[tracing::instrument(name = "db.account.lock_level", skip_all)]
pub(crate) async fn lock_level(tx: &mut PgConnection, account_id: Uuid) -> Result<Option<i16>> {
    Ok(sqlx::query_scalar!(
        "SELECT level FROM identity.account
         WHERE partition = $1 AND account_id = $2 AND state = 'ACTIVE' FOR NO KEY UPDATE",
        Partition::of(account_id).get(),
        account_id,
    )
    .fetch_optional(tx)
    .await?)
}

/// What of an account is needed to see whether somebody is who owns it.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) account_id: Uuid,
    pub(crate) active: bool,
    pub(crate) password_hash: String,
    pub(crate) name: Vec<u8>,
    pub(crate) id_number: Option<Vec<u8>>,
    pub(crate) phone: Vec<u8>,
    pub(crate) index_version: i16,
    pub(crate) phone_index: Vec<u8>,
    /// When a code to the phone was right last.
    pub(crate) phone_proven_at: OffsetDateTime,
}

/// The accounts that a phone is attached to: nearly always one, and never more than a
/// few, since a family may share one.
#[tracing::instrument(name = "db.account.of_phone", skip_all)]
pub(crate) async fn of_phone(
    conn: &mut PgConnection,
    phone: &Indexes,
    most: i64,
) -> Result<Vec<Owner>> {
    Ok(sqlx::query_as!(
        Owner,
        r#"SELECT account_id, state = 'ACTIVE' AS "active!", password_hash AS "password_hash!",
                  name AS "name!", id_number, phone AS "phone!", index_version,
                  phone_index AS "phone_index!",
                  coalesce(phone_proven_at, claimed_at) AS "phone_proven_at!"
           FROM identity.account
           WHERE (index_version, phone_index) IN
                 (SELECT * FROM unnest($1::smallint[], $2::bytea[]))
             AND phone_attached AND state IN ('ACTIVE', 'DISABLED')
           ORDER BY account_id LIMIT $3"#,
        &phone.versions,
        &phone.indexes,
        most,
    )
    .fetch_all(conn)
    .await?)
}

/// The account that an ID number belongs to.
#[tracing::instrument(name = "db.account.of_number", skip_all)]
pub(crate) async fn of_number(conn: &mut PgConnection, number: &Indexes) -> Result<Option<Owner>> {
    Ok(sqlx::query_as!(
        Owner,
        r#"SELECT a.account_id, a.state = 'ACTIVE' AS "active!",
                  a.password_hash AS "password_hash!", a.name AS "name!", a.id_number,
                  a.phone AS "phone!", a.index_version, a.phone_index AS "phone_index!",
                  coalesce(a.phone_proven_at, a.claimed_at) AS "phone_proven_at!"
           FROM identity.number n JOIN identity.account a USING (partition, account_id)
           WHERE (n.index_version, n.number_index) IN
                 (SELECT * FROM unnest($1::smallint[], $2::bytea[]))
             AND a.state IN ('ACTIVE', 'DISABLED')
           LIMIT 1"#,
        &number.versions,
        &number.indexes,
    )
    .fetch_optional(conn)
    .await?)
}

/// An account that somebody can be signed in to.
#[tracing::instrument(name = "db.account.owner", skip_all)]
pub(crate) async fn owner_of(conn: &mut PgConnection, account_id: Uuid) -> Result<Option<Owner>> {
    Ok(sqlx::query_as!(
        Owner,
        r#"SELECT account_id, state = 'ACTIVE' AS "active!", password_hash AS "password_hash!",
                  name AS "name!", id_number, phone AS "phone!", index_version,
                  phone_index AS "phone_index!",
                  coalesce(phone_proven_at, claimed_at) AS "phone_proven_at!"
           FROM identity.account
           WHERE partition = $1 AND account_id = $2 AND state = 'ACTIVE'"#,
        Partition::of(account_id).get(),
        account_id,
    )
    .fetch_optional(conn)
    .await?)
}

/// Stores that a code to the phone of an account was right; its row is locked.
#[tracing::instrument(name = "db.account.phone_proven", skip_all)]
pub(crate) async fn phone_proven(
    tx: &mut PgConnection,
    account_id: Uuid,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE identity.account SET phone_proven_at = $3
         WHERE partition = $1 AND account_id = $2",
        Partition::of(account_id).get(),
        account_id,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Whether the phone alone stands behind a password.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ByPhone {
    /// As with the one before, which proved this one.
    AsBefore,
    /// Nothing but the phone proved who sets it, at this time.
    Since(OffsetDateTime),
    /// Something else did.
    No,
}

/// Stores another password; the row is locked.
#[tracing::instrument(name = "db.account.set_password", skip_all)]
pub(crate) async fn set_password(
    tx: &mut PgConnection,
    account_id: Uuid,
    password_hash: &str,
    by_phone: ByPhone,
    now: OffsetDateTime,
) -> Result<()> {
    let (keeps, since) = match by_phone {
        ByPhone::AsBefore => (true, None),
        ByPhone::Since(at) => (false, Some(at)),
        ByPhone::No => (false, None),
    };
    sqlx::query!(
        "UPDATE identity.account
         SET password_hash = $3, password_changed_at = $6,
             password_by_phone_at = CASE WHEN $4 THEN password_by_phone_at ELSE $5 END
         WHERE partition = $1 AND account_id = $2",
        Partition::of(account_id).get(),
        account_id,
        password_hash,
        keeps,
        since,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Whether the password was changed or reset since a time.
#[tracing::instrument(name = "db.account.password_changed", skip_all)]
pub(crate) async fn password_changed(
    conn: &mut PgConnection,
    account_id: Uuid,
    since: OffsetDateTime,
) -> Result<bool> {
    let changed = sqlx::query_scalar!(
        r#"SELECT coalesce(password_changed_at > $3, false) AS "changed!"
           FROM identity.account WHERE partition = $1 AND account_id = $2"#,
        Partition::of(account_id).get(),
        account_id,
        since,
    )
    .fetch_optional(conn)
    .await?;
    Ok(changed.unwrap_or(false))
}

/// Whether the password was set since a time by nothing but the phone.
#[tracing::instrument(name = "db.account.password_by_phone", skip_all)]
pub(crate) async fn password_by_phone(
    conn: &mut PgConnection,
    account_id: Uuid,
    since: OffsetDateTime,
) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT coalesce(password_by_phone_at > $3, false) AS "by_phone!"
           FROM identity.account WHERE partition = $1 AND account_id = $2"#,
        Partition::of(account_id).get(),
        account_id,
        since,
    )
    .fetch_one(conn)
    .await?)
}

/// Stores another phone, which was proved just now; the row is locked.
#[tracing::instrument(name = "db.account.set_phone", skip_all)]
pub(crate) async fn set_phone(
    tx: &mut PgConnection,
    account_id: Uuid,
    phone: &[u8],
    index_version: i16,
    phone_index: &[u8],
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE identity.account
         SET phone = $3, index_version = $4, phone_index = $5, phone_proven_at = $6,
             phone_attached = true
         WHERE partition = $1 AND account_id = $2",
        Partition::of(account_id).get(),
        account_id,
        phone,
        index_version,
        phone_index,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Detaches a phone, under each index key that is active, from the accounts of others whose
/// owners have not proved it since a time: it has another owner now. Their ids.
#[tracing::instrument(name = "db.account.detach_phone", skip_all)]
pub(crate) async fn detach_phone(
    tx: &mut PgConnection,
    phone: &Indexes,
    owner: Uuid,
    not_since: OffsetDateTime,
) -> Result<Vec<Uuid>> {
    // Locked in one order, so that two who share a phone don't lock each other out.
    Ok(sqlx::query_scalar!(
        "UPDATE identity.account a SET phone_attached = false
         FROM (SELECT partition, account_id FROM identity.account
               WHERE (index_version, phone_index) IN
                     (SELECT * FROM unnest($1::smallint[], $2::bytea[]))
                 AND phone_attached
                 AND state IN ('ACTIVE', 'DISABLED') AND account_id <> $3
                 AND coalesce(phone_proven_at, claimed_at) < $4
               ORDER BY partition, account_id FOR NO KEY UPDATE) recycled
         WHERE a.partition = recycled.partition AND a.account_id = recycled.account_id
         RETURNING a.account_id",
        &phone.versions,
        &phone.indexes,
        owner,
        not_since,
    )
    .fetch_all(tx)
    .await?)
}
