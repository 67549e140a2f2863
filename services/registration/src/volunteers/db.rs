//! The SQL of volunteers and their numbers.

use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;
use zhiyuan_domain::{OrganizationCode, Partition, RegionCode, VolunteerId, VolunteerNumber};

use super::{NewVolunteer, State, Told, Volunteer};
use crate::error::{Error, Result};

/// What every claim of an ID number proves: name and number match the register.
const LEVEL_OF_CLAIM: i16 = 1;

/// Finds a volunteer, whatever the state.
#[tracing::instrument(name = "db.volunteer.find", skip_all)]
pub(crate) async fn find(
    executor: impl PgExecutor<'_>,
    id: VolunteerId,
) -> Result<Option<Volunteer>> {
    let row = sqlx::query!(
        "SELECT volunteer_number, region_code, organization_code, league_member, state,
                closed, registered_at
         FROM registration.volunteer WHERE partition = $1 AND volunteer_id = $2",
        partition(id),
        id.as_uuid(),
    )
    .fetch_optional(executor)
    .await?;
    row.map(|row| {
        Ok(Volunteer {
            id,
            number: VolunteerNumber::parse(&row.volunteer_number)
                .map_err(|_| Error::Inconsistent("volunteer"))?,
            region: RegionCode::parse(&row.region_code)
                .map_err(|_| Error::Inconsistent("volunteer"))?,
            organization: OrganizationCode::parse(&row.organization_code)
                .map_err(|_| Error::Inconsistent("volunteer"))?,
            league_member: row.league_member,
            state: State::from_column(&row.state).ok_or(Error::Inconsistent("volunteer"))?,
            closed: row.closed,
            registered_at: row.registered_at,
        })
    })
    .transpose()
}

/// Inserts a volunteer with the next number of the region, hidden, unless there is
/// one of that id already. Returns whether it was inserted.
///
/// Everybody who registers in the region waits for its serial from here on: the
/// last thing to do before the commit.
#[tracing::instrument(name = "db.volunteer.insert", skip_all)]
pub(crate) async fn insert(connection: &mut PgConnection, new: &NewVolunteer) -> Result<bool> {
    if find(&mut *connection, new.id).await?.is_some() {
        return Ok(false);
    }
    let number = next_number(&mut *connection, new.region).await?;
    // Two registrations of one account would both have found nothing above: the
    // primary key decides, and the loser's transaction starts again.
    sqlx::query!(
        "WITH number AS (
             INSERT INTO registration.volunteer_number (volunteer_number, partition, volunteer_id)
             VALUES ($1, $2, $3)
         )
         INSERT INTO registration.volunteer
             (partition, volunteer_id, volunteer_number, region_code, organization_code,
              league_member, state, registered_at)
         VALUES ($2, $3, $1, $4, $5, $6, $7, $8)",
        number.as_str(),
        partition(new.id),
        new.id.as_uuid(),
        new.region.as_str(),
        new.organization.as_str(),
        new.league_member,
        State::Inactive.as_column(),
        new.registered_at,
    )
    .execute(connection)
    .await?;
    Ok(true)
}

async fn next_number(connection: &mut PgConnection, region: RegionCode) -> Result<VolunteerNumber> {
    let serial = sqlx::query_scalar!(
        "INSERT INTO registration.volunteer_serial AS serial (region_code, last) VALUES ($1, 1)
         ON CONFLICT (region_code) DO UPDATE SET last = serial.last + 1
         RETURNING last",
        region.as_str(),
    )
    .fetch_one(connection)
    .await?;
    u32::try_from(serial)
        .ok()
        .and_then(|serial| VolunteerNumber::new(region, serial).ok())
        .ok_or(Error::Inconsistent("volunteer_serial"))
}

