//! The SQL of grants. A grant counts while it is neither revoked nor expired.

use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Grant, Permission, Role};
use crate::error::{Error, Result};
use crate::organizations::State;

struct Row {
    grant_id: Uuid,
    account_id: Uuid,
    organization_code: String,
    role: i16,
    created_at: OffsetDateTime,
    expires_at: Option<OffsetDateTime>,
    granted_by: Option<Uuid>,
    delegated_from: Option<Uuid>,
}

impl TryFrom<Row> for Grant {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.grant_id,
            account_id: row.account_id,
            organization_code: row.organization_code,
            role: role(row.role)?,
            created_at: row.created_at,
            expires_at: row.expires_at,
            granted_by: row.granted_by,
            delegated_from: row.delegated_from,
        })
    }
}

fn role(number: i16) -> Result<Role> {
    Role::of_number(number).ok_or(Error::Inconsistent("orgtree.authority_grant"))
}

fn all(rows: Vec<Row>) -> Result<Vec<Grant>> {
    rows.into_iter().map(Grant::try_from).collect()
}

/// The grants of an account that count at an organization, the nearest first.
macro_rules! reaching {
    ($locked:literal, $account:expr, $code:expr, $now:expr) => {
        sqlx::query_as!(
            Row,
            "SELECT g.grant_id, g.account_id, g.organization_code, g.role, g.created_at,
                    g.expires_at, g.granted_by, g.delegated_from
             FROM orgtree.organization o
             JOIN orgtree.authority_grant g
               ON orgtree.grant_reaches(g, o.code, o.ancestors, $3)
             WHERE o.code = $2 AND g.account_id = $1
             ORDER BY array_position(o.ancestors || o.code, g.organization_code) DESC,
                      g.grant_id "
                + $locked,
            $account,
            $code,
            $now
        )
    };
}

/// The grants of an account that count at an organization, the nearest first; none if
/// there is no such organization.
#[tracing::instrument(name = "db.grant.reaching", skip_all)]
pub(crate) async fn reaching(
    executor: impl PgExecutor<'_>,
    account_id: Uuid,
    code: &str,
    now: OffsetDateTime,
) -> Result<Vec<Grant>> {
    all(reaching!("", account_id, code, now).fetch_all(executor).await?)
}

/// The same, and keeps them as they are until the transaction ends: whoever revokes one
/// waits for what is done under it.
#[tracing::instrument(name = "db.grant.hold", skip_all)]
pub(crate) async fn hold(
    transaction: &mut PgConnection,
    account_id: Uuid,
    code: &str,
    now: OffsetDateTime,
) -> Result<Vec<Grant>> {
    all(reaching!("FOR SHARE OF g", account_id, code, now).fetch_all(transaction).await?)
}

/// Those of the organizations that are at another one or below it.
#[tracing::instrument(name = "db.organization.within", skip_all)]
pub(crate) async fn within(
    executor: impl PgExecutor<'_>,
    above: &str,
    codes: &[String],
) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar!(
        "SELECT code FROM orgtree.organization
         WHERE code = ANY($2) AND orgtree.is_within(code, ancestors, $1)",
        above,
        codes,
    )
    .fetch_all(executor)
    .await?)
}

/// Those of the organizations that are at one of others or below it; and, of each of these, when
/// something came below it or went last: of one moment.
#[tracing::instrument(name = "db.organization.in_scope", skip_all)]
pub(crate) async fn in_scope(
    executor: impl PgExecutor<'_>,
    scope: &[String],
    codes: &[String],
) -> Result<(Vec<String>, Vec<Option<Uuid>>)> {
    let row = sqlx::query!(
        r#"SELECT ARRAY(SELECT o.code FROM orgtree.organization o
                        WHERE o.code = ANY($2) AND (o.code = ANY($1) OR o.ancestors && $1))
                      AS "codes!",
                  ARRAY(SELECT c.version
                        FROM unnest($1::text[]) WITH ORDINALITY AS s (code, place)
                        LEFT JOIN orgtree.subtree_change c ON c.code = s.code
                        ORDER BY s.place) AS "versions!: Vec<Option<Uuid>>""#,
        scope,
        codes,
    )
    .fetch_one(executor)
    .await?;
    Ok((row.codes, row.versions))
}

/// Makes another change of grants wait: two that see each other's administrators would
/// leave the root with none.
#[tracing::instrument(name = "db.grant.lock", skip_all)]
pub(super) async fn lock(transaction: &mut PgConnection) -> Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('orgtree.authority', 0)) AS alone")
        .fetch_one(transaction)
        .await?;
    Ok(())
}

