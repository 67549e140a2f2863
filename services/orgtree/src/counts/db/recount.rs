//! Recounting from the rows of people and from what is stated.

use sqlx::PgPool;

use crate::error::Result;

/// A figure that is not what a recount finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) organization_code: String,
    pub(crate) figure: String,
    pub(crate) kept: i64,
    pub(crate) recounted: i64,
}

/// Recounts from the rows, up the tree by parents instead of the ancestors
/// that the fold reads; one statement, one snapshot. Differences that are not folded yet
/// count with what is kept. Takes the time that it needs: ten million people are read for
/// longer than a statement that serves people may last.
#[tracing::instrument(name = "db.count.verify", skip_all)]
pub(in crate::counts) async fn verify(pool: &PgPool) -> Result<Vec<Difference>> {
    let mut transaction = pool.begin().await?;
    sqlx::query!("SELECT set_config('statement_timeout', '30min', true) AS statement_timeout")
        .fetch_one(&mut *transaction)
        .await?;
    let differences = sqlx::query_as!(
        Difference,
        r#"WITH RECURSIVE code AS (
               SELECT code FROM orgtree.organization
               UNION SELECT organization_code FROM orgtree.volunteer WHERE active
               UNION SELECT roster_organization_code FROM orgtree.volunteer
                     WHERE roster_organization_code IS NOT NULL
               UNION SELECT organization_code FROM orgtree.organization_count
           ), pair AS (
               SELECT code, code AS above FROM code
               UNION ALL
               SELECT pair.code, o.parent_code FROM pair
               JOIN orgtree.organization o ON o.code = pair.above
               WHERE o.parent_code IS NOT NULL
           ), standing AS (
               SELECT organization_code, members FROM orgtree.member_statement
               WHERE ended_at IS NULL
           ), fact AS (
               SELECT v.organization_code AS code, 1 AS volunteers,
                      v.verified::integer AS verified_volunteers,
                      v.league_member::integer AS league_members,
                      0 AS members, 0 AS registered_members, 0 AS stated_members,
                      (v.league_member AND s.members IS NOT NULL)::integer AS stated_registered
               FROM orgtree.volunteer v LEFT JOIN standing s USING (organization_code)
               WHERE v.active
               UNION ALL
               SELECT roster_organization_code, 0, 0, 0, 1, active::integer, 0, 0
               FROM orgtree.volunteer WHERE roster_organization_code IS NOT NULL
               UNION ALL
               SELECT organization_code, 0, 0, 0, 0, 0, members, 0 FROM standing
           ), own AS (
               SELECT code,
                      sum(volunteers) AS volunteers,
                      sum(verified_volunteers) AS verified_volunteers,
                      sum(league_members) AS league_members, sum(members) AS members,
                      sum(registered_members) AS registered_members,
                      sum(stated_members) AS stated_members,
                      sum(stated_registered) AS stated_registered
               FROM fact GROUP BY code
           ), waiting AS (
               SELECT organization_code AS code,
                      sum(volunteers) AS volunteers,
                      sum(verified_volunteers) AS verified_volunteers,
                      sum(league_members) AS league_members, sum(members) AS members,
                      sum(registered_members) AS registered_members,
                      sum(stated_members) AS stated_members,
                      sum(stated_registered) AS stated_registered
               FROM orgtree.count_delta WHERE folded_at IS NULL GROUP BY organization_code
           ), recount AS (
               SELECT pair.above AS code,
                      coalesce(sum(own.volunteers) FILTER (WHERE pair.code = pair.above), 0) AS own_volunteers,
                      coalesce(sum(own.verified_volunteers) FILTER (WHERE pair.code = pair.above), 0) AS own_verified_volunteers,
                      coalesce(sum(own.league_members) FILTER (WHERE pair.code = pair.above), 0) AS own_league_members,
                      coalesce(sum(own.members) FILTER (WHERE pair.code = pair.above), 0) AS own_members,
                      coalesce(sum(own.registered_members) FILTER (WHERE pair.code = pair.above), 0) AS own_registered_members,
                      coalesce(sum(own.stated_members) FILTER (WHERE pair.code = pair.above), 0) AS own_stated_members,
                      coalesce(sum(own.stated_registered) FILTER (WHERE pair.code = pair.above), 0) AS own_stated_registered,
                      coalesce(sum(own.volunteers), 0) AS subtree_volunteers,
                      coalesce(sum(own.verified_volunteers), 0) AS subtree_verified_volunteers,
                      coalesce(sum(own.league_members), 0) AS subtree_league_members,
                      coalesce(sum(own.members), 0) AS subtree_members,
                      coalesce(sum(own.registered_members), 0) AS subtree_registered_members,
                      coalesce(sum(own.stated_members), 0) AS subtree_stated_members,
                      coalesce(sum(own.stated_registered), 0) AS subtree_stated_registered,
                      coalesce(sum(w.volunteers) FILTER (WHERE pair.code = pair.above), 0) AS late_own_volunteers,
                      coalesce(sum(w.verified_volunteers) FILTER (WHERE pair.code = pair.above), 0) AS late_own_verified_volunteers,
                      coalesce(sum(w.league_members) FILTER (WHERE pair.code = pair.above), 0) AS late_own_league_members,
                      coalesce(sum(w.members) FILTER (WHERE pair.code = pair.above), 0) AS late_own_members,
                      coalesce(sum(w.registered_members) FILTER (WHERE pair.code = pair.above), 0) AS late_own_registered_members,
                      coalesce(sum(w.stated_members) FILTER (WHERE pair.code = pair.above), 0) AS late_own_stated_members,
                      coalesce(sum(w.stated_registered) FILTER (WHERE pair.code = pair.above), 0) AS late_own_stated_registered,
                      coalesce(sum(w.volunteers), 0) AS late_subtree_volunteers,
                      coalesce(sum(w.verified_volunteers), 0) AS late_subtree_verified_volunteers,
                      coalesce(sum(w.league_members), 0) AS late_subtree_league_members,
                      coalesce(sum(w.members), 0) AS late_subtree_members,
                      coalesce(sum(w.registered_members), 0) AS late_subtree_registered_members,
                      coalesce(sum(w.stated_members), 0) AS late_subtree_stated_members,
                      coalesce(sum(w.stated_registered), 0) AS late_subtree_stated_registered
               FROM pair LEFT JOIN own ON own.code = pair.code LEFT JOIN waiting w ON w.code = pair.code
               GROUP BY pair.above
           )
           SELECT r.code AS "organization_code!", f.figure AS "figure!", f.kept::bigint AS "kept!",
                  f.recounted::bigint AS "recounted!"
           FROM recount r LEFT JOIN orgtree.organization_count c ON c.organization_code = r.code
           CROSS JOIN LATERAL (VALUES
               ('own_volunteers', coalesce(c.own_volunteers, 0) + late_own_volunteers, r.own_volunteers),
               ('own_verified_volunteers', coalesce(c.own_verified_volunteers, 0) + late_own_verified_volunteers, r.own_verified_volunteers),
               ('own_league_members', coalesce(c.own_league_members, 0) + late_own_league_members, r.own_league_members),
               ('own_members', coalesce(c.own_members, 0) + late_own_members, r.own_members),
               ('own_registered_members', coalesce(c.own_registered_members, 0) + late_own_registered_members, r.own_registered_members),
               ('own_stated_members', coalesce(c.own_stated_members, 0) + late_own_stated_members, r.own_stated_members),
               ('own_stated_registered', coalesce(c.own_stated_registered, 0) + late_own_stated_registered, r.own_stated_registered),
               ('subtree_volunteers', coalesce(c.subtree_volunteers, 0) + late_subtree_volunteers, r.subtree_volunteers),
               ('subtree_verified_volunteers', coalesce(c.subtree_verified_volunteers, 0) + late_subtree_verified_volunteers, r.subtree_verified_volunteers),
               ('subtree_league_members', coalesce(c.subtree_league_members, 0) + late_subtree_league_members, r.subtree_league_members),
               ('subtree_members', coalesce(c.subtree_members, 0) + late_subtree_members, r.subtree_members),
               ('subtree_registered_members', coalesce(c.subtree_registered_members, 0) + late_subtree_registered_members, r.subtree_registered_members),
               ('subtree_stated_members', coalesce(c.subtree_stated_members, 0) + late_subtree_stated_members, r.subtree_stated_members),
               ('subtree_stated_registered', coalesce(c.subtree_stated_registered, 0) + late_subtree_stated_registered, r.subtree_stated_registered)
           ) AS f (figure, kept, recounted)
           WHERE f.kept <> f.recounted
           ORDER BY r.code, f.figure"#,
    )
    .fetch_all(&mut *transaction)
    .await?;
    transaction.rollback().await?;
    Ok(differences)
}
