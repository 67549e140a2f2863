//! The SQL of the figures.

pub(crate) mod moving;
mod recount;

pub(crate) use recount::Difference;
pub(super) use recount::verify;

use std::collections::BTreeMap;

use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::Partition;
use zhiyuan_feed::cuts;

use super::{Before, Figures, Volunteer};
use crate::error::{Error, Result};

fn partitions(ids: &[Uuid]) -> Vec<i16> {
    ids.iter().map(|id| Partition::of(*id).get()).collect()
}

/// Locks the rows of volunteers, in the order of partition and id.
#[tracing::instrument(name = "db.volunteer.lock", skip_all)]
pub(super) async fn lock(transaction: &mut PgConnection, ids: &[Uuid]) -> Result<Before> {
    let rows = sqlx::query_as!(
        Volunteer,
        "SELECT v.volunteer_id, v.organization_code, v.active, v.verified, v.league_member,
                v.revision
         FROM orgtree.volunteer v
         JOIN (SELECT DISTINCT partition, volunteer_id
               FROM unnest($1::smallint[], $2::uuid[]) AS u (partition, volunteer_id)) l
           ON v.partition = l.partition AND v.volunteer_id = l.volunteer_id
         ORDER BY v.partition, v.volunteer_id FOR UPDATE OF v",
        &partitions(ids),
        ids,
    )
    .fetch_all(transaction)
    .await?;
    Ok(rows.into_iter().map(|row| (row.volunteer_id, row)).collect())
}

/// Locks the volunteers of a part of a partition, after one id, up to another.
#[tracing::instrument(name = "db.volunteer.lock_range", skip_all)]
pub(super) async fn lock_range(
    transaction: &mut PgConnection,
    partition: i16,
    after: Uuid,
    until: Uuid,
) -> Result<Before> {
    let rows = sqlx::query_as!(
        Volunteer,
        "SELECT volunteer_id, organization_code, active, verified, league_member, revision
         FROM orgtree.volunteer
         WHERE partition = $1 AND volunteer_id > $2 AND volunteer_id <= $3
         ORDER BY volunteer_id FOR UPDATE",
        partition,
        after,
        until,
    )
    .fetch_all(transaction)
    .await?;
    Ok(rows.into_iter().map(|row| (row.volunteer_id, row)).collect())
}

