//! The SQL of registering with a number that somebody on a roster holds. Until the account is
//! active, what the roster says is kept beside it.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::Partition;

use super::Person;
use crate::error::{Error, Result};
use crate::keys::Indexes;

/// Who is on a roster with an ID number, and nothing else.
#[tracing::instrument(name = "db.roster_person.of_number", skip_all)]
pub(crate) async fn of_number(
    conn: &mut PgConnection,
    number: &Indexes,
) -> Result<Option<(Uuid, Person)>> {
    let row = sqlx::query!(
        "SELECT p.person_id, p.name, p.phone
         FROM identity.number n
         JOIN identity.roster_person p ON p.partition = n.partition AND p.person_id = n.of_person
         WHERE (n.index_version, n.number_index) IN
               (SELECT * FROM unnest($1::smallint[], $2::bytea[]))
         LIMIT 1",
        &number.versions,
        &number.indexes,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.person_id, Person { name: row.name, phone: row.phone })))
}

/// Locks somebody on a roster; `false` unless nothing has changed since it was read.
#[tracing::instrument(name = "db.roster_person.lock_as_seen", skip_all)]
pub(crate) async fn lock_as_seen(
    tx: &mut PgConnection,
    person_id: Uuid,
    seen: &Person,
) -> Result<bool> {
    let locked = super::lock(tx, &[person_id]).await?;
    Ok(locked.iter().any(|(id, person)| *id == person_id && person == seen))
}

/// Gives the number of somebody on a roster, whose row is locked, to an account.
#[tracing::instrument(name = "db.number.hand_over", skip_all)]
pub(crate) async fn hand_over(
    tx: &mut PgConnection,
    person_id: Uuid,
    account_id: Uuid,
) -> Result<()> {
    sqlx::query!(
        "UPDATE identity.number SET partition = $3, account_id = $4, pre_registered = false
         WHERE partition = $1 AND of_person = $2",
        Partition::of(person_id).get(),
        person_id,
        Partition::of(account_id).get(),
        account_id,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes which enrolment has taken the place of somebody on a roster.
#[tracing::instrument(name = "db.roster_person.adopt", skip_all)]
pub(crate) async fn adopt(
    tx: &mut PgConnection,
    person_id: Uuid,
    enrolment_id: Uuid,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE identity.roster_person SET adopted_by = $3, updated_at = $4
         WHERE partition = $1 AND person_id = $2",
        Partition::of(person_id).get(),
        person_id,
        enrolment_id,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Undoes an adoption, while the account is still there: the number is the person's again.
/// `false` if nobody on a roster was adopted.
#[tracing::instrument(name = "db.roster_person.restore", skip_all)]
pub(crate) async fn restore(
    tx: &mut PgConnection,
    account_id: Uuid,
    now: OffsetDateTime,
) -> Result<bool> {
    let partition = Partition::of(account_id).get();
    let person = sqlx::query!(
        "UPDATE identity.roster_person SET adopted_by = NULL, updated_at = $3
         WHERE partition = $1 AND person_id = $2",
        partition,
        account_id,
        now,
    )
    .execute(&mut *tx)
    .await?;
    if person.rows_affected() == 0 {
        return Ok(false);
    }
    let number = sqlx::query!(
        "UPDATE identity.number SET pre_registered = true
         WHERE partition = $1 AND of_account = $2",
        partition,
        account_id,
    )
    .execute(tx)
    .await?;
    if number.rows_affected() == 0 { Err(Error::Inconsistent("identity.number")) } else { Ok(true) }
}

/// What the roster said of whoever an account has become.
#[tracing::instrument(name = "db.roster_person.find", skip_all)]
pub(crate) async fn find(conn: &mut PgConnection, account_id: Uuid) -> Result<Option<Person>> {
    Ok(sqlx::query_as!(
        Person,
        "SELECT name, phone FROM identity.roster_person WHERE partition = $1 AND person_id = $2",
        Partition::of(account_id).get(),
        account_id,
    )
    .fetch_optional(conn)
    .await?)
}

/// Deletes what a roster said of somebody, who is an account now or nobody any more.
#[tracing::instrument(name = "db.roster_person.delete", skip_all)]
pub(crate) async fn delete(tx: &mut PgConnection, person_id: Uuid) -> Result<()> {
    sqlx::query!(
        "DELETE FROM identity.roster_person WHERE partition = $1 AND person_id = $2",
        Partition::of(person_id).get(),
        person_id,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Deletes what rosters said of people who were adopted and are not on the way any more: the
/// binaries of before activate and discard without it.
#[tracing::instrument(name = "db.roster_person.purge", skip_all)]
pub(crate) async fn purge(conn: &mut PgConnection) -> Result<()> {
    sqlx::query!(
        "DELETE FROM identity.roster_person p
         WHERE p.adopted_by IS NOT NULL
           AND NOT EXISTS (SELECT FROM identity.account a
                           WHERE a.partition = p.partition AND a.account_id = p.person_id
                             AND a.state = 'INACTIVE')",
    )
    .execute(conn)
    .await?;
    Ok(())
}
