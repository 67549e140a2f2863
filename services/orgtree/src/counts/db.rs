//! The SQL of the figures.

mod listing;
pub(crate) mod moving;
mod recount;
mod rows;
pub(super) mod statements;

pub(super) use listing::{Listed, children};
pub(crate) use recount::Difference;
pub(super) use recount::verify;
pub(super) use rows::{delete, lock, lock_range, upsert};

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use zhiyuan_feed::cuts;
use zhiyuan_rpc::Error as RpcError;

use super::Figures;
use crate::error::{Error, Result};

/// A cut is taken a second or two after its time.
const WHILE_A_CUT_IS_TAKEN: Duration = Duration::from_secs(2);

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
             (organization_code, after_cut, volunteers, verified_volunteers, league_members,
              members, registered_members, stated_members, stated_registered)
         SELECT code, $9, volunteers, verified, league, members, registered, stated, stated_registered
         FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
                     $6::bigint[], $7::bigint[], $8::bigint[])
              AS new (code, volunteers, verified, league, members, registered, stated,
                      stated_registered)",
        &codes,
        &column(|figures| figures.volunteers),
        &column(|figures| figures.verified_volunteers),
        &column(|figures| figures.league_members),
        &column(|figures| figures.members),
        &column(|figures| figures.registered_members),
        &column(|figures| figures.stated_members),
        &column(|figures| figures.stated_registered),
        after_cut,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Keeps cuts from being opened and taken until the transaction ends, for who changes figures
/// otherwise than a feed tells; to be taken before any other lock.
///
/// # Errors
/// To come again while a cut is due: what is changed now would count as before it.
#[tracing::instrument(name = "db.cut.hold", skip_all)]
pub(crate) async fn hold_cuts(transaction: &mut PgConnection, now: OffsetDateTime) -> Result<()> {
    match cuts::hold(transaction, "orgtree").await? {
        Some(at) if at <= now => Err(RpcError::unavailable("a cut is being taken")
            .with_retry_after(WHILE_A_CUT_IS_TAKEN)
            .into()),
        _ => Ok(()),
    }
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
               SELECT delta_id, organization_code,
                      volunteers, verified_volunteers, league_members, members,
                      registered_members, stated_members, stated_registered
               FROM orgtree.count_delta WHERE folded_at IS NULL
               ORDER BY delta_id LIMIT $1 FOR UPDATE SKIP LOCKED
           ), noted AS (
               UPDATE orgtree.count_delta d SET folded_at = clock_timestamp()
               FROM taken t
               WHERE d.delta_id = t.delta_id AND d.organization_code = t.organization_code
           ), own AS (
               SELECT organization_code AS code,
                      sum(volunteers) AS volunteers,
                      sum(verified_volunteers) AS verified_volunteers,
                      sum(league_members) AS league_members, sum(members) AS members,
                      sum(registered_members) AS registered_members,
                      sum(stated_members) AS stated_members,
                      sum(stated_registered) AS stated_registered
               FROM taken GROUP BY organization_code
           ), spread AS (
               SELECT code, true AS itself,
                      volunteers, verified_volunteers, league_members, members,
                      registered_members, stated_members, stated_registered
               FROM own
               UNION ALL
               SELECT above.code, false,
                      own.volunteers, own.verified_volunteers, own.league_members, own.members,
                      own.registered_members, own.stated_members, own.stated_registered
               FROM own JOIN orgtree.organization o ON o.code = own.code
               CROSS JOIN unnest(o.ancestors) AS above (code)
           ), folded AS (
               INSERT INTO orgtree.organization_count AS c
                   (organization_code,
                    own_volunteers, own_verified_volunteers, own_league_members, own_members,
                    own_registered_members, own_stated_members, own_stated_registered,
                    subtree_volunteers, subtree_verified_volunteers, subtree_league_members,
                    subtree_members, subtree_registered_members, subtree_stated_members,
                    subtree_stated_registered)
               SELECT code,
                      coalesce(sum(volunteers) FILTER (WHERE itself), 0),
                      coalesce(sum(verified_volunteers) FILTER (WHERE itself), 0),
                      coalesce(sum(league_members) FILTER (WHERE itself), 0),
                      coalesce(sum(members) FILTER (WHERE itself), 0),
                      coalesce(sum(registered_members) FILTER (WHERE itself), 0),
                      coalesce(sum(stated_members) FILTER (WHERE itself), 0),
                      coalesce(sum(stated_registered) FILTER (WHERE itself), 0), sum(volunteers),
                      sum(verified_volunteers), sum(league_members), sum(members),
                      sum(registered_members), sum(stated_members), sum(stated_registered)
               FROM spread GROUP BY code ORDER BY code
               ON CONFLICT (organization_code) DO UPDATE
               SET own_volunteers = c.own_volunteers + excluded.own_volunteers,
                   own_verified_volunteers = c.own_verified_volunteers + excluded.own_verified_volunteers,
                   own_league_members = c.own_league_members + excluded.own_league_members,
                   own_members = c.own_members + excluded.own_members,
                   own_registered_members = c.own_registered_members + excluded.own_registered_members,
                   own_stated_members = c.own_stated_members + excluded.own_stated_members,
                   own_stated_registered = c.own_stated_registered + excluded.own_stated_registered,
                   subtree_volunteers = c.subtree_volunteers + excluded.subtree_volunteers,
                   subtree_verified_volunteers = c.subtree_verified_volunteers + excluded.subtree_verified_volunteers,
                   subtree_league_members = c.subtree_league_members + excluded.subtree_league_members,
                   subtree_members = c.subtree_members + excluded.subtree_members,
                   subtree_registered_members = c.subtree_registered_members + excluded.subtree_registered_members,
                   subtree_stated_members = c.subtree_stated_members + excluded.subtree_stated_members,
                   subtree_stated_registered = c.subtree_stated_registered + excluded.subtree_stated_registered
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
}

