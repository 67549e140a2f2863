//! The SQL of figures level by level.

use sqlx::PgExecutor;
use time::{Date, OffsetDateTime};

use super::Counted;
use crate::counts::statements::Statement;
use crate::counts::targets::Target;
use crate::error::{Error, Result};
use crate::organizations::Kind;

/// The figures of an organization among others, now.
#[derive(Debug)]
pub(in crate::counts) struct Listed {
    pub(in crate::counts) code: String,
    pub(in crate::counts) name: String,
    pub(in crate::counts) kind: Kind,
    pub(in crate::counts) counted: Counted,
    pub(in crate::counts) statement: Option<Statement>,
    /// Among those right below the organization that is asked about.
    pub(in crate::counts) rank: Option<i32>,
    /// What is asked of it, and by which organization.
    pub(in crate::counts) target: Option<(Target, String)>,
    /// Everything that was sequenced up to then is in the figures; `None` before they were
    /// ever complete.
    pub(in crate::counts) as_of: Option<OffsetDateTime>,
}

/// A row as it is read.
struct Row {
    code: String,
    name: String,
    kind: i16,
    own: Vec<i64>,
    subtree: Vec<i64>,
    stated: Option<i64>,
    source: Option<String>,
    stated_on: Option<Date>,
    rank: Option<i32>,
    target_by: Option<String>,
    per_ten_thousand: Option<i32>,
    deadline: Option<Date>,
    as_of: Option<OffsetDateTime>,
}

impl TryFrom<Row> for Listed {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let statement = match (row.stated, row.source, row.stated_on) {
            (Some(members), Some(source), Some(stated_on)) => {
                Some(Statement { members, source, stated_on })
            }
            _ => None,
        };
        let target = match (row.target_by, row.per_ten_thousand, row.deadline) {
            (Some(by), Some(per_ten_thousand), Some(deadline)) => {
                Some((Target { per_ten_thousand, deadline }, by))
            }
            _ => None,
        };
        Ok(Self {
            code: row.code,
            name: row.name,
            kind: Kind::of_number(row.kind).ok_or(Error::Inconsistent("orgtree.organization"))?,
            counted: Counted::of(row.own, row.subtree)?,
            statement,
            rank: row.rank,
            target,
            as_of: row.as_of,
        })
    }
}

/// The figures of an organization, and of those directly below it after one of them, by code.
/// One statement, one snapshot.
///
/// Two rates of up to a thousand million members each that differ do so by 10^-18 at least: their
/// whole parts of 10^20 differ then, and are the same where the rates are.
#[tracing::instrument(name = "db.count.children", skip_all)]
pub(in crate::counts) async fn children(
    executor: impl PgExecutor<'_>,
    code: &str,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Listed>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT o.code, o.name, o.kind, s.as_of,
                  m.members AS "stated?", m.source AS "source?", m.stated_on AS "stated_on?",
                  CASE WHEN c IS NULL THEN array_fill(0::bigint, ARRAY[7]) ELSE ARRAY[
                      c.own_volunteers, c.own_verified_volunteers, c.own_league_members,
                      c.own_members, c.own_registered_members, c.own_stated_members,
                      c.own_stated_registered] END AS "own!",
                  CASE WHEN c IS NULL THEN array_fill(0::bigint, ARRAY[7]) ELSE ARRAY[
                      c.subtree_volunteers, c.subtree_verified_volunteers,
                      c.subtree_league_members, c.subtree_members,
                      c.subtree_registered_members, c.subtree_stated_members,
                      c.subtree_stated_registered] END AS "subtree!",
                  r.rank AS "rank?", t.organization_code AS "target_by?",
                  t.per_ten_thousand AS "per_ten_thousand?", t.deadline AS "deadline?"
           FROM orgtree.organization o
           CROSS JOIN orgtree.count_state s
           LEFT JOIN orgtree.organization_count c ON c.organization_code = o.code
           LEFT JOIN orgtree.member_statement m
               ON m.organization_code = o.code AND m.ended_at IS NULL
           LEFT JOIN
               (SELECT f.code,
                       (row_number() OVER (
                           ORDER BY div(f.registered * 100000000000000000000, f.members) DESC,
                                    f.members DESC, f.code))::integer AS rank
                FROM (SELECT b.code,
                             (k.subtree_members + k.subtree_stated_members)::numeric AS members,
                             (k.subtree_registered_members
                              + k.subtree_stated_registered)::numeric AS registered
                      FROM orgtree.organization b
                      JOIN orgtree.organization_count k ON k.organization_code = b.code
                      WHERE b.parent_code = $1 AND b.state = 1) f
                WHERE f.members > 0) r ON r.code = o.code
           LEFT JOIN LATERAL
               (SELECT a.organization_code, a.per_ten_thousand, a.deadline FROM orgtree.target a
                WHERE o.state = 1 AND a.kind = o.kind AND a.organization_code = ANY(o.ancestors)
                ORDER BY array_position(o.ancestors, a.organization_code) LIMIT 1) t ON true
           WHERE o.code = $1 OR o.parent_code = $1 AND ($2::text IS NULL OR o.code > $2)
           ORDER BY o.code <> $1, o.code LIMIT $3::bigint + 1"#,
        code,
        after,
        limit,
    )
    .fetch_all(executor)
    .await?;
    rows.into_iter().map(Listed::try_from).collect()
}