/// The grants of an account that count, after one; in the order of their ids.
#[tracing::instrument(name = "db.grant.of_account", skip_all)]
pub(super) async fn of_account(
    executor: impl PgExecutor<'_>,
    account_id: Uuid,
    now: OffsetDateTime,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Grant>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT g.grant_id, g.account_id, g.organization_code, g.role, g.created_at,
                g.expires_at, g.granted_by, g.delegated_from
         FROM orgtree.authority_grant g
         JOIN orgtree.organization o ON o.code = g.organization_code
         WHERE g.account_id = $1 AND orgtree.grant_reaches(g, o.code, o.ancestors, $2)
           AND ($3::uuid IS NULL OR g.grant_id > $3)
         ORDER BY g.grant_id LIMIT $4",
        account_id,
        now,
        after,
        limit,
    )
    .fetch_all(executor)
    .await?;
    all(rows)
}

/// Which grants are listed, and for whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listed<'a> {
    pub(super) reader: Uuid,
    /// At this organization and below it; `None` for wherever the reader may.
    pub(super) below: Option<&'a str>,
    pub(super) after: Option<Uuid>,
    pub(super) limit: i64,
}

/// The grants that count where the reader may read them, in the order of their ids. One
/// statement: no change of the tree or of grants comes between what the reader may see and
/// what is seen.
#[tracing::instrument(name = "db.grant.list", skip_all)]
pub(super) async fn list(
    executor: impl PgExecutor<'_>,
    listed: Listed<'_>,
    now: OffsetDateTime,
) -> Result<Vec<Grant>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT g.grant_id, g.account_id, g.organization_code, g.role, g.created_at,
                g.expires_at, g.granted_by, g.delegated_from
         FROM orgtree.authority_grant g
         JOIN orgtree.organization o ON o.code = g.organization_code
         WHERE orgtree.grant_reaches(g, o.code, o.ancestors, $2)
           AND ($3::text IS NULL OR orgtree.is_within(o.code, o.ancestors, $3))
           AND EXISTS (SELECT FROM orgtree.authority_grant mine
                       WHERE mine.account_id = $1 AND mine.role = ANY($6::smallint[])
                         AND orgtree.grant_reaches(mine, o.code, o.ancestors, $2))
           AND ($4::uuid IS NULL OR g.grant_id > $4)
         ORDER BY g.grant_id LIMIT $5",
        listed.reader,
        now,
        listed.below,
        listed.after,
        listed.limit,
        &Role::with(Permission::Audit),
    )
    .fetch_all(executor)
    .await?;
    all(rows)
}

/// Whether anybody has a role anywhere.
#[tracing::instrument(name = "db.grant.is_given", skip_all)]
pub(crate) async fn is_given(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM orgtree.authority_grant WHERE revoked_at IS NULL)
               AS "given!""#
    )
    .fetch_one(connection)
    .await
}

/// What a grant can be given at.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) open: bool,
    pub(super) successor_code: Option<String>,
}

/// Finds an organization.
#[tracing::instrument(name = "db.grant.find_place", skip_all)]
pub(super) async fn find_place(
    transaction: &mut PgConnection,
    code: &str,
) -> Result<Option<Place>> {
    let row = sqlx::query!(
        "SELECT state, successor_code FROM orgtree.organization WHERE code = $1",
        code,
    )
    .fetch_optional(transaction)
    .await?;
    Ok(row.map(|row| Place {
        open: row.state == State::Active.number(),
        successor_code: row.successor_code,
    }))
}

/// The grants of a role at an organization that count, those that stand by themselves: what is
/// delegated gives no roles, and keeps no organization administered.
#[tracing::instrument(name = "db.grant.at", skip_all)]
pub(crate) async fn at(
    transaction: &mut PgConnection,
    code: &str,
    role: Role,
    now: OffsetDateTime,
) -> Result<Vec<Grant>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT grant_id, account_id, organization_code, role, created_at, expires_at, granted_by,
                delegated_from
         FROM orgtree.authority_grant
         WHERE organization_code = $1 AND role = $2 AND delegated_from IS NULL
           AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)
         ORDER BY grant_id",
        code,
        role.number(),
        now,
    )
    .fetch_all(transaction)
    .await?;
    all(rows)
}

/// The grants that are delegated from one at an organization, and count.
#[tracing::instrument(name = "db.grant.delegated", skip_all)]
pub(super) async fn delegated(
    transaction: &mut PgConnection,
    from: Uuid,
    code: &str,
    now: OffsetDateTime,
) -> Result<Vec<Grant>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT grant_id, account_id, organization_code, role, created_at, expires_at, granted_by,
                delegated_from
         FROM orgtree.authority_grant
         WHERE delegated_from = $1 AND organization_code = $2
           AND revoked_at IS NULL AND expires_at > $3
         ORDER BY grant_id",
        from,
        code,
        now,
    )
    .fetch_all(transaction)
    .await?;
    all(rows)
}

