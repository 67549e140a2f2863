use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_contracts::registration::v1::RosterFailure;
use zhiyuan_domain::{OrganizationCode, RequestId};

use crate::error::{Error, Result};
use crate::rosters::{Counts, Import, ImportLimits, State};

/// Rows that are deleted at once.
const ROWS: i64 = 5_000;
const CORRUPT: Error = Error::Inconsistent("roster_import");

struct Row {
    import_id: Uuid,
    organization_code: String,
    started_by: Uuid,
    file_name: String,
    size_bytes: i64,
    sha256: Vec<u8>,
    pieces: Vec<i16>,
    state: String,
    cancelled_in: Option<String>,
    failure: Option<i16>,
    rows: i32,
    done_to: i32,
    rows_done: i32,
    rows_new: i32,
    rows_registered: i32,
    rows_unchanged: i32,
    rows_updated: i32,
    rows_rejected: i32,
    created_at: OffsetDateTime,
    ended_at: Option<OffsetDateTime>,
    file_expires_at: Option<OffsetDateTime>,
    lease: Option<Uuid>,
    attempts: i32,
}

impl TryFrom<Row> for Import {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let state = |column: &str| State::from_column(column).ok_or(CORRUPT);
        let failure = |number: i16| RosterFailure::try_from(i32::from(number)).map_err(|_| CORRUPT);
        Ok(Self {
            id: row.import_id,
            organization: OrganizationCode::parse(&row.organization_code).map_err(|_| CORRUPT)?,
            started_by: row.started_by,
            file_name: row.file_name,
            size_bytes: u64::try_from(row.size_bytes).map_err(|_| CORRUPT)?,
            sha256: row.sha256,
            pieces: row.pieces,
            state: state(&row.state)?,
            cancelled_in: row.cancelled_in.as_deref().map(state).transpose()?,
            failure: row.failure.map(failure).transpose()?,
            rows: row.rows,
            done_to: row.done_to,
            rows_done: row.rows_done,
            counts: Counts {
                new: row.rows_new,
                registered: row.rows_registered,
                unchanged: row.rows_unchanged,
                updated: row.rows_updated,
                rejected: row.rows_rejected,
            },
            created_at: row.created_at,
            ended_at: row.ended_at,
            file_expires_at: row.file_expires_at,
            lease: row.lease,
            attempts: row.attempts,
        })
    }
}

