//! The SQL of look-ups.

use sqlx::{PgConnection, PgExecutor};
use time::Date;
use uuid::Uuid;
use zhiyuan_domain::{Partition, VolunteerNumber, shanghai_date};

use super::{After, Look, Looked};
use crate::error::Result;
use crate::volunteers::Told;

/// Those of the ids that are visible volunteers whose account is not closed, in no order.
#[tracing::instrument(name = "db.look_up.by_ids", skip_all)]
pub(super) async fn by_ids(executor: impl PgExecutor<'_>, ids: &[Uuid]) -> Result<Vec<Told>> {
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
pub(super) async fn by_number(
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

/// Counts that a platform looked at volunteers, each of whom comes once.
#[tracing::instrument(name = "db.look.count", skip_all)]
pub(super) async fn count(
    transaction: &mut PgConnection,
    look: &Look<'_>,
    volunteers: &[Uuid],
) -> Result<()> {
    if volunteers.is_empty() {
        return Ok(());
    }
    let partitions: Vec<i16> = volunteers.iter().map(|id| Partition::of(*id).get()).collect();
    // Locked in one order, so that two that look at the same people don't lock each other out.
    sqlx::query!(
        "INSERT INTO registration.look AS l
             (partition, volunteer_id, day, platform, purpose, times, last_at)
         SELECT partition, volunteer_id, $3, $4, $5, 1, $6
         FROM unnest($1::smallint[], $2::uuid[]) AS u (partition, volunteer_id)
         ORDER BY partition, volunteer_id
         ON CONFLICT (partition, volunteer_id, day, platform, purpose)
             DO UPDATE SET times = l.times + 1, last_at = greatest(l.last_at, excluded.last_at)",
        &partitions,
        volunteers,
        shanghai_date(look.at),
        look.platform,
        look.purpose as i16,
        look.at,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Who looked at a volunteer, the latest day first, after one of them.
#[tracing::instrument(name = "db.look.list", skip_all)]
pub(crate) async fn list(
    executor: impl PgExecutor<'_>,
    volunteer_id: Uuid,
    after: Option<&After>,
    limit: i64,
) -> Result<Vec<Looked>> {
    Ok(sqlx::query_as!(
        Looked,
        "SELECT day, platform, purpose, times, last_at FROM registration.look
         WHERE partition = $1 AND volunteer_id = $2
           AND ($3::date IS NULL OR (day, platform, purpose) < ($3, $4, $5))
         ORDER BY day DESC, platform DESC, purpose DESC LIMIT $6",
        Partition::of(volunteer_id).get(),
        volunteer_id,
        after.map(|after| after.day),
        after.map(|after| after.platform.as_str()),
        after.map(|after| after.purpose),
        limit,
    )
    .fetch_all(executor)
    .await?)
}

/// Deletes looks of days that are shown no longer, the oldest first; returns how many.
#[tracing::instrument(name = "db.look.delete_old", skip_all)]
pub(crate) async fn delete_old(
    executor: impl PgExecutor<'_>,
    before: Date,
    limit: i64,
) -> Result<u64> {
    let result = sqlx::query!(
        "DELETE FROM registration.look WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM registration.look
             WHERE day < $1 ORDER BY day LIMIT $2 FOR UPDATE SKIP LOCKED))",
        before,
        limit,
    )
    .execute(executor)
    .await?;
    Ok(result.rows_affected())
}
