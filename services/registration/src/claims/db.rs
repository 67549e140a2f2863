//! The SQL of claims.

use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::{EnrolmentId, OrganizationCode, Partition};

use super::{Claim, Step};
use crate::error::{Error, Result};

struct Row {
    claim_id: Uuid,
    holder_id: Uuid,
    step: String,
    seen_by: Vec<Uuid>,
    first_by: Option<Uuid>,
    second_by: Option<Uuid>,
    rejected_by: Option<Uuid>,
    opened_at: OffsetDateTime,
    organization_code: String,
    holder_organization: Option<String>,
    roster_organization: Option<String>,
}

const CORRUPT: Error = Error::Inconsistent("claim");

impl TryFrom<Row> for Claim {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let code = |code: &str| OrganizationCode::parse(code).map_err(|_invalid| CORRUPT);
        Ok(Self {
            claim_id: row.claim_id,
            holder_id: row.holder_id,
            step: Step::from_column(&row.step).ok_or(CORRUPT)?,
            seen_by: row.seen_by,
            first_by: row.first_by,
            second_by: row.second_by,
            rejected_by: row.rejected_by,
            opened_at: row.opened_at,
            organization: code(&row.organization_code)?,
            holder_organization: row.holder_organization.as_deref().map(code).transpose()?,
            roster_organization: row.roster_organization.as_deref().map(code).transpose()?,
        })
    }
}

macro_rules! select {
    ($rest:literal $(, $value:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"SELECT c.claim_id, c.holder_id, c.step, c.seen_by, c.first_by, c.second_by,
                      c.rejected_by, c.opened_at, c.organization_code,
                      c.holder_organization_code AS holder_organization,
                      c.roster_organization_code AS roster_organization
               FROM registration.claim c "#
                + $rest
            $(, $value)*
        )
    };
}

