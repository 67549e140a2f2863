//! The SQL of recoveries.

use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::{OrganizationCode, Partition};

use super::{LONGEST, Reason, Recovery, Refusal, Step, VOLUNTEER_WINDOW, WINDOW};
use crate::error::{Error, Result};

struct Row {
    recovery_id: Uuid,
    volunteer_id: Uuid,
    step: String,
    refusal: Option<String>,
    reason: String,
    started_by: Uuid,
    started_at: OffsetDateTime,
    approved_by: Option<Uuid>,
    approved_at: Option<OffsetDateTime>,
    cancelled_at: Option<OffsetDateTime>,
}

const CORRUPT: Error = Error::Inconsistent("phone_recovery");

impl TryFrom<Row> for Recovery {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let refusal = row.refusal.map(|column| Refusal::from_column(&column).ok_or(CORRUPT));
        Ok(Self {
            recovery_id: row.recovery_id,
            volunteer_id: row.volunteer_id,
            step: Step::from_column(&row.step).ok_or(CORRUPT)?,
            refusal: refusal.transpose()?,
            reason: row.reason,
            started_by: row.started_by,
            started_at: row.started_at,
            approved_by: row.approved_by,
            approved_at: row.approved_at,
            cancelled_at: row.cancelled_at,
        })
    }
}

macro_rules! select {
    ($rest:literal $(, $value:expr)*) => {
        sqlx::query_as!(
            Row,
            "SELECT r.recovery_id, r.volunteer_id, r.step, r.refusal, r.reason, r.started_by,
                    r.started_at, r.approved_by, r.approved_at, r.cancelled_at
             FROM registration.phone_recovery r "
                + $rest
            $(, $value)*
        )
    };
}

/// A new recovery.
#[derive(Clone, Copy)]
pub(super) struct New<'a> {
    pub(super) recovery_id: Uuid,
    pub(super) volunteer_id: Uuid,
    pub(super) reason: &'a Reason,
    pub(super) request_id: Uuid,
    pub(super) started_by: Uuid,
    pub(super) started_at: OffsetDateTime,
    pub(super) next_step_at: OffsetDateTime,
}

/// Stores that a recovery is to be started; `false` if the administrator used the request id
/// before.
#[tracing::instrument(name = "db.phone_recovery.insert", skip_all)]
pub(super) async fn insert(transaction: &mut PgConnection, new: New<'_>) -> Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO registration.phone_recovery
             (recovery_id, partition, volunteer_id, step, reason, request_id, started_by,
              started_at, next_step_at)
         VALUES ($1, $2, $3, 'STARTING', $4, $5, $6, $7, $8)
         ON CONFLICT (started_by, request_id) DO NOTHING",
        new.recovery_id,
        Partition::of(new.volunteer_id).get(),
        new.volunteer_id,
        new.reason.as_str(),
        new.request_id,
        new.started_by,
        new.started_at,
        new.next_step_at,
    )
    .execute(transaction)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Finds a recovery.
#[tracing::instrument(name = "db.phone_recovery.find", skip_all)]
pub(super) async fn find(executor: impl PgExecutor<'_>, id: Uuid) -> Result<Option<Recovery>> {
    let row = select!("WHERE r.recovery_id = $1", id).fetch_optional(executor).await?;
    row.map(Recovery::try_from).transpose()
}

/// Finds the recovery that an administrator started by a request.
#[tracing::instrument(name = "db.phone_recovery.find_started", skip_all)]
pub(super) async fn find_started(
    executor: impl PgExecutor<'_>,
    started_by: Uuid,
    request_id: Uuid,
) -> Result<Option<Recovery>> {
    let row = select!("WHERE r.started_by = $1 AND r.request_id = $2", started_by, request_id);
    row.fetch_optional(executor).await?.map(Recovery::try_from).transpose()
}

/// Finds a recovery and locks it, so that decisions come one after the other.
#[tracing::instrument(name = "db.phone_recovery.lock", skip_all)]
pub(super) async fn lock(transaction: &mut PgConnection, id: Uuid) -> Result<Option<Recovery>> {
    let row = select!("WHERE r.recovery_id = $1 FOR UPDATE", id);
    row.fetch_optional(transaction).await?.map(Recovery::try_from).transpose()
}

/// The recoveries of the volunteers who are with an organization now, the latest first,
/// before one of them.
#[tracing::instrument(name = "db.phone_recovery.of_organization", skip_all)]
pub(super) async fn of_organization(
    executor: impl PgExecutor<'_>,
    organization: &OrganizationCode,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Recovery>> {
    let rows = select!(
        "JOIN registration.volunteer v USING (partition, volunteer_id)
         WHERE v.organization_code = $1 AND NOT v.closed
           AND ($2::uuid IS NULL OR r.recovery_id < $2)
         ORDER BY r.recovery_id DESC LIMIT $3",
        organization.as_str(),
        before,
        limit
    );
    rows.fetch_all(executor).await?.into_iter().map(Recovery::try_from).collect()
}

/// When an administrator started the recoveries of the last 24 hours, oldest first. Who
/// starts another one meanwhile waits.
#[tracing::instrument(name = "db.phone_recovery.started_by", skip_all)]
pub(super) async fn started_by(
    transaction: &mut PgConnection,
    administrator: Uuid,
    now: OffsetDateTime,
) -> Result<Vec<OffsetDateTime>> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('phone_recovery/' || $1::text, 0))",
        administrator.to_string(),
    )
    .fetch_one(&mut *transaction)
    .await?;
    Ok(sqlx::query_scalar!(
        "SELECT started_at FROM registration.phone_recovery
         WHERE started_by = $1 AND started_at > $2 ORDER BY started_at",
        administrator,
        now - WINDOW,
    )
    .fetch_all(transaction)
    .await?)
}

