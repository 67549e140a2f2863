//! The SQL of what people decide.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::Partition;

use crate::enrolments::{Decision, State};
use crate::error::{Error, Result};

/// An applicant who waits for a decision, sealed.
#[derive(Debug)]
pub(in crate::enrolments) struct Waiting {
    pub(in crate::enrolments) enrolment_id: Uuid,
    /// The subject of the data key.
    pub(in crate::enrolments) account_id: Uuid,
    pub(in crate::enrolments) name: Vec<u8>,
    pub(in crate::enrolments) id_number: Vec<u8>,
    pub(in crate::enrolments) phone: Vec<u8>,
    pub(in crate::enrolments) guardian: Option<Vec<u8>>,
    pub(in crate::enrolments) claim_statement: Option<Vec<u8>>,
    pub(in crate::enrolments) decide_by: OffsetDateTime,
}

/// Those of the enrolments that wait for a decision, in no order: on claims, or on what the
/// register could not tell.
#[tracing::instrument(name = "db.enrolment.waiting", skip_all)]
pub(in crate::enrolments) async fn waiting(
    conn: &mut PgConnection,
    ids: &[Uuid],
    claims: bool,
) -> Result<Vec<Waiting>> {
    Ok(sqlx::query_as!(
        Waiting,
        r#"SELECT enrolment_id, account_id AS "account_id!", name AS "name!",
                  id_number AS "id_number!", phone AS "phone!", guardian, claim_statement,
                  decide_by AS "decide_by!"
           FROM identity.enrolment
           WHERE enrolment_id = ANY($1) AND state = 'REVIEW'
             AND EXISTS (SELECT FROM identity.claim
                         WHERE claim_id = enrolment_id AND ended_at IS NULL) = $2"#,
        ids,
        claims,
    )
    .fetch_all(conn)
    .await?)
}

/// What the account of a viewer is known by: blind indexes, each with the key's version.
#[derive(Debug)]
pub(in crate::enrolments) struct Viewer {
    pub(in crate::enrolments) numbers: Vec<(i16, Vec<u8>)>,
    pub(in crate::enrolments) phone: Option<(i16, Vec<u8>)>,
}

/// What an account is known by; nothing, if there is no such account.
#[tracing::instrument(name = "db.account.viewer", skip_all)]
pub(in crate::enrolments) async fn viewer(
    conn: &mut PgConnection,
    account_id: Uuid,
) -> Result<Viewer> {
    let partition = Partition::of(account_id).get();
    let numbers = sqlx::query!(
        "SELECT index_version, number_index FROM identity.number
         WHERE partition = $1 AND account_id = $2",
        partition,
        account_id,
    )
    .fetch_all(&mut *conn)
    .await?;
    let phone = sqlx::query!(
        r#"SELECT index_version, phone_index AS "phone_index!" FROM identity.account
           WHERE partition = $1 AND account_id = $2 AND phone_index IS NOT NULL"#,
        partition,
        account_id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(Viewer {
        numbers: numbers.into_iter().map(|row| (row.index_version, row.number_index)).collect(),
        phone: phone.map(|row| (row.index_version, row.phone_index)),
    })
}

/// How far a decision is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::enrolments) struct Decided {
    pub(in crate::enrolments) state: State,
    pub(in crate::enrolments) decision: Option<Decision>,
    /// It is a claim, on which two decide.
    pub(in crate::enrolments) claim: bool,
}

/// Locks an enrolment, and tells what was decided.
#[tracing::instrument(name = "db.enrolment.lock_decision", skip_all)]
pub(in crate::enrolments) async fn lock_decision(
    tx: &mut PgConnection,
    enrolment_id: Uuid,
) -> Result<Option<Decided>> {
    let row = sqlx::query!(
        r#"SELECT state, decision,
                  EXISTS (SELECT FROM identity.claim
                          WHERE claim_id = enrolment_id AND ended_at IS NULL) AS "claim!"
           FROM identity.enrolment WHERE enrolment_id = $1 FOR UPDATE"#,
        enrolment_id,
    )
    .fetch_optional(tx)
    .await?;
    let inconsistent = || Error::Inconsistent("identity.enrolment");
    row.map(|row| {
        let state = State::from_column(&row.state).ok_or_else(inconsistent)?;
        let decision = row
            .decision
            .map(|column| Decision::from_column(&column).ok_or_else(inconsistent))
            .transpose()?;
        Ok(Decided { state, decision, claim: row.claim })
    })
    .transpose()
}

/// Stores a decision, and takes the lease on what follows from it.
#[tracing::instrument(name = "db.enrolment.decide", skip_all)]
pub(in crate::enrolments) async fn decide(
    tx: &mut PgConnection,
    enrolment_id: Uuid,
    (decision, by): (Decision, Uuid),
    (lease_until, decide_by): (OffsetDateTime, OffsetDateTime),
    now: OffsetDateTime,
) -> Result<Uuid> {
    Ok(sqlx::query_scalar!(
        r#"UPDATE identity.enrolment
           SET state = 'PENDING', decision = $2, decided_by = $3, decided_at = $6,
               next_check_at = $4, decide_by = $5, attempts = 1, updated_at = $6
           WHERE enrolment_id = $1
           RETURNING account_id AS "account_id!""#,
        enrolment_id,
        decision.as_column(),
        by,
        lease_until,
        decide_by,
        now,
    )
    .fetch_one(tx)
    .await?)
}