/// Stores volunteers, whatever was there.
#[tracing::instrument(name = "db.volunteer.upsert", skip_all)]
pub(super) async fn upsert(transaction: &mut PgConnection, volunteers: &[Volunteer]) -> Result<()> {
    if volunteers.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = volunteers.iter().map(|v| v.volunteer_id).collect();
    let codes: Vec<String> = volunteers.iter().map(|v| v.organization_code.clone()).collect();
    let active: Vec<bool> = volunteers.iter().map(|v| v.active).collect();
    let verified: Vec<bool> = volunteers.iter().map(|v| v.verified).collect();
    let league_members: Vec<bool> = volunteers.iter().map(|v| v.league_member).collect();
    let revisions: Vec<i64> = volunteers.iter().map(|v| v.revision).collect();
    sqlx::query!(
        "INSERT INTO orgtree.volunteer
             (partition, volunteer_id, organization_code, active, verified, league_member, revision)
         SELECT * FROM unnest($1::smallint[], $2::uuid[], $3::text[], $4::boolean[],
                              $5::boolean[], $6::boolean[], $7::bigint[])
         ON CONFLICT (partition, volunteer_id) DO UPDATE
         SET organization_code = excluded.organization_code, active = excluded.active,
             verified = excluded.verified, league_member = excluded.league_member,
             revision = excluded.revision",
        &partitions(&ids),
        &ids,
        &codes,
        &active,
        &verified,
        &league_members,
        &revisions,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Removes volunteers.
#[tracing::instrument(name = "db.volunteer.delete", skip_all)]
pub(super) async fn delete(transaction: &mut PgConnection, ids: &[Uuid]) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "DELETE FROM orgtree.volunteer v
         USING unnest($1::smallint[], $2::uuid[]) AS d (partition, volunteer_id)
         WHERE v.partition = d.partition AND v.volunteer_id = d.volunteer_id",
        &partitions(ids),
        ids,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Notes differences of the figures of organizations themselves.
#[tracing::instrument(name = "db.count_delta.append", skip_all)]
pub(super) async fn append_deltas(
    transaction: &mut PgConnection,
    differences: &BTreeMap<String, Figures>,
) -> Result<()> {
    if differences.is_empty() {
        return Ok(());
    }
    let after_cut = cuts::current(&mut *transaction, "orgtree").await?;
    let codes: Vec<String> = differences.keys().cloned().collect();
    let column =
        |figure: fn(&Figures) -> i64| -> Vec<i64> { differences.values().map(figure).collect() };
    sqlx::query!(
        "INSERT INTO orgtree.count_delta
             (organization_code, after_cut, volunteers, verified_volunteers, league_members)
         SELECT code, $5, volunteers, verified, members
         FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
              AS new (code, volunteers, verified, members)",
        &codes,
        &column(|figures| figures.volunteers),
        &column(|figures| figures.verified_volunteers),
        &column(|figures| figures.league_members),
        after_cut,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Keeps the tree as it is until the transaction ends; any number may at once. Who
/// changes the tree takes the lock alone ([`crate::organizations`]).
#[tracing::instrument(name = "db.tree.keep", skip_all)]
pub(crate) async fn keep_tree(transaction: &mut PgConnection) -> Result<()> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock_shared(hashtextextended('orgtree.tree', 0)) AS kept"
    )
    .fetch_one(transaction)
    .await?;
    Ok(())
}

/// Takes differences up the tree, in the order of the codes; tells how many.
#[tracing::instrument(name = "db.count.fold", skip_all)]
pub(super) async fn fold(transaction: &mut PgConnection, limit: i64) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        r#"WITH taken AS (
               SELECT delta_id, organization_code, volunteers, verified_volunteers, league_members
               FROM orgtree.count_delta WHERE folded_at IS NULL
               ORDER BY delta_id LIMIT $1 FOR UPDATE SKIP LOCKED
           ), noted AS (
               UPDATE orgtree.count_delta d SET folded_at = clock_timestamp()
               FROM taken t
               WHERE d.delta_id = t.delta_id AND d.organization_code = t.organization_code
           ), own AS (
               SELECT organization_code AS code, sum(volunteers) AS volunteers,
                      sum(verified_volunteers) AS verified, sum(league_members) AS members
               FROM taken GROUP BY organization_code
           ), spread AS (
               SELECT code, volunteers AS own_volunteers, verified AS own_verified,
                      members AS own_members, volunteers, verified, members
               FROM own
               UNION ALL
               SELECT above.code, 0, 0, 0, own.volunteers, own.verified, own.members
               FROM own JOIN orgtree.organization o ON o.code = own.code
               CROSS JOIN unnest(o.ancestors) AS above (code)
           ), folded AS (
               INSERT INTO orgtree.organization_count AS c
                   (organization_code, own_volunteers, own_verified_volunteers,
                    own_league_members, subtree_volunteers, subtree_verified_volunteers,
                    subtree_league_members)
               SELECT code, sum(own_volunteers), sum(own_verified), sum(own_members),
                      sum(volunteers), sum(verified), sum(members)
               FROM spread GROUP BY code ORDER BY code
               ON CONFLICT (organization_code) DO UPDATE
               SET own_volunteers = c.own_volunteers + excluded.own_volunteers,
                   own_verified_volunteers =
                       c.own_verified_volunteers + excluded.own_verified_volunteers,
                   own_league_members = c.own_league_members + excluded.own_league_members,
                   subtree_volunteers = c.subtree_volunteers + excluded.subtree_volunteers,
                   subtree_verified_volunteers =
                       c.subtree_verified_volunteers + excluded.subtree_verified_volunteers,
                   subtree_league_members =
                       c.subtree_league_members + excluded.subtree_league_members
           )
           SELECT count(*) AS "count!" FROM taken"#,
        limit,
    )
    .fetch_one(transaction)
    .await?)
}

