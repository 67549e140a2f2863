//! The SQL of volunteers and their numbers.

use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;
use zhiyuan_domain::{OrganizationCode, Partition, RegionCode, VolunteerId, VolunteerNumber};

use super::{NewVolunteer, State, Volunteer};
use crate::error::{Error, Result};

/// Finds a volunteer, whatever the state.
#[tracing::instrument(name = "db.volunteer.find", skip_all)]
pub(crate) async fn find(
    executor: impl PgExecutor<'_>,
    id: VolunteerId,
) -> Result<Option<Volunteer>> {
    let row = sqlx::query!(
        "SELECT volunteer_number, region_code, organization_code, league_member, state,
                registered_at
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

/// Changes the state from one to another; nothing if it is not the one.
#[tracing::instrument(name = "db.volunteer.update_state", skip_all)]
pub(crate) async fn update_state(
    connection: &mut PgConnection,
    id: VolunteerId,
    from: State,
    to: State,
) -> Result<()> {
    sqlx::query!(
        "UPDATE registration.volunteer SET state = $4, revision = revision + 1
         WHERE partition = $1 AND volunteer_id = $2 AND state = $3",
        partition(id),
        id.as_uuid(),
        from.as_column(),
        to.as_column(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The partition of a volunteer, as in the column.
fn partition(id: VolunteerId) -> i16 {
    let uuid: Uuid = id.as_uuid();
    Partition::of(uuid).get()
}
