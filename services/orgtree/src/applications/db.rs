//! The SQL of applications.

use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Application, Made, Said, State};
use crate::authority::{Permission, Role};
use crate::error::{Error, Result};
use crate::organizations::{Contacts, Kind};

struct Row {
    application_id: Uuid,
    applicant: Uuid,
    superior_code: String,
    superior_gone: bool,
    kind: i16,
    name: String,
    region_code: Option<String>,
    credit_code: Option<String>,
    contact_phone: String,
    contact_group_number: String,
    contact_note: String,
    purpose: String,
    state: i16,
    revision: i64,
    submitted_at: OffsetDateTime,
    changed_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    note: String,
    decided_by: Option<Uuid>,
    organization_code: Option<String>,
    grant_id: Option<Uuid>,
}

impl TryFrom<Row> for Application {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let (Some(kind), Some(state)) = (Kind::of_number(row.kind), State::of_number(row.state))
        else {
            return Err(Error::Inconsistent("orgtree.application"));
        };
        let made = row.organization_code.zip(row.grant_id);
        Ok(Self {
            id: row.application_id,
            applicant: row.applicant,
            superior_code: row.superior_code,
            superior_gone: row.superior_gone,
            kind,
            said: Said {
                name: row.name,
                region_code: row.region_code,
                credit_code: row.credit_code,
                contacts: Contacts {
                    phone: row.contact_phone,
                    group_number: row.contact_group_number,
                    note: row.contact_note,
                },
            },
            purpose: row.purpose,
            state,
            revision: row.revision,
            submitted_at: row.submitted_at,
            changed_at: row.changed_at,
            expires_at: row.expires_at,
            note: row.note,
            decided_by: row.decided_by,
            made: made.map(|(organization_code, grant_id)| Made { organization_code, grant_id }),
        })
    }
}

/// Applications as they are kept, and whether there is anybody left who could decide.
macro_rules! applications {
    ($rest:literal, $($value:expr),* $(,)?) => {
        sqlx::query_as!(
            Row,
            "SELECT a.application_id, a.applicant, a.superior_code, a.kind, a.name, a.region_code,
                    a.credit_code, a.contact_phone, a.contact_group_number, a.contact_note,
                    a.purpose, a.state, a.revision, a.submitted_at, a.changed_at, a.expires_at,
                    a.note, a.decided_by, a.organization_code, a.grant_id,
                    o.state = 2 AND orgtree.followed_by(o.code) IS NULL AS \"superior_gone!\"
             FROM orgtree.application a
             JOIN orgtree.organization o ON o.code = a.superior_code " + $rest,
            $($value),*
        )
    };
}

fn all(rows: Vec<Row>) -> Result<Vec<Application>> {
    rows.into_iter().map(Application::try_from).collect()
}

/// Makes another application of the same account wait: two that see each other's number would
/// be one too many.
#[tracing::instrument(name = "db.application.lock_applicant", skip_all)]
pub(super) async fn lock_applicant(transaction: &mut PgConnection, applicant: Uuid) -> Result<()> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('orgtree.applicant.' || $1, 0)) AS alone",
        applicant.to_string(),
    )
    .fetch_one(transaction)
    .await?;
    Ok(())
}

/// How many applications of an account wait, and how many were handed in since a time.
#[tracing::instrument(name = "db.application.count", skip_all)]
pub(super) async fn count(
    transaction: &mut PgConnection,
    applicant: Uuid,
    since: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE a.state IN (1, 2) AND a.expires_at > $3
                                     AND (o.state = 1 OR orgtree.followed_by(o.code) IS NOT NULL))
                      AS "open!",
                  count(*) FILTER (WHERE a.submitted_at >= $2) AS "since!"
           FROM orgtree.application a
           JOIN orgtree.organization o ON o.code = a.superior_code
           WHERE a.applicant = $1"#,
        applicant,
        since,
        now,
    )
    .fetch_one(transaction)
    .await?;
    Ok((row.open, row.since))
}

