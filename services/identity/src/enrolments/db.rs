pub(super) mod checks;
pub(crate) mod guardians;
pub(super) mod review;

use sqlx::PgConnection;
use sqlx::types::Json;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::{Decision, Enrolment, LEASE, LONGEST_WAIT, Refusal, State};
use crate::consents::Given;
use crate::error::{Error, Result};

/// A row as it is stored.
struct Row {
    enrolment_id: Uuid,
    state: String,
    refusal: Option<String>,
    account_id: Option<Uuid>,
    phone_index: Option<Vec<u8>>,
    index_version: Option<i16>,
    guardian_phone_index: Option<Vec<u8>>,
    next_check_at: Option<OffsetDateTime>,
    decide_by: Option<OffsetDateTime>,
    waited: bool,
    created_at: OffsetDateTime,
    claim_against: Option<Uuid>,
}

impl TryFrom<Row> for Enrolment {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let inconsistent = || Error::Inconsistent("identity.enrolment");
        let refusal = row
            .refusal
            .map(|column| Refusal::from_column(&column).ok_or_else(inconsistent))
            .transpose()?;
        Ok(Self {
            enrolment_id: row.enrolment_id,
            state: State::from_column(&row.state).ok_or_else(inconsistent)?,
            refusal,
            account_id: row.account_id,
            phone_index: row.phone_index,
            index_version: row.index_version,
            guardian_phone_index: row.guardian_phone_index,
            next_check_at: row.next_check_at,
            decide_by: row.decide_by,
            waited: row.waited,
            created_at: row.created_at,
            claim_against: row.claim_against,
        })
    }
}

/// Finds an enrolment.
#[tracing::instrument(name = "db.enrolment.find", skip_all)]
pub(crate) async fn find(conn: &mut PgConnection, enrolment_id: Uuid) -> Result<Option<Enrolment>> {
    sqlx::query_as!(
        Row,
        "SELECT enrolment_id, state, refusal, account_id, phone_index, index_version,
                guardian_phone_index, next_check_at, decide_by, waited, created_at,
                (SELECT holder_id FROM identity.claim
                 WHERE claim_id = enrolment_id AND ended_at IS NULL) AS claim_against
         FROM identity.enrolment WHERE enrolment_id = $1",
        enrolment_id,
    )
    .fetch_optional(conn)
    .await?
    .map(Enrolment::try_from)
    .transpose()
}

/// Locks an enrolment.
#[tracing::instrument(name = "db.enrolment.lock", skip_all)]
pub(crate) async fn lock(tx: &mut PgConnection, enrolment_id: Uuid) -> Result<Option<Enrolment>> {
    sqlx::query_as!(
        Row,
        "SELECT enrolment_id, state, refusal, account_id, phone_index, index_version,
                guardian_phone_index, next_check_at, decide_by, waited, created_at,
                (SELECT holder_id FROM identity.claim
                 WHERE claim_id = enrolment_id AND ended_at IS NULL) AS claim_against
         FROM identity.enrolment WHERE enrolment_id = $1 FOR UPDATE",
        enrolment_id,
    )
    .fetch_optional(tx)
    .await?
    .map(Enrolment::try_from)
    .transpose()
}

/// What the verdict on the code stores: all that is not personal.
#[derive(Debug)]
pub(crate) struct Accepted<'a> {
    pub(crate) enrolment_id: Uuid,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) account_id: Uuid,
    pub(crate) challenge_id: Uuid,
    pub(crate) index_version: i16,
    pub(crate) phone_index: &'a [u8],
    pub(crate) consents: &'a [Given],
    /// Somebody of 16 or 17 who registers on the ground of own income.
    pub(crate) own_income: bool,
    pub(crate) guardian: Option<guardians::Accepted<'a>>,
}

