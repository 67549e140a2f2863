use std::borrow::Cow;
use std::time::Duration;

use sqlx::{
    PgPool, SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};
use zhiyuan_postgres::{DatabaseConfig, Error, connect, ensure_up_to_date, migrate};

use crate::server::{self, Database, sqlstate};

/// What `sqlx::migrate!()` makes of a `sqlx.toml` with `create-schemas` and `table-name`.
fn migrator(migrations: &[(i64, &'static str)]) -> Migrator {
    let one = |&(version, sql): &(i64, &'static str)| {
        let kind = MigrationType::Simple;
        Migration::new(version, Cow::Borrowed("test"), kind, sql.into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations(migrations.iter().map(one).collect());
    migrator.dangerous_set_table_name("alpha._sqlx_migrations");
    migrator.create_schema("alpha");
    migrator
}

const FIRST: (i64, &str) = (1, "CREATE TABLE alpha.one (id int)");
const SECOND: (i64, &str) =
    (2, "CREATE TABLE alpha.two (id int GENERATED ALWAYS AS IDENTITY, n int)");

async fn runtime_pool(database: &Database) -> PgPool {
    let config = DatabaseConfig::new(database.runtime(&database.alpha).await);
    connect(&config, "it").await.unwrap()
}

#[tokio::test]
async fn the_owner_migrates_and_the_runtime_role_sees_that_all_is_done() {
    let database = Database::create().await;
    let pool = runtime_pool(&database).await;
    let owner = database.owner(&database.alpha).await;
    let both = migrator(&[FIRST, SECOND]);

    match ensure_up_to_date(&pool, &both).await.unwrap_err() {
        Error::MigrationsPending { versions } => assert_eq!(versions, [1, 2]),
        other => panic!("{other}"),
    }
    migrate(&owner, &migrator(&[FIRST])).await.unwrap();
    match ensure_up_to_date(&pool, &both).await.unwrap_err() {
        Error::MigrationsPending { versions } => assert_eq!(versions, [2]),
        other => panic!("{other}"),
    }
    migrate(&owner, &both).await.unwrap();
    migrate(&owner, &both).await.unwrap();
    ensure_up_to_date(&pool, &both).await.unwrap();
}

#[tokio::test]
async fn a_schema_that_is_newer_serves_the_former_binary() {
    let database = Database::create().await;
    let owner = database.owner(&database.alpha).await;
    migrate(&owner, &migrator(&[FIRST, SECOND])).await.unwrap();
    let former = migrator(&[FIRST]);
    ensure_up_to_date(&runtime_pool(&database).await, &former).await.unwrap();
    // Going back runs the former release's migrate command, too.
    migrate(&owner, &former).await.unwrap();
}

#[tokio::test]
async fn a_history_that_is_not_ours_is_refused() {
    let database = Database::create().await;
    let owner = database.owner(&database.alpha).await;
    migrate(&owner, &migrator(&[FIRST])).await.unwrap();
    let pool = runtime_pool(&database).await;

    let edited = migrator(&[(1, "CREATE TABLE alpha.other (id int)")]);
    for error in [ensure_up_to_date(&pool, &edited).await, migrate(&owner, &edited).await] {
        assert!(matches!(error, Err(Error::MigrationModified { version: 1 })), "{error:?}");
    }
    let divergent = migrator(&[SECOND]);
    for error in [ensure_up_to_date(&pool, &divergent).await, migrate(&owner, &divergent).await] {
        assert!(matches!(error, Err(Error::MigrationUnknown { version: 1 })), "{error:?}");
    }
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_behind() {
    let database = Database::create().await;
    let owner = database.owner(&database.alpha).await;
    let broken = (2, "CREATE TABLE alpha.two (id int); SELECT 1 / 0");
    let error = migrate(&owner, &migrator(&[FIRST, broken])).await.unwrap_err();
    assert!(matches!(error, Error::Migrate(_)), "{error}");
    migrate(&owner, &migrator(&[FIRST, SECOND])).await.unwrap();
}

#[tokio::test]
async fn many_processes_may_migrate_at_once() {
    let database = Database::create().await;
    let owner = database.owner(&database.alpha).await;
    let both = migrator(&[FIRST, SECOND]);
    let (a, b, c) =
        tokio::join!(migrate(&owner, &both), migrate(&owner, &both), migrate(&owner, &both));
    for result in [a, b, c] {
        result.unwrap();
    }
}

/// Somebody reads for long; whoever comes after the migration must not wait as long.
#[tokio::test]
async fn a_migration_that_waits_keeps_no_reader_waiting_and_is_done_in_the_end() {
    let database = Database::create().await;
    let owner = database.owner(&database.alpha).await;
    migrate(&owner, &migrator(&[FIRST])).await.unwrap();
    let mut reading = server::connect(&owner).await;
    let mut reading = sqlx::Connection::begin(&mut reading).await.unwrap();
    sqlx::query("SELECT FROM alpha.one").fetch_all(&mut *reading).await.unwrap();
    let alters = migrator(&[FIRST, (2, "ALTER TABLE alpha.one ADD COLUMN n int")]);
    let work = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut late = server::connect(&owner).await;
        sqlx::query("SELECT FROM alpha.one").fetch_all(&mut late).await.unwrap();
        // The migration has let it go first.
        reading.commit().await.unwrap();
    };
    let (migrated, late) =
        tokio::join!(migrate(&owner, &alters), tokio::time::timeout(Duration::from_secs(20), work));
    late.unwrap();
    migrated.unwrap();
    assert_eq!(sqlstate(&mut server::connect(&owner).await, "SELECT n FROM alpha.one").await, "ok");
}

#[tokio::test]
async fn the_runtime_role_can_not_rewrite_the_history() {
    let database = Database::create().await;
    migrate(&database.owner(&database.alpha).await, &migrator(&[FIRST])).await.unwrap();
    let mut runtime = server::connect(&database.runtime(&database.alpha).await).await;
    assert_eq!(sqlstate(&mut runtime, "SELECT version FROM alpha._sqlx_migrations").await, "ok");
    assert_eq!(sqlstate(&mut runtime, "DELETE FROM alpha._sqlx_migrations").await, "42501");
    assert_eq!(
        sqlstate(&mut runtime, "UPDATE alpha._sqlx_migrations SET success = false").await,
        "42501"
    );
}
