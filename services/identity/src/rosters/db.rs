pub(crate) mod adoption;
pub(super) mod files;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::Partition;

use crate::error::Result;

/// The partitions of people, in their order.
fn partitions(ids: &[Uuid]) -> Vec<i16> {
    ids.iter().map(|id| Partition::of(*id).get()).collect()
}

/// Who holds an ID number, as it is stored.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    /// The place of the number in the question.
    pub(super) place: i32,
    pub(super) id: Uuid,
    /// Of the account, if there is one, on the way or complete.
    pub(super) account: Option<Account>,
    /// What the roster says, of somebody who is on one and has not registered.
    pub(super) person: Option<Person>,
}

/// What of an account is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) state: String,
    pub(super) level: i16,
    pub(super) name: Vec<u8>,
    pub(super) phone: Vec<u8>,
    pub(super) phone_attached: bool,
}

/// What a roster says, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) name: Vec<u8>,
    pub(crate) phone: Option<Vec<u8>>,
}

/// Who holds ID numbers: one answer for each row of `identity.number` that is one of them.
#[tracing::instrument(name = "db.roster_person.holders", skip_all)]
pub(super) async fn holders(
    conn: &mut PgConnection,
    places: &[i32],
    versions: &[i16],
    indexes: &[Vec<u8>],
) -> Result<Vec<Holder>> {
    let rows = sqlx::query!(
        r#"SELECT k.place AS "place!", n.account_id, a.state AS "state?", a.level AS "level?",
                  a.name AS account_name, a.phone AS account_phone,
                  a.phone_attached AS "phone_attached?", p.name AS "person_name?",
                  p.phone AS person_phone
           FROM unnest($1::int[], $2::smallint[], $3::bytea[]) AS k (place, version, hash)
           JOIN identity.number n ON n.index_version = k.version AND n.number_index = k.hash
           LEFT JOIN identity.account a
             ON a.partition = n.partition AND a.account_id = n.of_account
           LEFT JOIN identity.roster_person p
             ON p.partition = n.partition AND p.person_id = n.account_id"#,
        places,
        versions,
        indexes,
    )
    .fetch_all(conn)
    .await?;
    let holder = rows.into_iter().map(|row| Holder {
        place: row.place,
        id: row.account_id,
        account: row.state.and_then(|state| {
            Some(Account {
                state,
                level: row.level?,
                name: row.account_name?,
                phone: row.account_phone?,
                phone_attached: row.phone_attached?,
            })
        }),
        person: row.person_name.map(|name| Person { name, phone: row.person_phone }),
    });
    Ok(holder.collect())
}

/// Somebody on a roster, sealed, with what the phone is found by.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) id: Uuid,
    pub(super) name: Vec<u8>,
    pub(super) id_number: Vec<u8>,
    pub(super) phone: Option<Vec<u8>>,
    pub(super) phone_index: Option<Vec<u8>>,
    /// The enrolment that is on the way, of somebody whose number is claimed.
    pub(super) adopted_by: Option<Uuid>,
}

