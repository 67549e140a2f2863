//! The SQL of what rows are made from, as of a cut.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use time::{Date, OffsetDateTime};

use crate::error::{Error, Result};
use crate::notices::{People, Stated};

/// A cut that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::notices) struct Cut {
    pub(in crate::notices) id: i64,
    pub(in crate::notices) at: OffsetDateTime,
    pub(in crate::notices) exact: bool,
}

/// The last cut, or the one at exactly this time.
#[tracing::instrument(name = "db.cut.find", skip_all)]
pub(in crate::notices) async fn find_cut(
    transaction: &mut PgConnection,
    at: Option<OffsetDateTime>,
) -> Result<Option<Cut>> {
    Ok(sqlx::query_as!(
        Cut,
        r#"SELECT cut_id AS id, at, exact AS "exact!" FROM orgtree.feed_cut
           WHERE taken_at IS NOT NULL AND ($1::timestamptz IS NULL OR at = $1)
           ORDER BY cut_id DESC LIMIT 1"#,
        at,
    )
    .fetch_optional(transaction)
    .await?)
}

/// The organization that a notice is of, as it stood at the cut; none if there was none.
#[derive(Debug)]
pub(in crate::notices) struct Place {
    pub(in crate::notices) name: String,
    /// When the tree had come to be, by which the rows are.
    pub(in crate::notices) tree_at: OffsetDateTime,
}

/// Finds the organization as it stood. Before the tree was dated it is taken to have been as it
/// was then first, as everywhere.
#[tracing::instrument(name = "db.organization_version.place", skip_all)]
pub(in crate::notices) async fn place(
    transaction: &mut PgConnection,
    code: &str,
    at: OffsetDateTime,
) -> Result<Option<Place>> {
    Ok(sqlx::query_as!(
        Place,
        r#"SELECT v.name,
                  (SELECT max(m.valid_from) FROM orgtree.organization_version m
                   WHERE m.valid_from <= greatest($2, d.since)) AS "tree_at!"
           FROM orgtree.organization_version v CROSS JOIN orgtree.tree_dating d
           WHERE v.code = $1 AND v.valid_from <= greatest($2, d.since)
             AND (v.valid_to IS NULL OR v.valid_to > greatest($2, d.since))"#,
        code,
        at,
    )
    .fetch_optional(transaction)
    .await?)
}

/// What is counted of an organization and everything below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::notices) struct Counted {
    /// Directly below the one that is asked for; none of what is there itself, or below a closed
    /// one.
    pub(in crate::notices) child: Option<(String, String)>,
    pub(in crate::notices) people: People,
    pub(in crate::notices) without_administrator: i64,
}