/// The number of the last difference; 0 if there was never one.
#[tracing::instrument(name = "db.count_delta.last", skip_all)]
pub(super) async fn last_delta(executor: impl PgExecutor<'_>) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        r#"SELECT coalesce(max(delta_id), 0) AS "last!" FROM orgtree.count_delta"#
    )
    .fetch_one(executor)
    .await?)
}

/// Notes that the figures hold everything up to a time, if all differences up to one of
/// them are folded, and no later time was noted.
#[tracing::instrument(name = "db.count_state.advance", skip_all)]
pub(super) async fn advance(
    executor: impl PgExecutor<'_>,
    as_of: OffsetDateTime,
    last_delta: i64,
) -> Result<()> {
    sqlx::query!(
        "UPDATE orgtree.count_state SET as_of = $1
         WHERE (as_of IS NULL OR as_of < $1) AND NOT EXISTS (
             SELECT FROM orgtree.count_delta WHERE folded_at IS NULL AND delta_id <= $2)",
        as_of,
        last_delta,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Deletes differences folded before a time; tells how many.
#[tracing::instrument(name = "db.count_delta.purge", skip_all)]
pub(super) async fn purge(
    executor: impl PgExecutor<'_>,
    before: OffsetDateTime,
    limit: i64,
) -> Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM orgtree.count_delta WHERE (delta_id, organization_code) IN (
             SELECT delta_id, organization_code FROM orgtree.count_delta
             WHERE folded_at < $1 ORDER BY folded_at LIMIT $2)
           AND delta_id < (SELECT max(delta_id) FROM orgtree.count_delta)",
        before,
        limit,
    )
    .execute(executor)
    .await?;
    Ok(done.rows_affected())
}

/// The figures of an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) own: Figures,
    pub(super) subtree: Figures,
    /// `None` before the figures were ever complete.
    pub(super) as_of: Option<OffsetDateTime>,
}

/// Finds the figures of an organization: look-ups by primary key, at every level.
#[tracing::instrument(name = "db.count.get", skip_all)]
pub(super) async fn get(executor: impl PgExecutor<'_>, code: &str) -> Result<Counted> {
    let row = sqlx::query!(
        r#"SELECT s.as_of,
                  coalesce(c.own_volunteers, 0) AS "own_volunteers!",
                  coalesce(c.own_verified_volunteers, 0) AS "own_verified!",
                  coalesce(c.own_league_members, 0) AS "own_members!",
                  coalesce(c.subtree_volunteers, 0) AS "volunteers!",
                  coalesce(c.subtree_verified_volunteers, 0) AS "verified!",
                  coalesce(c.subtree_league_members, 0) AS "members!"
           FROM orgtree.organization o
           CROSS JOIN orgtree.count_state s
           LEFT JOIN orgtree.organization_count c ON c.organization_code = o.code
           WHERE o.code = $1"#,
        code,
    )
    .fetch_optional(executor)
    .await?
    .ok_or(Error::OrganizationNotFound)?;
    Ok(Counted {
        own: figures(row.own_volunteers, row.own_verified, row.own_members),
        subtree: figures(row.volunteers, row.verified, row.members),
        as_of: row.as_of,
    })
}

