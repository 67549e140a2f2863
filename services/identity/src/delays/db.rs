use std::time::Duration as StdDuration;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Check, Delay, FORGOTTEN_AFTER, Way};
use crate::error::{Error, Result};
use crate::keys::Counted;

/// Whose failures are counted.
#[derive(Debug, Clone)]
pub(crate) struct Counter {
    /// The blind index of the identifier as it was typed.
    pub(crate) subject: Counted,
    /// How it is proved.
    pub(crate) way: Way,
    /// A known device of the account that the identifier names. Never one of another
    /// account: strangers could bring devices of their own to get further attempts.
    pub(crate) device_id: Option<Uuid>,
}

impl Counter {
    fn device(&self) -> Uuid {
        self.device_id.unwrap_or(Uuid::nil())
    }
}

/// An attempt that may be evaluated. It counts as failed until it is told otherwise.
#[must_use = "a success is to be told, and what was not evaluated to be given back"]
#[derive(Debug, Clone)]
pub(crate) struct Reservation {
    counter: Counter,
    before: Delay,
    after: Delay,
}

/// Whether an attempt may be evaluated.
#[must_use]
#[derive(Debug, Clone)]
pub(crate) enum Reserved {
    /// It may.
    Allowed(Reservation),
    /// Not before so long has passed.
    Wait(StdDuration),
}

/// Reserves an attempt: counts it as failed before it is evaluated, under the lock of its
/// counter's row. The transaction is to be short and to be committed, whatever the answer,
/// before a password is hashed.
#[tracing::instrument(name = "db.delay.reserve", skip_all)]
pub(crate) async fn reserve(
    tx: &mut PgConnection,
    counter: &Counter,
    now: OffsetDateTime,
) -> Result<Reserved> {
    let now = stored(now);
    let found = lock(tx, counter, now).await?;
    let before = found.as_of(now);
    match before.check(now) {
        Check::Allowed => {
            let after = before.fail(now);
            update(tx, counter, &after).await?;
            let counter = counter.clone();
            Ok(Reserved::Allowed(Reservation { counter, before, after }))
        }
        Check::Wait(until) => {
            // Else a time that lies ahead would be waited for anew with each attempt.
            if before != found {
                update(tx, counter, &before).await?;
            }
            Ok(Reserved::Wait((until - now).try_into().unwrap_or_default()))
        }
    }
}