/// Stores people; whose id is there stays as it is. How many were stored.
#[tracing::instrument(name = "db.roster_person.insert", skip_all)]
pub(super) async fn insert(
    tx: &mut PgConnection,
    people: &[Sealed],
    index_version: i16,
    now: OffsetDateTime,
) -> Result<u64> {
    let ids: Vec<Uuid> = people.iter().map(|person| person.id).collect();
    let names: Vec<Vec<u8>> = people.iter().map(|person| person.name.clone()).collect();
    let numbers: Vec<Vec<u8>> = people.iter().map(|person| person.id_number.clone()).collect();
    let phones: Vec<Option<Vec<u8>>> = people.iter().map(|person| person.phone.clone()).collect();
    let indexes: Vec<Option<Vec<u8>>> =
        people.iter().map(|person| person.phone_index.clone()).collect();
    let adopted: Vec<Option<Uuid>> = people.iter().map(|person| person.adopted_by).collect();
    let done = sqlx::query!(
        "INSERT INTO identity.roster_person
             (partition, person_id, name, id_number, phone, index_version, phone_index, adopted_by,
              created_at, updated_at)
         SELECT partition, person_id, name, id_number, phone,
                CASE WHEN phone IS NULL THEN NULL ELSE $7::smallint END, phone_index, adopted_by,
                $9, $9
         FROM unnest($1::smallint[], $2::uuid[], $3::bytea[], $4::bytea[], $5::bytea[],
                     $6::bytea[], $8::uuid[])
              AS new (partition, person_id, name, id_number, phone, phone_index, adopted_by)
         ORDER BY partition, person_id
         ON CONFLICT (partition, person_id) DO NOTHING",
        &partitions(&ids),
        &ids,
        &names,
        &numbers,
        &phones as &[Option<Vec<u8>>],
        &indexes as &[Option<Vec<u8>>],
        index_version,
        &adopted as &[Option<Uuid>],
        now,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// Stores whose numbers are whose, for people who were just stored; how many were not another
/// one's. In one order for all who do so, whether with a number or with many: nobody waits for
/// whoever waits for him.
#[tracing::instrument(name = "db.number.insert_of_people", skip_all)]
pub(super) async fn insert_numbers(
    tx: &mut PgConnection,
    versions: &[i16],
    indexes: &[Vec<u8>],
    ids: &[Uuid],
) -> Result<u64> {
    let done = sqlx::query!(
        "INSERT INTO identity.number
             (index_version, number_index, partition, account_id, pre_registered)
         SELECT version, hash, partition, person_id, true
         FROM unnest($1::smallint[], $2::bytea[], $3::smallint[], $4::uuid[])
              AS new (version, hash, partition, person_id)
         ORDER BY version, hash
         ON CONFLICT (index_version, number_index) DO NOTHING",
        versions,
        indexes,
        &partitions(ids),
        ids,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// Locks people who are on a roster and nothing else, in one order; who is not (any more) is
/// left out.
#[tracing::instrument(name = "db.roster_person.lock", skip_all)]
pub(super) async fn lock(tx: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<(Uuid, Person)>> {
    let rows = sqlx::query!(
        "SELECT p.person_id, p.name, p.phone
         FROM identity.roster_person p
         JOIN unnest($1::smallint[], $2::uuid[]) AS k (partition, person_id)
           USING (partition, person_id)
         WHERE p.adopted_by IS NULL
         ORDER BY p.partition, p.person_id FOR UPDATE OF p",
        &partitions(ids),
        ids,
    )
    .fetch_all(tx)
    .await?;
    let people = rows.into_iter();
    Ok(people.map(|row| (row.person_id, Person { name: row.name, phone: row.phone })).collect())
}

/// Stores what a roster says now of people whose rows are locked; where it has no phone, the one
/// before stays.
#[tracing::instrument(name = "db.roster_person.update", skip_all)]
pub(super) async fn update(
    tx: &mut PgConnection,
    people: &[Sealed],
    index_version: i16,
    now: OffsetDateTime,
) -> Result<()> {
    for person in people {
        sqlx::query!(
            "UPDATE identity.roster_person
             SET name = $3, phone = coalesce($4, phone),
                 index_version = coalesce($5, index_version),
                 phone_index = coalesce($6, phone_index), updated_at = $7,
                 activation_tries = 0
             WHERE partition = $1 AND person_id = $2",
            Partition::of(person.id).get(),
            person.id,
            person.name,
            person.phone,
            person.phone.as_ref().map(|_| index_version),
            person.phone_index,
            now,
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// An account whose row is locked: what it was looked at by, and its enrolment.
#[derive(Debug)]
pub(super) struct Locked {
    pub(super) id: Uuid,
    pub(super) account: Option<Account>,
    pub(super) enrolment_id: Uuid,
}

/// Locks accounts, in one order.
#[tracing::instrument(name = "db.account.lock_many", skip_all)]
pub(super) async fn lock_accounts(tx: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Locked>> {
    let rows = sqlx::query!(
        "SELECT a.account_id, a.state, a.level, a.name, a.phone, a.phone_attached, a.enrolment_id
         FROM identity.account a
         JOIN unnest($1::smallint[], $2::uuid[]) AS k (partition, account_id)
           USING (partition, account_id)
         ORDER BY a.partition, a.account_id FOR NO KEY UPDATE OF a",
        &partitions(ids),
        ids,
    )
    .fetch_all(tx)
    .await?;
    let locked = rows.into_iter().map(|row| Locked {
        id: row.account_id,
        enrolment_id: row.enrolment_id,
        account: row.name.zip(row.phone).map(|(name, phone)| Account {
            state: row.state,
            level: row.level,
            name,
            phone,
            phone_attached: row.phone_attached,
        }),
    });
    Ok(locked.collect())
}

/// Raises accounts, whose rows are locked, to level 2. Of those that are active, the revision.
#[tracing::instrument(name = "db.account.raise_level", skip_all)]
pub(super) async fn raise(
    tx: &mut PgConnection,
    ids: &[Uuid],
    level: i16,
) -> Result<Vec<(Uuid, i64)>> {
    let rows = sqlx::query!(
        "UPDATE identity.account a
         SET level = $3,
             revision = CASE WHEN a.state = 'INACTIVE' THEN a.revision ELSE a.revision + 1 END
         FROM unnest($1::smallint[], $2::uuid[]) AS k (partition, account_id)
         WHERE a.partition = k.partition AND a.account_id = k.account_id
         RETURNING a.account_id, a.revision, a.state",
        &partitions(ids),
        ids,
        level,
    )
    .fetch_all(tx)
    .await?;
    let mut told: Vec<(Uuid, i64)> = rows
        .into_iter()
        .filter(|row| row.state != "INACTIVE")
        .map(|row| (row.account_id, row.revision))
        .collect();
    told.sort_unstable_by_key(|(id, _)| (Partition::of(*id), *id));
    Ok(told)
}

/// Somebody who may be shown by the name.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) id: Uuid,
    pub(super) name: Vec<u8>,
    /// With an account, or on a roster alone.
    pub(super) registered: bool,
    pub(super) has_phone: bool,
}

/// Those of the people who have an account or are on a roster; with both, the account last.
#[tracing::instrument(name = "db.roster_person.shown", skip_all)]
pub(super) async fn shown(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Shown>> {
    Ok(sqlx::query_as!(
        Shown,
        r#"WITH k AS (SELECT * FROM unnest($1::smallint[], $2::uuid[]) AS k (partition, id))
           SELECT k.id AS "id!", p.name AS "name!", false AS "registered!",
                  p.phone IS NOT NULL AS "has_phone!"
           FROM k JOIN identity.roster_person p ON p.partition = k.partition AND p.person_id = k.id
           UNION ALL
           SELECT k.id, a.name, true, false
           FROM k JOIN identity.account a ON a.partition = k.partition AND a.account_id = k.id
           WHERE a.state IN ('ACTIVE', 'DISABLED')
           ORDER BY 3"#,
        &partitions(ids),
        ids,
    )
    .fetch_all(conn)
    .await?)
}

/// Some of those who are on a roster, with ids between two, in their order.
#[tracing::instrument(name = "db.roster_person.between", skip_all)]
pub(super) async fn between(
    conn: &mut PgConnection,
    after: Uuid,
    before: Uuid,
    limit: i64,
) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar!(
        r#"SELECT found.person_id AS "person_id!"
           FROM generate_series(0, $4::integer - 1) AS s (partition)
           CROSS JOIN LATERAL (
               SELECT p.person_id FROM identity.roster_person p
               WHERE p.partition = s.partition::smallint
                 AND p.person_id > $1 AND p.person_id < $2
               ORDER BY p.person_id LIMIT $3
           ) AS found
           ORDER BY found.person_id LIMIT $3"#,
        after,
        before,
        limit,
        i32::from(Partition::COUNT),
    )
    .fetch_all(conn)
    .await?)
}

/// Forgets what rosters say of people, and frees the numbers of those who are on a roster and
/// nothing else: who those were, in one order. Whose number an enrolment has claimed is nobody
/// any more if it comes to nothing.
#[tracing::instrument(name = "db.roster_person.forget", skip_all)]
pub(super) async fn forget(tx: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Uuid>> {
    let locked = sqlx::query!(
        r#"SELECT p.person_id, p.adopted_by IS NOT NULL AS "adopted!"
           FROM identity.roster_person p
           JOIN unnest($1::smallint[], $2::uuid[]) AS k (partition, person_id)
             USING (partition, person_id)
           ORDER BY p.partition, p.person_id FOR UPDATE OF p"#,
        &partitions(ids),
        ids,
    )
    .fetch_all(&mut *tx)
    .await?;
    let all: Vec<Uuid> = locked.iter().map(|row| row.person_id).collect();
    let people = locked.iter().filter(|row| !row.adopted).map(|row| row.person_id).collect();
    sqlx::query!(
        "DELETE FROM identity.roster_person p
         USING unnest($1::smallint[], $2::uuid[]) AS k (partition, person_id)
         WHERE p.partition = k.partition AND p.person_id = k.person_id",
        &partitions(&all),
        &all,
    )
    .execute(tx)
    .await?;
    Ok(people)
}
