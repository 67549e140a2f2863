//! What an administrator was allowed for a while.

use std::time::{Duration, Instant};

use sqlx::PgConnection;
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::{CheckResponse, Grant, Verdict};
use zhiyuan_rpc::authority::{Decision, Lease};

use super::toy::{Toy, account, record};

const GRANT: Uuid = Uuid::from_u128(9);

/// A lease of three seconds that was asked for so long ago.
fn lease(asked_ago: Duration) -> Lease {
    let grant = Some(Grant { id: GRANT.to_string(), ..Grant::default() });
    let answer = CheckResponse { verdict: Verdict::Allowed.into(), grant, lease_ms: 3_000 };
    let asked = Instant::now().checked_sub(asked_ago).unwrap();
    match Decision::of(&answer, asked) {
        Ok(Decision::Allowed(lease)) => lease,
        other => panic!("{other:?}"),
    }
}

/// Acts under a lease, pauses where nobody looks at a clock any more, and commits.
async fn act(toy: &Toy, n: i64, asked_ago: Duration, pause: f64) -> sqlx::Result<()> {
    let mut transaction = toy.pool.begin().await?;
    sqlx::query("INSERT INTO audit_test.act VALUES ($1)")
        .bind(n)
        .execute(&mut *transaction)
        .await?;
    toy.trail.append_under(&mut transaction, record(n), &lease(asked_ago)).await?;
    sqlx::query("SELECT pg_sleep($1)").bind(pause).execute(&mut *transaction).await?;
    transaction.commit().await
}

async fn acts(connection: &mut PgConnection) -> Vec<i64> {
    sqlx::query_scalar("SELECT n FROM audit_test.act ORDER BY n")
        .fetch_all(connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn what_was_allowed_under_a_lease_commits_within_two_seconds_of_its_end_or_not_at_all() {
    let toy = Toy::new().await;
    let ms = Duration::from_millis;
    act(&toy, 1, ms(0), 0.0).await.unwrap();
    // The lease is over, and the commit is begun in time.
    act(&toy, 2, ms(3_100), 0.0).await.unwrap();
    for (n, asked_ago, pause) in [(3, 4_700, 0.4), (4, 5_100, 0.0), (5, 60_000, 0.0)] {
        let late = act(&toy, n, ms(asked_ago), pause).await.unwrap_err();
        let code = late.as_database_error().unwrap().code().unwrap().into_owned();
        assert_eq!(code, "40001", "{late}");
    }
    // Without a lease nobody looks at the clock.
    toy.act([6]).await;
    let mut connection = toy.pool.acquire().await.unwrap();
    assert_eq!(acts(&mut connection).await, [1, 2, 6]);
    let pending = "SELECT count(*) FROM audit_test.audit_pending";
    assert_eq!(toy.count(pending).await, 3, "the record went with its act");
}

#[tokio::test]
async fn the_record_tells_by_which_grant_it_was_allowed_and_is_sealed_like_any_other() {
    let toy = Toy::new().await;
    act(&toy, 1, Duration::ZERO, 0.0).await.unwrap();
    toy.sealed().await.unwrap();
    assert!(toy.findings(None).await.is_empty());
    let mut connection = toy.pool.acquire().await.unwrap();
    let found = toy.trail.list_by_subject(&mut connection, account(1), None, 9).await.unwrap();
    let told = ("grant_id".to_owned(), GRANT.to_string());
    assert_eq!(found[0].details.last(), Some(&told));
}
