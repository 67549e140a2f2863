use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::Partition;

use crate::error::Result;
use crate::keys::Indexes;

/// The one person on a roster with this phone, who has not registered, if it is no account's.
/// Somebody who is registering just now is one of several too.
#[tracing::instrument(name = "db.roster_person.of_phone", skip_all)]
pub(crate) async fn person_of(conn: &mut PgConnection, phone: &Indexes) -> Result<Option<Uuid>> {
    let row = sqlx::query!(
        r#"SELECT (array_agg(person_id) FILTER (WHERE adopted_by IS NULL))[1] AS person_id,
                  count(*) AS "people!",
                  EXISTS (SELECT FROM identity.account
                          WHERE (index_version, phone_index) IN
                                (SELECT * FROM unnest($1::smallint[], $2::bytea[]))
                            AND phone_attached AND state IN ('ACTIVE', 'DISABLED')) AS "taken!"
           FROM (SELECT person_id, adopted_by FROM identity.roster_person
                 WHERE (index_version, phone_index) IN
                       (SELECT * FROM unnest($1::smallint[], $2::bytea[]))
                 LIMIT 2) people"#,
        &phone.versions,
        &phone.indexes,
    )
    .fetch_one(conn)
    .await?;
    Ok(row.person_id.filter(|_| row.people == 1 && !row.taken))
}

/// What a roster says of somebody, sealed.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) name: Vec<u8>,
    pub(crate) id_number: Vec<u8>,
    pub(crate) phone: Option<Vec<u8>>,
}

/// Somebody on a roster who has not registered.
#[tracing::instrument(name = "db.roster_person.seen", skip_all)]
pub(crate) async fn find(conn: &mut PgConnection, person_id: Uuid) -> Result<Option<Seen>> {
    Ok(sqlx::query_as!(
        Seen,
        "SELECT name, id_number, phone FROM identity.roster_person
         WHERE partition = $1 AND person_id = $2 AND adopted_by IS NULL",
        Partition::of(person_id).get(),
        person_id,
    )
    .fetch_optional(conn)
    .await?)
}

/// Locks somebody on a roster, and tells how many wrong default passwords there were; `None`
/// if anything has changed since it was read.
#[tracing::instrument(name = "db.roster_person.lock_tries", skip_all)]
pub(crate) async fn lock(
    tx: &mut PgConnection,
    person_id: Uuid,
    seen: &Seen,
) -> Result<Option<i16>> {
    Ok(sqlx::query_scalar!(
        "SELECT activation_tries FROM identity.roster_person
         WHERE partition = $1 AND person_id = $2 AND adopted_by IS NULL
           AND name = $3 AND id_number = $4 AND phone IS NOT DISTINCT FROM $5
         FOR UPDATE",
        Partition::of(person_id).get(),
        person_id,
        seen.name,
        seen.id_number,
        seen.phone,
    )
    .fetch_optional(tx)
    .await?)
}

/// Stores how many wrong default passwords there were; the row is locked.
#[tracing::instrument(name = "db.roster_person.count_wrong", skip_all)]
pub(crate) async fn count_wrong(tx: &mut PgConnection, person_id: Uuid, tries: i16) -> Result<()> {
    sqlx::query!(
        "UPDATE identity.roster_person SET activation_tries = $3
         WHERE partition = $1 AND person_id = $2",
        Partition::of(person_id).get(),
        person_id,
        tries,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// A proof as it is stored.
#[derive(Debug)]
pub(crate) struct Activation {
    pub(crate) activation_id: Uuid,
    pub(crate) person_id: Uuid,
    pub(crate) index_version: i16,
    pub(crate) phone_index: Vec<u8>,
    pub(crate) mac_version: i16,
    pub(crate) proof_mac: Vec<u8>,
    pub(crate) expire_at: OffsetDateTime,
    /// That it was used up by.
    pub(crate) enrolment_id: Option<Uuid>,
}

/// Stores a new proof.
#[tracing::instrument(name = "db.activation.insert", skip_all)]
pub(crate) async fn insert(tx: &mut PgConnection, new: &Activation) -> Result<()> {
    sqlx::query!(
        "INSERT INTO identity.activation
             (activation_id, person_id, index_version, phone_index, mac_version, proof_mac,
              expire_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        new.activation_id,
        new.person_id,
        new.index_version,
        new.phone_index,
        new.mac_version,
        new.proof_mac,
        new.expire_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// A proof by its id.
#[tracing::instrument(name = "db.activation.find", skip_all)]
pub(crate) async fn activation(conn: &mut PgConnection, id: Uuid) -> Result<Option<Activation>> {
    Ok(sqlx::query_as!(
        Activation,
        "SELECT activation_id, person_id, index_version, phone_index, mac_version, proof_mac,
                expire_at, enrolment_id
         FROM identity.activation WHERE activation_id = $1",
        id,
    )
    .fetch_optional(conn)
    .await?)
}

/// Uses a proof up; `false` if it was, or its time is over.
#[tracing::instrument(name = "db.activation.use_up", skip_all)]
pub(crate) async fn use_up(
    tx: &mut PgConnection,
    id: Uuid,
    enrolment_id: Uuid,
    now: OffsetDateTime,
) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE identity.activation SET enrolment_id = $2
         WHERE activation_id = $1 AND enrolment_id IS NULL AND expire_at > $3",
        id,
        enrolment_id,
        now,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes proofs that nobody goes on with.
#[tracing::instrument(name = "db.activation.purge", skip_all)]
pub(crate) async fn purge(conn: &mut PgConnection, before: OffsetDateTime) -> Result<()> {
    sqlx::query!("DELETE FROM identity.activation WHERE expire_at < $1", before)
        .execute(conn)
        .await?;
    Ok(())
}
