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
