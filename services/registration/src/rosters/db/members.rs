use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::{AccountId, OrganizationCode, Partition, RequestId};

use crate::error::Result;

/// Who is on a roster, or was: what is told of.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) person_id: Uuid,
    /// `None`: on none.
    pub(crate) organization_code: Option<String>,
    /// On which the person was before the change that made this of it; `None`: on none.
    pub(crate) left: Option<String>,
    pub(crate) revision: i64,
}

/// Where somebody stands.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) person_id: Uuid,
    pub(crate) organization_code: Option<String>,
    /// Identity is being asked to forget the person.
    pub(crate) forgetting: bool,
    /// When it had let go of the person, by the clock of the database.
    pub(crate) gone_at: Option<OffsetDateTime>,
    /// What brought the person on the roster.
    pub(crate) import_id: Option<Uuid>,
    pub(crate) row_number: Option<i32>,
}

/// Somebody who comes on a roster.
#[derive(Debug, Clone)]
pub(crate) struct Joining {
    pub(crate) person_id: Uuid,
    pub(crate) ends_in: String,
    pub(crate) row_number: i32,
}

/// Somebody of a list.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) person_id: Uuid,
    pub(crate) since: OffsetDateTime,
    pub(crate) ends_in: String,
    pub(crate) registered: bool,
    pub(crate) import_id: Option<Uuid>,
    pub(crate) row_number: Option<i32>,
}

/// Somebody whom an organization got back.
#[derive(Debug)]
pub(crate) struct Returned {
    pub(crate) person_id: Uuid,
    pub(crate) since: OffsetDateTime,
    pub(crate) ends_in: String,
    pub(crate) left_at: OffsetDateTime,
    pub(crate) import_id: Option<Uuid>,
    pub(crate) row_number: Option<i32>,
}

/// Why and by whom members are taken off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left {
    /// As in the column `reason`.
    pub(crate) reason: &'static str,
    pub(crate) by: Option<(AccountId, RequestId)>,
    pub(crate) at: OffsetDateTime,
}

fn partitions(ids: &[Uuid]) -> Vec<i16> {
    ids.iter().map(|id| Partition::of(*id).get()).collect()
}

/// What the clock of the database says, by which is compared what several processes do.
#[tracing::instrument(name = "db.now", skip_all)]
pub(crate) async fn now(executor: impl PgExecutor<'_>) -> Result<OffsetDateTime> {
    Ok(sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(executor).await?)
}

macro_rules! standing {
    ($rest:literal, $ids:expr) => {
        sqlx::query_as!(
            Standing,
            r#"SELECT m.person_id, m.organization_code,
                      m.forget IS NOT DISTINCT FROM 'ASKED' AS "forgetting!", m.gone_at,
                      m.import_id, m.row_number
               FROM registration.roster_member m
               JOIN unnest($1::smallint[], $2::uuid[]) AS l (partition, person_id)
                 ON m.partition = l.partition AND m.person_id = l.person_id "#
                + $rest,
            &partitions($ids),
            $ids,
        )
    };
}

/// Where people stand; who was never on a roster is left out.
#[tracing::instrument(name = "db.roster_member.standing", skip_all)]
pub(crate) async fn standing(executor: impl PgExecutor<'_>, ids: &[Uuid]) -> Result<Vec<Standing>> {
    Ok(standing!("", ids).fetch_all(executor).await?)
}