impl Figures {
    /// Of columns in the order of the fields.
    fn of(columns: Vec<i64>) -> Result<Self> {
        let columns: [i64; 7] = columns
            .try_into()
            .map_err(|_length| Error::Inconsistent("orgtree.organization_count"))?;
        let [
            volunteers,
            verified_volunteers,
            league_members,
            members,
            registered_members,
            stated_members,
            stated_registered,
        ] = columns;
        Ok(Self {
            volunteers,
            verified_volunteers,
            league_members,
            members,
            registered_members,
            stated_members,
            stated_registered,
        })
    }
}

impl Counted {
    fn of(own: Vec<i64>, subtree: Vec<i64>) -> Result<Self> {
        Ok(Self { own: Figures::of(own)?, subtree: Figures::of(subtree)? })
    }
}

/// Finds the figures of an organization, and up to when everything that was sequenced is in them,
/// if they were ever complete: look-ups by primary key, at every level.
#[tracing::instrument(name = "db.count.get", skip_all)]
pub(super) async fn get(
    executor: impl PgExecutor<'_>,
    code: &str,
) -> Result<(Counted, Option<OffsetDateTime>)> {
    let row = sqlx::query!(
        r#"SELECT s.as_of,
                  CASE WHEN c IS NULL THEN array_fill(0::bigint, ARRAY[7]) ELSE ARRAY[
                      c.own_volunteers, c.own_verified_volunteers, c.own_league_members,
                      c.own_members, c.own_registered_members, c.own_stated_members,
                      c.own_stated_registered] END AS "own!",
                  CASE WHEN c IS NULL THEN array_fill(0::bigint, ARRAY[7]) ELSE ARRAY[
                      c.subtree_volunteers, c.subtree_verified_volunteers,
                      c.subtree_league_members, c.subtree_members,
                      c.subtree_registered_members, c.subtree_stated_members,
                      c.subtree_stated_registered] END AS "subtree!"
           FROM orgtree.organization o
           CROSS JOIN orgtree.count_state s
           LEFT JOIN orgtree.organization_count c ON c.organization_code = o.code
           WHERE o.code = $1"#,
        code,
    )
    .fetch_optional(executor)
    .await?
    .ok_or(Error::OrganizationNotFound)?;
    Ok((Counted::of(row.own, row.subtree)?, row.as_of))
}

