//! The SQL of claims.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::Partition;

use super::{Claim, State, WINDOW};
use crate::error::{Error, Result};
use crate::keys::Indexes;

struct Row {
    claim_id: Uuid,
    holder_id: Uuid,
    state: String,
    answer: Option<Vec<u8>>,
    opened_at: OffsetDateTime,
    carry_out_after: Option<OffsetDateTime>,
    ended_at: Option<OffsetDateTime>,
}

impl TryFrom<Row> for Claim {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            claim_id: row.claim_id,
            holder_id: row.holder_id,
            state: State::from_column(&row.state).ok_or(Error::Inconsistent("identity.claim"))?,
            answer: row.answer,
            opened_at: row.opened_at,
            carry_out_after: row.carry_out_after,
            ended_at: row.ended_at,
        })
    }
}

macro_rules! select {
    ($rest:literal $(, $value:expr)*) => {
        sqlx::query_as!(
            Row,
            "SELECT claim_id, holder_id, state, answer, opened_at, carry_out_after, ended_at
             FROM identity.claim "
                + $rest
            $(, $value)*
        )
    };
}

fn all(rows: Vec<Row>) -> Result<Vec<Claim>> {
    rows.into_iter().map(Claim::try_from).collect()
}

/// Finds a claim.
#[tracing::instrument(name = "db.claim.find", skip_all)]
pub(super) async fn find(conn: &mut PgConnection, claim_id: Uuid) -> Result<Option<Claim>> {
    let row = select!("WHERE claim_id = $1", claim_id).fetch_optional(conn).await?;
    row.map(Claim::try_from).transpose()
}

/// Finds a claim and locks it; that of an enrolment whose row is locked.
#[tracing::instrument(name = "db.claim.lock", skip_all)]
pub(super) async fn lock(tx: &mut PgConnection, claim_id: Uuid) -> Result<Option<Claim>> {
    let row = select!("WHERE claim_id = $1 FOR UPDATE", claim_id).fetch_optional(tx).await?;
    row.map(Claim::try_from).transpose()
}

/// Those of the claims that are known, in no order.
#[tracing::instrument(name = "db.claim.by_ids", skip_all)]
pub(super) async fn by_ids(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Claim>> {
    all(select!("WHERE claim_id = ANY($1)", ids).fetch_all(conn).await?)
}

/// The claims on the number of an account, the latest first, before one of them.
#[tracing::instrument(name = "db.claim.of_holder", skip_all)]
pub(super) async fn of_holder(
    conn: &mut PgConnection,
    holder_id: Uuid,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Claim>> {
    let rows = select!(
        "WHERE partition = $1 AND holder_id = $2 AND ($3::uuid IS NULL OR claim_id < $3)
         ORDER BY claim_id DESC LIMIT $4",
        Partition::of(holder_id).get(),
        holder_id,
        before,
        limit
    );
    all(rows.fetch_all(conn).await?)
}

/// The claims on the number of an account that go on, the longest first.
#[tracing::instrument(name = "db.claim.open_of", skip_all)]
pub(super) async fn open_of(conn: &mut PgConnection, holder_id: Uuid) -> Result<Vec<Claim>> {
    let rows = select!(
        "WHERE partition = $1 AND holder_id = $2 AND ended_at IS NULL ORDER BY claim_id",
        Partition::of(holder_id).get(),
        holder_id
    );
    all(rows.fetch_all(conn).await?)
}

/// How many claims on the number of an account, whose row is locked, go on, and how many of those
/// are of a phone.
#[tracing::instrument(name = "db.claim.going_on", skip_all)]
pub(super) async fn going_on(
    tx: &mut PgConnection,
    holder_id: Uuid,
    phone: &Indexes,
) -> Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "all!",
                  count(*) FILTER (WHERE (index_version, phone_index) IN
                      (SELECT * FROM unnest($3::smallint[], $4::bytea[]))) AS "of_phone!"
           FROM identity.claim
           WHERE partition = $1 AND holder_id = $2 AND ended_at IS NULL"#,
        Partition::of(holder_id).get(),
        holder_id,
        &phone.versions,
        &phone.indexes,
    )
    .fetch_one(tx)
    .await?;
    Ok((row.all, row.of_phone))
}

/// How many claims there were in the window of the limits: on a number, those that two have
/// accepted, as whoever wants to keep the owner out would open some that come to nothing; and all
/// from a phone. Who opens another one from the phone meanwhile waits.
#[tracing::instrument(name = "db.claim.counts", skip_all)]
pub(super) async fn counts(
    tx: &mut PgConnection,
    number: &Indexes,
    phone: &Indexes,
    now: OffsetDateTime,
) -> Result<(i64, i64)> {
    let newest = phone.indexes.last().map(Vec::as_slice).unwrap_or_default();
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('claim/' || encode($1, 'hex'), 0))",
        newest,
    )
    .fetch_one(&mut *tx)
    .await?;
    let row = sqlx::query!(
        r#"SELECT
             (SELECT count(*) FROM identity.claim
              WHERE (index_version, number_index) IN
                    (SELECT * FROM unnest($1::smallint[], $2::bytea[]))
                AND opened_at > $4 AND accepted_at IS NOT NULL
                AND state NOT IN ('REJECTED', 'EXPIRED')) AS "number!",
             (SELECT count(*) FROM identity.claim
              WHERE (index_version, phone_index) IN
                    (SELECT * FROM unnest($1::smallint[], $3::bytea[]))
                AND opened_at > $4) AS "phone!""#,
        &number.versions,
        &number.indexes,
        &phone.indexes,
        now - WINDOW,
    )
    .fetch_one(tx)
    .await?;
    Ok((row.number, row.phone))
}

