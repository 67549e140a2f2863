//! The SQL of the rows that are counted.

use sqlx::PgConnection;
use uuid::Uuid;
use zhiyuan_domain::Partition;

use crate::counts::{Before, Chosen, Roster, Volunteer};
use crate::error::Result;

fn partitions(ids: &[Uuid]) -> Vec<i16> {
    ids.iter().map(|id| Partition::of(*id).get()).collect()
}

/// A row as it is stored.
struct Row {
    volunteer_id: Uuid,
    organization_code: String,
    active: bool,
    verified: bool,
    league_member: bool,
    revision: i64,
    roster_organization_code: Option<String>,
    roster_revision: i64,
}

impl From<Row> for Volunteer {
    fn from(row: Row) -> Self {
        Self {
            volunteer_id: row.volunteer_id,
            chosen: Chosen {
                organization_code: row.organization_code,
                active: row.active,
                verified: row.verified,
                league_member: row.league_member,
                revision: row.revision,
            },
            roster: Roster {
                organization_code: row.roster_organization_code,
                revision: row.roster_revision,
            },
        }
    }
}

/// Locks the rows of volunteers, in the order of partition and id.
#[tracing::instrument(name = "db.volunteer.lock", skip_all)]
pub(in crate::counts) async fn lock(
    transaction: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Before> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT v.volunteer_id, v.organization_code, v.active, v.verified, v.league_member,
                v.revision, v.roster_organization_code, v.roster_revision
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
    Ok(rows.into_iter().map(|row| (row.volunteer_id, row.into())).collect())
}

/// Locks the volunteers of a part of a partition, after one id, up to another.
#[tracing::instrument(name = "db.volunteer.lock_range", skip_all)]
pub(in crate::counts) async fn lock_range(
    transaction: &mut PgConnection,
    partition: i16,
    after: Uuid,
    until: Uuid,
) -> Result<Before> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT volunteer_id, organization_code, active, verified, league_member, revision,
                roster_organization_code, roster_revision
         FROM orgtree.volunteer
         WHERE partition = $1 AND volunteer_id > $2 AND volunteer_id <= $3
         ORDER BY volunteer_id FOR UPDATE",
        partition,
        after,
        until,
    )
    .fetch_all(transaction)
    .await?;
    Ok(rows.into_iter().map(|row| (row.volunteer_id, row.into())).collect())
}

/// Stores volunteers, whatever was there.
#[tracing::instrument(name = "db.volunteer.upsert", skip_all)]
pub(in crate::counts) async fn upsert(
    transaction: &mut PgConnection,
    volunteers: &[&Volunteer],
) -> Result<()> {
    if volunteers.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = volunteers.iter().map(|v| v.volunteer_id).collect();
    let chosen = || volunteers.iter().map(|v| &v.chosen);
    let roster = || volunteers.iter().map(|v| &v.roster);
    sqlx::query!(
        "INSERT INTO orgtree.volunteer
             (partition, volunteer_id, organization_code, active, verified, league_member, revision,
              roster_organization_code, roster_revision)
         SELECT * FROM unnest($1::smallint[], $2::uuid[], $3::text[], $4::boolean[],
                              $5::boolean[], $6::boolean[], $7::bigint[], $8::text[], $9::bigint[])
         ON CONFLICT (partition, volunteer_id) DO UPDATE
         SET organization_code = excluded.organization_code, active = excluded.active,
             verified = excluded.verified, league_member = excluded.league_member,
             revision = excluded.revision,
             roster_organization_code = excluded.roster_organization_code,
             roster_revision = excluded.roster_revision",
        &partitions(&ids),
        &ids,
        &chosen().map(|c| c.organization_code.as_str()).collect::<Vec<_>>() as &[&str],
        &chosen().map(|c| c.active).collect::<Vec<_>>(),
        &chosen().map(|c| c.verified).collect::<Vec<_>>(),
        &chosen().map(|c| c.league_member).collect::<Vec<_>>(),
        &chosen().map(|c| c.revision).collect::<Vec<_>>(),
        &roster().map(|r| r.organization_code.as_deref()).collect::<Vec<_>>() as &[Option<&str>],
        &roster().map(|r| r.revision).collect::<Vec<_>>(),
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Removes volunteers.
#[tracing::instrument(name = "db.volunteer.delete", skip_all)]
pub(in crate::counts) async fn delete(transaction: &mut PgConnection, ids: &[Uuid]) -> Result<()> {
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