/// Finds the figures as of a cut: what is counted, less what came after the cut, and with
/// what came before it and is not folded yet. One statement, one snapshot. Of what lies below
/// by the tree as it is: [`moving::correction`] tells the difference to the tree at the cut.
#[tracing::instrument(name = "db.count.get_as_of", skip_all)]
pub(super) async fn get_as_of(
    executor: impl PgExecutor<'_>,
    code: &str,
    cut_id: i64,
) -> Result<Counted> {
    let row = sqlx::query!(
        r#"WITH apart AS (
               SELECT d.organization_code = $1 AS own,
                      CASE WHEN d.after_cut < $2 THEN 1 ELSE -1 END AS sign,
                      d.volunteers, d.verified_volunteers, d.league_members, d.members,
                      d.registered_members, d.stated_members, d.stated_registered
               FROM orgtree.count_delta d
               LEFT JOIN orgtree.organization o ON o.code = d.organization_code
               WHERE (d.organization_code = $1 OR $1 = ANY(o.ancestors))
                 AND ((d.after_cut >= $2 AND d.folded_at IS NOT NULL)
                      OR (d.after_cut < $2 AND d.folded_at IS NULL))
           ), difference AS (
               SELECT coalesce(sum(sign * volunteers) FILTER (WHERE own), 0)::bigint AS own_volunteers,
                      coalesce(sum(sign * verified_volunteers) FILTER (WHERE own), 0)::bigint AS own_verified_volunteers,
                      coalesce(sum(sign * league_members) FILTER (WHERE own), 0)::bigint AS own_league_members,
                      coalesce(sum(sign * members) FILTER (WHERE own), 0)::bigint AS own_members,
                      coalesce(sum(sign * registered_members) FILTER (WHERE own), 0)::bigint AS own_registered_members,
                      coalesce(sum(sign * stated_members) FILTER (WHERE own), 0)::bigint AS own_stated_members,
                      coalesce(sum(sign * stated_registered) FILTER (WHERE own), 0)::bigint AS own_stated_registered,
                      coalesce(sum(sign * volunteers), 0)::bigint AS subtree_volunteers,
                      coalesce(sum(sign * verified_volunteers), 0)::bigint AS subtree_verified_volunteers,
                      coalesce(sum(sign * league_members), 0)::bigint AS subtree_league_members,
                      coalesce(sum(sign * members), 0)::bigint AS subtree_members,
                      coalesce(sum(sign * registered_members), 0)::bigint AS subtree_registered_members,
                      coalesce(sum(sign * stated_members), 0)::bigint AS subtree_stated_members,
                      coalesce(sum(sign * stated_registered), 0)::bigint AS subtree_stated_registered
               FROM apart
           )
           SELECT ARRAY[
                      coalesce(c.own_volunteers, 0) + d.own_volunteers,
                      coalesce(c.own_verified_volunteers, 0) + d.own_verified_volunteers,
                      coalesce(c.own_league_members, 0) + d.own_league_members,
                      coalesce(c.own_members, 0) + d.own_members,
                      coalesce(c.own_registered_members, 0) + d.own_registered_members,
                      coalesce(c.own_stated_members, 0) + d.own_stated_members,
                      coalesce(c.own_stated_registered, 0) + d.own_stated_registered
                  ] AS "own!",
                  ARRAY[
                      coalesce(c.subtree_volunteers, 0) + d.subtree_volunteers,
                      coalesce(c.subtree_verified_volunteers, 0) + d.subtree_verified_volunteers,
                      coalesce(c.subtree_league_members, 0) + d.subtree_league_members,
                      coalesce(c.subtree_members, 0) + d.subtree_members,
                      coalesce(c.subtree_registered_members, 0) + d.subtree_registered_members,
                      coalesce(c.subtree_stated_members, 0) + d.subtree_stated_members,
                      coalesce(c.subtree_stated_registered, 0) + d.subtree_stated_registered
                  ] AS "subtree!"
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
    Counted::of(row.own, row.subtree)
}

/// Makes the subtree figures anew from those of the organizations themselves; for who
/// has changed the tree and holds its lock.
#[tracing::instrument(name = "db.count.refold", skip_all)]
pub(crate) async fn refold(transaction: &mut PgConnection) -> std::result::Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE orgtree.organization_count
         SET subtree_volunteers = 0, subtree_verified_volunteers = 0, subtree_league_members = 0,
             subtree_members = 0, subtree_registered_members = 0, subtree_stated_members = 0,
             subtree_stated_registered = 0",
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        "INSERT INTO orgtree.organization_count AS c
             (organization_code,
              subtree_volunteers, subtree_verified_volunteers, subtree_league_members,
              subtree_members, subtree_registered_members, subtree_stated_members,
              subtree_stated_registered)
         SELECT code, sum(volunteers), sum(verified_volunteers), sum(league_members), sum(members),
                sum(registered_members), sum(stated_members), sum(stated_registered)
         FROM (SELECT organization_code AS code,
                      own_volunteers AS volunteers,
                      own_verified_volunteers AS verified_volunteers,
                      own_league_members AS league_members, own_members AS members,
                      own_registered_members AS registered_members,
                      own_stated_members AS stated_members,
                      own_stated_registered AS stated_registered
               FROM orgtree.organization_count
               UNION ALL
               SELECT above.code, own_volunteers, own_verified_volunteers, own_league_members, own_members,
                      own_registered_members, own_stated_members, own_stated_registered
               FROM orgtree.organization_count
               JOIN orgtree.organization o ON o.code = organization_code
               CROSS JOIN unnest(o.ancestors) AS above (code)) s
         GROUP BY code ORDER BY code
         ON CONFLICT (organization_code) DO UPDATE
         SET subtree_volunteers = excluded.subtree_volunteers,
             subtree_verified_volunteers = excluded.subtree_verified_volunteers,
             subtree_league_members = excluded.subtree_league_members,
             subtree_members = excluded.subtree_members,
             subtree_registered_members = excluded.subtree_registered_members,
             subtree_stated_members = excluded.subtree_stated_members,
             subtree_stated_registered = excluded.subtree_stated_registered",
    )
    .execute(transaction)
    .await?;
    Ok(())
}