/// Counts the people of an organization and of everything below it, by the open ones that were
/// directly below it, as of a cut and by the tree as it was: the figures of each organization
/// itself, less what came after the cut, with what came before it and is not folded yet. One
/// statement, one snapshot; for who keeps the tree as it is meanwhile.
#[tracing::instrument(name = "db.count.by_child", skip_all)]
pub(in crate::notices) async fn count(
    transaction: &mut PgConnection,
    code: &str,
    cut: Cut,
) -> Result<Vec<Counted>> {
    let rows = sqlx::query!(
        r#"WITH tree AS MATERIALIZED (
               SELECT v.code, v.name, v.state,
                      (v.ancestors || v.code)[array_position(v.ancestors || v.code, $1) + 1] AS child
               FROM orgtree.organization_version v CROSS JOIN orgtree.tree_dating d
               WHERE v.valid_from <= greatest($3, d.since)
                 AND (v.valid_to IS NULL OR v.valid_to > greatest($3, d.since))
                 AND orgtree.is_within(v.code, v.ancestors, $1)
           ), part AS (
               SELECT c.organization_code AS code, 1 AS sign,
                      c.own_volunteers AS volunteers,
                      c.own_verified_volunteers AS verified_volunteers,
                      c.own_members AS members, c.own_registered_members AS registered_members,
                      c.own_stated_members AS stated_members,
                      c.own_stated_registered AS stated_registered
               FROM orgtree.organization_count c
               UNION ALL
               SELECT d.organization_code, CASE WHEN d.after_cut < $2 THEN 1 ELSE -1 END,
                      d.volunteers, d.verified_volunteers, d.members, d.registered_members,
                      d.stated_members, d.stated_registered
               FROM orgtree.count_delta d
               WHERE (d.after_cut >= $2 AND d.folded_at IS NOT NULL)
                  OR (d.after_cut < $2 AND d.folded_at IS NULL)
           ), own AS (
               SELECT code, sum(sign * volunteers) AS volunteers,
                      sum(sign * verified_volunteers) AS verified_volunteers,
                      sum(sign * members) AS members,
                      sum(sign * registered_members) AS registered_members,
                      sum(sign * stated_members) AS stated_members,
                      sum(sign * stated_registered) AS stated_registered
               FROM part GROUP BY code
           ), counted AS (
               SELECT open.code AS child, open.name AS name,
                      coalesce(sum(o.members + o.stated_members), 0)::bigint AS members,
                      coalesce(sum(o.stated_members), 0)::bigint AS stated_members,
                      coalesce(sum(o.registered_members + o.stated_registered), 0)::bigint
                          AS registered_members,
                      coalesce(sum(o.volunteers), 0)::bigint AS volunteers,
                      coalesce(sum(o.verified_volunteers), 0)::bigint AS verified_volunteers,
                      count(*) FILTER (WHERE t.state = 1 AND NOT EXISTS (
                          SELECT FROM orgtree.authority_grant g
                          WHERE g.organization_code = t.code AND g.role = 1
                            AND g.delegated_from IS NULL AND g.created_at <= $3
                            AND (g.expires_at IS NULL OR g.expires_at > $3)
                            AND (g.revoked_at IS NULL OR g.revoked_at > $3)))
                          AS without_administrator
               FROM tree t
               LEFT JOIN tree open ON open.code = t.child AND open.state = 1
               LEFT JOIN own o ON o.code = t.code
               GROUP BY open.code, open.name
           )
           SELECT child AS "child?", name AS "name?",
                  ARRAY[members, stated_members, registered_members, volunteers,
                        verified_volunteers] AS "people!",
                  without_administrator AS "without_administrator!"
           FROM counted"#,
        code,
        cut.id,
        cut.at,
    )
    .fetch_all(transaction)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Counted {
                child: row.child.zip(row.name),
                people: people(row.people)?,
                without_administrator: row.without_administrator,
            })
        })
        .collect()
}

/// Of columns in their order.
pub(super) fn people(columns: Vec<i64>) -> Result<People> {
    let columns = columns.try_into();
    Ok(People::of(columns.map_err(|_length| Error::Inconsistent("orgtree.notice_row"))?))
}

/// What organizations themselves stated at a time, by their codes.
#[tracing::instrument(name = "db.member_statement.at", skip_all)]
pub(in crate::notices) async fn stated(
    transaction: &mut PgConnection,
    codes: &[String],
    at: OffsetDateTime,
) -> Result<BTreeMap<String, Stated>> {
    struct Found {
        organization_code: String,
        source: String,
        stated_on: Date,
    }
    let rows = sqlx::query_as!(
        Found,
        "SELECT DISTINCT ON (organization_code) organization_code, source, stated_on
         FROM orgtree.member_statement
         WHERE organization_code = ANY($1) AND created_at <= $2
           AND (ended_at IS NULL OR ended_at > $2)
         ORDER BY organization_code, created_at DESC",
        codes,
        at,
    )
    .fetch_all(transaction)
    .await?;
    let one =
        |row: Found| (row.organization_code, Stated { source: row.source, on: row.stated_on });
    Ok(rows.into_iter().map(one).collect())
}