/// Stores the verdict on the code; `false` if the enrolment is known already.
#[tracing::instrument(name = "db.enrolment.insert", skip_all)]
pub(crate) async fn insert(
    tx: &mut PgConnection,
    new: &Accepted<'_>,
    now: OffsetDateTime,
) -> Result<bool> {
    let state = if new.refusal.is_some() { State::Refused } else { State::Accepted };
    let done = sqlx::query!(
        "INSERT INTO identity.enrolment
             (enrolment_id, state, refusal, account_id, challenge_id, index_version, phone_index,
              consents, own_income, guardian_challenge_id, guardian_phone_index,
              guardian_relation, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)
         ON CONFLICT (enrolment_id) DO NOTHING",
        new.enrolment_id,
        state.as_column(),
        new.refusal.map(Refusal::as_column),
        new.account_id,
        new.challenge_id,
        new.index_version,
        new.phone_index,
        Json(new.consents) as _,
        new.own_income,
        new.guardian.as_ref().map(|guardian| guardian.challenge_id),
        new.guardian.as_ref().map(|guardian| guardian.phone_index),
        new.guardian.as_ref().map(|guardian| guardian.relation.as_column()),
        now,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// An applicant, sealed.
#[derive(Debug)]
pub(crate) struct Applicant {
    pub(crate) name: Vec<u8>,
    pub(crate) id_number: Vec<u8>,
    pub(crate) phone: Vec<u8>,
    pub(crate) password_hash: String,
    pub(crate) guardian: Option<Vec<u8>>,
    pub(crate) claim_statement: Option<Vec<u8>>,
}

/// Keeps the applicant of an accepted enrolment and takes the lease on asking the
/// register; `false` if somebody else did.
#[tracing::instrument(name = "db.enrolment.keep_applicant", skip_all)]
pub(crate) async fn keep_applicant(
    conn: &mut PgConnection,
    enrolment_id: Uuid,
    applicant: &Applicant,
    lease_until: OffsetDateTime,
    decide_by: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE identity.enrolment
         SET state = 'PENDING', name = $2, id_number = $3, phone = $4, password_hash = $5,
             attempts = 1, next_check_at = $6, decide_by = $7, updated_at = $8, guardian = $9,
             claim_statement = $10
         WHERE enrolment_id = $1 AND state = 'ACCEPTED'",
        enrolment_id,
        applicant.name,
        applicant.id_number,
        applicant.phone,
        applicant.password_hash,
        lease_until,
        decide_by,
        now,
        applicant.guardian,
        applicant.claim_statement,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes the lease on asking the register for an enrolment that is due; the person
/// has waited.
#[tracing::instrument(name = "db.enrolment.lease", skip_all)]
pub(crate) async fn lease(
    conn: &mut PgConnection,
    enrolment_id: Uuid,
    lease_until: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE identity.enrolment
         SET next_check_at = $2, attempts = attempts + 1, waited = true, updated_at = $3
         WHERE enrolment_id = $1 AND state = 'PENDING'
           AND (next_check_at <= $3 OR next_check_at > $4)",
        enrolment_id,
        lease_until,
        now,
        too_far(now),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What a check needs of an applicant.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) account_id: Uuid,
    pub(crate) challenge_id: Uuid,
    pub(crate) index_version: i16,
    pub(crate) phone_index: Vec<u8>,
    pub(crate) consents: Vec<Given>,
    pub(crate) applicant: Applicant,
    pub(crate) ground: guardians::Ground,
    pub(crate) attempts: i32,
    pub(crate) decide_by: OffsetDateTime,
    /// What a person decided, as the register could not tell.
    pub(crate) decision: Option<Decision>,
    /// The codes were used up when a claim was opened.
    pub(crate) codes_used: bool,
}

/// The applicant of an enrolment in this state; `None` once it is in another one.
#[tracing::instrument(name = "db.enrolment.pending", skip_all)]
pub(crate) async fn pending(
    conn: &mut PgConnection,
    enrolment_id: Uuid,
    state: State,
) -> Result<Option<Pending>> {
    let row = sqlx::query!(
        r#"SELECT account_id AS "account_id!", challenge_id AS "challenge_id!",
                  index_version AS "index_version!", phone_index AS "phone_index!",
                  consents AS "consents: Json<Vec<Given>>", name AS "name!",
                  id_number AS "id_number!", phone AS "phone!",
                  password_hash AS "password_hash!", attempts, decide_by AS "decide_by!",
                  guardian, guardian_relation, guardian_challenge_id, own_income, decision,
                  claim_statement,
                  EXISTS (SELECT FROM identity.claim WHERE claim_id = enrolment_id)
                      AS "codes_used!"
           FROM identity.enrolment WHERE enrolment_id = $1 AND state = $2"#,
        enrolment_id,
        state.as_column(),
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        let decision = row.decision.map(|column| {
            Decision::from_column(&column).ok_or(Error::Inconsistent("identity.enrolment"))
        });
        let sealed = (row.guardian_relation, row.guardian_challenge_id);
        Ok(Pending {
            account_id: row.account_id,
            challenge_id: row.challenge_id,
            index_version: row.index_version,
            phone_index: row.phone_index,
            consents: row.consents.0,
            applicant: Applicant {
                name: row.name,
                id_number: row.id_number,
                phone: row.phone,
                password_hash: row.password_hash,
                guardian: row.guardian,
                claim_statement: row.claim_statement,
            },
            ground: guardians::Ground::from_columns(sealed, row.own_income)?,
            attempts: row.attempts,
            decide_by: row.decide_by,
            decision: decision.transpose()?,
            codes_used: row.codes_used,
        })
    })
    .transpose()
}

/// The register did not answer: asked again at `next_check_at`.
#[tracing::instrument(name = "db.enrolment.postpone", skip_all)]
pub(crate) async fn postpone(
    conn: &mut PgConnection,
    enrolment_id: Uuid,
    next_check_at: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE identity.enrolment SET next_check_at = $2, waited = true, updated_at = $3
         WHERE enrolment_id = $1 AND state = 'PENDING'",
        enrolment_id,
        next_check_at,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// People decide: the register could not tell, or it is a claim, which is to be decided by then.
/// The new revision, unless there is a verdict already.
#[tracing::instrument(name = "db.enrolment.review", skip_all)]
pub(crate) async fn send_to_review(
    tx: &mut PgConnection,
    enrolment_id: Uuid,
    decide_by: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> Result<Option<i64>> {
    Ok(sqlx::query_scalar!(
        "UPDATE identity.enrolment
         SET state = 'REVIEW', next_check_at = NULL, waited = true, updated_at = $2,
             decide_by = coalesce($3, decide_by), revision = revision + 1
         WHERE enrolment_id = $1 AND state = 'PENDING'
         RETURNING revision",
        enrolment_id,
        now,
        decide_by,
    )
    .fetch_optional(tx)
    .await?)
}

/// Ends an enrolment whose row is locked, and deletes the applicant. The new revision.
#[tracing::instrument(name = "db.enrolment.end", skip_all)]
pub(crate) async fn end(
    tx: &mut PgConnection,
    enrolment_id: Uuid,
    state: State,
    refusal: Option<Refusal>,
    now: OffsetDateTime,
) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        "UPDATE identity.enrolment
         SET state = $2, refusal = $3, name = NULL, id_number = NULL, phone = NULL,
             password_hash = NULL, guardian = NULL, guardian_phone_index = NULL,
             claim_statement = NULL,
             next_check_at = NULL, updated_at = $4,
             claimed_at = CASE WHEN $2 = 'CLAIMED' THEN $4 ELSE claimed_at END,
             revision = revision + 1
         WHERE enrolment_id = $1
         RETURNING revision",
        enrolment_id,
        state.as_column(),
        refusal.map(Refusal::as_column),
        now,
    )
    .fetch_one(tx)
    .await?)
}

