//! The SQL of recoveries.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::Partition;

use super::{Recovery, State};
use crate::error::{Error, Result};
use crate::keys::Indexes;

struct Row {
    recovery_id: Uuid,
    account_id: Option<Uuid>,
    state: String,
    started_by: Option<Uuid>,
    approved_by: Option<Uuid>,
    new_phone: Option<Vec<u8>>,
    started_at: OffsetDateTime,
    approved_at: Option<OffsetDateTime>,
    complete_after: Option<OffsetDateTime>,
    expire_at: OffsetDateTime,
    ended_at: Option<OffsetDateTime>,
}

impl TryFrom<Row> for Recovery {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            recovery_id: row.recovery_id,
            account_id: row.account_id,
            state: State::from_column(&row.state)
                .ok_or(Error::Inconsistent("identity.phone_recovery"))?,
            started_by: row.started_by,
            approved_by: row.approved_by,
            new_phone: row.new_phone,
            started_at: row.started_at,
            approved_at: row.approved_at,
            complete_after: row.complete_after,
            expire_at: row.expire_at,
            ended_at: row.ended_at,
        })
    }
}

fn all(rows: Vec<Row>) -> Result<Vec<Recovery>> {
    rows.into_iter().map(Recovery::try_from).collect()
}

macro_rules! select {
    ($rest:literal $(, $value:expr)*) => {
        sqlx::query_as!(
            Row,
            "SELECT recovery_id, account_id, state, started_by, approved_by, new_phone,
                    started_at, approved_at, complete_after, expire_at, ended_at
             FROM identity.phone_recovery "
                + $rest
            $(, $value)*
        )
    };
}

/// A new recovery, its phone sealed.
#[derive(Debug)]
pub(super) struct New<'a> {
    pub(super) recovery_id: Uuid,
    pub(super) account_id: Uuid,
    pub(super) started_by: Uuid,
    pub(super) new_phone: &'a [u8],
    pub(super) index_version: i16,
    pub(super) phone_index: &'a [u8],
    pub(super) started_at: OffsetDateTime,
    pub(super) expire_at: OffsetDateTime,
}

