//! The SQL of notices.

mod confirmations;
mod figures;
mod files;

pub(super) use confirmations::{Confirmed, confirm, confirmation, confirmations};
pub(super) use figures::{Counted, count, find_cut, place, stated};
pub(super) use files::{File, find_file, insert_file, insert_key, keys};

use std::collections::BTreeSet;

use sqlx::{PgConnection, PgExecutor};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::{Issued, Notice, Row, Stated, Table};
use crate::authority::{Permission, Role};
use crate::error::{Error, Result};

struct Found {
    notice_id: Uuid,
    issuer_code: String,
    issuer_name: String,
    cut_id: i64,
    as_of: OffsetDateTime,
    tree_at: OffsetDateTime,
    target: i32,
    deadline: Date,
    drafted_at: OffsetDateTime,
    previous_id: Option<Uuid>,
    previous_is_open: bool,
    rows: i32,
    year: Option<i32>,
    serial: Option<i32>,
    issued_at: Option<OffsetDateTime>,
    supersedes_id: Option<Uuid>,
    superseded_by: Option<Uuid>,
}

impl From<Found> for Notice {
    fn from(row: Found) -> Self {
        let issued = row.year.zip(row.serial).zip(row.issued_at).map(|((year, serial), at)| {
            let (supersedes, superseded_by) = (row.supersedes_id, row.superseded_by);
            Issued { year, serial, at, supersedes, superseded_by }
        });
        Self {
            id: row.notice_id,
            issuer_code: row.issuer_code,
            issuer_name: row.issuer_name,
            cut_id: row.cut_id,
            as_of: row.as_of,
            tree_at: row.tree_at,
            target: row.target,
            deadline: row.deadline,
            drafted_at: row.drafted_at,
            previous: row.previous_id,
            previous_is_open: row.previous_is_open,
            rows: row.rows,
            issued,
        }
    }
}

/// Notices with what has become of them.
macro_rules! notices {
    ($tail:literal, $($value:expr),* $(,)?) => {
        sqlx::query_as!(
            Found,
            "SELECT n.notice_id, n.issuer_code, n.issuer_name, n.cut_id, n.as_of, n.tree_at,
                    n.target, n.deadline, n.drafted_at, n.previous_id, n.previous_is_open,
                    (SELECT count(*) FROM orgtree.notice_row r
                     WHERE r.notice_id = n.notice_id AND r.place > 0)::integer AS \"rows!\",
                    n.year, n.serial, n.issued_at, n.supersedes_id,
                    (SELECT s.notice_id FROM orgtree.notice s
                     WHERE s.supersedes_id = n.notice_id) AS superseded_by
             FROM orgtree.notice n " + $tail,
            $($value),*
        )
    };
}

/// Makes another change of the notices of an organization wait: numbers are without gaps.
#[tracing::instrument(name = "db.notice.alone", skip_all)]
pub(super) async fn alone(transaction: &mut PgConnection, code: &str) -> Result<()> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('orgtree.notices.' || $1, 0)) AS alone",
        code,
    )
    .fetch_one(transaction)
    .await?;
    Ok(())
}

#[tracing::instrument(name = "db.notice.find", skip_all)]
pub(super) async fn find(executor: impl PgExecutor<'_>, id: Uuid) -> Result<Option<Notice>> {
    let found = notices!("WHERE n.notice_id = $1", id).fetch_optional(executor).await?;
    Ok(found.map(Notice::from))
}

/// The notice that stands and was the last one of an organization before a time.
#[tracing::instrument(name = "db.notice.before", skip_all)]
pub(super) async fn before(
    transaction: &mut PgConnection,
    code: &str,
    as_of: OffsetDateTime,
) -> Result<Option<Notice>> {
    let found = notices!(
        "WHERE n.issuer_code = $1 AND n.issued_at IS NOT NULL AND n.as_of < $2
           AND NOT EXISTS (SELECT FROM orgtree.notice s WHERE s.supersedes_id = n.notice_id)
         ORDER BY n.as_of DESC, n.issued_at DESC LIMIT 1",
        code,
        as_of,
    );
    Ok(found.fetch_optional(transaction).await?.map(Notice::from))
}

/// The notices of an organization, drafts too, the latest first, from before one of them.
#[tracing::instrument(name = "db.notice.own", skip_all)]
pub(super) async fn own(
    executor: impl PgExecutor<'_>,
    code: &str,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Notice>> {
    let found = notices!(
        "WHERE n.issuer_code = $1 AND ($2::uuid IS NULL OR n.notice_id < $2)
         ORDER BY n.notice_id DESC LIMIT $3",
        code,
        before,
        limit,
    );
    Ok(found.fetch_all(executor).await?.into_iter().map(Notice::from).collect())
}

/// Those that were issued to an organization.
#[tracing::instrument(name = "db.notice.received", skip_all)]
pub(super) async fn received(
    executor: impl PgExecutor<'_>,
    code: &str,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Notice>> {
    let found = notices!(
        "JOIN orgtree.notice_row a
             ON a.notice_id = n.notice_id AND a.place > 0 AND a.organization_code = $1
         WHERE n.issued_at IS NOT NULL AND ($2::uuid IS NULL OR n.notice_id < $2)
         ORDER BY n.notice_id DESC LIMIT $3",
        code,
        before,
        limit,
    );
    Ok(found.fetch_all(executor).await?.into_iter().map(Notice::from).collect())
}

/// How many drafts of an organization wait.
#[tracing::instrument(name = "db.notice.drafts", skip_all)]
pub(super) async fn drafts(transaction: &mut PgConnection, code: &str) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "drafts!" FROM orgtree.notice
           WHERE issuer_code = $1 AND issued_at IS NULL"#,
        code,
    )
    .fetch_one(transaction)
    .await?)
}