/// Forgets the failures of a counter: the reserved attempt was right.
#[tracing::instrument(name = "db.delay.succeed", skip_all)]
pub(crate) async fn succeed(conn: &mut PgConnection, reservation: &Reservation) -> Result<()> {
    let counter = &reservation.counter;
    sqlx::query!(
        "DELETE FROM identity.delay
         WHERE (subject_index = $1 OR subject_index = ANY($4)) AND way = $2 AND device_id = $3",
        counter.subject.index.as_slice(),
        counter.way.as_column(),
        counter.device(),
        &counter.subject.earlier,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives an attempt back that was not evaluated after all.
#[tracing::instrument(name = "db.delay.give_back", skip_all)]
pub(crate) async fn give_back(
    tx: &mut PgConnection,
    reservation: &Reservation,
    now: OffsetDateTime,
) -> Result<()> {
    let counter = &reservation.counter;
    let found = lock(tx, counter, stored(now)).await?;
    update(tx, counter, &found.give_back(&reservation.after, &reservation.before)).await
}

/// The first time under a new index key it goes on from what there is under those before it.
async fn lock(tx: &mut PgConnection, counter: &Counter, now: OffsetDateTime) -> Result<Delay> {
    let row = sqlx::query!(
        "INSERT INTO identity.delay AS d
             (subject_index, way, device_id, failures, last_failure_at, next_try_at)
         SELECT $1, $2, $3, coalesce(max(failures), 0), coalesce(max(last_failure_at), $4),
                coalesce(max(next_try_at), $4)
         FROM identity.delay
         WHERE subject_index = ANY($5) AND way = $2 AND device_id = $3
         ON CONFLICT (subject_index, way, device_id) DO UPDATE SET failures = d.failures
         RETURNING failures, last_failure_at, next_try_at",
        counter.subject.index.as_slice(),
        counter.way.as_column(),
        counter.device(),
        now,
        &counter.subject.earlier,
    )
    .fetch_one(tx)
    .await?;
    Ok(Delay {
        way: counter.way,
        failures: u32::try_from(row.failures)
            .map_err(|_negative| Error::Inconsistent("identity.delay"))?,
        last_failure_at: row.last_failure_at,
        next_try_at: row.next_try_at,
    })
}

async fn update(tx: &mut PgConnection, counter: &Counter, delay: &Delay) -> Result<()> {
    sqlx::query!(
        "UPDATE identity.delay SET failures = $4, last_failure_at = $5, next_try_at = $6
         WHERE subject_index = $1 AND way = $2 AND device_id = $3",
        counter.subject.index.as_slice(),
        counter.way.as_column(),
        counter.device(),
        i32::try_from(delay.failures).unwrap_or(i32::MAX),
        delay.last_failure_at,
        delay.next_try_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Deletes counters whose failures are forgotten.
#[tracing::instrument(name = "db.delay.purge", skip_all)]
pub(crate) async fn purge(conn: &mut PgConnection, now: OffsetDateTime) -> Result<()> {
    sqlx::query!("DELETE FROM identity.delay WHERE last_failure_at < $1", now - FORGOTTEN_AFTER)
        .execute(conn)
        .await?;
    Ok(())
}

/// As PostgreSQL stores it, so that what is read back is what was written.
fn stored(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_microsecond(at.microsecond()).unwrap_or(at)
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

    async fn pool() -> (TestDatabase, PgPool) {
        let database = TestDatabase::create("identity", &MIGRATOR).await;
        let pool = PgPool::connect(&database.runtime_url_of("identity")).await.unwrap();
        (database, pool)
    }

    fn counter(subject: u8, way: Way) -> Counter {
        let subject = Counted { version: 1, index: [subject; 32], earlier: Vec::new() };
        Counter { subject, way, device_id: None }
    }

    /// Reserves an attempt in a transaction of its own.
    async fn attempt(pool: &PgPool, counter: &Counter, now: OffsetDateTime) -> Reserved {
        let mut tx = pool.begin().await.unwrap();
        let reserved = reserve(&mut tx, counter, now).await.unwrap();
        tx.commit().await.unwrap();
        reserved
    }

    async fn allowed(pool: &PgPool, counter: &Counter, now: OffsetDateTime) -> Reservation {
        match attempt(pool, counter, now).await {
            Reserved::Allowed(reservation) => reservation,
            Reserved::Wait(wait) => panic!("has to wait {wait:?}"),
        }
    }

    async fn waits(pool: &PgPool, counter: &Counter, now: OffsetDateTime) -> Duration {
        match attempt(pool, counter, now).await {
            Reserved::Allowed(_) => panic!("was allowed"),
            Reserved::Wait(wait) => wait.try_into().unwrap(),
        }
    }

    #[tokio::test]
    async fn of_two_hundred_attempts_at_once_four_are_evaluated() {
        let (_database, pool) = pool().await;
        let counter = counter(1, Way::Password);
        let attempts = join_all((0..200).map(|_| attempt(&pool, &counter, NOON))).await;
        let allowed = attempts.iter().filter(|reserved| matches!(reserved, Reserved::Allowed(_)));
        assert_eq!(allowed.count(), 4);
        assert_eq!(waits(&pool, &counter, NOON).await, Duration::SECOND);
    }

    #[tokio::test]
    async fn identifiers_ways_and_devices_are_counted_apart() {
        let (_database, pool) = pool().await;
        let stranger = counter(1, Way::Password);
        for minutes in 0..20 {
            let _ = attempt(&pool, &stranger, NOON + Duration::minutes(minutes)).await;
        }
        let now = NOON + Duration::minutes(20);
        assert!(waits(&pool, &stranger, now).await > Duration::ZERO);
        let known = Counter { device_id: Some(Uuid::from_u128(1)), ..stranger };
        let other = Counter { device_id: Some(Uuid::from_u128(2)), ..known.clone() };
        for free in [known, other, counter(1, Way::SecondProof), counter(2, Way::Password)] {
            let _ = allowed(&pool, &free, now).await;
        }
    }

    #[tokio::test]
    async fn success_forgets_and_what_was_not_evaluated_is_given_back() {
        let (_database, pool) = pool().await;
        let counter = counter(1, Way::Password);
        for _ in 0..3 {
            let _ = allowed(&pool, &counter, NOON).await;
        }
        // The fourth was not evaluated, as often as it is tried.
        for _ in 0..5 {
            let reservation = allowed(&pool, &counter, NOON).await;
            let mut tx = pool.begin().await.unwrap();
            give_back(&mut tx, &reservation, NOON).await.unwrap();
            tx.commit().await.unwrap();
        }
        let last = allowed(&pool, &counter, NOON).await;
        assert_eq!(waits(&pool, &counter, NOON).await, Duration::SECOND);
        succeed(&mut pool.acquire().await.unwrap(), &last).await.unwrap();
        for _ in 0..4 {
            let _ = allowed(&pool, &counter, NOON).await;
        }
        assert_eq!(waits(&pool, &counter, NOON).await, Duration::SECOND);
    }

    #[tokio::test]
    async fn failures_count_on_when_the_index_key_is_another_and_are_forgotten_under_both() {
        let (_database, pool) = pool().await;
        let before = counter(1, Way::Password);
        for _ in 0..4 {
            let _ = allowed(&pool, &before, NOON).await;
        }
        let subject = Counted { version: 2, index: [2; 32], earlier: vec![vec![1; 32]] };
        let after = Counter { subject, ..before };
        assert_eq!(waits(&pool, &after, NOON).await, Duration::SECOND);
        let later = NOON + Duration::SECOND;
        let fifth = allowed(&pool, &after, later).await;
        assert_eq!(waits(&pool, &after, later).await, Duration::seconds(3));
        succeed(&mut pool.acquire().await.unwrap(), &fifth).await.unwrap();
        for _ in 0..4 {
            let _ = allowed(&pool, &after, later).await;
        }
    }

    #[tokio::test]
    async fn a_wait_that_a_wrong_clock_left_behind_passes() {
        let (_database, pool) = pool().await;
        let counter = counter(1, Way::Password);
        let ahead = NOON + Duration::days(400);
        for _ in 0..4 {
            let _ = allowed(&pool, &counter, ahead).await;
        }
        assert_eq!(waits(&pool, &counter, NOON).await, Duration::SECOND);
        let _ = allowed(&pool, &counter, NOON + Duration::SECOND).await;
    }

    #[tokio::test]
    async fn forgotten_counters_are_deleted_and_others_are_not() {
        let (_database, pool) = pool().await;
        let (old, new) = (counter(1, Way::Password), counter(2, Way::Password));
        let _ = allowed(&pool, &old, NOON).await;
        let _ = allowed(&pool, &new, NOON + Duration::HOUR).await;
        let now = NOON + FORGOTTEN_AFTER + Duration::MINUTE;
        purge(&mut pool.acquire().await.unwrap(), now).await.unwrap();
        let left: Vec<Vec<u8>> = sqlx::query_scalar("SELECT subject_index FROM identity.delay")
            .fetch_all(&pool)
            .await
            .unwrap();
        assert_eq!(left, [vec![2; 32]]);
    }
}
