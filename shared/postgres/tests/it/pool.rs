use std::time::{Duration, Instant};

use sqlx::PgPool;
use zhiyuan_postgres::{DatabaseConfig, Error, connect, ping};

use crate::server::{Database, server};

#[tokio::test]
async fn sessions_are_bounded_and_in_utc() {
    let database = Database::create().await;
    let config = DatabaseConfig::new(database.runtime(&database.alpha).await);
    let pool = connect(&config, "alpha-test").await.unwrap();
    ping(&pool).await.unwrap();
    for (setting, value) in [
        ("statement_timeout", "30s"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("lock_timeout", "5s"),
        ("timezone", "UTC"),
        ("client_connection_check_interval", "500ms"),
        ("application_name", "alpha-test"),
    ] {
        let actual: String = sqlx::query_scalar("SELECT current_setting($1)")
            .bind(setting)
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(actual, value, "{setting}");
    }
}

#[tokio::test]
async fn refuses_a_database_that_may_lose_acknowledged_writes_unless_told_not_to() {
    let database = Database::create().await;
    let url = database.runtime(&database.alpha).await;
    let unsafe_url = format!("{url}&options[synchronous_commit]=off");
    let mut config = DatabaseConfig::new(unsafe_url);
    match connect(&config, "it").await.unwrap_err() {
        Error::UnsafeDurability { fsync, synchronous_commit } => {
            assert_eq!((&*fsync, &*synchronous_commit), ("on", "off"));
        }
        other => panic!("{other}"),
    }
    config.allow_unsafe_durability = true;
    connect(&config, "it").await.unwrap();
}

#[tokio::test]
async fn a_refused_connection_shows_no_password() {
    let url = server().await.url("nobody", "s3cret-pw", "nowhere");
    let error = connect(&DatabaseConfig::new(url), "it").await.unwrap_err();
    assert!(matches!(error, Error::Connect(_)));
    assert!(!format!("{error} {error:?}").contains("s3cret-pw"));
}

/// What the server does for an application.
async fn working(admin: &PgPool, application: &str) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND state <> 'idle'",
    )
    .bind(application)
    .fetch_one(admin)
    .await
    .unwrap()
}

async fn rests(admin: &PgPool, application: &str) -> Duration {
    let begun = Instant::now();
    while working(admin, application).await > 0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "the server works on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    begun.elapsed()
}

#[tokio::test]
async fn a_statement_ends_with_the_call_that_sent_it() {
    let database = Database::create().await;
    let mut config = DatabaseConfig::new(database.runtime(&database.alpha).await);
    config.max_connections = 1;
    let admin = connect(&config, "cancelled-watcher").await.unwrap();
    let pool = connect(&config, "cancelled").await.unwrap();
    for in_transaction in [false, true] {
        let call = async {
            if in_transaction {
                let mut transaction = pool.begin().await.unwrap();
                sqlx::query("SELECT pg_sleep(60)").execute(&mut *transaction).await.unwrap();
            } else {
                sqlx::query("SELECT pg_sleep(60)").execute(&pool).await.unwrap();
            }
        };
        tokio::select! {
            () = call => panic!("it ended"),
            () = async {
                while working(&admin, "cancelled").await == 0 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            } => {}
        }
        rests(&admin, "cancelled").await;
        // Its place is free again.
        ping(&pool).await.unwrap();
    }
}

#[tokio::test]
async fn a_call_that_ends_early_keeps_its_connection() {
    let database = Database::create().await;
    let mut config = DatabaseConfig::new(database.runtime(&database.alpha).await);
    config.max_connections = 1;
    let pool = connect(&config, "kept").await.unwrap();
    let backend = async || -> i32 {
        sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&pool).await.unwrap()
    };
    let before = backend().await;
    let first: i32 =
        sqlx::query_scalar("SELECT generate_series(1, 10000)").fetch_one(&pool).await.unwrap();
    assert_eq!((first, backend().await), (1, before));
    let mut transaction = pool.begin().await.unwrap();
    sqlx::query("SELECT 1").execute(&mut *transaction).await.unwrap();
    drop(transaction);
    assert_eq!(backend().await, before);
}