/// Makes rows of people who have none, and locks them all, in the order of their keys: of two
/// imports with the same people, one waits for the other here.
#[tracing::instrument(name = "db.roster_member.hold", skip_all)]
pub(crate) async fn hold(transaction: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Standing>> {
    sqlx::query!(
        "INSERT INTO registration.roster_member (partition, person_id)
         SELECT partition, person_id
         FROM unnest($1::smallint[], $2::uuid[]) AS new (partition, person_id)
         ORDER BY partition, person_id
         ON CONFLICT (partition, person_id) DO NOTHING",
        &partitions(ids),
        ids,
    )
    .execute(&mut *transaction)
    .await?;
    lock_members(transaction, ids).await
}

/// Locks those who have rows, in the order of their keys, and tells where they stand.
#[tracing::instrument(name = "db.roster_member.lock", skip_all)]
pub(crate) async fn lock_members(
    transaction: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<Standing>> {
    let ordered = standing!("ORDER BY m.partition, m.person_id FOR UPDATE OF m", ids);
    Ok(ordered.fetch_all(transaction).await?)
}

/// Puts people on a roster whose rows are locked and on none.
#[tracing::instrument(name = "db.roster_member.join", skip_all)]
pub(crate) async fn join(
    transaction: &mut PgConnection,
    organization: &OrganizationCode,
    import: Uuid,
    joining: &[Joining],
    now: OffsetDateTime,
) -> Result<Vec<Member>> {
    let ids: Vec<Uuid> = joining.iter().map(|joining| joining.person_id).collect();
    let ends_in: Vec<String> = joining.iter().map(|joining| joining.ends_in.clone()).collect();
    let rows: Vec<i32> = joining.iter().map(|joining| joining.row_number).collect();
    Ok(sqlx::query_as!(
        Member,
        "UPDATE registration.roster_member m
         SET organization_code = $1, since = $2, ends_in = new.ends_in, import_id = $3,
             row_number = new.row_number, forget = NULL, forget_at = NULL, gone_at = NULL,
             revision = m.revision + 1
         FROM unnest($4::smallint[], $5::uuid[], $6::text[], $7::integer[])
              AS new (partition, person_id, ends_in, row_number)
         WHERE m.partition = new.partition AND m.person_id = new.person_id
           AND m.organization_code IS NULL
         RETURNING m.person_id, m.organization_code, NULL::text AS left, m.revision",
        organization.as_str(),
        now,
        import,
        &partitions(&ids),
        &ids,
        &ends_in,
        &rows,
    )
    .fetch_all(transaction)
    .await?)
}

/// Takes people off a roster, or off any, whose rows are locked, and keeps that they were on
/// it; who is on none is passed over.
#[tracing::instrument(name = "db.roster_member.take_off", skip_all)]
pub(crate) async fn take_off(
    transaction: &mut PgConnection,
    organization: Option<&OrganizationCode>,
    ids: &[Uuid],
    left: Left,
) -> Result<Vec<Member>> {
    let (by, request_id) = left.by.map(|(by, id)| (by.as_uuid(), id.as_uuid())).unzip();
    // Whom nobody has taken off, identity has let go of: there is nobody to forget.
    let forget = left.by.is_some().then_some("DUE");
    sqlx::query!(
        "INSERT INTO registration.roster_leaving
             (partition, person_id, revision, organization_code, since, ends_in, left_at, reason,
              left_by, request_id, import_id, row_number)
         SELECT m.partition, m.person_id, m.revision, m.organization_code, m.since, m.ends_in,
                $4, $5, $6, $7, m.import_id, m.row_number
         FROM registration.roster_member m
         JOIN unnest($1::smallint[], $2::uuid[]) AS l (partition, person_id)
           ON m.partition = l.partition AND m.person_id = l.person_id
         WHERE m.organization_code = coalesce($3, m.organization_code)",
        &partitions(ids),
        ids,
        organization.map(OrganizationCode::as_str),
        left.at,
        left.reason,
        by,
        request_id,
    )
    .execute(&mut *transaction)
    .await?;
    Ok(sqlx::query_as!(
        Member,
        "UPDATE registration.roster_member m
         SET organization_code = NULL, since = NULL, ends_in = NULL, import_id = NULL,
             row_number = NULL, forget = $4::text,
             forget_at = CASE WHEN $4::text IS NULL THEN NULL ELSE $5::timestamptz END,
             revision = m.revision + 1
         FROM unnest($1::smallint[], $2::uuid[]) AS l (partition, person_id)
         JOIN registration.roster_member was
           ON was.partition = l.partition AND was.person_id = l.person_id
         WHERE m.partition = l.partition AND m.person_id = l.person_id
           AND m.organization_code = coalesce($3, m.organization_code)
         RETURNING m.person_id, m.organization_code, was.organization_code AS left, m.revision",
        &partitions(ids),
        ids,
        organization.map(OrganizationCode::as_str),
        forget,
        left.at,
    )
    .fetch_all(transaction)
    .await?)
}

/// Takes people off who closed their accounts, whose rows are locked, and forgets where they
/// were.
#[tracing::instrument(name = "db.roster_member.erase", skip_all)]
pub(crate) async fn erase(transaction: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Member>> {
    sqlx::query!(
        "DELETE FROM registration.roster_leaving l
         USING unnest($1::smallint[], $2::uuid[]) AS c (partition, person_id)
         WHERE l.partition = c.partition AND l.person_id = c.person_id",
        &partitions(ids),
        ids,
    )
    .execute(&mut *transaction)
    .await?;
    Ok(sqlx::query_as!(
        Member,
        "UPDATE registration.roster_member m
         SET organization_code = NULL, since = NULL, ends_in = NULL, import_id = NULL,
             row_number = NULL, revision = m.revision + 1
         FROM unnest($1::smallint[], $2::uuid[]) AS l (partition, person_id)
         JOIN registration.roster_member was
           ON was.partition = l.partition AND was.person_id = l.person_id
         WHERE m.partition = l.partition AND m.person_id = l.person_id
           AND m.organization_code IS NOT NULL
         RETURNING m.person_id, m.organization_code, was.organization_code AS left, m.revision",
        &partitions(ids),
        ids,
    )
    .fetch_all(transaction)
    .await?)
}

/// Notes of people, whose rows are locked, that identity has let go of them.
#[tracing::instrument(name = "db.roster_member.let_go", skip_all)]
pub(crate) async fn let_go(transaction: &mut PgConnection, ids: &[Uuid]) -> Result<()> {
    sqlx::query!(
        "UPDATE registration.roster_member m
         SET gone_at = clock_timestamp(), forget = NULL, forget_at = NULL
         FROM unnest($1::smallint[], $2::uuid[]) AS l (partition, person_id)
         WHERE m.partition = l.partition AND m.person_id = l.person_id",
        &partitions(ids),
        ids,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Has identity forget people whom an import made and that took no effect, unless they are on
/// a roster by now. Their rows are locked.
#[tracing::instrument(name = "db.roster_member.unclaimed", skip_all)]
pub(crate) async fn unclaimed(
    transaction: &mut PgConnection,
    ids: &[Uuid],
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE registration.roster_member m SET forget = 'DUE', forget_at = $3
         FROM unnest($1::smallint[], $2::uuid[]) AS l (partition, person_id)
         WHERE m.partition = l.partition AND m.person_id = l.person_id
           AND m.organization_code IS NULL AND m.forget IS NULL",
        &partitions(ids),
        ids,
        now,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Takes some whom identity is to forget, and notes that it is asked; until then nobody else
/// asks.
#[tracing::instrument(name = "db.roster_member.ask_to_forget", skip_all)]
pub(crate) async fn ask_to_forget(
    executor: impl PgExecutor<'_>,
    now: OffsetDateTime,
    until: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar!(
        "UPDATE registration.roster_member m SET forget = 'ASKED', forget_at = $2
         FROM (SELECT partition, person_id FROM registration.roster_member
               WHERE forget IS NOT NULL AND forget_at <= $1
               ORDER BY forget_at LIMIT $3 FOR UPDATE SKIP LOCKED) AS due
         WHERE m.partition = due.partition AND m.person_id = due.person_id
         RETURNING m.person_id",
        now,
        until,
        limit,
    )
    .fetch_all(executor)
    .await?)
}

/// Notes that identity has forgotten people.
#[tracing::instrument(name = "db.roster_member.forgotten", skip_all)]
pub(crate) async fn forgotten(executor: impl PgExecutor<'_>, ids: &[Uuid]) -> Result<()> {
    sqlx::query!(
        "UPDATE registration.roster_member m
         SET forget = NULL, forget_at = NULL, gone_at = clock_timestamp()
         FROM unnest($1::smallint[], $2::uuid[]) AS l (partition, person_id)
         WHERE m.partition = l.partition AND m.person_id = l.person_id AND m.forget = 'ASKED'",
        &partitions(ids),
        ids,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Asks identity again later to forget people: whether it has is not known.
#[tracing::instrument(name = "db.roster_member.put_off_forgetting", skip_all)]
pub(crate) async fn put_off_forgetting(
    executor: impl PgExecutor<'_>,
    ids: &[Uuid],
    next: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE registration.roster_member m SET forget_at = $3
         FROM unnest($1::smallint[], $2::uuid[]) AS l (partition, person_id)
         WHERE m.partition = l.partition AND m.person_id = l.person_id AND m.forget = 'ASKED'",
        &partitions(ids),
        ids,
        next,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// How many members somebody took off by a request.
#[tracing::instrument(name = "db.roster_leaving.by_request", skip_all)]
pub(crate) async fn left_by_request(
    executor: impl PgExecutor<'_>,
    by: AccountId,
    request_id: RequestId,
) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM registration.roster_leaving
           WHERE left_by = $1 AND request_id = $2"#,
        by.as_uuid(),
        request_id.as_uuid(),
    )
    .fetch_one(executor)
    .await?)
}

/// Members of an organization, after one of them: those who have not registered, those whose
/// membership ended before a month.
#[tracing::instrument(name = "db.roster_member.listed", skip_all)]
pub(crate) async fn listed(
    executor: impl PgExecutor<'_>,
    organization: &OrganizationCode,
    (unregistered_only, ended_before): (bool, Option<&str>),
    after: Uuid,
    limit: i64,
) -> Result<Vec<Listed>> {
    Ok(sqlx::query_as!(
        Listed,
        r#"SELECT m.person_id, m.since AS "since!", m.ends_in AS "ends_in!",
                  a.account_id IS NOT NULL AS "registered!",
                  i.import_id AS "import_id?", m.row_number
           FROM registration.roster_member m
           LEFT JOIN registration.account a
             ON a.partition = m.partition AND a.account_id = m.person_id
           LEFT JOIN registration.roster_import i ON i.import_id = m.import_id
           WHERE m.organization_code = $1 AND m.person_id > $2
             AND (NOT $3 OR a.account_id IS NULL) AND ($4::text IS NULL OR m.ends_in < $4)
           ORDER BY m.person_id LIMIT $5"#,
        organization.as_str(),
        after,
        unregistered_only,
        ended_before,
        limit,
    )
    .fetch_all(executor)
    .await?)
}

/// Those whom an organization got back since then, after one of them.
#[tracing::instrument(name = "db.roster_leaving.returned", skip_all)]
pub(crate) async fn returned(
    executor: impl PgExecutor<'_>,
    organization: &OrganizationCode,
    since: OffsetDateTime,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Returned>> {
    Ok(sqlx::query_as!(
        Returned,
        r#"SELECT l.person_id, l.since, l.ends_in, l.left_at, i.import_id AS "import_id?",
                  l.row_number
           FROM registration.roster_leaving l
           LEFT JOIN registration.roster_import i ON i.import_id = l.import_id
           WHERE l.organization_code = $1 AND l.reason = 'NAME_DIFFERS' AND l.left_at >= $2
             AND l.person_id > $3
           ORDER BY l.person_id LIMIT $4"#,
        organization.as_str(),
        since,
        after,
        limit,
    )
    .fetch_all(executor)
    .await?)
}

/// Everybody of a partition of whom was ever told, after one id.
#[tracing::instrument(name = "db.roster_member.told_after", skip_all)]
pub(crate) async fn told_after(
    executor: impl PgExecutor<'_>,
    partition: i16,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Member>> {
    Ok(sqlx::query_as!(
        Member,
        "SELECT person_id, organization_code, NULL::text AS left, revision
         FROM registration.roster_member
         WHERE partition = $1 AND person_id > $2 AND revision > 0
         ORDER BY person_id LIMIT $3",
        partition,
        after,
        limit,
    )
    .fetch_all(executor)
    .await?)
}