#[tracing::instrument(name = "db.notice.insert", skip_all)]
pub(super) async fn insert(
    transaction: &mut PgConnection,
    notice: &Notice,
    table: &Table,
    by: Uuid,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO orgtree.notice
             (notice_id, issuer_code, issuer_name, cut_id, as_of, tree_at, target, deadline,
              drafted_by, drafted_at, previous_id, previous_is_open)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        notice.id,
        notice.issuer_code,
        notice.issuer_name,
        notice.cut_id,
        notice.as_of,
        notice.tree_at,
        notice.target,
        notice.deadline,
        by,
        notice.drafted_at,
        notice.previous,
        notice.previous_is_open,
    )
    .execute(&mut *transaction)
    .await?;
    for (place, row) in (0..).zip(std::iter::once(&table.total).chain(&table.rows)) {
        insert_row(transaction, notice.id, place, row).await?;
    }
    Ok(())
}

async fn insert_row(transaction: &mut PgConnection, id: Uuid, place: i32, row: &Row) -> Result<()> {
    let before = row.before.map(super::People::columns);
    let stated = row.stated.as_ref();
    sqlx::query!(
        "INSERT INTO orgtree.notice_row
             (notice_id, place, organization_code, name, members, stated_members,
              registered_members, volunteers, verified_volunteers, without_administrator,
              statement_source, stated_on, before)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        id,
        place,
        row.code,
        row.name,
        row.people.members,
        row.people.stated_members,
        row.people.registered_members,
        row.people.volunteers,
        row.people.verified_volunteers,
        row.without_administrator,
        stated.map(|stated| stated.source.as_str()),
        stated.map(|stated| stated.on),
        before.as_ref().map(<[i64; 5]>::as_slice),
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// The rows of a notice, as they were computed.
#[tracing::instrument(name = "db.notice_row.table", skip_all)]
pub(super) async fn table(executor: impl PgExecutor<'_>, id: Uuid) -> Result<Table> {
    let rows = sqlx::query!(
        r#"SELECT organization_code, name,
                  ARRAY[members, stated_members, registered_members, volunteers,
                        verified_volunteers] AS "people!",
                  without_administrator, statement_source, stated_on, before
           FROM orgtree.notice_row WHERE notice_id = $1 ORDER BY place"#,
        id,
    )
    .fetch_all(executor)
    .await?;
    let mut rows = rows.into_iter().map(|row| {
        let stated = row.statement_source.zip(row.stated_on);
        Ok(Row {
            code: row.organization_code,
            name: row.name,
            people: figures::people(row.people)?,
            without_administrator: row.without_administrator,
            stated: stated.map(|(source, on)| Stated { source, on }),
            before: row.before.map(figures::people).transpose()?,
        })
    });
    let total = rows.next().ok_or(Error::Inconsistent("orgtree.notice_row"))??;
    Ok(Table { total, rows: rows.collect::<Result<_>>()? })
}

/// Those of the rows of a notice at whose organizations an account has a permission now.
#[tracing::instrument(name = "db.notice_row.administered", skip_all)]
pub(super) async fn administered(
    executor: impl PgExecutor<'_>,
    id: Uuid,
    account_id: Uuid,
    permission: Permission,
    now: OffsetDateTime,
) -> Result<BTreeSet<String>> {
    let codes = sqlx::query_scalar!(
        "SELECT DISTINCT o.code
         FROM orgtree.authority_grant g
         JOIN orgtree.notice_row r ON r.notice_id = $1 AND r.place > 0
         JOIN orgtree.organization o ON o.code = r.organization_code
         WHERE g.account_id = $2 AND g.role = ANY($3::smallint[])
           AND orgtree.grant_reaches(g, o.code, o.ancestors, $4)",
        id,
        account_id,
        &Role::with(permission),
        now,
    )
    .fetch_all(executor)
    .await?;
    Ok(codes.into_iter().collect())
}

#[tracing::instrument(name = "db.notice.delete", skip_all)]
pub(super) async fn delete(transaction: &mut PgConnection, id: Uuid) -> Result<()> {
    sqlx::query!("DELETE FROM orgtree.notice WHERE notice_id = $1", id)
        .execute(transaction)
        .await?;
    Ok(())
}

/// Issues a draft under the next number of its year; for who is [`alone`].
#[tracing::instrument(name = "db.notice.issue", skip_all)]
pub(super) async fn issue(
    transaction: &mut PgConnection,
    notice: &Notice,
    year: i32,
    supersedes: Option<Uuid>,
    by: Uuid,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE orgtree.notice SET year = $2, issued_by = $3, issued_at = $4, supersedes_id = $5,
             serial = (SELECT coalesce(max(serial), 0) + 1 FROM orgtree.notice
                       WHERE issuer_code = $6 AND year = $2)
         WHERE notice_id = $1",
        notice.id,
        year,
        by,
        now,
        supersedes,
        notice.issuer_code,
    )
    .execute(transaction)
    .await?;
    Ok(())
}
