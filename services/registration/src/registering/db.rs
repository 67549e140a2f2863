//! The SQL of registrations.

use sqlx::{PgConnection, PgExecutor};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use zhiyuan_domain::{AccountId, EnrolmentId, OrganizationCode, RegionCode, RequestId};

use super::{Change, Refusal, Saga, Step};
use crate::error::{Error, Result};

/// A row of `registration.registration`, as it is stored.
struct Row {
    request_id: Uuid,
    digest: Vec<u8>,
    digest_version: i16,
    enrolment_id: Uuid,
    account_id: Option<Uuid>,
    adopted: bool,
    region_code: String,
    organization_code: String,
    league_member: bool,
    step: String,
    refusal: Option<String>,
    successor_code: Option<String>,
    retry_at: Option<OffsetDateTime>,
    next_step_at: Option<OffsetDateTime>,
    last_call_at: OffsetDateTime,
    attempts: i32,
}

impl TryFrom<Row> for Saga {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        const CORRUPT: Error = Error::Inconsistent("registration");
        let organization = |code: &str| OrganizationCode::parse(code).map_err(|_| CORRUPT);
        let successor = row.successor_code.as_deref().map(organization).transpose()?;
        Ok(Self {
            request_id: row.request_id.into(),
            digest: row.digest,
            digest_version: row.digest_version,
            enrolment_id: row.enrolment_id.into(),
            account_id: row.account_id.map(AccountId::from),
            adopted: row.adopted,
            region: RegionCode::parse(&row.region_code).map_err(|_| CORRUPT)?,
            organization: organization(&row.organization_code)?,
            league_member: row.league_member,
            step: Step::from_column(&row.step).ok_or(CORRUPT)?,
            refusal: row
                .refusal
                .map(|refusal| Refusal::from_columns(&refusal, successor).ok_or(CORRUPT))
                .transpose()?,
            retry_at: row.retry_at,
            next_step_at: row.next_step_at,
            last_call_at: row.last_call_at,
            attempts: row.attempts,
        })
    }
}

/// What a new registration starts with.
#[derive(Debug)]
pub(crate) struct NewSaga<'a> {
    pub(crate) request_id: RequestId,
    pub(crate) digest: &'a [u8],
    pub(crate) digest_version: i16,
    pub(crate) enrolment_id: EnrolmentId,
    pub(crate) region: RegionCode,
    pub(crate) organization: &'a OrganizationCode,
    pub(crate) league_member: bool,
    pub(crate) via: Option<&'a str>,
    pub(crate) next_step_at: OffsetDateTime,
}

/// Finds a registration.
#[tracing::instrument(name = "db.registration.find", skip_all)]
pub(crate) async fn find(
    executor: impl PgExecutor<'_>,
    request_id: RequestId,
) -> Result<Option<Saga>> {
    sqlx::query_as!(
        Row,
        "SELECT request_id, digest, digest_version, enrolment_id, account_id, adopted, region_code,
                organization_code, league_member, step, refusal, successor_code, retry_at,
                next_step_at, last_call_at, attempts
         FROM registration.registration WHERE request_id = $1",
        request_id.as_uuid(),
    )
    .fetch_optional(executor)
    .await?
    .map(Saga::try_from)
    .transpose()
}

/// Finds a registration and locks it until the transaction ends: every change of a
/// step is decided under this lock.
#[tracing::instrument(name = "db.registration.lock", skip_all)]
pub(crate) async fn lock(connection: &mut PgConnection, request_id: RequestId) -> Result<Saga> {
    sqlx::query_as!(
        Row,
        "SELECT request_id, digest, digest_version, enrolment_id, account_id, adopted, region_code,
                organization_code, league_member, step, refusal, successor_code, retry_at,
                next_step_at, last_call_at, attempts
         FROM registration.registration WHERE request_id = $1 FOR UPDATE",
        request_id.as_uuid(),
    )
    .fetch_optional(connection)
    .await?
    .ok_or(Error::RegistrationNotFound)?
    .try_into()
}

/// Finds how far the registration of an enrolment is.
#[tracing::instrument(name = "db.registration.find_step", skip_all)]
pub(crate) async fn find_step_of_enrolment(
    executor: impl PgExecutor<'_>,
    enrolment_id: EnrolmentId,
) -> Result<Option<Step>> {
    let step = sqlx::query_scalar!(
        "SELECT step FROM registration.registration WHERE enrolment_id = $1",
        enrolment_id.as_uuid(),
    )
    .fetch_optional(executor)
    .await?;
    step.map(|step| Step::from_column(&step).ok_or(Error::Inconsistent("registration"))).transpose()
}

/// Inserts a registration, unless there is one of that `request_id`.
#[tracing::instrument(name = "db.registration.insert", skip_all)]
pub(crate) async fn insert(
    executor: impl PgExecutor<'_>,
    new: &NewSaga<'_>,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO registration.registration
             (request_id, digest, digest_version, enrolment_id, region_code, organization_code,
              league_member, step, next_step_at, last_call_at, created_at, registered_via)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11)
         ON CONFLICT (request_id) DO NOTHING",
        new.request_id.as_uuid(),
        new.digest,
        new.digest_version,
        new.enrolment_id.as_uuid(),
        new.region.as_str(),
        new.organization.as_str(),
        new.league_member,
        Step::Started.as_column(),
        new.next_step_at,
        now,
        new.via,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Notes that the client sent its form again, unless the registration is finished.