/// Names the account that a refused applicant turned out to be.
#[tracing::instrument(name = "db.enrolment.set_account", skip_all)]
pub(crate) async fn set_account(
    tx: &mut PgConnection,
    enrolment_id: Uuid,
    account_id: Option<Uuid>,
) -> Result<()> {
    sqlx::query!(
        "UPDATE identity.enrolment SET account_id = $2 WHERE enrolment_id = $1",
        enrolment_id,
        account_id,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Leaves a tombstone for an enrolment that is not known.
#[tracing::instrument(name = "db.enrolment.bury", skip_all)]
pub(crate) async fn bury(
    tx: &mut PgConnection,
    enrolment_id: Uuid,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO identity.enrolment (enrolment_id, state, created_at, updated_at)
         VALUES ($1, 'DISCARDED', $2, $2) ON CONFLICT (enrolment_id) DO NOTHING",
        enrolment_id,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The challenges of an enrolment: the person's, and the guardian's.
#[tracing::instrument(name = "db.enrolment.challenges", skip_all)]
pub(crate) async fn challenges_of(
    conn: &mut PgConnection,
    enrolment_id: Uuid,
) -> Result<Vec<Uuid>> {
    let row = sqlx::query!(
        "SELECT challenge_id, guardian_challenge_id FROM identity.enrolment
         WHERE enrolment_id = $1",
        enrolment_id,
    )
    .fetch_optional(conn)
    .await?;
    let challenges = row.map(|row| [row.challenge_id, row.guardian_challenge_id]);
    Ok(challenges.into_iter().flatten().flatten().collect())
}

/// Further ahead than any wait: a clock was wrong, and the row is due.
fn too_far(now: OffsetDateTime) -> OffsetDateTime {
    now + LONGEST_WAIT + LEASE
}

/// Enrolments whose check is due, longest waiting first.
#[tracing::instrument(name = "db.enrolment.due", skip_all)]
pub(crate) async fn due(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar!(
        "SELECT enrolment_id FROM identity.enrolment
         WHERE state = 'PENDING' AND (next_check_at <= $1 OR next_check_at > $3)
         ORDER BY next_check_at LIMIT $2",
        now,
        limit,
        too_far(now),
    )
    .fetch_all(conn)
    .await?)
}

/// Reviews that nobody decided in time, each with whether it is a claim.
#[tracing::instrument(name = "db.enrolment.overdue", skip_all)]
pub(crate) async fn overdue_reviews(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<(Uuid, bool)>> {
    let rows = sqlx::query!(
        r#"SELECT enrolment_id,
                  EXISTS (SELECT FROM identity.claim
                          WHERE claim_id = enrolment_id AND ended_at IS NULL) AS "claim!"
           FROM identity.enrolment
           WHERE state = 'REVIEW' AND decide_by <= $1 ORDER BY decide_by LIMIT $2"#,
        now,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.enrolment_id, row.claim)).collect())
}

/// A page of claimed enrolments, oldest first, with the time of the claim.
#[tracing::instrument(name = "db.enrolment.page_claimed", skip_all)]
pub(crate) async fn page_claimed(
    conn: &mut PgConnection,
    claimed_before: OffsetDateTime,
    after: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<(OffsetDateTime, Uuid, Uuid)>> {
    let (after_at, after_id) = after.unwrap_or((OffsetDateTime::UNIX_EPOCH, Uuid::nil()));
    let rows = sqlx::query!(
        r#"SELECT claimed_at AS "claimed_at!", enrolment_id, account_id AS "account_id!"
           FROM identity.enrolment
           WHERE state = 'CLAIMED' AND claimed_at < $1 AND (claimed_at, enrolment_id) > ($2, $3)
           ORDER BY claimed_at, enrolment_id LIMIT $4"#,
        claimed_before,
        after_at,
        after_id,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.claimed_at, row.enrolment_id, row.account_id)).collect())
}

