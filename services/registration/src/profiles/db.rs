//! The SQL of what volunteers see and change of their own record.

use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::{OrganizationCode, Partition, RegionCode, VolunteerId, VolunteerNumber};

use super::{Details, Membership, Record, numbers};
use crate::error::{Error, Result};
use crate::volunteers::Told;

/// A visible volunteer, and what is stated besides, as it is stored.
struct Row {
    volunteer_number: String,
    region_code: String,
    organization_code: String,
    league_member: bool,
    level: i16,
    registered_at: OffsetDateTime,
    profile_revision: i64,
    political_status: Option<i16>,
    education: Option<i16>,
    employment: Option<i16>,
    skills: Option<Vec<i16>>,
    service_categories: Option<Vec<i16>>,
}

const CORRUPT: Error = Error::Inconsistent("profile");

impl TryFrom<Row> for Record {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let details = Details {
            region: RegionCode::parse(&row.region_code).map_err(|_| CORRUPT)?,
            league_member: row.league_member,
            political_status: row.political_status.map(stated).transpose()?,
            education: row.education.map(stated).transpose()?,
            employment: row.employment.map(stated).transpose()?,
            skills: row.skills.into_iter().flatten().map(stated).collect::<Result<_>>()?,
            service_categories: row
                .service_categories
                .into_iter()
                .flatten()
                .map(stated)
                .collect::<Result<_>>()?,
        };
        Ok(Self {
            number: VolunteerNumber::parse(&row.volunteer_number).map_err(|_| CORRUPT)?,
            organization: OrganizationCode::parse(&row.organization_code).map_err(|_| CORRUPT)?,
            level: row.level,
            registered_at: row.registered_at,
            revision: row.profile_revision,
            details,
        })
    }
}

fn stated<T: TryFrom<i32>>(column: i16) -> Result<T> {
    T::try_from(i32::from(column)).map_err(|_unknown| CORRUPT)
}

fn column<T: Into<i32>>(stated: T) -> Result<i16> {
    i16::try_from(stated.into()).map_err(|_too_large| CORRUPT)
}

fn columns<T: Copy + Into<i32>>(stated: &[T]) -> Result<Vec<i16>> {
    numbers(stated).into_iter().map(column).collect()
}

/// Finds the record of a visible volunteer.
#[tracing::instrument(name = "db.profile.find", skip_all)]
pub(crate) async fn find(executor: impl PgExecutor<'_>, id: VolunteerId) -> Result<Option<Record>> {
    sqlx::query_as!(
        Row,
        r#"SELECT volunteer_number, region_code, organization_code, league_member, level,
                  registered_at, profile_revision, political_status, education, employment,
                  skills AS "skills?", service_categories AS "service_categories?"
           FROM registration.volunteer v
           LEFT JOIN registration.profile p USING (partition, volunteer_id)
           WHERE v.partition = $1 AND v.volunteer_id = $2 AND v.state = 'ACTIVE'
             AND NOT v.closed"#,
        partition(id),
        id.as_uuid(),
    )
    .fetch_optional(executor)
    .await?
    .map(Record::try_from)
    .transpose()
}

/// Finds the record of a visible volunteer and locks it until the transaction ends: every
/// change of it is made under this lock.
#[tracing::instrument(name = "db.profile.lock", skip_all)]
pub(crate) async fn lock(connection: &mut PgConnection, id: VolunteerId) -> Result<Option<Record>> {
    // A statement of its own: one that had to wait for the lock would join the profile as it
    // was before.
    sqlx::query_scalar!(
        "SELECT 1 FROM registration.volunteer
         WHERE partition = $1 AND volunteer_id = $2 FOR NO KEY UPDATE",
        partition(id),
        id.as_uuid(),
    )
    .fetch_optional(&mut *connection)
    .await?;
    find(connection, id).await
}

/// Stores what a volunteer states, whose row is locked, as the next state of the record:
/// what is to be told of. `told`: whether it is told.
#[tracing::instrument(name = "db.profile.update", skip_all)]
pub(crate) async fn update(
    connection: &mut PgConnection,
    id: VolunteerId,
    details: &Details,
    told: bool,
) -> Result<Told> {
    sqlx::query!(
        "INSERT INTO registration.profile
             (partition, volunteer_id, political_status, education, employment, skills,
              service_categories)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (partition, volunteer_id) DO UPDATE
         SET political_status = $3, education = $4, employment = $5, skills = $6,
             service_categories = $7",
        partition(id),
        id.as_uuid(),
        details.political_status.map(column).transpose()?,
        details.education.map(column).transpose()?,
        details.employment.map(column).transpose()?,
        &columns(&details.skills)?,
        &columns(&details.service_categories)?,
    )
    .execute(&mut *connection)
    .await?;
    Ok(sqlx::query_as!(
        Told,
        "UPDATE registration.volunteer
         SET region_code = $3, league_member = $4, profile_revision = profile_revision + 1,
             revision = revision + $5
         WHERE partition = $1 AND volunteer_id = $2
         RETURNING volunteer_id, volunteer_number, region_code, organization_code, league_member,
                   registered_at, level, account_missing, closed, revision",
        partition(id),
        id.as_uuid(),
        details.region.as_str(),
        details.league_member,
        i64::from(told),
    )
    .fetch_one(connection)
    .await?)
}