/// Voids a volunteer that was never visible.
#[tracing::instrument(name = "db.volunteer.void", skip_all)]
pub(crate) async fn void(connection: &mut PgConnection, id: VolunteerId) -> Result<()> {
    sqlx::query!(
        "UPDATE registration.volunteer SET state = 'VOID'
         WHERE partition = $1 AND volunteer_id = $2 AND state = 'INACTIVE'",
        partition(id),
        id.as_uuid(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes a volunteer visible: what is to be told then. Nothing if it is already.
///
/// Until identity tells the level of the account, it is what every claim proves.
#[tracing::instrument(name = "db.volunteer.activate", skip_all)]
pub(crate) async fn activate(
    connection: &mut PgConnection,
    id: VolunteerId,
) -> Result<Option<Told>> {
    let done = sqlx::query!(
        "UPDATE registration.volunteer SET state = 'ACTIVE', revision = revision + 1
         WHERE partition = $1 AND volunteer_id = $2 AND state = 'INACTIVE'",
        partition(id),
        id.as_uuid(),
    )
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(None);
    }
    sqlx::query!(
        "INSERT INTO registration.account (partition, account_id, level, revision)
         VALUES ($1, $2, $3, 0) ON CONFLICT (partition, account_id) DO NOTHING",
        partition(id),
        id.as_uuid(),
        LEVEL_OF_CLAIM,
    )
    .execute(&mut *connection)
    .await?;
    let told = sqlx::query_as!(
        Told,
        "UPDATE registration.volunteer v SET level = a.level, closed = a.closed
         FROM registration.account a
         WHERE v.partition = $1 AND v.volunteer_id = $2 AND a.partition = $1 AND a.account_id = $2
         RETURNING v.volunteer_id, v.volunteer_number, v.region_code, v.organization_code,
                   v.league_member, v.registered_at, v.level, v.account_missing, v.closed, v.revision",
        partition(id),
        id.as_uuid(),
    )
    .fetch_one(connection)
    .await?;
    Ok(Some(told))
}

/// Locks volunteers, in the order of partition and id.
#[tracing::instrument(name = "db.volunteer.lock", skip_all)]
pub(crate) async fn lock(connection: &mut PgConnection, ids: &[Uuid]) -> Result<()> {
    let partitions: Vec<i16> = ids.iter().map(|id| Partition::of(*id).get()).collect();
    sqlx::query!(
        "SELECT v.volunteer_id FROM registration.volunteer v
         JOIN unnest($1::smallint[], $2::uuid[]) AS l (partition, volunteer_id)
           ON v.partition = l.partition AND v.volunteer_id = l.volunteer_id
         ORDER BY v.partition, v.volunteer_id FOR UPDATE OF v",
        &partitions,
        ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(())
}

/// Locks the visible volunteers of a part of a partition, after one id, up to another.
#[tracing::instrument(name = "db.volunteer.lock_range", skip_all)]
pub(crate) async fn lock_range(
    connection: &mut PgConnection,
    partition: i16,
    after: Uuid,
    until: Uuid,
) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar!(
        "SELECT volunteer_id FROM registration.volunteer
         WHERE partition = $1 AND volunteer_id > $2 AND volunteer_id <= $3 AND state = 'ACTIVE'
         ORDER BY volunteer_id FOR UPDATE",
        partition,
        after,
        until,
    )
    .fetch_all(connection)
    .await?)
}

/// Takes over from the accounts what is different: those of the volunteers, whose rows
/// are locked, that are to be told of again.
#[tracing::instrument(name = "db.volunteer.adopt_accounts", skip_all)]
pub(crate) async fn adopt_accounts(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<Told>> {
    let partitions: Vec<i16> = ids.iter().map(|id| Partition::of(*id).get()).collect();
    Ok(sqlx::query_as!(
        Told,
        "UPDATE registration.volunteer v
         SET level = coalesce(a.level, v.level), account_missing = a.account_id IS NULL,
             closed = coalesce(a.closed, v.closed), revision = v.revision + 1
         FROM unnest($1::smallint[], $2::uuid[]) AS l (partition, volunteer_id)
         LEFT JOIN registration.account a
           ON a.partition = l.partition AND a.account_id = l.volunteer_id
         WHERE v.partition = l.partition AND v.volunteer_id = l.volunteer_id
           AND v.state = 'ACTIVE'
           AND (v.level, v.account_missing, v.closed)
               IS DISTINCT FROM (coalesce(a.level, v.level), a.account_id IS NULL,
                                 coalesce(a.closed, v.closed))
         RETURNING v.volunteer_id, v.volunteer_number, v.region_code, v.organization_code,
                   v.league_member, v.registered_at, v.level, v.account_missing, v.closed, v.revision",
        &partitions,
        ids,
    )
    .fetch_all(connection)
    .await?)
}

/// The visible volunteers of a partition, after one id.
#[tracing::instrument(name = "db.volunteer.told_after", skip_all)]
pub(crate) async fn told_after(
    executor: impl PgExecutor<'_>,
    partition: i16,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Told>> {
    Ok(sqlx::query_as!(
        Told,
        "SELECT volunteer_id, volunteer_number, region_code, organization_code, league_member,
                registered_at, level, account_missing, closed, revision
         FROM registration.volunteer
         WHERE partition = $1 AND volunteer_id > $2 AND state = 'ACTIVE'
         ORDER BY volunteer_id LIMIT $3",
        partition,
        after,
        limit,
    )
    .fetch_all(executor)
    .await?)
}

/// The partition of a volunteer, as in the column.
fn partition(id: VolunteerId) -> i16 {
    let uuid: Uuid = id.as_uuid();
    Partition::of(uuid).get()
}