/// When those of a volunteer were started that began in the last 30 days, oldest first. The
/// row of the volunteer is locked.
#[tracing::instrument(name = "db.phone_recovery.started_of", skip_all)]
pub(super) async fn started_of(
    transaction: &mut PgConnection,
    volunteer_id: Uuid,
    now: OffsetDateTime,
) -> Result<Vec<OffsetDateTime>> {
    Ok(sqlx::query_scalar!(
        "SELECT started_at FROM registration.phone_recovery
         WHERE partition = $1 AND volunteer_id = $2 AND step <> 'REFUSED' AND started_at > $3
         ORDER BY started_at",
        Partition::of(volunteer_id).get(),
        volunteer_id,
        now - VOLUNTEER_WINDOW,
    )
    .fetch_all(transaction)
    .await?)
}

/// Those of a volunteer that may have ended lately.
#[tracing::instrument(name = "db.phone_recovery.lately_of", skip_all)]
pub(super) async fn lately_of(
    executor: impl PgExecutor<'_>,
    volunteer_id: Uuid,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar!(
        "SELECT recovery_id FROM registration.phone_recovery
         WHERE partition = $1 AND volunteer_id = $2 AND step <> 'REFUSED' AND started_at > $3
         ORDER BY recovery_id DESC LIMIT $4",
        Partition::of(volunteer_id).get(),
        volunteer_id,
        now - LONGEST,
        limit,
    )
    .fetch_all(executor)
    .await?)
}

/// Stores that a recovery, whose row is locked, is approved.
#[tracing::instrument(name = "db.phone_recovery.approve", skip_all)]
pub(super) async fn approve(
    transaction: &mut PgConnection,
    id: Uuid,
    approved_by: Uuid,
    now: OffsetDateTime,
    next_step_at: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE registration.phone_recovery
         SET step = 'APPROVING', approved_by = $2, approved_at = $3, next_step_at = $4
         WHERE recovery_id = $1",
        id,
        approved_by,
        now,
        next_step_at,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Stores that a recovery, whose row is locked, is cancelled: by somebody, or because nobody
/// stands behind it any more.
#[tracing::instrument(name = "db.phone_recovery.cancel", skip_all)]
pub(super) async fn cancel(
    transaction: &mut PgConnection,
    id: Uuid,
    cancelled_by: Option<Uuid>,
    now: OffsetDateTime,
    next_step_at: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE registration.phone_recovery
         SET step = 'CANCELLING', cancelled_by = $2, cancelled_at = $3, next_step_at = $4
         WHERE recovery_id = $1",
        id,
        cancelled_by,
        now,
        next_step_at,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Stores what identity made of a step, and when to look again, unless another one was decided
/// meanwhile.
#[tracing::instrument(name = "db.phone_recovery.told", skip_all)]
pub(super) async fn told(
    executor: impl PgExecutor<'_>,
    id: Uuid,
    seen: Step,
    (next, next_step_at): (Step, Option<OffsetDateTime>),
    refusal: Option<Refusal>,
) -> Result<()> {
    sqlx::query!(
        "UPDATE registration.phone_recovery SET step = $3, refusal = $4, next_step_at = $5
         WHERE recovery_id = $1 AND step = $2",
        id,
        seen.as_column(),
        next.as_column(),
        refusal.map(Refusal::as_column),
        next_step_at,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Leases the recoveries of which identity is to be told, or that are looked at again: nobody else does before
/// `until`. One that is due later than `latest` was planned by a clock that was ahead.
#[tracing::instrument(name = "db.phone_recovery.lease_due", skip_all)]
pub(super) async fn lease_due(
    executor: impl PgExecutor<'_>,
    now: OffsetDateTime,
    until: OffsetDateTime,
    latest: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Recovery>> {
    let rows = sqlx::query_as!(
        Row,
        "UPDATE registration.phone_recovery r SET next_step_at = $2
         WHERE r.recovery_id IN (
             SELECT recovery_id FROM registration.phone_recovery
             WHERE next_step_at <= $1 OR next_step_at > $3
             ORDER BY next_step_at LIMIT $4 FOR UPDATE SKIP LOCKED)
         RETURNING r.recovery_id, r.volunteer_id, r.step, r.refusal, r.reason, r.started_by,
                   r.started_at, r.approved_by, r.approved_at, r.cancelled_at",
        now,
        until,
        latest,
        limit,
    );
    rows.fetch_all(executor).await?.into_iter().map(Recovery::try_from).collect()
}

/// Deletes recoveries that were started before then; returns how many.
#[tracing::instrument(name = "db.phone_recovery.delete_old", skip_all)]
pub(crate) async fn delete_old(
    executor: impl PgExecutor<'_>,
    before: OffsetDateTime,
    limit: i64,
) -> Result<u64> {
    let result = sqlx::query!(
        "DELETE FROM registration.phone_recovery WHERE recovery_id = ANY (ARRAY(
             SELECT recovery_id FROM registration.phone_recovery
             WHERE started_at < $1 ORDER BY started_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
        before,
        limit,
    )
    .execute(executor)
    .await?;
    Ok(result.rows_affected())
}
