//! The SQL of invitations.

use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Acceptance, CONFIRMED_WITHIN, Invitation};
use crate::authority::{Permission, Role};
use crate::error::{Error, Result};

struct Row {
    invitation_id: Uuid,
    organization_code: String,
    role: i16,
    invited_by: Uuid,
    delegated_from: Option<Uuid>,
    note: String,
    created_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    grant_expires_at: Option<OffsetDateTime>,
    accepted_by: Option<Uuid>,
    accepted_at: Option<OffsetDateTime>,
    grant_id: Option<Uuid>,
    handed_over: Option<Uuid>,
    withdrawn_at: Option<OffsetDateTime>,
}

impl TryFrom<Row> for Invitation {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let role = Role::of_number(row.role).ok_or(Error::Inconsistent("orgtree.invitation"))?;
        let accepted = row.accepted_by.zip(row.accepted_at);
        Ok(Self {
            id: row.invitation_id,
            organization_code: row.organization_code,
            role,
            invited_by: row.invited_by,
            delegated_from: row.delegated_from,
            note: row.note,
            created_at: row.created_at,
            expires_at: row.expires_at,
            grant_expires_at: row.grant_expires_at,
            accepted: accepted.map(|(account_id, at)| Acceptance { account_id, at }),
            grant_id: row.grant_id,
            handed_over: row.handed_over,
            withdrawn: row.withdrawn_at.is_some(),
        })
    }
}

/// Invitations as they are kept.
macro_rules! invitations {
    ($rest:literal, $($value:expr),*) => {
        sqlx::query_as!(
            Row,
            "SELECT i.invitation_id, i.organization_code, i.role, i.invited_by, i.delegated_from,
                    i.note, i.created_at, i.expires_at, i.grant_expires_at, i.accepted_by,
                    i.accepted_at, i.grant_id, i.handed_over, i.withdrawn_at
             FROM orgtree.invitation i " + $rest,
            $($value),*
        )
    };
}

/// Inserts an invitation; tells whether it did, which it does not where another one has the
/// same code.
#[tracing::instrument(name = "db.invitation.insert", skip_all)]
pub(super) async fn insert(
    transaction: &mut PgConnection,
    new: &Invitation,
    code_digest: &[u8; 32],
) -> Result<bool> {
    let inserted = sqlx::query!(
        "INSERT INTO orgtree.invitation
             (invitation_id, code_digest, organization_code, role, invited_by, delegated_from,
              note, created_at, expires_at, grant_expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (code_digest) DO NOTHING",
        new.id,
        code_digest.as_slice(),
        new.organization_code,
        new.role.number(),
        new.invited_by,
        new.delegated_from,
        new.note,
        new.created_at,
        new.expires_at,
        new.grant_expires_at,
    )
    .execute(transaction)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// How many invitations of an account wait for somebody or to be confirmed.
#[tracing::instrument(name = "db.invitation.count_open", skip_all)]
pub(super) async fn count_open(
    transaction: &mut PgConnection,
    invited_by: Uuid,
    now: OffsetDateTime,
) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "open!" FROM orgtree.invitation
           WHERE invited_by = $1 AND grant_id IS NULL AND withdrawn_at IS NULL
             AND (grant_expires_at IS NULL OR grant_expires_at > $2)
             AND CASE WHEN accepted_at IS NULL THEN expires_at > $2 ELSE accepted_at > $3 END"#,
        invited_by,
        now,
        now - CONFIRMED_WITHIN,
    )
    .fetch_one(transaction)
    .await?)
}

/// Finds an invitation, and keeps it as it is until the transaction ends.
#[tracing::instrument(name = "db.invitation.hold", skip_all)]
pub(super) async fn hold(transaction: &mut PgConnection, id: Uuid) -> Result<Option<Invitation>> {
    let row = invitations!("WHERE i.invitation_id = $1 FOR UPDATE", id);
    row.fetch_optional(transaction).await?.map(Invitation::try_from).transpose()
}

/// The same, by its code.
#[tracing::instrument(name = "db.invitation.hold_by_code", skip_all)]
pub(super) async fn hold_by_code(
    transaction: &mut PgConnection,
    code_digest: &[u8; 32],
) -> Result<Option<Invitation>> {
    let row = invitations!("WHERE i.code_digest = $1 FOR UPDATE", code_digest.as_slice());
    row.fetch_optional(transaction).await?.map(Invitation::try_from).transpose()
}

/// Finds an invitation.
#[tracing::instrument(name = "db.invitation.find", skip_all)]
pub(super) async fn find(executor: impl PgExecutor<'_>, id: Uuid) -> Result<Option<Invitation>> {
    let row = invitations!("WHERE i.invitation_id = $1", id);
    row.fetch_optional(executor).await?.map(Invitation::try_from).transpose()
}

