use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use zhiyuan_postgres::lease::REFUSE_LATE_COMMIT;
use zhiyuan_postgres::{DatabaseFault, classify};

use crate::server::{Database, connect};

/// Writes a row whose lease ends in so many milliseconds, pauses, and commits.
async fn commit(
    connection: &mut PgConnection,
    ends_in: Option<i32>,
    pause: f64,
) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    sqlx::query(
        "INSERT INTO alpha.change (lease_ends_at)
         VALUES (clock_timestamp() + $1 * interval '1 millisecond')",
    )
    .bind(ends_in)
    .execute(&mut *transaction)
    .await?;
    sqlx::query("SELECT pg_sleep($1)").bind(pause).execute(&mut *transaction).await?;
    transaction.commit().await
}

#[tokio::test]
async fn a_transaction_that_pauses_past_its_lease_can_not_commit() {
    let database = Database::create().await;
    let mut owner = connect(&database.owner(&database.alpha).await).await;
    let statements = REFUSE_LATE_COMMIT.replace("service.", "alpha.");
    let table = "CREATE TABLE alpha.change (lease_ends_at timestamptz);";
    let statements = AssertSqlSafe(format!("{table} {statements}"));
    sqlx::raw_sql(statements).execute(&mut owner).await.unwrap();

    let mut runtime = connect(&database.runtime(&database.alpha).await).await;
    // Two seconds after its end is late; up to then, and without a lease, is not.
    for (ends_in, pause) in [(Some(3_000), 0.0), (Some(-1_000), 0.1), (None, 0.3)] {
        commit(&mut runtime, ends_in, pause).await.unwrap();
    }
    let late = commit(&mut runtime, Some(-1_800), 0.3).await.unwrap_err();
    assert_eq!(classify(&late), DatabaseFault::Conflict, "{late}");
    let late = commit(&mut runtime, Some(-60_000), 0.0).await.unwrap_err();
    assert_eq!(classify(&late), DatabaseFault::Conflict, "{late}");
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM alpha.change")
        .fetch_one(&mut runtime)
        .await
        .unwrap();
    assert_eq!(kept, 3);
}
