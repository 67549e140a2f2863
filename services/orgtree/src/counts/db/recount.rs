//! Recounting from the rows of volunteers.

use sqlx::PgExecutor;

use crate::error::Result;

/// A figure that is not what a recount finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) organization_code: String,
    pub(crate) figure: String,
    pub(crate) kept: i64,
    pub(crate) recounted: i64,
}

/// Recounts from the rows of volunteers, up the tree by parents instead of the ancestors
/// that the fold reads; one statement, one snapshot. Differences that are not folded yet
/// count with what is kept.
#[tracing::instrument(name = "db.count.verify", skip_all)]
pub(in crate::counts) async fn verify(executor: impl PgExecutor<'_>) -> Result<Vec<Difference>> {
    Ok(sqlx::query_as!(
        Difference,
        r#"WITH RECURSIVE code AS (
               SELECT code FROM orgtree.organization
               UNION SELECT organization_code FROM orgtree.volunteer
               UNION SELECT organization_code FROM orgtree.organization_count
           ), pair AS (
               SELECT code, code AS above FROM code
               UNION ALL
               SELECT pair.code, o.parent_code FROM pair
               JOIN orgtree.organization o ON o.code = pair.above
               WHERE o.parent_code IS NOT NULL
           ), own AS (
               SELECT organization_code AS code, count(*) AS volunteers,
                      count(*) FILTER (WHERE verified) AS verified,
                      count(*) FILTER (WHERE league_member) AS members
               FROM orgtree.volunteer WHERE active GROUP BY organization_code
           ), waiting AS (
               SELECT organization_code AS code, sum(volunteers) AS volunteers,
                      sum(verified_volunteers) AS verified, sum(league_members) AS members
               FROM orgtree.count_delta WHERE folded_at IS NULL GROUP BY organization_code
           ), recount AS (
               SELECT pair.above AS code,
                      coalesce(sum(own.volunteers) FILTER (WHERE pair.code = pair.above), 0) AS own_volunteers,
                      coalesce(sum(own.verified) FILTER (WHERE pair.code = pair.above), 0) AS own_verified,
                      coalesce(sum(own.members) FILTER (WHERE pair.code = pair.above), 0) AS own_members,
                      coalesce(sum(own.volunteers), 0) AS volunteers,
                      coalesce(sum(own.verified), 0) AS verified,
                      coalesce(sum(own.members), 0) AS members,
                      coalesce(sum(w.volunteers) FILTER (WHERE pair.code = pair.above), 0) AS late_own_volunteers,
                      coalesce(sum(w.verified) FILTER (WHERE pair.code = pair.above), 0) AS late_own_verified,
                      coalesce(sum(w.members) FILTER (WHERE pair.code = pair.above), 0) AS late_own_members,
                      coalesce(sum(w.volunteers), 0) AS late_volunteers,
                      coalesce(sum(w.verified), 0) AS late_verified,
                      coalesce(sum(w.members), 0) AS late_members
               FROM pair LEFT JOIN own ON own.code = pair.code LEFT JOIN waiting w ON w.code = pair.code
               GROUP BY pair.above
           )
           SELECT r.code AS "organization_code!", f.figure AS "figure!", f.kept::bigint AS "kept!",
                  f.recounted::bigint AS "recounted!"
           FROM recount r LEFT JOIN orgtree.organization_count c ON c.organization_code = r.code
           CROSS JOIN LATERAL (VALUES
               ('own_volunteers', coalesce(c.own_volunteers, 0) + late_own_volunteers, r.own_volunteers),
               ('own_verified_volunteers', coalesce(c.own_verified_volunteers, 0) + late_own_verified, r.own_verified),
               ('own_league_members', coalesce(c.own_league_members, 0) + late_own_members, r.own_members),
               ('subtree_volunteers', coalesce(c.subtree_volunteers, 0) + late_volunteers, r.volunteers),
               ('subtree_verified_volunteers', coalesce(c.subtree_verified_volunteers, 0) + late_verified, r.verified),
               ('subtree_league_members', coalesce(c.subtree_league_members, 0) + late_members, r.members)
           ) AS f (figure, kept, recounted)
           WHERE f.kept <> f.recounted
           ORDER BY r.code, f.figure"#,
    )
    .fetch_all(executor)
    .await?)
}