/// Notes who accepted.
#[tracing::instrument(name = "db.invitation.accept", skip_all)]
pub(super) async fn accept(
    transaction: &mut PgConnection,
    id: Uuid,
    accepted: Acceptance,
) -> Result<()> {
    let updated = sqlx::query!(
        "UPDATE orgtree.invitation SET accepted_by = $2, accepted_at = $3
         WHERE invitation_id = $1 AND accepted_by IS NULL AND withdrawn_at IS NULL",
        id,
        accepted.account_id,
        accepted.at,
    )
    .execute(transaction)
    .await?;
    Ok(zhiyuan_postgres::ensure_affected(&updated, 1)?)
}

/// Notes the grant that was made, and the one that ended with it.
#[tracing::instrument(name = "db.invitation.confirm", skip_all)]
pub(super) async fn confirm(
    transaction: &mut PgConnection,
    id: Uuid,
    grant_id: Uuid,
    handed_over: Option<Uuid>,
) -> Result<()> {
    let updated = sqlx::query!(
        "UPDATE orgtree.invitation SET grant_id = $2, handed_over = $3
         WHERE invitation_id = $1 AND grant_id IS NULL AND withdrawn_at IS NULL",
        id,
        grant_id,
        handed_over,
    )
    .execute(transaction)
    .await?;
    Ok(zhiyuan_postgres::ensure_affected(&updated, 1)?)
}

/// Counts a check number as wrong; tells how many there were. The invitation is held.
#[tracing::instrument(name = "db.invitation.count_wrong", skip_all)]
pub(super) async fn count_wrong(transaction: &mut PgConnection, id: Uuid) -> Result<i16> {
    Ok(sqlx::query_scalar!(
        "UPDATE orgtree.invitation SET wrong_numbers = wrong_numbers + 1
         WHERE invitation_id = $1 RETURNING wrong_numbers",
        id,
    )
    .fetch_one(transaction)
    .await?)
}

/// Takes an invitation back.
#[tracing::instrument(name = "db.invitation.withdraw", skip_all)]
pub(super) async fn withdraw(
    transaction: &mut PgConnection,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<()> {
    let updated = sqlx::query!(
        "UPDATE orgtree.invitation SET withdrawn_at = $2
         WHERE invitation_id = $1 AND grant_id IS NULL AND withdrawn_at IS NULL",
        id,
        now,
    )
    .execute(transaction)
    .await?;
    Ok(zhiyuan_postgres::ensure_affected(&updated, 1)?)
}

/// Which invitations are listed, and for whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listed<'a> {
    pub(super) reader: Uuid,
    /// At this organization and below it; `None` for the reader's own, and those wherever the
    /// reader may give roles.
    pub(super) below: Option<&'a str>,
    pub(super) after: Option<Uuid>,
    pub(super) limit: i64,
}

/// The invitations that the reader may see, the latest first. One statement, as for grants.
#[tracing::instrument(name = "db.invitation.list", skip_all)]
pub(super) async fn list(
    executor: impl PgExecutor<'_>,
    listed: Listed<'_>,
    now: OffsetDateTime,
) -> Result<Vec<Invitation>> {
    let rows = invitations!(
        "JOIN orgtree.organization o ON o.code = i.organization_code
         WHERE ($3::text IS NULL OR orgtree.is_within(o.code, o.ancestors, $3))
           AND ($3 IS NULL AND i.invited_by = $1
                OR EXISTS (SELECT FROM orgtree.authority_grant mine
                           WHERE mine.account_id = $1 AND mine.role = ANY($6::smallint[])
                             AND mine.delegated_from IS NULL AND mine.revoked_at IS NULL
                             AND (mine.expires_at IS NULL OR mine.expires_at > $2)
                             AND orgtree.is_within(o.code, o.ancestors,
                                                   mine.organization_code)))
           AND ($4::uuid IS NULL OR i.invitation_id < $4)
         ORDER BY i.invitation_id DESC LIMIT $5",
        listed.reader,
        now,
        listed.below,
        listed.after,
        listed.limit,
        &Role::with(Permission::Grant)
    );
    rows.fetch_all(executor).await?.into_iter().map(Invitation::try_from).collect()
}

/// Deletes up to `limit` invitations that were made before; tells how many.
#[tracing::instrument(name = "db.invitation.purge", skip_all)]
pub(super) async fn purge(pool: &PgPool, before: OffsetDateTime, limit: i64) -> Result<u64> {
    let result = sqlx::query!(
        "DELETE FROM orgtree.invitation WHERE invitation_id IN
             (SELECT invitation_id FROM orgtree.invitation
              WHERE created_at < $1 ORDER BY created_at LIMIT $2)",
        before,
        limit,
    )
    .execute(pool)
    .await?;
    Ok(result.rows_affected())
}
