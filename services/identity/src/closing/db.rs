use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::Partition;

use crate::error::Result;

/// Closes an account, whose row is locked: takes everything from it that tells who it was,
/// by whatever it would be found, and frees the ID number. Its revision and level.
#[tracing::instrument(name = "db.account.close", skip_all)]
pub(super) async fn close(
    tx: &mut PgConnection,
    account_id: Uuid,
    now: OffsetDateTime,
) -> Result<(i64, i16)> {
    let partition = Partition::of(account_id).get();
    sqlx::query!(
        "WITH number AS (
             DELETE FROM identity.number WHERE partition = $1 AND account_id = $2
         ), device AS (
             DELETE FROM identity.device WHERE partition = $1 AND account_id = $2
         ), external_id AS (
             DELETE FROM identity.external_id WHERE partition = $1 AND account_id = $2
         ), guardian AS (
             DELETE FROM identity.guardian_consent WHERE partition = $1 AND account_id = $2
         ), recovery AS (
             DELETE FROM identity.phone_recovery WHERE partition = $1 AND account_id = $2
         ), claim AS (
             UPDATE identity.claim SET answer = NULL
             WHERE partition = $1 AND holder_id = $2 AND answer IS NOT NULL
         )
         UPDATE identity.enrolment SET phone_index = NULL WHERE account_id = $2",
        partition,
        account_id,
    )
    .execute(&mut *tx)
    .await?;
    let row = sqlx::query!(
        "UPDATE identity.account
         SET state = 'CLOSED', closed_at = $3, name = NULL, id_number = NULL, phone = NULL,
             phone_index = NULL, password_hash = NULL, phone_attached = false,
             revision = revision + 1
         WHERE partition = $1 AND account_id = $2
         RETURNING revision, level",
        partition,
        account_id,
        now,
    )
    .fetch_one(tx)
    .await?;
    Ok((row.revision, row.level))
}
