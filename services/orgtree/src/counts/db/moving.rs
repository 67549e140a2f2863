//! The figures when the tree changes.
//!
//! What the figures of a subtree are is the sum of what is folded of the organizations in it.
//! The fold keeps it so by the tree as it is when it folds, and so does whoever moves a subtree:
//! its sum is taken from those that were above it and given to those that are. What is not
//! folded yet is in neither, and will be folded by the new tree.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::Figures;
use crate::error::Result;

/// Moves what is folded of a subtree from the organizations that were above it to those that
/// are now; for who is alone with the tree. One statement, as many rows as are above.
#[tracing::instrument(name = "db.count.move", skip_all)]
pub(crate) async fn move_subtree(
    transaction: &mut PgConnection,
    code: &str,
    from: &[String],
    to: &[String],
) -> std::result::Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO orgtree.organization_count AS c
             (organization_code,
              subtree_volunteers, subtree_verified_volunteers, subtree_league_members,
              subtree_members, subtree_registered_members, subtree_stated_members,
              subtree_stated_registered)
         SELECT above.code,
                sum(above.sign * m.subtree_volunteers),
                sum(above.sign * m.subtree_verified_volunteers),
                sum(above.sign * m.subtree_league_members),
                sum(above.sign * m.subtree_members),
                sum(above.sign * m.subtree_registered_members),
                sum(above.sign * m.subtree_stated_members),
                sum(above.sign * m.subtree_stated_registered)
         FROM orgtree.organization_count m
         CROSS JOIN (SELECT code, -1 AS sign FROM unnest($2::text[]) AS old (code)
                     UNION ALL
                     SELECT code, 1 FROM unnest($3::text[]) AS new (code)) above
         WHERE m.organization_code = $1
         GROUP BY above.code HAVING sum(above.sign) <> 0 ORDER BY above.code
         ON CONFLICT (organization_code) DO UPDATE
         SET subtree_volunteers = c.subtree_volunteers + excluded.subtree_volunteers,
             subtree_verified_volunteers = c.subtree_verified_volunteers + excluded.subtree_verified_volunteers,
             subtree_league_members = c.subtree_league_members + excluded.subtree_league_members,
             subtree_members = c.subtree_members + excluded.subtree_members,
             subtree_registered_members = c.subtree_registered_members + excluded.subtree_registered_members,
             subtree_stated_members = c.subtree_stated_members + excluded.subtree_stated_members,
             subtree_stated_registered = c.subtree_stated_registered + excluded.subtree_stated_registered",
        code,
        from,
        to,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Whether there was an organization at a time; none is told to have been before the tree was
/// dated, but for those that were there then.
#[tracing::instrument(name = "db.organization_version.was", skip_all)]
pub(in crate::counts) async fn was(
    transaction: &mut PgConnection,
    code: &str,
    at: OffsetDateTime,
) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM orgtree.organization_version v
                          CROSS JOIN orgtree.tree_dating d
                          WHERE v.code = $1 AND v.valid_from <= greatest($2, d.since)) AS "was!""#,
        code,
        at,
    )
    .fetch_one(transaction)
    .await?)
}

/// What the figures of a subtree as of a cut are more by the tree as it was then than by the
/// tree as it is: those that were there, less those that have come. For who keeps the tree as
/// it is meanwhile. Before the tree was dated it is taken to have been as it was then first.
#[tracing::instrument(name = "db.count.correct", skip_all)]
pub(in crate::counts) async fn correction(
    transaction: &mut PgConnection,
    code: &str,
    cut_id: i64,
    at: OffsetDateTime,
) -> Result<Figures> {
    let row = sqlx::query_scalar!(
        r#"WITH moved AS (
               SELECT o.code, orgtree.is_within(o.code, o.ancestors, $1) AS is_there,
                      coalesce(orgtree.is_within(earlier.code, earlier.ancestors, $1), false) AS was_there
               FROM orgtree.tree_dating dating
               JOIN orgtree.organization_version present
                 ON present.valid_to IS NULL AND present.valid_from > greatest($3, dating.since)
               JOIN orgtree.organization o ON o.code = present.code
               LEFT JOIN LATERAL (
                   SELECT v.code, v.ancestors FROM orgtree.organization_version v
                   WHERE v.code = present.code AND v.valid_from <= greatest($3, dating.since)
                   ORDER BY v.valid_from DESC LIMIT 1) earlier ON true
           ), signed AS (
               SELECT code, CASE WHEN was_there THEN 1 ELSE -1 END AS sign
               FROM moved WHERE was_there <> is_there
           ), part AS (
               SELECT s.sign,
                      c.own_volunteers AS volunteers,
                      c.own_verified_volunteers AS verified_volunteers,
                      c.own_league_members AS league_members, c.own_members AS members,
                      c.own_registered_members AS registered_members,
                      c.own_stated_members AS stated_members,
                      c.own_stated_registered AS stated_registered
               FROM signed s JOIN orgtree.organization_count c ON c.organization_code = s.code
               UNION ALL
               SELECT s.sign * CASE WHEN d.after_cut < $2 THEN 1 ELSE -1 END,
                      d.volunteers, d.verified_volunteers, d.league_members, d.members,
                      d.registered_members, d.stated_members, d.stated_registered
               FROM signed s JOIN orgtree.count_delta d ON d.organization_code = s.code
               WHERE (d.after_cut >= $2 AND d.folded_at IS NOT NULL)
                  OR (d.after_cut < $2 AND d.folded_at IS NULL)
           )
           SELECT ARRAY[
                      coalesce(sum(sign * volunteers), 0)::bigint,
                      coalesce(sum(sign * verified_volunteers), 0)::bigint,
                      coalesce(sum(sign * league_members), 0)::bigint,
                      coalesce(sum(sign * members), 0)::bigint,
                      coalesce(sum(sign * registered_members), 0)::bigint,
                      coalesce(sum(sign * stated_members), 0)::bigint,
                      coalesce(sum(sign * stated_registered), 0)::bigint
                  ] AS "difference!"
           FROM part"#,
        code,
        cut_id,
        at,
    )
    .fetch_one(transaction)
    .await?;
    Figures::of(row)
}