/// Deletes counts and tombstones that nothing asks for any more; what was refused
/// before the code was right goes sooner, and what was never gone on with is buried.
#[tracing::instrument(name = "db.enrolment.purge", skip_all)]
pub(crate) async fn purge(
    conn: &mut PgConnection,
    ended_before: OffsetDateTime,
    idle_before: OffsetDateTime,
    day: Date,
    now: OffsetDateTime,
) -> Result<()> {
    let early: Vec<String> = Refusal::BEFORE_CODE.map(|r| r.as_column().to_owned()).to_vec();
    sqlx::query!(
        "DELETE FROM identity.enrolment
         WHERE state IN ('REFUSED', 'DISCARDED')
           AND (updated_at < $1 OR (updated_at < $2 AND refusal = ANY($3)))",
        ended_before,
        idle_before,
        &early,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "UPDATE identity.enrolment SET state = 'DISCARDED', updated_at = $2
         WHERE state = 'ACCEPTED' AND updated_at < $1",
        idle_before,
        now,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("DELETE FROM identity.failed_check WHERE day < $1", day).execute(conn).await?;
    Ok(())
}

/// Where the phone of an applicant is sealed.
#[derive(Debug)]
pub(crate) enum SealedPhone {
    /// In the enrolment.
    Applicant(Vec<u8>),
    /// In the account that it became.
    Account(Vec<u8>),
}

/// The sealed phone of an applicant, and the subject of its data key.
#[tracing::instrument(name = "db.enrolment.phone", skip_all)]
pub(crate) async fn phone_of(
    conn: &mut PgConnection,
    enrolment_id: Uuid,
) -> Result<Option<(Uuid, SealedPhone)>> {
    let row = sqlx::query!(
        r#"SELECT e.account_id AS "subject!", e.phone AS applicant, a.phone AS "account?"
           FROM identity.enrolment e
           LEFT JOIN identity.account a
             ON a.partition = (get_byte(uuid_send(e.account_id), 15) & 63)
            AND a.account_id = e.account_id AND a.enrolment_id = e.enrolment_id
           WHERE e.enrolment_id = $1 AND e.account_id IS NOT NULL"#,
        enrolment_id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.and_then(|row| {
        let sealed = row
            .applicant
            .map(SealedPhone::Applicant)
            .or_else(|| row.account.map(SealedPhone::Account))?;
        Some((row.subject, sealed))
    }))
}
