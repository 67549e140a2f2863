use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Challenge;
use crate::error::Result;

/// Locks the row of a phone, made if need be, and tells when it was sent codes.
#[tracing::instrument(name = "db.sms_phone.lock", skip_all)]
pub(crate) async fn lock_phone(
    conn: &mut PgConnection,
    phone_index: &[u8],
    now: OffsetDateTime,
) -> Result<Vec<OffsetDateTime>> {
    Ok(sqlx::query_scalar!(
        "INSERT INTO identity.sms_phone (phone_index, sent_at, updated_at) VALUES ($1, '{}', $2)
         ON CONFLICT (phone_index) DO UPDATE SET updated_at = $2
         RETURNING sent_at",
        phone_index,
        now,
    )
    .fetch_one(conn)
    .await?)
}

/// When a phone was sent codes under index keys before the newest one.
#[tracing::instrument(name = "db.sms_phone.earlier", skip_all)]
pub(crate) async fn sent_earlier(
    conn: &mut PgConnection,
    earlier: &[Vec<u8>],
) -> Result<Vec<OffsetDateTime>> {
    if earlier.is_empty() {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_scalar!(
        r#"SELECT unnest(sent_at) AS "at!" FROM identity.sms_phone WHERE phone_index = ANY($1)"#,
        earlier,
    )
    .fetch_all(conn)
    .await?)
}

/// Stores when a phone was sent codes; its row is locked.
#[tracing::instrument(name = "db.sms_phone.update", skip_all)]
pub(crate) async fn update_phone(
    conn: &mut PgConnection,
    phone_index: &[u8],
    sent_at: &[OffsetDateTime],
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE identity.sms_phone SET sent_at = $2, updated_at = $3 WHERE phone_index = $1",
        phone_index,
        sent_at,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// When a phone was sent codes, and how many the minute has sent to everybody, without a
/// lock: enough to refuse, and not to send.
#[tracing::instrument(name = "db.sms_phone.look", skip_all)]
pub(crate) async fn look(
    conn: &mut PgConnection,
    phone_index: &[u8],
    minute: OffsetDateTime,
) -> Result<(Vec<OffsetDateTime>, u32)> {
    let row = sqlx::query!(
        r#"SELECT coalesce((SELECT sent_at FROM identity.sms_phone WHERE phone_index = $1), '{}')
                      AS "sent_at!",
                  coalesce((SELECT sent FROM identity.sms_minute WHERE minute = $2), 0)
                      AS "sent!""#,
        phone_index,
        minute,
    )
    .fetch_one(conn)
    .await?;
    Ok((row.sent_at, row.sent.unsigned_abs()))
}

/// Takes one code from the budget of this minute, and tells how many were taken before it;
/// `None` if there is none left.
#[tracing::instrument(name = "db.sms_minute.take", skip_all)]
pub(crate) async fn take_from_budget(
    conn: &mut PgConnection,
    minute: OffsetDateTime,
    budget: i32,
) -> Result<Option<u32>> {
    let row = sqlx::query!(
        "INSERT INTO identity.sms_minute AS m (minute, sent) VALUES ($1, 1)
         ON CONFLICT (minute) DO UPDATE SET sent = m.sent + 1 WHERE m.sent < $2
         RETURNING sent",
        minute,
        budget,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.filter(|row| row.sent <= budget).map(|row| row.sent.unsigned_abs().saturating_sub(1)))
}

/// Stores a new challenge.
#[tracing::instrument(name = "db.sms_challenge.insert", skip_all)]
pub(crate) async fn insert_challenge(
    conn: &mut PgConnection,
    challenge_id: Uuid,
    challenge: &Challenge,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO identity.sms_challenge
             (challenge_id, index_version, phone_index, purpose, mac_version, code_mac, created_at,
              expire_at, via, person_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        challenge_id,
        challenge.index_version,
        challenge.phone_index,
        challenge.purpose,
        challenge.mac_version,
        challenge.code_mac,
        now,
        challenge.expire_at,
        challenge.via,
        challenge.person_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes a challenge whose message was never sent.
#[tracing::instrument(name = "db.sms_challenge.delete", skip_all)]
pub(crate) async fn delete_challenge(conn: &mut PgConnection, challenge_id: Uuid) -> Result<()> {
    sqlx::query!("DELETE FROM identity.sms_challenge WHERE challenge_id = $1", challenge_id)
        .execute(conn)
        .await?;
    Ok(())
}

/// Locks a challenge, so that tries are evaluated one after the other.
#[tracing::instrument(name = "db.sms_challenge.lock", skip_all)]
pub(crate) async fn lock_challenge(
    conn: &mut PgConnection,
    challenge_id: Uuid,
) -> Result<Option<Challenge>> {
    Ok(sqlx::query_as!(
        Challenge,
        "SELECT index_version, phone_index, purpose, mac_version, code_mac, expire_at, tries,
                proof_tries, proven_at, used_at, via, person_id
         FROM identity.sms_challenge WHERE challenge_id = $1 FOR UPDATE",
        challenge_id,
    )
    .fetch_optional(conn)
    .await?)
}

/// Stores what an evaluated try changed; the row is locked.
#[tracing::instrument(name = "db.sms_challenge.update", skip_all)]
pub(crate) async fn update_challenge(
    conn: &mut PgConnection,
    challenge_id: Uuid,
    challenge: &Challenge,
) -> Result<()> {
    sqlx::query!(
        "UPDATE identity.sms_challenge SET tries = $2, proof_tries = $3, proven_at = $4
         WHERE challenge_id = $1",
        challenge_id,
        challenge.tries,
        challenge.proof_tries,
        challenge.proven_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Marks a challenge as used by a registration that succeeded; `false` if another
/// one was first. A challenge that is gone was used by nobody.
#[tracing::instrument(name = "db.sms_challenge.use", skip_all)]
pub(crate) async fn mark_used(
    conn: &mut PgConnection,
    challenge_id: Uuid,
    now: OffsetDateTime,
) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE identity.sms_challenge SET used_at = $2
         WHERE challenge_id = $1 AND used_at IS NULL",
        challenge_id,
        now,
    )
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(true);
    }
    let used = sqlx::query_scalar!(
        "SELECT used_at FROM identity.sms_challenge WHERE challenge_id = $1",
        challenge_id,
    )
    .fetch_optional(conn)
    .await?
    .flatten();
    Ok(used.is_none())
}

/// Makes a challenge good again whose registration was undone.
#[tracing::instrument(name = "db.sms_challenge.release", skip_all)]
pub(crate) async fn release(conn: &mut PgConnection, challenge_id: Uuid) -> Result<()> {
    sqlx::query!(
        "UPDATE identity.sms_challenge SET used_at = NULL WHERE challenge_id = $1",
        challenge_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes what no limit and no proof looks at any more.
#[tracing::instrument(name = "db.sms.purge", skip_all)]
pub(crate) async fn purge(conn: &mut PgConnection, before: OffsetDateTime) -> Result<()> {
    sqlx::query!("DELETE FROM identity.sms_challenge WHERE created_at < $1", before)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("DELETE FROM identity.sms_phone WHERE updated_at < $1", before)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("DELETE FROM identity.sms_minute WHERE minute < $1", before).execute(conn).await?;
    Ok(())
}
