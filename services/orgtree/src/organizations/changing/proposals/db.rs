//! The SQL of proposals.

use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{ChangeKind, Proposal};
use crate::error::{Error, Result};

/// It waits.
const OPEN: i16 = 1;

/// How a proposal ended. The numbers are those of the database.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Approved = 2,
    Withdrawn = 3,
}

struct Row {
    proposal_id: Uuid,
    kind: i16,
    organization_code: String,
    target_code: Option<String>,
    revision: i64,
    purpose: String,
    proposed_by: Uuid,
    proposed_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    state: i16,
}

impl TryFrom<Row> for Proposal {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let kind = ChangeKind::of_number(row.kind.into());
        Ok(Self {
            id: row.proposal_id,
            kind: kind.ok_or(Error::Inconsistent("orgtree.proposal"))?,
            code: row.organization_code,
            target_code: row.target_code,
            parts: Vec::new(),
            revision: row.revision,
            purpose: row.purpose,
            proposed_by: row.proposed_by,
            proposed_at: row.proposed_at,
            expires_at: row.expires_at,
            open: row.state == OPEN,
        })
    }
}

/// Inserts a proposal that waits.
#[tracing::instrument(name = "db.proposal.insert", skip_all)]
pub(super) async fn insert(transaction: &mut PgConnection, proposal: &Proposal) -> Result<()> {
    sqlx::query!(
        "INSERT INTO orgtree.proposal
             (proposal_id, kind, organization_code, target_code, revision, purpose, proposed_by,
              proposed_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        proposal.id,
        proposal.kind.number(),
        proposal.code,
        proposal.target_code,
        proposal.revision,
        proposal.purpose,
        proposal.proposed_by,
        proposal.proposed_at,
        proposal.expires_at,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Finds a proposal, but for its parts, and keeps others from deciding it until the transaction
/// ends.
#[tracing::instrument(name = "db.proposal.lock", skip_all)]
pub(super) async fn lock(transaction: &mut PgConnection, id: Uuid) -> Result<Option<Proposal>> {
    sqlx::query_as!(
        Row,
        "SELECT proposal_id, kind, organization_code, target_code, revision, purpose, proposed_by,
                proposed_at, expires_at, state
         FROM orgtree.proposal WHERE proposal_id = $1 FOR UPDATE",
        id,
    )
    .fetch_optional(transaction)
    .await?
    .map(Proposal::try_from)
    .transpose()
}

/// Which organization a proposal is about.
#[tracing::instrument(name = "db.proposal.find_organization", skip_all)]
pub(super) async fn find_organization(
    executor: impl PgExecutor<'_>,
    id: Uuid,
) -> Result<Option<String>> {
    Ok(sqlx::query_scalar!(
        "SELECT organization_code FROM orgtree.proposal WHERE proposal_id = $1",
        id,
    )
    .fetch_optional(executor)
    .await?)
}

/// Ends a proposal that waits.
#[tracing::instrument(name = "db.proposal.end", skip_all)]
pub(super) async fn end(
    transaction: &mut PgConnection,
    id: Uuid,
    how: End,
    by: Uuid,
    now: OffsetDateTime,
) -> Result<()> {
    let ended = sqlx::query!(
        "UPDATE orgtree.proposal SET state = $2, decided_by = $3, decided_at = $4
         WHERE proposal_id = $1 AND state = $5",
        id,
        how as i16,
        by,
        now,
        OPEN,
    )
    .execute(transaction)
    .await?;
    Ok(zhiyuan_postgres::ensure_affected(&ended, 1)?)
}

/// Which proposals are listed, and for whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listed<'a> {
    pub(super) reader: Uuid,
    /// The numbers of the roles that may decide.
    pub(super) roles: &'a [i16],
    /// At this organization and below it; `None` for wherever the reader may.
    pub(super) below: Option<&'a str>,
    pub(super) after: Option<Uuid>,
    pub(super) limit: i64,
}

/// The proposals that wait where the reader manages organizations, but for their parts, in the
/// order of their ids; one statement.
#[tracing::instrument(name = "db.proposal.list", skip_all)]
pub(super) async fn list(
    executor: impl PgExecutor<'_>,
    listed: Listed<'_>,
    now: OffsetDateTime,
) -> Result<Vec<Proposal>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT p.proposal_id, p.kind, p.organization_code, p.target_code, p.revision, p.purpose,
                p.proposed_by, p.proposed_at, p.expires_at, p.state
         FROM orgtree.proposal p
         JOIN orgtree.organization o ON o.code = p.organization_code
         WHERE p.state = 1 AND p.expires_at > $2
           AND ($3::text IS NULL OR orgtree.is_within(o.code, o.ancestors, $3))
           AND EXISTS (SELECT FROM orgtree.authority_grant mine
                       WHERE mine.account_id = $1 AND mine.role = ANY($6::smallint[])
                         AND orgtree.grant_reaches(mine, o.code, o.ancestors, $2))
           AND ($4::uuid IS NULL OR p.proposal_id > $4)
         ORDER BY p.proposal_id LIMIT $5",
        listed.reader,
        now,
        listed.below,
        listed.after,
        listed.limit,
        listed.roles,
    )
    .fetch_all(executor)
    .await?;
    rows.into_iter().map(Proposal::try_from).collect()
}