/// Inserts an application.
#[tracing::instrument(name = "db.application.insert", skip_all)]
pub(super) async fn insert(transaction: &mut PgConnection, new: &Application) -> Result<()> {
    sqlx::query!(
        "INSERT INTO orgtree.application
             (application_id, applicant, superior_code, kind, name, region_code, credit_code,
              contact_phone, contact_group_number, contact_note, purpose, state, revision,
              submitted_at, changed_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        new.id,
        new.applicant,
        new.superior_code,
        new.kind.number(),
        new.said.name,
        new.said.region_code,
        new.said.credit_code,
        new.said.contacts.phone,
        new.said.contacts.group_number,
        new.said.contacts.note,
        new.purpose,
        new.state.number(),
        new.revision,
        new.submitted_at,
        new.changed_at,
        new.expires_at,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Stores an application after one step.
#[tracing::instrument(name = "db.application.store", skip_all)]
pub(super) async fn store(transaction: &mut PgConnection, one: &Application) -> Result<()> {
    let made = one.made.as_ref();
    let stored = sqlx::query!(
        "UPDATE orgtree.application
         SET kind = $3, name = $4, region_code = $5, credit_code = $6, contact_phone = $7,
             contact_group_number = $8, contact_note = $9, purpose = $10, state = $11,
             revision = $2::bigint, changed_at = $12, expires_at = $13, note = $14,
             decided_by = $15, organization_code = $16, grant_id = $17
         WHERE application_id = $1 AND revision = $2::bigint - 1",
        one.id,
        one.revision,
        one.kind.number(),
        one.said.name,
        one.said.region_code,
        one.said.credit_code,
        one.said.contacts.phone,
        one.said.contacts.group_number,
        one.said.contacts.note,
        one.purpose,
        one.state.number(),
        one.changed_at,
        one.expires_at,
        one.note,
        one.decided_by,
        made.map(|made| made.organization_code.as_str()),
        made.map(|made| made.grant_id),
    )
    .execute(transaction)
    .await?;
    Ok(zhiyuan_postgres::ensure_affected(&stored, 1)?)
}

/// Finds an application, and keeps it as it is until the transaction ends.
#[tracing::instrument(name = "db.application.hold", skip_all)]
pub(super) async fn hold(transaction: &mut PgConnection, id: Uuid) -> Result<Option<Application>> {
    let row = applications!("WHERE a.application_id = $1 FOR UPDATE OF a", id);
    row.fetch_optional(transaction).await?.map(Application::try_from).transpose()
}

/// Finds an application.
#[tracing::instrument(name = "db.application.find", skip_all)]
pub(super) async fn find(executor: impl PgExecutor<'_>, id: Uuid) -> Result<Option<Application>> {
    let row = applications!("WHERE a.application_id = $1", id);
    row.fetch_optional(executor).await?.map(Application::try_from).transpose()
}

/// The applications of an account, the latest first.
#[tracing::instrument(name = "db.application.list_own", skip_all)]
pub(super) async fn list_own(
    executor: impl PgExecutor<'_>,
    applicant: Uuid,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Application>> {
    let rows = applications!(
        "WHERE a.applicant = $1 AND ($2::uuid IS NULL OR a.application_id < $2)
         ORDER BY a.application_id DESC LIMIT $3",
        applicant,
        after,
        limit,
    );
    all(rows.fetch_all(executor).await?)
}

/// Which applications are listed, and for whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listed<'a> {
    pub(super) reader: Uuid,
    /// To this organization and those below it.
    pub(super) below: &'a str,
    /// Only those that wait for the superior.
    pub(super) waiting_only: bool,
    pub(super) after: Option<Uuid>,
    pub(super) limit: i64,
}

/// The applications where the reader manages organizations, in the order of their ids; one
/// statement.
#[tracing::instrument(name = "db.application.list", skip_all)]
pub(super) async fn list(
    executor: impl PgExecutor<'_>,
    listed: Listed<'_>,
    now: OffsetDateTime,
) -> Result<Vec<Application>> {
    let rows = applications!(
        "WHERE orgtree.is_within(o.code, o.ancestors, $3)
           AND EXISTS (SELECT FROM orgtree.authority_grant mine
                       WHERE mine.account_id = $1 AND mine.role = ANY($7::smallint[])
                         AND orgtree.grant_reaches(mine, o.code, o.ancestors, $2))
           AND (NOT $4::boolean
                OR a.state = 1 AND a.expires_at > $2
                   AND (o.state = 1 OR orgtree.followed_by(o.code) IS NOT NULL))
           AND ($5::uuid IS NULL OR a.application_id > $5)
         ORDER BY a.application_id LIMIT $6",
        listed.reader,
        now,
        listed.below,
        listed.waiting_only,
        listed.after,
        listed.limit,
        &Role::with(Permission::ManageOrganization),
    );
    all(rows.fetch_all(executor).await?)
}

/// Lets the applications that wait go along with a superior that is closed and followed by
/// another one, or with all such; for who keeps the tree. Tells how many.
#[tracing::instrument(name = "db.application.follow", skip_all)]
pub(crate) async fn follow(
    transaction: &mut PgConnection,
    superior: Option<&str>,
) -> std::result::Result<u64, sqlx::Error> {
    let followed = sqlx::query!(
        "UPDATE orgtree.application a
         SET superior_code = orgtree.followed_by(o.code), revision = a.revision + 1
         FROM orgtree.organization o
         WHERE o.code = a.superior_code AND a.state IN (1, 2) AND o.state = 2
           AND ($1::text IS NULL OR a.superior_code = $1)
           AND orgtree.followed_by(o.code) IS NOT NULL",
        superior,
    )
    .execute(transaction)
    .await?;
    Ok(followed.rows_affected())
}

/// An application that ended with its superior.
pub(super) struct Lapsed {
    pub(super) id: Uuid,
    pub(super) applicant: Uuid,
    pub(super) superior_code: String,
}

/// Ends the applications that wait for a superior that is closed and followed by nobody, or for any
/// such; for who is alone with the tree.
#[tracing::instrument(name = "db.application.lapse", skip_all)]
pub(super) async fn lapse(
    transaction: &mut PgConnection,
    superior: Option<&str>,
    now: OffsetDateTime,
) -> std::result::Result<Vec<Lapsed>, sqlx::Error> {
    sqlx::query_as!(
        Lapsed,
        "UPDATE orgtree.application a
         SET state = $3, revision = a.revision + 1, changed_at = $2,
             contact_phone = '', contact_group_number = '', contact_note = ''
         FROM orgtree.organization o
         WHERE o.code = a.superior_code AND a.state IN (1, 2) AND a.expires_at > $2
           AND o.state = 2 AND ($1::text IS NULL OR a.superior_code = $1)
           AND orgtree.followed_by(o.code) IS NULL
         RETURNING a.application_id AS id, a.applicant, a.superior_code",
        superior,
        now,
        State::Lapsed.number(),
    )
    .fetch_all(transaction)
    .await
}

/// Up to `limit` applications that wait for nobody any more: their time is over, their superior
/// closed, or the applicant's account; kept as they are until the transaction ends.
#[tracing::instrument(name = "db.application.over", skip_all)]
pub(super) async fn over(
    transaction: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Application>> {
    let rows = applications!(
        "WHERE a.state IN (1, 2)
           AND (a.expires_at <= $1
                OR o.state = 2 AND orgtree.followed_by(o.code) IS NULL
                OR EXISTS (SELECT FROM orgtree.closed_account c WHERE c.account_id = a.applicant))
         ORDER BY a.application_id LIMIT $2 FOR UPDATE OF a SKIP LOCKED",
        now,
        limit,
    );
    all(rows.fetch_all(transaction).await?)
}

/// Deletes up to `limit` applications that ended before; tells how many.
#[tracing::instrument(name = "db.application.purge", skip_all)]
pub(super) async fn purge(pool: &PgPool, before: OffsetDateTime, limit: i64) -> Result<u64> {
    let result = sqlx::query!(
        "DELETE FROM orgtree.application WHERE application_id IN
             (SELECT application_id FROM orgtree.application
              WHERE state NOT IN (1, 2) AND changed_at < $1 ORDER BY changed_at LIMIT $2)",
        before,
        limit,
    )
    .execute(pool)
    .await?;
    Ok(result.rows_affected())
}