/// What somebody has delegated to somebody else at an organization, above it or below it, and
/// counts.
#[tracing::instrument(name = "db.grant.find_other_delegate", skip_all)]
pub(super) async fn find_other_delegate(
    transaction: &mut PgConnection,
    (holder, delegate): (Uuid, Uuid),
    code: &str,
    now: OffsetDateTime,
) -> Result<Option<Uuid>> {
    Ok(sqlx::query_scalar!(
        "SELECT g.grant_id FROM orgtree.authority_grant g
         JOIN orgtree.organization o ON o.code = g.organization_code
         JOIN orgtree.organization n ON n.code = $3
         WHERE g.granted_by = $1 AND g.delegated_from IS NOT NULL AND g.account_id <> $2
           AND g.revoked_at IS NULL AND g.expires_at > $4
           AND (orgtree.is_within(o.code, o.ancestors, n.code)
                OR orgtree.is_within(n.code, n.ancestors, o.code))
         ORDER BY g.grant_id LIMIT 1",
        holder,
        delegate,
        code,
        now,
    )
    .fetch_optional(transaction)
    .await?)
}

/// Inserts a grant, and who invited to it; reads it as it is kept.
#[tracing::instrument(name = "db.grant.insert", skip_all)]
pub(super) async fn insert(
    transaction: &mut PgConnection,
    grant: &Grant,
    invited_by: Option<Uuid>,
) -> Result<Grant> {
    sqlx::query_as!(
        Row,
        "INSERT INTO orgtree.authority_grant
             (grant_id, account_id, organization_code, role, granted_by, created_at, expires_at,
              delegated_from, invited_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         RETURNING grant_id, account_id, organization_code, role, created_at, expires_at,
                   granted_by, delegated_from",
        grant.id,
        grant.account_id,
        grant.organization_code,
        grant.role.number(),
        grant.granted_by,
        grant.created_at,
        grant.expires_at,
        grant.delegated_from,
        invited_by,
    )
    .fetch_one(transaction)
    .await?
    .try_into()
}

/// A grant that may have ended.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) grant: Grant,
    pub(crate) revoked: bool,
    /// Whether nothing that was allowed by it can take effect any more.
    pub(crate) settled: bool,
    /// Whether its organization has none above.
    pub(super) at_root: bool,
    /// Whose grant it is delegated from.
    pub(super) delegated_by: Option<Uuid>,
}

/// Finds a grant, whether it counts or not.
#[tracing::instrument(name = "db.grant.find", skip_all)]
pub(crate) async fn find(transaction: &mut PgConnection, id: Uuid) -> Result<Option<Kept>> {
    let row = sqlx::query!(
        r#"SELECT g.grant_id, g.account_id, g.organization_code, g.role, g.created_at,
                g.expires_at, g.granted_by, g.delegated_from, g.revoked_at, g.settled_at,
                o.parent_code, d.account_id AS "delegated_by?"
         FROM orgtree.authority_grant g
         JOIN orgtree.organization o ON o.code = g.organization_code
         LEFT JOIN orgtree.authority_grant d ON d.grant_id = g.delegated_from
         WHERE g.grant_id = $1"#,
        id,
    )
    .fetch_optional(transaction)
    .await?;
    row.map(|row| {
        Ok(Kept {
            grant: Grant {
                id: row.grant_id,
                account_id: row.account_id,
                organization_code: row.organization_code,
                role: role(row.role)?,
                created_at: row.created_at,
                expires_at: row.expires_at,
                granted_by: row.granted_by,
                delegated_from: row.delegated_from,
            },
            revoked: row.revoked_at.is_some(),
            settled: row.settled_at.is_some(),
            at_root: row.parent_code.is_none(),
            delegated_by: row.delegated_by,
        })
    })
    .transpose()
}

/// Ends a grant; by nobody if the operator of the suite does. No statement that begins after
/// the commit lets anything be done by it.
#[tracing::instrument(name = "db.grant.revoke", skip_all)]
pub(super) async fn revoke(
    transaction: &mut PgConnection,
    id: Uuid,
    by: Option<Uuid>,
    now: OffsetDateTime,
) -> Result<()> {
    let revoked = sqlx::query!(
        "UPDATE orgtree.authority_grant SET revoked_at = $2, revoked_by = $3
         WHERE grant_id = $1 AND revoked_at IS NULL",
        id,
        now,
        by,
    )
    .execute(transaction)
    .await?;
    Ok(zhiyuan_postgres::ensure_affected(&revoked, 1)?)
}