/// Stores a new recovery; `false` if there is one with its id. The row of its account is
/// locked, and no other one of it goes on.
#[tracing::instrument(name = "db.recovery.insert", skip_all)]
pub(super) async fn insert(tx: &mut PgConnection, new: &New<'_>) -> Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO identity.phone_recovery
             (recovery_id, partition, account_id, state, started_by, new_phone, index_version,
              phone_index, started_at, expire_at)
         VALUES ($1, $2, $3, 'STARTED', $4, $5, $6, $7, $8, $9)
         ON CONFLICT (recovery_id) DO NOTHING",
        new.recovery_id,
        Partition::of(new.account_id).get(),
        new.account_id,
        new.started_by,
        new.new_phone,
        new.index_version,
        new.phone_index,
        new.started_at,
        new.expire_at,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Stores that a recovery which nobody knows will never begin.
#[tracing::instrument(name = "db.recovery.insert_cancelled", skip_all)]
pub(super) async fn insert_cancelled(
    tx: &mut PgConnection,
    recovery_id: Uuid,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO identity.phone_recovery (recovery_id, state, started_at, expire_at, ended_at)
         VALUES ($1, 'CANCELLED', $2, $2, $2) ON CONFLICT (recovery_id) DO NOTHING",
        recovery_id,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Finds a recovery.
#[tracing::instrument(name = "db.recovery.find", skip_all)]
pub(super) async fn find(conn: &mut PgConnection, recovery_id: Uuid) -> Result<Option<Recovery>> {
    let row = select!("WHERE recovery_id = $1", recovery_id).fetch_optional(conn).await?;
    row.map(Recovery::try_from).transpose()
}

/// Finds a recovery and locks it: what ends it and what completes it come one after the other.
#[tracing::instrument(name = "db.recovery.lock", skip_all)]
pub(super) async fn lock(tx: &mut PgConnection, recovery_id: Uuid) -> Result<Option<Recovery>> {
    let row = select!("WHERE recovery_id = $1 FOR UPDATE", recovery_id).fetch_optional(tx).await?;
    row.map(Recovery::try_from).transpose()
}

/// Those of the recoveries that are known, in no order.
#[tracing::instrument(name = "db.recovery.by_ids", skip_all)]
pub(super) async fn by_ids(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Recovery>> {
    all(select!("WHERE recovery_id = ANY($1)", ids).fetch_all(conn).await?)
}

/// The recoveries of an account, the latest first, before one of them.
#[tracing::instrument(name = "db.recovery.of_account", skip_all)]
pub(super) async fn of_account(
    conn: &mut PgConnection,
    account_id: Uuid,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Recovery>> {
    let rows = select!(
        "WHERE partition = $1 AND account_id = $2 AND ($3::uuid IS NULL OR recovery_id < $3)
         ORDER BY recovery_id DESC LIMIT $4",
        Partition::of(account_id).get(),
        account_id,
        before,
        limit
    );
    all(rows.fetch_all(conn).await?)
}

/// The recovery of an account that is not over.
#[tracing::instrument(name = "db.recovery.open_of", skip_all)]
pub(super) async fn open_of(conn: &mut PgConnection, account_id: Uuid) -> Result<Option<Recovery>> {
    let row = select!(
        "WHERE partition = $1 AND account_id = $2 AND ended_at IS NULL",
        Partition::of(account_id).get(),
        account_id
    );
    row.fetch_optional(conn).await?.map(Recovery::try_from).transpose()
}

/// The recoveries that are approved for a phone.
#[tracing::instrument(name = "db.recovery.approved_for", skip_all)]
pub(super) async fn approved_for(
    conn: &mut PgConnection,
    phone: &Indexes,
    now: OffsetDateTime,
    most: i64,
) -> Result<Vec<Recovery>> {
    let rows = select!(
        "WHERE (index_version, phone_index) IN
               (SELECT * FROM unnest($1::smallint[], $2::bytea[]))
           AND state = 'APPROVED' AND expire_at > $3
         ORDER BY recovery_id LIMIT $4",
        &phone.versions,
        &phone.indexes,
        now,
        most
    );
    all(rows.fetch_all(conn).await?)
}

/// Approves a recovery, whose row is locked.
#[tracing::instrument(name = "db.recovery.approve", skip_all)]
pub(super) async fn approve(
    tx: &mut PgConnection,
    recovery_id: Uuid,
    approved_by: Uuid,
    now: OffsetDateTime,
    complete_after: OffsetDateTime,
    expire_at: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE identity.phone_recovery
         SET state = 'APPROVED', approved_by = $2, approved_at = $3, complete_after = $4,
             expire_at = $5
         WHERE recovery_id = $1 AND state = 'STARTED'",
        recovery_id,
        approved_by,
        now,
        complete_after,
        expire_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends a recovery, whose row is locked; the phone is forgotten.
#[tracing::instrument(name = "db.recovery.end", skip_all)]
pub(super) async fn end(
    tx: &mut PgConnection,
    recovery_id: Uuid,
    state: State,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE identity.phone_recovery
         SET state = $2, ended_at = $3, new_phone = NULL, index_version = NULL, phone_index = NULL
         WHERE recovery_id = $1 AND ended_at IS NULL",
        recovery_id,
        state.as_column(),
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends what goes on of an account; the phone is forgotten.
#[tracing::instrument(name = "db.recovery.end_open_of", skip_all)]
pub(crate) async fn end_open_of(
    tx: &mut PgConnection,
    account_id: Uuid,
    state: State,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE identity.phone_recovery
         SET state = $3, ended_at = $4, new_phone = NULL, index_version = NULL, phone_index = NULL
         WHERE partition = $1 AND account_id = $2 AND ended_at IS NULL",
        Partition::of(account_id).get(),
        account_id,
        state.as_column(),
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends the recoveries whose time is over.
#[tracing::instrument(name = "db.recovery.expire", skip_all)]
pub(crate) async fn expire(conn: &mut PgConnection, now: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "UPDATE identity.phone_recovery
         SET state = 'EXPIRED', ended_at = $1, new_phone = NULL, index_version = NULL,
             phone_index = NULL
         WHERE ended_at IS NULL AND expire_at <= $1",
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes recoveries that ended before then.
#[tracing::instrument(name = "db.recovery.purge", skip_all)]
pub(crate) async fn purge(conn: &mut PgConnection, before: OffsetDateTime) -> Result<()> {
    sqlx::query!("DELETE FROM identity.phone_recovery WHERE ended_at < $1", before)
        .execute(conn)
        .await?;
    Ok(())
}
