//! The SQL of look-ups.

use sqlx::PgExecutor;
use uuid::Uuid;
use zhiyuan_domain::{Partition, VolunteerNumber};

use crate::error::Result;
use crate::volunteers::Told;

/// Those of the ids that are visible volunteers whose account is not closed, in no order.
#[tracing::instrument(name = "db.look_up.by_ids", skip_all)]
pub(crate) async fn by_ids(executor: impl PgExecutor<'_>, ids: &[Uuid]) -> Result<Vec<Told>> {
    let partitions: Vec<i16> = ids.iter().map(|id| Partition::of(*id).get()).collect();
    Ok(sqlx::query_as!(
        Told,
        "SELECT DISTINCT v.volunteer_id, v.volunteer_number, v.region_code, v.organization_code,
                v.league_member, v.registered_at, v.level, v.account_missing, v.closed, v.revision
         FROM unnest($1::smallint[], $2::uuid[]) AS l (partition, volunteer_id)
         JOIN registration.volunteer v USING (partition, volunteer_id)
         WHERE v.state = 'ACTIVE' AND NOT v.closed",
        &partitions,
        ids,
    )
    .fetch_all(executor)
    .await?)
}

/// The visible volunteer of a number, and the level.
#[tracing::instrument(name = "db.look_up.by_number", skip_all)]
pub(crate) async fn by_number(
    executor: impl PgExecutor<'_>,
    number: &VolunteerNumber,
) -> Result<Option<(Uuid, i16)>> {
    let row = sqlx::query!(
        "SELECT v.volunteer_id, v.level
         FROM registration.volunteer_number n
         JOIN registration.volunteer v USING (partition, volunteer_id)
         WHERE n.volunteer_number = $1 AND v.state = 'ACTIVE' AND NOT v.account_missing
           AND NOT v.closed",
        number.as_str(),
    )
    .fetch_optional(executor)
    .await?;
    Ok(row.map(|row| (row.volunteer_id, row.level)))
}