/// Puts a volunteer, whose row is locked, with another organization, as the next state of
/// the record: what is to be told of.
#[tracing::instrument(name = "db.profile.move", skip_all)]
pub(crate) async fn change_organization(
    connection: &mut PgConnection,
    id: VolunteerId,
    organization: &OrganizationCode,
    now: OffsetDateTime,
) -> Result<Told> {
    sqlx::query!(
        "INSERT INTO registration.past_organization
             (partition, volunteer_id, revision, organization_code, joined_at, left_at)
         SELECT partition, volunteer_id, revision + 1, organization_code,
                coalesce(organization_since, registered_at), $3
         FROM registration.volunteer WHERE partition = $1 AND volunteer_id = $2",
        partition(id),
        id.as_uuid(),
        now,
    )
    .execute(&mut *connection)
    .await?;
    Ok(sqlx::query_as!(
        Told,
        "UPDATE registration.volunteer
         SET organization_code = $3, organization_since = $4,
             profile_revision = profile_revision + 1, revision = revision + 1
         WHERE partition = $1 AND volunteer_id = $2
         RETURNING volunteer_id, volunteer_number, region_code, organization_code, league_member,
                   registered_at, level, account_missing, closed, revision",
        partition(id),
        id.as_uuid(),
        organization.as_str(),
        now,
    )
    .fetch_one(connection)
    .await?)
}

/// The organizations of a visible volunteer, the present one first, after one of them.
#[tracing::instrument(name = "db.profile.memberships", skip_all)]
pub(crate) async fn memberships(
    executor: impl PgExecutor<'_>,
    id: VolunteerId,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Membership>> {
    // One statement: a change between two of them would show an organization twice.
    Ok(sqlx::query_as!(
        Membership,
        r#"SELECT revision AS "revision!", organization_code AS "organization_code!",
                  joined_at AS "joined_at!", left_at
           FROM (SELECT 9223372036854775807 AS revision, organization_code,
                        coalesce(organization_since, registered_at) AS joined_at,
                        NULL::timestamptz AS left_at
                 FROM registration.volunteer
                 WHERE partition = $1 AND volunteer_id = $2 AND state = 'ACTIVE' AND NOT closed
                 UNION ALL
                 SELECT revision, organization_code, joined_at, left_at
                 FROM registration.past_organization
                 WHERE partition = $1 AND volunteer_id = $2) membership
           WHERE $3::bigint IS NULL OR revision < $3
           ORDER BY revision DESC LIMIT $4"#,
        partition(id),
        id.as_uuid(),
        before,
        limit,
    )
    .fetch_all(executor)
    .await?)
}

/// Erases what volunteers stated, and where they were, what they commanded, and recoveries of
/// their phones: those who closed their accounts, whose rows are locked.
#[tracing::instrument(name = "db.profile.erase", skip_all)]
pub(crate) async fn erase(connection: &mut PgConnection, ids: &[Uuid]) -> Result<()> {
    let partitions: Vec<i16> = ids.iter().map(|id| Partition::of(*id).get()).collect();
    sqlx::query!(
        "WITH closed AS (
             SELECT partition, volunteer_id
             FROM unnest($1::smallint[], $2::uuid[]) AS closed (partition, volunteer_id)
         ), past AS (
             DELETE FROM registration.past_organization p USING closed c
             WHERE p.partition = c.partition AND p.volunteer_id = c.volunteer_id
         ), request AS (
             DELETE FROM registration.request r USING closed c
             WHERE r.partition = c.partition AND r.caller = c.volunteer_id
         ), look AS (
             DELETE FROM registration.look l USING closed c
             WHERE l.partition = c.partition AND l.volunteer_id = c.volunteer_id
         ), recovery AS (
             DELETE FROM registration.phone_recovery r USING closed c
             WHERE r.partition = c.partition AND r.volunteer_id = c.volunteer_id
         )
         DELETE FROM registration.profile p USING closed c
         WHERE p.partition = c.partition AND p.volunteer_id = c.volunteer_id",
        &partitions,
        ids,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The partition of a volunteer, as in the column.
fn partition(id: VolunteerId) -> i16 {
    Partition::of(id.as_uuid()).get()
}