/// A claim that is opened.
#[derive(Debug)]
pub(super) struct New<'a> {
    pub(super) claim_id: Uuid,
    pub(super) holder_id: Uuid,
    pub(super) index_version: i16,
    pub(super) number_index: &'a [u8],
    pub(super) phone_index: &'a [u8],
    pub(super) opened_at: OffsetDateTime,
}

/// Opens a claim; once more, against another holder, if the one before it ended as the number was
/// free. The rows of the enrolment and of the holder are locked.
#[tracing::instrument(name = "db.claim.open", skip_all)]
pub(super) async fn open(tx: &mut PgConnection, new: &New<'_>) -> Result<()> {
    sqlx::query!(
        "INSERT INTO identity.claim
             (claim_id, partition, holder_id, state, index_version, number_index, phone_index,
              opened_at)
         VALUES ($1, $2, $3, 'OPEN', $4, $5, $6, $7)
         ON CONFLICT (claim_id) DO UPDATE
         SET partition = excluded.partition, holder_id = excluded.holder_id, state = 'OPEN',
             answer = NULL, first_by = NULL, second_by = NULL, opened_at = excluded.opened_at,
             accepted_at = NULL, carry_out_after = NULL, ended_at = NULL",
        new.claim_id,
        Partition::of(new.holder_id).get(),
        new.holder_id,
        new.index_version,
        new.number_index,
        new.phone_index,
        new.opened_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Stores what the holder says, sealed under the holder's key; `false` if the claim is over, or
/// against somebody else by now.
#[tracing::instrument(name = "db.claim.answer", skip_all)]
pub(super) async fn answer(
    tx: &mut PgConnection,
    (claim_id, holder_id): (Uuid, Uuid),
    answer: &[u8],
) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE identity.claim SET answer = $3
         WHERE claim_id = $1 AND holder_id = $2 AND ended_at IS NULL",
        claim_id,
        holder_id,
        answer,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Accepts a claim, whose row is locked: it ends by itself at `expires_at`.
#[tracing::instrument(name = "db.claim.accept", skip_all)]
pub(super) async fn accept(
    tx: &mut PgConnection,
    claim_id: Uuid,
    [first, second]: [Uuid; 2],
    now: OffsetDateTime,
    (after, expires_at): (OffsetDateTime, OffsetDateTime),
) -> Result<()> {
    sqlx::query!(
        "WITH enrolment AS (
             UPDATE identity.enrolment SET decide_by = $6, updated_at = $4 WHERE enrolment_id = $1
         )
         UPDATE identity.claim
         SET state = 'ACCEPTED', first_by = $2, second_by = $3, accepted_at = $4,
             carry_out_after = $5
         WHERE claim_id = $1 AND state = 'OPEN'",
        claim_id,
        first,
        second,
        now,
        after,
        expires_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends a claim that goes on; whose number it was about, if there was one.
#[tracing::instrument(name = "db.claim.end", skip_all)]
pub(crate) async fn end(
    tx: &mut PgConnection,
    claim_id: Uuid,
    state: State,
    now: OffsetDateTime,
) -> Result<Option<Uuid>> {
    Ok(sqlx::query_scalar!(
        "UPDATE identity.claim SET state = $2, ended_at = $3
         WHERE claim_id = $1 AND ended_at IS NULL
         RETURNING holder_id",
        claim_id,
        state.as_column(),
        now,
    )
    .fetch_optional(tx)
    .await?)
}

/// Lets an enrolment go on whose claim has ended as the number is free; its row is locked. The
/// new revision, unless it waits for nothing.
#[tracing::instrument(name = "db.claim.go_on", skip_all)]
pub(super) async fn go_on(
    tx: &mut PgConnection,
    enrolment_id: Uuid,
    now: OffsetDateTime,
    decide_by: OffsetDateTime,
) -> Result<Option<i64>> {
    Ok(sqlx::query_scalar!(
        "UPDATE identity.enrolment
         SET state = 'PENDING', next_check_at = $2, decide_by = $3, attempts = 1, updated_at = $2,
             revision = revision + 1
         WHERE enrolment_id = $1 AND state = 'REVIEW'
         RETURNING revision",
        enrolment_id,
        now,
        decide_by,
    )
    .fetch_optional(tx)
    .await?)
}

/// What of whoever holds a number those who decide see.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) phone: Vec<u8>,
    pub(super) since: OffsetDateTime,
}

/// Finds the holder of a number.
#[tracing::instrument(name = "db.claim.holder", skip_all)]
pub(super) async fn holder(conn: &mut PgConnection, account_id: Uuid) -> Result<Option<Holder>> {
    Ok(sqlx::query_as!(
        Holder,
        r#"SELECT phone AS "phone!", coalesce(activated_at, claimed_at) AS "since!"
           FROM identity.account
           WHERE partition = $1 AND account_id = $2 AND state = 'ACTIVE'"#,
        Partition::of(account_id).get(),
        account_id,
    )
    .fetch_optional(conn)
    .await?)
}

/// Deletes claims that are over, and that no limit counts any more.
#[tracing::instrument(name = "db.claim.purge", skip_all)]
pub(crate) async fn purge(conn: &mut PgConnection, now: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "DELETE FROM identity.claim WHERE ended_at IS NOT NULL AND opened_at < $1",
        now - WINDOW,
    )
    .execute(conn)
    .await?;
    Ok(())
}
