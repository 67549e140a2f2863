use std::time::Duration;

use sqlx::{Connection, Error, postgres::PgPoolOptions};
use zhiyuan_postgres::{DatabaseFault, classify, constraint_of, ensure_affected};

use crate::server::{Database, connect};

#[tokio::test]
async fn names_the_constraint_that_was_broken() {
    let database = Database::create().await;
    let mut owner = connect(&database.owner(&database.alpha).await).await;
    sqlx::raw_sql(
        "CREATE TABLE alpha.t (id int CONSTRAINT t_id_key UNIQUE); INSERT INTO alpha.t VALUES (1)",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    let error =
        sqlx::query("INSERT INTO alpha.t VALUES (1)").execute(&mut owner).await.unwrap_err();
    assert_eq!(constraint_of(&error), Some("t_id_key"));
    assert_eq!(constraint_of(&Error::RowNotFound), None);

    let result = sqlx::query("UPDATE alpha.t SET id = 2").execute(&mut owner).await.unwrap();
    ensure_affected(&result, 1).unwrap();
    let error = ensure_affected(&result, 2).unwrap_err();
    assert!(error.to_string().contains("1 rows instead of 2"), "{error}");
    assert_eq!(classify(&error), DatabaseFault::Defect);
}

#[tokio::test]
async fn tells_conflicts_timeouts_and_absence_apart() {
    let database = Database::create().await;
    let url = database.owner(&database.alpha).await;
    let (mut one, mut two) = (connect(&url).await, connect(&url).await);
    let setup = "CREATE TABLE alpha.t (id int); INSERT INTO alpha.t VALUES (1)";
    sqlx::raw_sql(setup).execute(&mut one).await.unwrap();

    let mut holder = one.begin().await.unwrap();
    sqlx::raw_sql("UPDATE alpha.t SET id = 2").execute(&mut *holder).await.unwrap();
    let locked = "SET lock_timeout = '20ms'; UPDATE alpha.t SET id = 3";
    let error = sqlx::raw_sql(locked).execute(&mut two).await.unwrap_err();
    assert_eq!(classify(&error), DatabaseFault::Conflict);
    let slow = "SET statement_timeout = '20ms'; SELECT pg_sleep(5)";
    let error = sqlx::raw_sql(slow).execute(&mut two).await.unwrap_err();
    assert_eq!(classify(&error), DatabaseFault::Timeout);

    let mut admin = connect(&database.admin().await).await;
    sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'zhiyuan_alpha_owner' AND datname = $1")
        .bind(&database.name)
        .execute(&mut admin)
        .await
        .unwrap();
    let error = sqlx::query("SELECT 1").execute(&mut two).await.unwrap_err();
    assert_eq!(classify(&error), DatabaseFault::Unavailable, "{error}");

    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_millis(100))
        .connect(&url)
        .await
        .unwrap();
    let _taken = pool.acquire().await.unwrap();
    assert_eq!(classify(&pool.acquire().await.unwrap_err()), DatabaseFault::Unavailable);
}
