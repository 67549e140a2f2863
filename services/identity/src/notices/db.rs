use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::Partition;

use super::{Notice, Recipient};
use crate::error::Result;

/// Queues a notice, unless one with its key was queued before.
#[tracing::instrument(name = "db.notice.queue", skip_all)]
pub(crate) async fn queue(
    tx: &mut PgConnection,
    notice: &Notice,
    now: OffsetDateTime,
) -> Result<()> {
    let (account_id, phone) = match &notice.recipient {
        Recipient::Account(account_id) => (Some(*account_id), None),
        Recipient::Phone(sealed) => (None, Some(sealed.as_slice())),
    };
    sqlx::query!(
        "INSERT INTO identity.notice
             (notice_id, once, template, partition, account_id, phone, state, next_attempt_at,
              created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, 'QUEUED', $7, $8, $8) ON CONFLICT (once) DO NOTHING",
        notice.notice_id,
        notice.once,
        notice.template.as_column(),
        account_id.map(|id| Partition::of(id).get()),
        account_id,
        phone,
        notice.at,
        now,
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
    pub(crate) account_id: Option<Uuid>,
    pub(crate) phone: Option<Vec<u8>>,
    pub(crate) attempts: i32,
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
         RETURNING notice_id, template, account_id, phone, attempts",
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
    sent: bool,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE identity.notice SET state = $2, phone = NULL, updated_at = $3 WHERE notice_id = $1",
        notice_id,
        if sent { "SENT" } else { "GIVEN_UP" },
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Tries again later.
#[tracing::instrument(name = "db.notice.postpone", skip_all)]
pub(crate) async fn postpone(
    conn: &mut PgConnection,
    notice_id: Uuid,
    next_attempt_at: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE identity.notice SET next_attempt_at = $2 WHERE notice_id = $1",
        notice_id,
        next_attempt_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes notices that ended before then.
#[tracing::instrument(name = "db.notice.purge", skip_all)]
pub(crate) async fn purge(conn: &mut PgConnection, before: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "DELETE FROM identity.notice WHERE state <> 'QUEUED' AND updated_at < $1",
        before,
    )
    .execute(conn)
    .await?;
    Ok(())
}