#[tracing::instrument(name = "db.registration.update_last_call", skip_all)]
pub(crate) async fn update_last_call(
    executor: impl PgExecutor<'_>,
    request_id: RequestId,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE registration.registration SET last_call_at = greatest(last_call_at, $2)
         WHERE request_id = $1 AND finished_at IS NULL",
        request_id.as_uuid(),
        now,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Writes a change of a registration that is locked. One that has to wait, and was made
/// due meanwhile, stays due: the verdict has fallen after it was asked for.
#[tracing::instrument(name = "db.registration.update_step", skip_all, fields(step = change.step().as_column()))]
pub(crate) async fn update_step(
    connection: &mut PgConnection,
    request_id: RequestId,
    change: &Change,
    next_step_at: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> Result<()> {
    let (retry_at, account, adopted, refusal) = match change {
        Change::Pending { retry_at } | Change::Review { retry_at, .. } => {
            (Some(*retry_at), None, false, None)
        }
        Change::Claimed { account, adopted } => (None, Some(*account), *adopted, None),
        Change::Undoing { refusal } | Change::Refused { refusal } => {
            (None, None, false, Some(refusal))
        }
        Change::Registered | Change::Done | Change::Undone => (None, None, false, None),
    };
    let result = sqlx::query!(
        "UPDATE registration.registration
         SET step = $2, retry_at = $3, account_id = coalesce($4, account_id),
             adopted = adopted OR $5, refusal = coalesce($6, refusal),
             successor_code = coalesce($7, successor_code), finished_at = $9, attempts = 0,
             next_step_at = CASE WHEN $2 IN ('PENDING', 'REVIEW') AND next_step_at <= $10
                                 THEN next_step_at ELSE $8 END
         WHERE request_id = $1",
        request_id.as_uuid(),
        change.step().as_column(),
        retry_at,
        account.map(|account| account.as_uuid()),
        adopted,
        refusal.map(Refusal::as_column),
        refusal.and_then(Refusal::successor).map(OrganizationCode::as_str),
        next_step_at,
        change.step().is_final().then_some(now),
        now,
    )
    .execute(connection)
    .await?;
    Ok(zhiyuan_postgres::ensure_affected(&result, 1)?)
}

/// Makes registrations due that are planned for later than `latest`, which only a clock
/// that was ahead can have planned; returns how many.
#[tracing::instrument(name = "db.registration.recall", skip_all)]
pub(crate) async fn recall(
    executor: impl PgExecutor<'_>,
    latest: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<u64> {
    let result = sqlx::query!(
        "UPDATE registration.registration SET next_step_at = $2 WHERE next_step_at > $1",
        latest,
        now,
    )
    .execute(executor)
    .await?;
    Ok(result.rows_affected())
}

/// Takes registrations that are due, the longest due first, for the time of a lease.
/// No client calls in the future: a last call noted by a clock that was ahead counts
/// as one made now.
#[tracing::instrument(name = "db.registration.lease", skip_all)]
pub(crate) async fn lease_due(
    executor: impl PgExecutor<'_>,
    now: OffsetDateTime,
    lease: Duration,
    limit: i64,
) -> Result<Vec<Saga>> {
    sqlx::query_as!(
        Row,
        "UPDATE registration.registration
         SET next_step_at = $2, attempts = attempts + 1,
             last_call_at = least(last_call_at, $1)
         WHERE request_id IN (
             SELECT request_id FROM registration.registration
             WHERE next_step_at <= $1 ORDER BY next_step_at LIMIT $3 FOR UPDATE SKIP LOCKED)
         RETURNING request_id, digest, digest_version, enrolment_id, account_id, adopted,
                   region_code, organization_code, league_member, step, refusal, successor_code,
                   retry_at, next_step_at, last_call_at, attempts",
        now,
        now + lease,
        limit,
    )
    .fetch_all(executor)
    .await?
    .into_iter()
    .map(Saga::try_from)
    .collect()
}

/// Looks again at another time, if the registration still is at that step.
#[tracing::instrument(name = "db.registration.postpone", skip_all)]
pub(crate) async fn postpone(
    executor: impl PgExecutor<'_>,
    request_id: RequestId,
    step: Step,
    next_step_at: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE registration.registration SET next_step_at = $3
         WHERE request_id = $1 AND step = $2 AND finished_at IS NULL",
        request_id.as_uuid(),
        step.as_column(),
        next_step_at,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Deletes finished registrations, oldest first; returns how many.
#[tracing::instrument(name = "db.registration.delete_finished", skip_all)]
pub(crate) async fn delete_finished(
    executor: impl PgExecutor<'_>,
    before: OffsetDateTime,
    limit: i64,
) -> Result<u64> {
    let result = sqlx::query!(
        "DELETE FROM registration.registration WHERE request_id IN (
             SELECT request_id FROM registration.registration
             WHERE finished_at < $1 ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        before,
        limit,
    )
    .execute(executor)
    .await?;
    Ok(result.rows_affected())
}

/// Deletes registrations refused for one of these reasons; returns how many.
#[tracing::instrument(name = "db.registration.delete_refused", skip_all)]
pub(crate) async fn delete_refused(
    executor: impl PgExecutor<'_>,
    refusals: &[String],
    before: OffsetDateTime,
    limit: i64,
) -> Result<u64> {
    let result = sqlx::query!(
        "DELETE FROM registration.registration WHERE request_id IN (
             SELECT request_id FROM registration.registration
             WHERE step = 'REFUSED' AND refusal = ANY($1) AND finished_at < $2
             LIMIT $3 FOR UPDATE SKIP LOCKED)",
        refusals,
        before,
        limit,
    )
    .execute(executor)
    .await?;
    Ok(result.rows_affected())
}