/// Opens the claim of a registration, unless it is open; once more if it is one again.
#[tracing::instrument(name = "db.claim.open", skip_all)]
pub(crate) async fn open(
    transaction: &mut PgConnection,
    claim_id: EnrolmentId,
    (organization, holder_id): (&OrganizationCode, Uuid),
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO registration.claim AS c
             (claim_id, organization_code, partition, holder_id, step, opened_at,
              holder_organization_code, roster_organization_code)
         VALUES ($1, $2, $3, $4, 'OPEN', $5,
                 (SELECT organization_code FROM registration.volunteer
                  WHERE partition = $3 AND volunteer_id = $4 AND state = 'ACTIVE' AND NOT closed),
                 (SELECT organization_code FROM registration.roster_member
                  WHERE partition = $3 AND person_id = $4))
         ON CONFLICT (claim_id) DO UPDATE
         SET partition = excluded.partition, holder_id = excluded.holder_id, step = 'OPEN',
             holder_organization_code = excluded.holder_organization_code,
             roster_organization_code = excluded.roster_organization_code,
             seen_by = '{}', first_by = NULL, second_by = NULL, rejected_by = NULL,
             opened_at = excluded.opened_at, decided_at = NULL, next_step_at = NULL
         WHERE c.step = 'OVER' OR c.holder_id <> excluded.holder_id",
        claim_id.as_uuid(),
        organization.as_str(),
        Partition::of(holder_id).get(),
        holder_id,
        now,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Ends the claim of a registration that goes on, if it is one.
#[tracing::instrument(name = "db.claim.close", skip_all)]
pub(crate) async fn close(transaction: &mut PgConnection, claim_id: EnrolmentId) -> Result<()> {
    sqlx::query!(
        "UPDATE registration.claim SET step = 'OVER', next_step_at = NULL
         WHERE claim_id = $1 AND step <> 'OVER'",
        claim_id.as_uuid(),
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Finds a claim.
#[tracing::instrument(name = "db.claim.find", skip_all)]
pub(super) async fn find(executor: impl PgExecutor<'_>, id: Uuid) -> Result<Option<Claim>> {
    let row = select!("WHERE c.claim_id = $1", id).fetch_optional(executor).await?;
    row.map(Claim::try_from).transpose()
}

/// Finds a claim and locks it, so that decisions come one after the other.
#[tracing::instrument(name = "db.claim.lock", skip_all)]
pub(super) async fn lock(transaction: &mut PgConnection, id: Uuid) -> Result<Option<Claim>> {
    let row = select!("WHERE c.claim_id = $1 FOR UPDATE OF c", id);
    row.fetch_optional(transaction).await?.map(Claim::try_from).transpose()
}

/// Claims that go on, after one of them, in the order in which the forms came.
#[tracing::instrument(name = "db.claim.listed", skip_all)]
pub(super) async fn listed(
    executor: impl PgExecutor<'_>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Claim>> {
    let rows = select!(
        "WHERE c.step <> 'OVER' AND c.claim_id > $1 ORDER BY c.claim_id LIMIT $2",
        after,
        limit
    );
    rows.fetch_all(executor).await?.into_iter().map(Claim::try_from).collect()
}

/// Notes that somebody looks at a claim.
#[tracing::instrument(name = "db.claim.see", skip_all)]
pub(super) async fn see(transaction: &mut PgConnection, id: Uuid, viewer: Uuid) -> Result<()> {
    sqlx::query!(
        "UPDATE registration.claim SET seen_by = array_append(seen_by, $2)
         WHERE claim_id = $1 AND $2 <> ALL (seen_by)",
        id,
        viewer,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Stores the first acceptance of a claim that is open, and whose row is locked, in place of one
/// that counts no more.
#[tracing::instrument(name = "db.claim.accept_first", skip_all)]
pub(super) async fn accept_first(
    transaction: &mut PgConnection,
    id: Uuid,
    by: Uuid,
    now: OffsetDateTime,
) -> Result<()> {
    let done = sqlx::query!(
        "UPDATE registration.claim SET first_by = $2, decided_at = $3
         WHERE claim_id = $1 AND step = 'OPEN'",
        id,
        by,
        now,
    )
    .execute(transaction)
    .await?;
    Ok(zhiyuan_postgres::ensure_affected(&done, 1)?)
}

/// Stores the second acceptance of a claim that is open, and whose row is locked.
#[tracing::instrument(name = "db.claim.accept_second", skip_all)]
pub(super) async fn accept_second(
    transaction: &mut PgConnection,
    id: Uuid,
    by: Uuid,
    now: OffsetDateTime,
    next_step_at: OffsetDateTime,
) -> Result<()> {
    let done = sqlx::query!(
        "UPDATE registration.claim
         SET step = 'ACCEPTING', second_by = $2, decided_at = $3, next_step_at = $4
         WHERE claim_id = $1 AND step = 'OPEN' AND first_by IS NOT NULL",
        id,
        by,
        now,
        next_step_at,
    )
    .execute(transaction)
    .await?;
    Ok(zhiyuan_postgres::ensure_affected(&done, 1)?)
}

/// Stores that a claim, whose row is locked, is rejected: by somebody, or because nobody stands
/// behind it any more.
#[tracing::instrument(name = "db.claim.reject", skip_all)]
pub(super) async fn reject(
    transaction: &mut PgConnection,
    id: Uuid,
    by: Option<Uuid>,
    now: OffsetDateTime,
    next_step_at: OffsetDateTime,
) -> Result<()> {
    let done = sqlx::query!(
        "UPDATE registration.claim
         SET step = 'REJECTING', rejected_by = $2, decided_at = $3, next_step_at = $4
         WHERE claim_id = $1 AND step IN ('OPEN', 'ACCEPTING', 'ACCEPTED')",
        id,
        by,
        now,
        next_step_at,
    )
    .execute(transaction)
    .await?;
    Ok(zhiyuan_postgres::ensure_affected(&done, 1)?)
}

/// Stores what identity knows, and when to look again, unless something else was decided
/// meanwhile.
#[tracing::instrument(name = "db.claim.told", skip_all)]
pub(super) async fn told(
    executor: impl PgExecutor<'_>,
    id: Uuid,
    (seen, next): (Step, Step),
    next_step_at: Option<OffsetDateTime>,
) -> Result<()> {
    sqlx::query!(
        "UPDATE registration.claim SET step = $3, next_step_at = $4
         WHERE claim_id = $1 AND step = $2",
        id,
        seen.as_column(),
        next.as_column(),
        next_step_at,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Leases the claims of which identity is to be told, or that are looked at again: nobody else
/// does before `until`. One that is due later than `latest` was planned by a clock that was ahead.
#[tracing::instrument(name = "db.claim.lease_due", skip_all)]
pub(super) async fn lease_due(
    executor: impl PgExecutor<'_>,
    now: OffsetDateTime,
    until: OffsetDateTime,
    latest: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar!(
        "UPDATE registration.claim SET next_step_at = $2
         WHERE claim_id IN (
             SELECT claim_id FROM registration.claim
             WHERE next_step_at <= $1 OR next_step_at > $3
             ORDER BY next_step_at LIMIT $4 FOR UPDATE SKIP LOCKED)
         RETURNING claim_id",
        now,
        until,
        latest,
        limit,
    )
    .fetch_all(executor)
    .await?)
}

/// Deletes claims that are over and were opened before then; returns how many.
#[tracing::instrument(name = "db.claim.delete_old", skip_all)]
pub(crate) async fn delete_old(
    executor: impl PgExecutor<'_>,
    before: OffsetDateTime,
    limit: i64,
) -> Result<u64> {
    let result = sqlx::query!(
        "DELETE FROM registration.claim WHERE claim_id = ANY (ARRAY(
             SELECT claim_id FROM registration.claim
             WHERE step = 'OVER' AND opened_at < $1
             ORDER BY opened_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
        before,
        limit,
    )
    .execute(executor)
    .await?;
    Ok(result.rows_affected())
}
