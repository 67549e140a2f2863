use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};

use super::{Solved, minute_of, within_a_minute};
use crate::error::Result;

/// A challenge that was spent is remembered for so long after it has expired: the clocks
/// of two replicas differ.
const REMEMBERED: Duration = Duration::HOUR;

/// Spends a solution; `false` if it was spent before. Of two at once, the second waits for
/// the first.
#[tracing::instrument(name = "db.spent_challenge.insert", skip_all)]
pub(crate) async fn spend(tx: &mut PgConnection, solved: &Solved) -> Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO identity.spent_challenge (challenge_id, expire_at) VALUES ($1, $2)
         ON CONFLICT (challenge_id) DO NOTHING",
        solved.challenge_id,
        solved.expire_at,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Makes a solution good again: what it was given for did not come about.
#[tracing::instrument(name = "db.spent_challenge.delete", skip_all)]
pub(crate) async fn give_back(conn: &mut PgConnection, solved: &Solved) -> Result<()> {
    sqlx::query!(
        "DELETE FROM identity.spent_challenge WHERE challenge_id = $1",
        solved.challenge_id
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How many attempts to sign in failed within the last minute.
#[tracing::instrument(name = "db.sign_in_minute.failed", skip_all)]
pub(crate) async fn failed_sign_ins(conn: &mut PgConnection, now: OffsetDateTime) -> Result<u32> {
    let minute = minute_of(now);
    let row = sqlx::query!(
        r#"SELECT coalesce(max(failed) FILTER (WHERE minute = $1), 0) AS "current!",
                  coalesce(max(failed) FILTER (WHERE minute = $2), 0) AS "before!"
           FROM identity.sign_in_minute WHERE minute IN ($1, $2)"#,
        minute,
        minute - Duration::MINUTE,
    )
    .fetch_one(conn)
    .await?;
    Ok(within_a_minute(row.before.unsigned_abs(), row.current.unsigned_abs(), now))
}

/// Counts an attempt to sign in that failed.
#[tracing::instrument(name = "db.sign_in_minute.count", skip_all)]
pub(crate) async fn count_failed_sign_in(
    conn: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO identity.sign_in_minute AS m (minute, failed) VALUES ($1, 1)
         ON CONFLICT (minute) DO UPDATE SET failed = m.failed + 1",
        minute_of(now),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes what nobody looks at any more.
#[tracing::instrument(name = "db.spent_challenge.purge", skip_all)]
pub(crate) async fn purge(conn: &mut PgConnection, now: OffsetDateTime) -> Result<()> {
    let before = now - REMEMBERED;
    sqlx::query!("DELETE FROM identity.spent_challenge WHERE expire_at < $1", before)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("DELETE FROM identity.sign_in_minute WHERE minute < $1", before)
        .execute(conn)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use sqlx::PgPool;
    use time::macros::datetime;
    use uuid::Uuid;
    use zhiyuan_testkit::TestDatabase;

    use super::*;
    use crate::MIGRATOR;

    const NOON: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

    async fn pool() -> (TestDatabase, PgPool) {
        let database = TestDatabase::create("identity", &MIGRATOR).await;
        let pool = PgPool::connect(&database.runtime_url_of("identity")).await.unwrap();
        (database, pool)
    }

    fn solved(id: u128) -> Solved {
        Solved { challenge_id: Uuid::from_u128(id), expire_at: NOON }
    }

    async fn spent(pool: &PgPool, id: u128) -> bool {
        let mut tx = pool.begin().await.unwrap();
        let first = spend(&mut tx, &solved(id)).await.unwrap();
        tx.commit().await.unwrap();
        first
    }

    #[tokio::test]
    async fn of_twenty_uses_of_one_solution_at_once_one_wins() {
        let (_database, pool) = pool().await;
        let uses = join_all((0..20).map(|_| spent(&pool, 1))).await;
        assert_eq!(uses.iter().filter(|first| **first).count(), 1);
        assert!(spent(&pool, 2).await);
    }

    #[tokio::test]
    async fn a_solution_is_good_again_if_nothing_came_of_it() {
        let (_database, pool) = pool().await;
        assert!(spent(&pool, 1).await);
        give_back(&mut pool.acquire().await.unwrap(), &solved(1)).await.unwrap();
        assert!(spent(&pool, 1).await);
        // Rolled back, it was not spent at all.
        let mut tx = pool.begin().await.unwrap();
        assert!(spend(&mut tx, &solved(2)).await.unwrap());
        tx.rollback().await.unwrap();
        assert!(spent(&pool, 2).await);
    }

    #[tokio::test]
    async fn failures_of_the_last_minute_are_counted_and_others_fade() {
        let (_database, pool) = pool().await;
        let count = async || {
            count_failed_sign_in(&mut pool.acquire().await.unwrap(), NOON).await.unwrap();
        };
        join_all((0..60).map(|_| count())).await;
        let mut conn = pool.acquire().await.unwrap();
        for (seconds, failed) in [(0, 60), (59, 60), (60, 60), (90, 30), (119, 1), (120, 0)] {
            let now = NOON + Duration::seconds(seconds);
            assert_eq!(failed_sign_ins(&mut conn, now).await.unwrap(), failed, "{seconds}");
        }
    }

    #[tokio::test]
    async fn what_was_spent_is_remembered_past_its_end_and_then_deleted() {
        let (_database, pool) = pool().await;
        assert!(spent(&pool, 1).await);
        let mut conn = pool.acquire().await.unwrap();
        purge(&mut conn, NOON + REMEMBERED).await.unwrap();
        assert!(!spent(&pool, 1).await);
        purge(&mut conn, NOON + REMEMBERED + Duration::SECOND).await.unwrap();
        assert!(spent(&pool, 1).await);
    }
}