/// Ends the grants that are delegated from one and count, waiting for whoever holds one in the
/// order of their ids; returns them.
#[tracing::instrument(name = "db.grant.end_delegated", skip_all)]
pub(super) async fn end_delegated(
    transaction: &mut PgConnection,
    from: Uuid,
    by: Option<Uuid>,
    now: OffsetDateTime,
) -> Result<Vec<Grant>> {
    let rows = sqlx::query_as!(
        Row,
        "WITH held AS MATERIALIZED (
             SELECT grant_id FROM orgtree.authority_grant
             WHERE delegated_from = $1 AND revoked_at IS NULL AND expires_at > $2
             ORDER BY grant_id FOR UPDATE)
         UPDATE orgtree.authority_grant g SET revoked_at = $2, revoked_by = $3
         FROM held WHERE g.grant_id = held.grant_id
         RETURNING g.grant_id, g.account_id, g.organization_code, g.role, g.created_at,
                   g.expires_at, g.granted_by, g.delegated_from",
        from,
        now,
        by,
    )
    .fetch_all(transaction)
    .await?;
    all(rows)
}

/// Notes that somebody waited until nothing that was allowed by a revoked grant could take
/// effect any more; nor by those that were delegated from it, which ended with it or before.
#[tracing::instrument(name = "db.grant.settle", skip_all)]
pub(crate) async fn settle(
    executor: impl PgExecutor<'_>,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE orgtree.authority_grant SET settled_at = $2
         WHERE (grant_id = $1 OR delegated_from = $1)
           AND revoked_at IS NOT NULL AND settled_at IS NULL",
        id,
        now,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Whether somebody has a role at one of some organizations.
#[tracing::instrument(name = "db.grant.is_held", skip_all)]
pub(super) async fn is_held(
    transaction: &mut PgConnection,
    codes: &[&str],
    now: OffsetDateTime,
) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM orgtree.authority_grant
                          WHERE organization_code = ANY($1) AND revoked_at IS NULL
                            AND (expires_at IS NULL OR expires_at > $2)) AS "held!""#,
        codes as &[&str],
        now,
    )
    .fetch_one(transaction)
    .await?)
}

/// Whether an account was closed, as far as it is told.
#[tracing::instrument(name = "db.closed_account.is_closed", skip_all)]
pub(super) async fn is_closed(transaction: &mut PgConnection, account_id: Uuid) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM orgtree.closed_account WHERE account_id = $1) AS "closed!""#,
        account_id,
    )
    .fetch_one(transaction)
    .await?)
}

/// Remembers that accounts were closed.
#[tracing::instrument(name = "db.closed_account.close", skip_all)]
pub(super) async fn close(
    transaction: &mut PgConnection,
    accounts: &[Uuid],
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO orgtree.closed_account (account_id, closed_at)
         SELECT DISTINCT id, $2::timestamptz FROM unnest($1::uuid[]) AS id ORDER BY id
         ON CONFLICT (account_id) DO NOTHING",
        accounts,
        now,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Ends all grants of some accounts that count, and what is delegated from them, by nobody; in
/// the same order.
#[tracing::instrument(name = "db.grant.end_all", skip_all)]
pub(super) async fn end_all(
    transaction: &mut PgConnection,
    accounts: &[Uuid],
    now: OffsetDateTime,
) -> Result<Vec<Grant>> {
    let rows = sqlx::query_as!(
        Row,
        "WITH held AS MATERIALIZED (
             SELECT grant_id FROM orgtree.authority_grant
             WHERE (account_id = ANY($1)
                    OR delegated_from IN (SELECT grant_id FROM orgtree.authority_grant
                                          WHERE account_id = ANY($1)))
               AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
             ORDER BY grant_id FOR UPDATE)
         UPDATE orgtree.authority_grant g SET revoked_at = $2
         FROM held WHERE g.grant_id = held.grant_id
         RETURNING g.grant_id, g.account_id, g.organization_code, g.role, g.created_at,
                   g.expires_at, g.granted_by, g.delegated_from",
        accounts,
        now,
    )
    .fetch_all(transaction)
    .await?;
    all(rows)
}

/// Whether an organization has none above it.
#[tracing::instrument(name = "db.grant.is_root", skip_all)]
pub(super) async fn is_root(transaction: &mut PgConnection, code: &str) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM orgtree.organization
                          WHERE code = $1 AND parent_code IS NULL) AS "root!""#,
        code,
    )
    .fetch_one(transaction)
    .await?)
}
