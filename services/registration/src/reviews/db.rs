//! The SQL of reviews.

use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::{AccountId, EnrolmentId, OrganizationCode, RequestId};

use super::{Decision, Review, Waiting};
use crate::error::{Error, Result};
use crate::registering::Step;

const CORRUPT: Error = Error::Inconsistent("registration");

/// Reviews that wait, after one of them, in the order in which the forms came.
#[tracing::instrument(name = "db.review.waiting", skip_all)]
pub(crate) async fn waiting(
    executor: impl PgExecutor<'_>,
    after: EnrolmentId,
    limit: i64,
) -> Result<Vec<Waiting>> {
    Ok(sqlx::query_as!(
        Waiting,
        r#"SELECT enrolment_id AS id, organization_code AS organization,
                  created_at AS submitted_at, retry_at AS "expires_at!"
           FROM registration.registration
           WHERE step = 'REVIEW' AND decision IS NULL AND enrolment_id > $1
             AND NOT EXISTS (SELECT FROM registration.claim c
                             WHERE c.claim_id = enrolment_id AND c.step <> 'OVER')
           ORDER BY enrolment_id LIMIT $2"#,
        after.as_uuid(),
        limit,
    )
    .fetch_all(executor)
    .await?)
}

struct Row {
    enrolment_id: Uuid,
    request_id: Uuid,
    organization_code: String,
    step: String,
    decided: bool,
    seen_by: Vec<Uuid>,
}

impl TryFrom<Row> for Review {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.enrolment_id.into(),
            request_id: row.request_id.into(),
            organization: OrganizationCode::parse(&row.organization_code).map_err(|_| CORRUPT)?,
            step: Step::from_column(&row.step).ok_or(CORRUPT)?,
            decided: row.decided,
            seen_by: row.seen_by.into_iter().map(AccountId::from).collect(),
        })
    }
}

/// Finds a registration by the id of its review; not one that is a claim, on which two decide.
#[tracing::instrument(name = "db.review.find", skip_all)]
pub(crate) async fn find(executor: impl PgExecutor<'_>, id: EnrolmentId) -> Result<Option<Review>> {
    sqlx::query_as!(
        Row,
        r#"SELECT enrolment_id, request_id, organization_code, step,
                  decision IS NOT NULL AS "decided!", review_seen_by AS seen_by
           FROM registration.registration
           WHERE enrolment_id = $1
             AND NOT EXISTS (SELECT FROM registration.claim c
                             WHERE c.claim_id = enrolment_id AND c.step <> 'OVER')"#,
        id.as_uuid(),
    )
    .fetch_optional(executor)
    .await?
    .map(Review::try_from)
    .transpose()
}

/// The same, and locks it until the transaction ends.
#[tracing::instrument(name = "db.review.lock", skip_all)]
pub(crate) async fn lock(
    transaction: &mut PgConnection,
    id: EnrolmentId,
) -> Result<Option<Review>> {
    sqlx::query_as!(
        Row,
        r#"SELECT enrolment_id, request_id, organization_code, step,
                  decision IS NOT NULL AS "decided!", review_seen_by AS seen_by
           FROM registration.registration
           WHERE enrolment_id = $1
             AND NOT EXISTS (SELECT FROM registration.claim c
                             WHERE c.claim_id = enrolment_id AND c.step <> 'OVER')
           FOR UPDATE"#,
        id.as_uuid(),
    )
    .fetch_optional(transaction)
    .await?
    .map(Review::try_from)
    .transpose()
}

/// Notes that somebody looks at whom a review is about.
#[tracing::instrument(name = "db.review.see", skip_all)]
pub(crate) async fn see(
    transaction: &mut PgConnection,
    id: EnrolmentId,
    viewer: AccountId,
) -> Result<()> {
    sqlx::query!(
        "UPDATE registration.registration SET review_seen_by = array_append(review_seen_by, $2)
         WHERE enrolment_id = $1 AND $2 <> ALL (review_seen_by)",
        id.as_uuid(),
        viewer.as_uuid(),
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Stores a decision about a registration that is locked, and makes it due.
#[tracing::instrument(name = "db.review.decide", skip_all)]
pub(crate) async fn decide(
    transaction: &mut PgConnection,
    request_id: RequestId,
    decision: Decision,
    by: AccountId,
    now: OffsetDateTime,
) -> Result<()> {
    let done = sqlx::query!(
        "UPDATE registration.registration
         SET decision = $2, decided_by = $3, decided_at = $4, next_step_at = $4, attempts = 0
         WHERE request_id = $1 AND step = 'REVIEW' AND decision IS NULL",
        request_id.as_uuid(),
        decision.as_column(),
        by.as_uuid(),
        now,
    )
    .execute(transaction)
    .await?;
    Ok(zhiyuan_postgres::ensure_affected(&done, 1)?)
}

/// What was decided about a registration, and by whom.
#[tracing::instrument(name = "db.review.decision", skip_all)]
pub(crate) async fn decision(
    executor: impl PgExecutor<'_>,
    request_id: RequestId,
) -> Result<Option<(Decision, AccountId)>> {
    let row = sqlx::query!(
        r#"SELECT decision AS "decision!", decided_by AS "decided_by!"
           FROM registration.registration WHERE request_id = $1 AND decision IS NOT NULL"#,
        request_id.as_uuid(),
    )
    .fetch_optional(executor)
    .await?;
    row.map(|row| {
        let decision = Decision::from_column(&row.decision).ok_or(CORRUPT)?;
        Ok((decision, AccountId::from(row.decided_by)))
    })
    .transpose()
}