/// An import that begins.
#[tracing::instrument(name = "db.roster_import.insert", skip_all)]
pub(crate) async fn insert(
    transaction: &mut PgConnection,
    import: &Import,
    request_id: RequestId,
) -> Result<()> {
    let size = i64::try_from(import.size_bytes).map_err(|_| CORRUPT)?;
    sqlx::query!(
        "INSERT INTO registration.roster_import
             (import_id, organization_code, started_by, request_id, file_name, size_bytes,
              sha256, state, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        import.id,
        import.organization.as_str(),
        import.started_by,
        request_id.as_uuid(),
        import.file_name,
        size,
        import.sha256,
        import.state.as_column(),
        import.created_at,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Has whoever begins an import of the same organization, or as the same administrator, wait until
/// the transaction ends; organizations come first, for all.
#[tracing::instrument(name = "db.roster_import.lock_beginning", skip_all)]
pub(crate) async fn lock_beginning(transaction: &mut PgConnection, new: &Import) -> Result<()> {
    for whose in [new.organization.as_str(), &new.started_by.to_string()] {
        sqlx::query!(
            "SELECT pg_advisory_xact_lock(hashtextextended('roster_import ' || $1::text, 0))",
            whose,
        )
        .fetch_one(&mut *transaction)
        .await?;
    }
    Ok(())
}

/// If as many imports were begun since then as may be, when the one was after which there is
/// room again.
#[tracing::instrument(name = "db.roster_import.full_since", skip_all)]
pub(crate) async fn full_since(
    transaction: &mut PgConnection,
    new: &Import,
    limits: ImportLimits,
    since: OffsetDateTime,
) -> Result<Option<OffsetDateTime>> {
    Ok(sqlx::query_scalar!(
        r#"SELECT max(created_at) FROM (
               (SELECT created_at FROM registration.roster_import
                WHERE started_by = $1 AND created_at > $3
                ORDER BY created_at DESC OFFSET $4 LIMIT 1)
               UNION ALL
               (SELECT created_at FROM registration.roster_import
                WHERE organization_code = $2 AND created_at > $3
                ORDER BY created_at DESC OFFSET $5 LIMIT 1)) AS oldest"#,
        new.started_by,
        new.organization.as_str(),
        since,
        i64::from(limits.per_administrator.max(1)) - 1,
        i64::from(limits.per_organization.max(1)) - 1,
    )
    .fetch_one(transaction)
    .await?)
}

macro_rules! select {
    ($rest:literal $(, $value:expr)*) => {
        sqlx::query_as!(
            Row,
            "SELECT import_id, organization_code, started_by, file_name, size_bytes, sha256, pieces,
                    state, cancelled_in, failure, rows, done_to, rows_done, rows_new,
                    rows_registered, rows_unchanged, rows_updated, rows_rejected, created_at,
                    ended_at, file_expires_at, lease, attempts
             FROM registration.roster_import "
                + $rest
            $(, $value)*
        )
    };
}

/// An import.
#[tracing::instrument(name = "db.roster_import.find", skip_all)]
pub(crate) async fn find(executor: impl PgExecutor<'_>, id: Uuid) -> Result<Option<Import>> {
    let row = select!("WHERE import_id = $1", id).fetch_optional(executor).await?;
    row.map(Import::try_from).transpose()
}

/// The same, and locks it until the transaction ends.
#[tracing::instrument(name = "db.roster_import.lock", skip_all)]
pub(crate) async fn lock(transaction: &mut PgConnection, id: Uuid) -> Result<Option<Import>> {
    let row = select!("WHERE import_id = $1 FOR UPDATE", id).fetch_optional(transaction).await?;
    row.map(Import::try_from).transpose()
}

/// Locks an import for whoever has the lease; `None` if it went on without him.
#[tracing::instrument(name = "db.roster_import.lock_leased", skip_all)]
pub(crate) async fn lock_leased(
    transaction: &mut PgConnection,
    seen: &Import,
) -> Result<Option<Import>> {
    let locked = lock(transaction, seen.id).await?;
    Ok(locked.filter(|import| {
        import.lease.is_some() && import.lease == seen.lease && import.state == seen.state
    }))
}

/// The import that somebody began by a request.
#[tracing::instrument(name = "db.roster_import.found_by_request", skip_all)]
pub(crate) async fn found_by_request(
    executor: impl PgExecutor<'_>,
    started_by: Uuid,
    request_id: RequestId,
) -> Result<Option<Uuid>> {
    Ok(sqlx::query_scalar!(
        "SELECT import_id FROM registration.roster_import
         WHERE started_by = $1 AND request_id = $2 ORDER BY import_id DESC LIMIT 1",
        started_by,
        request_id.as_uuid(),
    )
    .fetch_optional(executor)
    .await?)
}

/// Imports of an organization, the newest first, before one of them.
#[tracing::instrument(name = "db.roster_import.list", skip_all)]
pub(crate) async fn list(
    executor: impl PgExecutor<'_>,
    organization: &OrganizationCode,
    before: Uuid,
    limit: i64,
) -> Result<Vec<Import>> {
    let rows = select!(
        "WHERE organization_code = $1 AND import_id < $2 ORDER BY import_id DESC LIMIT $3",
        organization.as_str(),
        before,
        limit
    );
    rows.fetch_all(executor).await?.into_iter().map(Import::try_from).collect()
}

/// Notes that identity keeps a piece of an import that is locked.
#[tracing::instrument(name = "db.roster_import.uploaded", skip_all)]
pub(crate) async fn uploaded(
    transaction: &mut PgConnection,
    id: Uuid,
    index: i16,
    file_expires_at: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE registration.roster_import
         SET pieces = array_append(pieces, $2::smallint),
             file_expires_at = coalesce(file_expires_at, $3)
         WHERE import_id = $1 AND $2 <> ALL (pieces)",
        id,
        index,
        file_expires_at,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// What the state of an import that is locked becomes; `ended_at` if that is an end. One that
/// there is work about is due at once.
#[tracing::instrument(name = "db.roster_import.set_state", skip_all)]
pub(crate) async fn set_state(
    transaction: &mut PgConnection,
    import: &Import,
    next: State,
    failure: Option<RosterFailure>,
    now: OffsetDateTime,
) -> Result<()> {
    let ended_at = matches!(next, State::Done | State::Cancelled | State::Failed).then_some(now);
    let due = matches!(next, State::Checking | State::Importing).then_some(now);
    let cancelled_in = (next == State::Cancelled).then_some(import.state.as_column());
    let failure = failure.map(|failure| failure as i32).map(i16::try_from).transpose();
    sqlx::query!(
        "UPDATE registration.roster_import
         SET state = $2, cancelled_in = $3, failure = $4, ended_at = $5, next_step_at = $6,
             lease = NULL, attempts = 0
         WHERE import_id = $1",
        import.id,
        next.as_column(),
        cancelled_in,
        failure.map_err(|_| CORRUPT)?,
        ended_at,
        due,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// The rows of an import that is locked are imported now, from the first one on: what is
/// rejected is done.
#[tracing::instrument(name = "db.roster_import.restart", skip_all)]
pub(crate) async fn restart(transaction: &mut PgConnection, id: Uuid) -> Result<()> {
    sqlx::query!(
        "UPDATE registration.roster_import
         SET done_to = 0, rows_done = rows_rejected, rows_new = 0, rows_registered = 0,
             rows_unchanged = 0, rows_updated = 0
         WHERE import_id = $1",
        id,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Takes the import that is due longest, for as long as the lease lasts.
#[tracing::instrument(name = "db.roster_import.due", skip_all)]
pub(crate) async fn due(
    executor: impl PgExecutor<'_>,
    (now, until, latest): (OffsetDateTime, OffsetDateTime, OffsetDateTime),
    lease: Uuid,
) -> Result<Option<Import>> {
    // What was planned by a clock that was ahead is due as well.
    sqlx::query_as!(
        Row,
        "UPDATE registration.roster_import
         SET lease = $1, next_step_at = $3, attempts = attempts + 1
         WHERE import_id = (
             SELECT import_id FROM registration.roster_import
             WHERE next_step_at <= $2 OR next_step_at > $4
             ORDER BY next_step_at LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING import_id, organization_code, started_by, file_name, size_bytes, sha256,
                   pieces, state, cancelled_in, failure, rows, done_to, rows_done, rows_new,
                   rows_registered, rows_unchanged, rows_updated, rows_rejected, created_at,
                   ended_at, file_expires_at, lease, attempts",
        lease,
        now,
        until,
        latest,
    )
    .fetch_optional(executor)
    .await?
    .map(Import::try_from)
    .transpose()
}

/// Goes on holding the lease; `false` if it was lost.
#[tracing::instrument(name = "db.roster_import.renew", skip_all)]
pub(crate) async fn renew(
    executor: impl PgExecutor<'_>,
    import: &Import,
    until: OffsetDateTime,
) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE registration.roster_import SET next_step_at = $3
         WHERE import_id = $1 AND lease = $2",
        import.id,
        import.lease,
        until,
    )
    .execute(executor)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes that whoever has the lease begins to read the file; how often that began without an
/// end. `None` if the lease was lost.
#[tracing::instrument(name = "db.roster_import.begin_reading", skip_all)]
pub(crate) async fn begin_reading(
    executor: impl PgExecutor<'_>,
    import: &Import,
) -> Result<Option<i32>> {
    Ok(sqlx::query_scalar!(
        "UPDATE registration.roster_import SET readings = readings + 1
         WHERE import_id = $1 AND lease = $2 RETURNING readings",
        import.id,
        import.lease,
    )
    .fetch_optional(executor)
    .await?)
}

/// Notes that the reading has ended.
#[tracing::instrument(name = "db.roster_import.end_reading", skip_all)]
pub(crate) async fn end_reading(executor: impl PgExecutor<'_>, import: &Import) -> Result<()> {
    sqlx::query!(
        "UPDATE registration.roster_import SET readings = 0
         WHERE import_id = $1 AND lease = $2",
        import.id,
        import.lease,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Lets go of the lease until then.
#[tracing::instrument(name = "db.roster_import.postpone", skip_all)]
pub(crate) async fn postpone(
    executor: impl PgExecutor<'_>,
    import: &Import,
    next: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE registration.roster_import SET next_step_at = $3, lease = NULL
         WHERE import_id = $1 AND lease = $2",
        import.id,
        import.lease,
        next,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Notes how many rows an import has that is locked.
#[tracing::instrument(name = "db.roster_import.set_rows", skip_all)]
pub(crate) async fn set_rows(transaction: &mut PgConnection, id: Uuid, rows: i32) -> Result<()> {
    sqlx::query!("UPDATE registration.roster_import SET rows = $2 WHERE import_id = $1", id, rows)
        .execute(transaction)
        .await?;
    Ok(())
}

/// Adds what became of some rows, up to one of them, to an import that is locked, and holds the
/// lease for longer.
#[tracing::instrument(name = "db.roster_import.progress", skip_all)]
pub(crate) async fn progress(
    transaction: &mut PgConnection,
    id: Uuid,
    done_to: i32,
    counts: Counts,
    until: OffsetDateTime,
) -> Result<()> {
    let Counts { new, registered, unchanged, updated, rejected } = counts;
    sqlx::query!(
        "UPDATE registration.roster_import
         SET done_to = $2, rows_done = rows_done + $3, rows_new = rows_new + $4,
             rows_registered = rows_registered + $5, rows_unchanged = rows_unchanged + $6,
             rows_updated = rows_updated + $7, rows_rejected = rows_rejected + $8,
             next_step_at = $9, attempts = 0
         WHERE import_id = $1",
        id,
        done_to,
        new + registered + unchanged + updated + rejected,
        new,
        registered,
        unchanged,
        updated,
        rejected,
        until,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Ends a pass over the rows of an import that is locked.
#[tracing::instrument(name = "db.roster_import.finish", skip_all)]
pub(crate) async fn finish(
    transaction: &mut PgConnection,
    import: &Import,
    now: OffsetDateTime,
) -> Result<()> {
    let next = if import.state == State::Checking { State::Checked } else { State::Done };
    set_state(transaction, import, next, None, now).await
}

/// Fails uploads that nobody ended: their files are gone. Returns how many.
#[tracing::instrument(name = "db.roster_import.expire_uploads", skip_all)]
pub(crate) async fn expire_uploads(
    executor: impl PgExecutor<'_>,
    begun_before: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<u64> {
    let done = sqlx::query!(
        "UPDATE registration.roster_import
         SET state = 'FAILED', failure = $3, ended_at = $2
         WHERE state = 'UPLOADING' AND created_at < $1
           AND coalesce(file_expires_at, $2) <= $2",
        begun_before,
        now,
        RosterFailure::Gone as i16,
    )
    .execute(executor)
    .await?;
    Ok(done.rows_affected())
}

/// Deletes imports of long ago, with what became of their rows, some thousands at a time; returns
/// how many imports.
#[tracing::instrument(name = "db.roster_import.delete_old", skip_all)]
pub(crate) async fn delete_old(pool: &PgPool, before: OffsetDateTime, limit: i64) -> Result<u64> {
    loop {
        let rows = sqlx::query!(
            "DELETE FROM registration.roster_import_row WHERE (import_id, row_number) IN (
                 SELECT r.import_id, r.row_number FROM registration.roster_import i
                 JOIN registration.roster_import_row r ON r.import_id = i.import_id
                 WHERE i.created_at < $1 AND i.next_step_at IS NULL LIMIT $2)",
            before,
            ROWS,
        )
        .execute(pool)
        .await?;
        if rows.rows_affected() < ROWS.unsigned_abs() {
            break;
        }
    }
    let done = sqlx::query!(
        "DELETE FROM registration.roster_import WHERE import_id = ANY (ARRAY(
             SELECT import_id FROM registration.roster_import
             WHERE created_at < $1 AND next_step_at IS NULL
             ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
        before,
        limit,
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
