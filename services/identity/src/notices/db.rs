use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::Partition;

use super::{Notice, Outcome, Recipient};
use crate::error::Result;

/// Queues a notice, unless one with its key was queued before.
#[tracing::instrument(name = "db.notice.queue", skip_all)]
pub(crate) async fn queue(
    tx: &mut PgConnection,
    notice: &Notice,
    now: OffsetDateTime,
) -> Result<()> {
    let (account_id, phone, owner_id) = match &notice.recipient {
        Recipient::Account(account_id) => (Some(*account_id), None, None),
        Recipient::Phone { sealed, owner } => (None, Some(sealed.as_slice()), *owner),
    };
    sqlx::query!(
        "INSERT INTO identity.notice
             (notice_id, once, template, partition, account_id, phone, owner_id, state,
              next_attempt_at, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $9, 'QUEUED', $7, $8, $8)
         ON CONFLICT (once) DO NOTHING",
        notice.notice_id,
        notice.once,
        notice.template.as_column(),
        account_id.map(|id| Partition::of(id).get()),
        account_id,
        phone,
        notice.at,
        now,
        owner_id,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// A notice that is due.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) notice_id: Uuid,
    pub(crate) template: String,
    pub(crate) once: String,
    pub(crate) account_id: Option<Uuid>,
    pub(crate) phone: Option<Vec<u8>>,
    pub(crate) attempts: i32,
    pub(crate) created_at: OffsetDateTime,
    /// An earlier attempt ended without a word of what became of it.
    pub(crate) handed_over: bool,
}

/// Leases the notices that are due: nobody else sends them before `lease_until`.
#[tracing::instrument(name = "db.notice.lease", skip_all)]
pub(crate) async fn lease(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    lease_until: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Due>> {
    Ok(sqlx::query_as!(
        Due,
        "UPDATE identity.notice SET next_attempt_at = $2, attempts = attempts + 1, updated_at = $1
         WHERE notice_id IN (SELECT notice_id FROM identity.notice
                             WHERE state = 'QUEUED'
                               AND (next_attempt_at <= $1 OR next_attempt_at > $4)
                             ORDER BY next_attempt_at LIMIT $3 FOR UPDATE SKIP LOCKED)
         RETURNING notice_id, template, once, account_id, phone, attempts, created_at,
                   handed_over",
        now,
        lease_until,
        limit,
        // Further ahead than any wait: a clock was wrong.
        now + time::Duration::HOUR,
    )
    .fetch_all(conn)
    .await?)
}

/// Ends a notice; the phone is forgotten.
#[tracing::instrument(name = "db.notice.end", skip_all)]
pub(crate) async fn end(
    conn: &mut PgConnection,
    notice_id: Uuid,
    outcome: Outcome,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE identity.notice SET state = $2, outcome = $3, phone = NULL, updated_at = $4
         WHERE notice_id = $1",
        notice_id,
        outcome.state(),
        outcome.as_column(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that a notice is about to be handed to whoever delivers it.
#[tracing::instrument(name = "db.notice.hand_over", skip_all)]
pub(crate) async fn hand_over(tx: &mut PgConnection, notice_id: Uuid) -> Result<()> {
    sqlx::query!("UPDATE identity.notice SET handed_over = true WHERE notice_id = $1", notice_id)
        .execute(tx)
        .await?;
    Ok(())
}

/// Tries again later: it is known that it was not taken.
#[tracing::instrument(name = "db.notice.postpone", skip_all)]
pub(crate) async fn postpone(
    conn: &mut PgConnection,
    notice_id: Uuid,
    next_attempt_at: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE identity.notice SET next_attempt_at = $2, handed_over = false
         WHERE notice_id = $1",
        notice_id,
        next_attempt_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Tries again later; what was not tried is no attempt.
#[tracing::instrument(name = "db.notice.defer", skip_all)]
pub(crate) async fn defer(
    conn: &mut PgConnection,
    notice_id: Uuid,
    next_attempt_at: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE identity.notice SET next_attempt_at = $2, attempts = attempts - 1
         WHERE notice_id = $1",
        notice_id,
        next_attempt_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks the row of a phone, made if need be, and tells when it was sent notices.
#[tracing::instrument(name = "db.notice_phone.lock", skip_all)]
pub(crate) async fn lock_phone(
    tx: &mut PgConnection,
    phone_index: &[u8],
    now: OffsetDateTime,
) -> Result<Vec<OffsetDateTime>> {
    Ok(sqlx::query_scalar!(
        "INSERT INTO identity.notice_phone (phone_index, sent_at, updated_at)
         VALUES ($1, '{}', $2)
         ON CONFLICT (phone_index) DO UPDATE SET updated_at = $2
         RETURNING sent_at",
        phone_index,
        now,
    )
    .fetch_one(tx)
    .await?)
}

/// When a phone was sent notices under index keys before the newest one.
#[tracing::instrument(name = "db.notice_phone.earlier", skip_all)]
pub(crate) async fn sent_earlier(
    tx: &mut PgConnection,
    earlier: &[Vec<u8>],
) -> Result<Vec<OffsetDateTime>> {
    if earlier.is_empty() {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_scalar!(
        r#"SELECT unnest(sent_at) AS "at!" FROM identity.notice_phone WHERE phone_index = ANY($1)"#,
        earlier,
    )
    .fetch_all(tx)
    .await?)
}

/// Stores when a phone was sent notices; its row is locked.
#[tracing::instrument(name = "db.notice_phone.update", skip_all)]
pub(crate) async fn update_phone(
    tx: &mut PgConnection,
    phone_index: &[u8],
    sent_at: &[OffsetDateTime],
) -> Result<()> {
    sqlx::query!(
        "UPDATE identity.notice_phone SET sent_at = $2 WHERE phone_index = $1",
        phone_index,
        sent_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes one notice from the budget of this minute; `false` if there is none left.
#[tracing::instrument(name = "db.notice_minute.take", skip_all)]
pub(crate) async fn take_from_budget(
    tx: &mut PgConnection,
    minute: OffsetDateTime,
    budget: i32,
) -> Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO identity.notice_minute AS m (minute, sent) VALUES ($1, 1)
         ON CONFLICT (minute) DO UPDATE SET sent = m.sent + 1 WHERE m.sent < $2",
        minute,
        budget,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A notice to an account, as it stands.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) notice_id: Uuid,
    pub(crate) template: String,
    pub(crate) state: String,
    pub(crate) outcome: Option<String>,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) updated_at: OffsetDateTime,
}

/// The notices to an account, and those to phones that it had, latest first, before one of
/// them.
#[tracing::instrument(name = "db.notice.of_account", skip_all)]
pub(crate) async fn of_account(
    conn: &mut PgConnection,
    account_id: Uuid,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Stored>> {
    Ok(sqlx::query_as!(
        Stored,
        "SELECT notice_id, template, state, outcome, created_at, updated_at FROM identity.notice
         WHERE (partition = $1 AND account_id = $2 OR owner_id = $2)
           AND ($3::uuid IS NULL OR notice_id < $3)
         ORDER BY notice_id DESC LIMIT $4",
        Partition::of(account_id).get(),
        account_id,
        before,
        limit,
    )
    .fetch_all(conn)
    .await?)
}

/// Deletes notices that ended before then, and what no budget looks at any more.
#[tracing::instrument(name = "db.notice.purge", skip_all)]
pub(crate) async fn purge(conn: &mut PgConnection, before: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "DELETE FROM identity.notice WHERE state <> 'QUEUED' AND updated_at < $1",
        before,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("DELETE FROM identity.notice_phone WHERE updated_at < $1", before)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("DELETE FROM identity.notice_minute WHERE minute < $1", before)
        .execute(conn)
        .await?;
    Ok(())
}
