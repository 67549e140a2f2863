use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_crypto::digest;
use zhiyuan_domain::Partition;

use super::{Device, DeviceToken, FORGOTTEN_AFTER, PER_ACCOUNT};
use crate::error::{Error, Result};
use crate::keys::Indexes;

/// Makes a device known from which an account was proved just now, and the phone too if
/// there is one here; forgets those beyond the twenty that were used last.
#[tracing::instrument(name = "db.device.issue", skip_all)]
pub(crate) async fn issue(
    tx: &mut PgConnection,
    account_id: Uuid,
    phone: Option<(i16, &[u8])>,
    now: OffsetDateTime,
) -> Result<DeviceToken> {
    let token = DeviceToken::generate(account_id, Uuid::new_v4());
    let hash = token.hash();
    let partition = Partition::of(account_id).get();
    // Locked, so that of two devices at once the second counts the first.
    sqlx::query!(
        "SELECT FROM identity.account WHERE partition = $1 AND account_id = $2
         FOR NO KEY UPDATE",
        partition,
        account_id,
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(Error::Inconsistent("identity.account"))?;
    sqlx::query!(
        "INSERT INTO identity.device
             (partition, account_id, device_id, token_hash, index_version, phone_index,
              created_at, last_used_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
        partition,
        account_id,
        token.device_id,
        hash.as_slice(),
        phone.map(|(index_version, _)| index_version),
        phone.map(|(_, phone_index)| phone_index),
        now,
    )
    .execute(&mut *tx)
    .await?;
    // The new one is never the one to go, whatever the clock says.
    sqlx::query!(
        "DELETE FROM identity.device
         WHERE partition = $1 AND account_id = $2 AND device_id IN (
             SELECT device_id FROM identity.device
             WHERE partition = $1 AND account_id = $2 AND device_id <> $3
             ORDER BY last_used_at DESC, created_at DESC, device_id
             OFFSET $4)",
        partition,
        account_id,
        token.device_id,
        PER_ACCOUNT - 1,
    )
    .execute(tx)
    .await?;
    Ok(token)
}

/// Finds the device of a token, and notes that it is in use. One that was not used for
/// long is none any more.
#[tracing::instrument(name = "db.device.find", skip_all)]
pub(crate) async fn find(
    conn: &mut PgConnection,
    token: &DeviceToken,
    now: OffsetDateTime,
) -> Result<Option<Device>> {
    let partition = Partition::of(token.account_id).get();
    let row = sqlx::query!(
        "SELECT token_hash, index_version, phone_index, created_at, last_used_at
         FROM identity.device
         WHERE partition = $1 AND account_id = $2 AND device_id = $3",
        partition,
        token.account_id,
        token.device_id,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row.filter(|row| digest::equal(&row.token_hash, &token.hash())) else {
        return Ok(None);
    };
    let device = Device {
        account_id: token.account_id,
        device_id: token.device_id,
        phone: row.index_version.zip(row.phone_index),
        created_at: row.created_at,
        last_used_at: row.last_used_at,
    };
    if device.is_forgotten(now) {
        return Ok(None);
    }
    if device.is_use_due(now) {
        sqlx::query!(
            "UPDATE identity.device SET last_used_at = $4
             WHERE partition = $1 AND account_id = $2 AND device_id = $3",
            partition,
            token.account_id,
            token.device_id,
            now,
        )
        .execute(conn)
        .await?;
    }
    Ok(Some(device))
}

/// Notes that a phone was proved from a device that is known already.
#[tracing::instrument(name = "db.device.prove", skip_all)]
pub(crate) async fn prove(
    conn: &mut PgConnection,
    device: &Device,
    (index_version, phone_index): (i16, &[u8]),
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE identity.device SET index_version = $4, phone_index = $5, last_used_at = $6
         WHERE partition = $1 AND account_id = $2 AND device_id = $3",
        Partition::of(device.account_id).get(),
        device.account_id,
        device.device_id,
        index_version,
        phone_index,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets all devices of an account.
#[tracing::instrument(name = "db.device.forget_account", skip_all)]
pub(crate) async fn forget_account(conn: &mut PgConnection, account_id: Uuid) -> Result<()> {
    sqlx::query!(
        "DELETE FROM identity.device WHERE partition = $1 AND account_id = $2",
        Partition::of(account_id).get(),
        account_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets the devices of an account that proved a phone, which was detached or changed:
/// `phone` is under each index key that is active.
#[tracing::instrument(name = "db.device.forget_phone", skip_all)]
pub(crate) async fn forget_phone(
    conn: &mut PgConnection,
    account_id: Uuid,
    phone: &Indexes,
) -> Result<()> {
    sqlx::query!(
        "DELETE FROM identity.device
         WHERE partition = $1 AND account_id = $2
           AND (index_version, phone_index) IN
               (SELECT * FROM unnest($3::smallint[], $4::bytea[]))",
        Partition::of(account_id).get(),
        account_id,
        &phone.versions,
        &phone.indexes,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes devices that were not used for long.
#[tracing::instrument(name = "db.device.purge", skip_all)]
pub(crate) async fn purge(conn: &mut PgConnection, now: OffsetDateTime) -> Result<()> {
    sqlx::query!("DELETE FROM identity.device WHERE last_used_at < $1", now - FORGOTTEN_AFTER)
        .execute(conn)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use sqlx::PgPool;
    use time::Duration;
    use time::macros::datetime;
    use zhiyuan_testkit::TestDatabase;

    use super::*;
    use crate::MIGRATOR;

    const NOON: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);
    const PHONE: (i16, &[u8]) = (1, &[7; 32]);

    async fn pool() -> (TestDatabase, PgPool) {
        let database = TestDatabase::create("identity", &MIGRATOR).await;
        let pool = PgPool::connect(&database.runtime_url_of("identity")).await.unwrap();
        (database, pool)
    }

    async fn account(pool: &PgPool) -> Uuid {
        let account_id = Uuid::new_v4();
        sqlx::query(
            "INSERT INTO identity.account
                 (partition, account_id, enrolment_id, state, level, name, phone, index_version,
                  phone_index, password_hash, claimed_at)
             VALUES ($1, $2, $2, 'INACTIVE', 1, '', '', 1, $3, '', $4)",
        )
        .bind(Partition::of(account_id).get())
        .bind(account_id)
        .bind(PHONE.1)
        .bind(NOON)
        .execute(pool)
        .await
        .unwrap();
        account_id
    }

    async fn issued(pool: &PgPool, account_id: Uuid, now: OffsetDateTime) -> DeviceToken {
        let mut tx = pool.begin().await.unwrap();
        let token = issue(&mut tx, account_id, Some(PHONE), now).await.unwrap();
        tx.commit().await.unwrap();
        token
    }

    async fn known(pool: &PgPool, token: &DeviceToken, now: OffsetDateTime) -> bool {
        find(&mut pool.acquire().await.unwrap(), token, now).await.unwrap().is_some()
    }

    #[tokio::test]
    async fn a_device_is_known_by_its_whole_token_and_by_nothing_less() {
        let (_database, pool) = pool().await;
        let (owner, other) = (account(&pool).await, account(&pool).await);
        let token = issued(&pool, owner, NOON).await;
        let found = find(&mut pool.acquire().await.unwrap(), &token, NOON).await.unwrap().unwrap();
        assert_eq!((found.account_id, found.device_id), (owner, token.device_id));
        assert_eq!(found.phone, Some((PHONE.0, PHONE.1.to_vec())));
        let guessed = DeviceToken::generate(owner, token.device_id);
        assert!(!known(&pool, &guessed, NOON).await);
        assert!(!known(&pool, &DeviceToken { account_id: other, ..token }, NOON).await);
    }

    #[tokio::test]
    async fn the_twenty_first_device_makes_the_one_used_longest_ago_be_forgotten() {
        let (_database, pool) = pool().await;
        let account_id = account(&pool).await;
        let mut tokens = Vec::new();
        for day in 0..20 {
            tokens.push(issued(&pool, account_id, NOON + Duration::days(day)).await);
        }
        // The first is in use again: now the second is the oldest.
        let now = NOON + Duration::days(20);
        assert!(known(&pool, &tokens[0], now).await);
        tokens.push(issued(&pool, account_id, now).await);
        for (n, token) in tokens.iter().enumerate() {
            assert_eq!(known(&pool, token, now).await, n != 1, "{n}");
        }
    }

    #[tokio::test]
    async fn of_forty_devices_at_once_twenty_stay() {
        let (_database, pool) = pool().await;
        let account_id = account(&pool).await;
        join_all((0..40).map(|_| issued(&pool, account_id, NOON))).await;
        let sql = "SELECT count(*) FROM identity.device";
        let left: i64 = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
        assert_eq!(left, 20);
    }

    #[tokio::test]
    async fn half_a_year_without_use_forgets_a_device_and_use_keeps_it() {
        let (_database, pool) = pool().await;
        let account_id = account(&pool).await;
        let (idle, used) =
            (issued(&pool, account_id, NOON).await, issued(&pool, account_id, NOON).await);
        assert!(known(&pool, &used, NOON + Duration::days(100)).await);
        let later = NOON + FORGOTTEN_AFTER;
        assert!(!known(&pool, &idle, later).await);
        assert!(known(&pool, &used, later).await);
        purge(&mut pool.acquire().await.unwrap(), later + Duration::SECOND).await.unwrap();
        assert!(!known(&pool, &idle, NOON).await);
        assert!(known(&pool, &used, later).await);
    }

    #[tokio::test]
    async fn devices_are_forgotten_with_their_phone_or_all_together() {
        let (_database, pool) = pool().await;
        let (owner, other) = (account(&pool).await, account(&pool).await);
        let tokens = [issued(&pool, owner, NOON).await, issued(&pool, owner, NOON).await];
        let foreign = issued(&pool, other, NOON).await;
        let mut conn = pool.acquire().await.unwrap();
        let moved = find(&mut conn, &tokens[1], NOON).await.unwrap().unwrap();
        prove(&mut conn, &moved, (1, &[9; 32]), NOON).await.unwrap();

        let phone = Indexes { versions: vec![2, 1], indexes: vec![vec![1; 32], vec![7; 32]] };
        forget_phone(&mut conn, owner, &phone).await.unwrap();
        assert!(!known(&pool, &tokens[0], NOON).await);
        assert!(known(&pool, &tokens[1], NOON).await);
        assert!(known(&pool, &foreign, NOON).await);
        forget_account(&mut conn, owner).await.unwrap();
        assert!(!known(&pool, &tokens[1], NOON).await);
        assert!(known(&pool, &foreign, NOON).await);
    }
}
