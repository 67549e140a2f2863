//! The SQL of what organizations state.

use sqlx::{PgConnection, PgExecutor};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use crate::counts::statements::Statement;
use crate::error::Result;

/// Keeps what is stated as it is until the transaction ends; any number may at once.
#[tracing::instrument(name = "db.member_statement.keep", skip_all)]
pub(in crate::counts) async fn keep(transaction: &mut PgConnection) -> Result<()> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock_shared(hashtextextended('orgtree.statements', 0)) AS kept"
    )
    .fetch_one(transaction)
    .await?;
    Ok(())
}

/// Is the only one who changes what is stated, and what it is counted by.
#[tracing::instrument(name = "db.member_statement.alone", skip_all)]
pub(in crate::counts) async fn alone(transaction: &mut PgConnection) -> Result<()> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('orgtree.statements', 0)) AS alone"
    )
    .fetch_one(transaction)
    .await?;
    Ok(())
}

/// Those of some organizations that have stated a number of members.
#[tracing::instrument(name = "db.member_statement.standing", skip_all)]
pub(in crate::counts) async fn standing(
    executor: impl PgExecutor<'_>,
    codes: &[&str],
) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar!(
        "SELECT organization_code FROM orgtree.member_statement
         WHERE organization_code = ANY($1) AND ended_at IS NULL ORDER BY organization_code",
        codes as &[&str],
    )
    .fetch_all(executor)
    .await?)
}

/// Ends what an organization states; the number of members that it was.
#[tracing::instrument(name = "db.member_statement.end", skip_all)]
pub(in crate::counts) async fn end(
    transaction: &mut PgConnection,
    code: &str,
    now: OffsetDateTime,
) -> Result<Option<i64>> {
    Ok(sqlx::query_scalar!(
        "UPDATE orgtree.member_statement SET ended_at = $2
         WHERE organization_code = $1 AND ended_at IS NULL RETURNING members",
        code,
        now,
    )
    .fetch_optional(transaction)
    .await?)
}

/// Stores what an organization states, and who said so.
#[tracing::instrument(name = "db.member_statement.insert", skip_all)]
pub(in crate::counts) async fn insert(
    transaction: &mut PgConnection,
    id: Uuid,
    code: &str,
    statement: &Statement,
    by: Uuid,
    now: OffsetDateTime,
) -> Result<()> {
    let stated_on: Date = statement.stated_on;
    sqlx::query!(
        "INSERT INTO orgtree.member_statement
             (statement_id, organization_code, members, source, stated_on, stated_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        id,
        code,
        statement.members,
        statement.source,
        stated_on,
        by,
        now,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// What an organization itself has, whether it is folded or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::counts) struct Own {
    pub(in crate::counts) members: i64,
    pub(in crate::counts) league_members: i64,
}

/// Counts the organization itself; for who is [`alone`]. One statement, one snapshot.
#[tracing::instrument(name = "db.count.own", skip_all)]
pub(in crate::counts) async fn own(executor: impl PgExecutor<'_>, code: &str) -> Result<Own> {
    Ok(sqlx::query_as!(
        Own,
        r#"WITH waiting AS (
               SELECT coalesce(sum(members), 0)::bigint AS members,
                      coalesce(sum(league_members), 0)::bigint AS league
               FROM orgtree.count_delta WHERE organization_code = $1 AND folded_at IS NULL
           )
           SELECT w.members + coalesce(c.own_members, 0) AS "members!",
                  w.league + coalesce(c.own_league_members, 0) AS "league_members!"
           FROM waiting w
           LEFT JOIN orgtree.organization_count c ON c.organization_code = $1"#,
        code,
    )
    .fetch_one(executor)
    .await?)
}
