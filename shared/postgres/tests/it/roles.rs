use sqlx::{Connection, PgConnection};
use zhiyuan_postgres::{ServiceRoles, create_database_if_missing, provision};

use crate::server::{Database, connect, server, sqlstate};

/// Both services with a table and a row; the connection is `beta`'s runtime role.
async fn intruder() -> (Database, PgConnection) {
    let database = Database::create().await;
    let mut owner = connect(&database.owner(&database.alpha).await).await;
    let secrets = "CREATE TABLE alpha.secret (id int GENERATED ALWAYS AS IDENTITY, v text);
                   INSERT INTO alpha.secret (v) VALUES ('x')";
    assert_eq!(sqlstate(&mut owner, secrets).await, "ok");
    let mut owner = connect(&database.owner(&database.beta).await).await;
    let own = "CREATE TABLE beta.own (id serial, v text); CREATE SEQUENCE beta.numbers";
    assert_eq!(sqlstate(&mut owner, own).await, "ok");
    let runtime = connect(&database.runtime(&database.beta).await).await;
    (database, runtime)
}

#[tokio::test]
async fn a_runtime_role_reads_and_writes_rows_of_its_own_schema() {
    let (_database, mut beta) = intruder().await;
    for sql in [
        "INSERT INTO beta.own (v) VALUES ('a')",
        "SELECT * FROM beta.own",
        "UPDATE beta.own SET v = 'b'",
        "SELECT nextval('beta.numbers')",
        "DELETE FROM beta.own",
    ] {
        assert_eq!(sqlstate(&mut beta, sql).await, "ok", "{sql}");
    }
}

#[tokio::test]
async fn a_runtime_role_reaches_nothing_of_another_schema() {
    let (_database, mut beta) = intruder().await;
    for sql in [
        "SELECT * FROM alpha.secret",
        "SELECT count(*) FROM alpha.secret",
        "INSERT INTO alpha.secret (v) VALUES ('y')",
        "UPDATE alpha.secret SET v = 'y'",
        "DELETE FROM alpha.secret",
        "TRUNCATE alpha.secret",
        "DROP TABLE alpha.secret",
        "COPY alpha.secret TO STDOUT",
        "SELECT nextval('alpha.secret_id_seq')",
        "CREATE TABLE alpha.mine (id int)",
        "SET ROLE zhiyuan_alpha",
        "SET ROLE zhiyuan_beta_owner",
    ] {
        assert_eq!(sqlstate(&mut beta, sql).await, "42501", "{sql}");
    }
    let visible: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'alpha'",
    )
    .fetch_one(&mut beta)
    .await
    .unwrap();
    assert_eq!(visible, 0);
}

#[tokio::test]
async fn a_runtime_role_changes_no_structure_anywhere() {
    let (_database, mut beta) = intruder().await;
    for sql in [
        "CREATE TABLE beta.more (id int)",
        "CREATE TABLE public.more (id int)",
        "CREATE TEMPORARY TABLE more (id int)",
        "CREATE SCHEMA more",
        "CREATE DATABASE more",
        "CREATE ROLE more",
        "ALTER TABLE beta.own ADD COLUMN more int",
        "CREATE INDEX ON beta.own (v)",
        "TRUNCATE beta.own",
        "DROP TABLE beta.own",
        "DROP SCHEMA beta CASCADE",
    ] {
        assert_eq!(sqlstate(&mut beta, sql).await, "42501", "{sql}");
    }
}

#[tokio::test]
async fn an_owner_creates_in_its_own_schema_only() {
    let (database, _) = intruder().await;
    let mut owner = connect(&database.owner(&database.beta).await).await;
    for sql in [
        "CREATE TABLE alpha.mine (id int)",
        "SELECT * FROM alpha.secret",
        "CREATE TABLE public.mine (id int)",
        "CREATE SCHEMA mine",
    ] {
        assert_eq!(sqlstate(&mut owner, sql).await, "42501", "{sql}");
    }
}

#[tokio::test]
async fn only_the_provisioned_may_connect() {
    let database = Database::create().await;
    let mut admin = connect(&database.admin().await).await;
    let stranger = "CREATE ROLE stranger LOGIN PASSWORD 'pw'";
    assert_eq!(sqlstate(&mut admin, stranger).await, "ok");
    let url = server().await.url("stranger", "pw", &database.name);
    let error = PgConnection::connect(&url).await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().unwrap(), "42501");
}

#[tokio::test]
async fn provisioning_again_changes_passwords_and_gives_back_nothing() {
    let database = Database::create().await;
    let mut admin = connect(&database.admin().await).await;
    // Roles belong to the whole server: another test must not use these.
    let mut gamma = ServiceRoles::new("ga'mm\"a", "old", "old");
    provision(&mut admin, &gamma).await.unwrap();
    let mut owner = connect(&database.owner(&gamma).await).await;
    let ledger = r#"CREATE TABLE "ga'mm""a".ledger (id int);
                    REVOKE UPDATE, DELETE ON "ga'mm""a".ledger FROM "zhiyuan_ga'mm""a""#;
    assert_eq!(sqlstate(&mut owner, ledger).await, "ok");

    let old = database.runtime(&gamma).await;
    gamma.runtime_password = "new".to_owned();
    provision(&mut admin, &gamma).await.unwrap();

    assert!(PgConnection::connect(&old).await.is_err());
    let mut runtime = connect(&database.runtime(&gamma).await).await;
    let insert = r#"INSERT INTO "ga'mm""a".ledger VALUES (1)"#;
    assert_eq!(sqlstate(&mut runtime, insert).await, "ok");
    let delete = r#"DELETE FROM "ga'mm""a".ledger"#;
    assert_eq!(sqlstate(&mut runtime, delete).await, "42501");
}

#[tokio::test]
async fn a_role_with_too_much_power_is_refused() {
    let database = Database::create().await;
    let mut admin = connect(&database.admin().await).await;
    let powerful = "CREATE ROLE zhiyuan_delta SUPERUSER";
    assert_eq!(sqlstate(&mut admin, powerful).await, "ok");
    let error = provision(&mut admin, &ServiceRoles::new("delta", "a", "b")).await.unwrap_err();
    assert!(format!("{error:?}").contains("more power"), "{error:?}");
}

#[tokio::test]
async fn a_database_is_created_once_however_many_try() {
    let url = server().await.admin_url("postgres");
    let (mut one, mut two) = (connect(&url).await, connect(&url).await);
    let (a, b) = tokio::join!(
        create_database_if_missing(&mut one, "race"),
        create_database_if_missing(&mut two, "race")
    );
    a.unwrap();
    b.unwrap();
    create_database_if_missing(&mut one, "race").await.unwrap();
}