/// Finds the figures as of a cut: what is counted, less what came after the cut, and with
/// what came before it and is not folded yet. One statement, one snapshot. Of what lies below
/// by the tree as it is: [`moving::correction`] tells the difference to the tree at the cut.
#[tracing::instrument(name = "db.count.get_as_of", skip_all)]
pub(super) async fn get_as_of(
    executor: impl PgExecutor<'_>,
    code: &str,
    cut_id: i64,
) -> Result<(Figures, Figures)> {
    let row = sqlx::query!(
        r#"WITH apart AS (
               SELECT d.organization_code = $1 AS own,
                      CASE WHEN d.after_cut < $2 THEN 1 ELSE -1 END AS sign,
                      d.volunteers, d.verified_volunteers, d.league_members
               FROM orgtree.count_delta d
               LEFT JOIN orgtree.organization o ON o.code = d.organization_code
               WHERE (d.organization_code = $1 OR $1 = ANY(o.ancestors))
                 AND ((d.after_cut >= $2 AND d.folded_at IS NOT NULL)
                      OR (d.after_cut < $2 AND d.folded_at IS NULL))
           ), difference AS (
               SELECT coalesce(sum(sign * volunteers) FILTER (WHERE own), 0)::bigint AS own_volunteers,
                      coalesce(sum(sign * verified_volunteers) FILTER (WHERE own), 0)::bigint AS own_verified,
                      coalesce(sum(sign * league_members) FILTER (WHERE own), 0)::bigint AS own_members,
                      coalesce(sum(sign * volunteers), 0)::bigint AS volunteers,
                      coalesce(sum(sign * verified_volunteers), 0)::bigint AS verified,
                      coalesce(sum(sign * league_members), 0)::bigint AS members
               FROM apart
           )
           SELECT coalesce(c.own_volunteers, 0) + d.own_volunteers AS "own_volunteers!",
                  coalesce(c.own_verified_volunteers, 0) + d.own_verified AS "own_verified!",
                  coalesce(c.own_league_members, 0) + d.own_members AS "own_members!",
                  coalesce(c.subtree_volunteers, 0) + d.volunteers AS "volunteers!",
                  coalesce(c.subtree_verified_volunteers, 0) + d.verified AS "verified!",
                  coalesce(c.subtree_league_members, 0) + d.members AS "members!"
           FROM orgtree.organization o
           CROSS JOIN difference d
           LEFT JOIN orgtree.organization_count c ON c.organization_code = o.code
           WHERE o.code = $1"#,
        code,
        cut_id,
    )
    .fetch_optional(executor)
    .await?
    .ok_or(Error::OrganizationNotFound)?;
    Ok((
        figures(row.own_volunteers, row.own_verified, row.own_members),
        figures(row.volunteers, row.verified, row.members),
    ))
}

fn figures(volunteers: i64, verified_volunteers: i64, league_members: i64) -> Figures {
    Figures { volunteers, verified_volunteers, league_members }
}

/// Makes the subtree figures anew from those of the organizations themselves; for who
/// has changed the tree and holds its lock.
#[tracing::instrument(name = "db.count.refold", skip_all)]
pub(crate) async fn refold(transaction: &mut PgConnection) -> std::result::Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE orgtree.organization_count
         SET subtree_volunteers = 0, subtree_verified_volunteers = 0, subtree_league_members = 0",
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        "INSERT INTO orgtree.organization_count AS c
             (organization_code, subtree_volunteers, subtree_verified_volunteers,
              subtree_league_members)
         SELECT code, sum(volunteers), sum(verified), sum(members)
         FROM (SELECT organization_code AS code, own_volunteers AS volunteers,
                      own_verified_volunteers AS verified, own_league_members AS members
               FROM orgtree.organization_count
               UNION ALL
               SELECT above.code, own_volunteers, own_verified_volunteers, own_league_members
               FROM orgtree.organization_count
               JOIN orgtree.organization o ON o.code = organization_code
               CROSS JOIN unnest(o.ancestors) AS above (code)) s
         GROUP BY code ORDER BY code
         ON CONFLICT (organization_code) DO UPDATE
         SET subtree_volunteers = excluded.subtree_volunteers,
             subtree_verified_volunteers = excluded.subtree_verified_volunteers,
             subtree_league_members = excluded.subtree_league_members",
    )
    .execute(transaction)
    .await?;
    Ok(())
}
