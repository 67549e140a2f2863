//! Who loaded organizations is recorded, sealed by the service, and can't be changed unseen.

use std::time::Duration;

use sqlx::PgPool;
use zhiyuan_audit::Head;
use zhiyuan_orgtree::{Config, Seed, verify};
use zhiyuan_testkit::TestDatabase;

use crate::harness::{Service, config, empty, load, standing};

const HEADER: &str = "code,name,kind,parent_code,region_code";

/// Kind and name of the actor, action, keys and values of details.
type Row = (String, String, String, Vec<String>, Vec<String>);

async fn count(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

/// A database into which two organizations were loaded, and then one of them anew.
async fn loaded() -> TestDatabase {
    let database = empty().await;
    let first = format!("{HEADER}\nA,团省委,PROVINCIAL,,\nA-1,甲市,MUNICIPAL,A,\n");
    load(&database, &first).await.unwrap();
    load(&database, &format!("{HEADER}\nA-1,甲市团委,MUNICIPAL,A,\n")).await.unwrap();
    database
}

/// Runs the service until it has signed what there is.
async fn signed(database: &TestDatabase, config: &Config) -> Head {
    let pool = database.pool().await;
    let service = Service::start_with(config.clone(), standing()).await;
    let signed = async {
        while count(&pool, "SELECT count(*) FROM orgtree.audit_head").await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), signed).await.unwrap();
    service.stop().await;
    let (size, hash): (i64, Vec<u8>) =
        sqlx::query_as("SELECT size, hash FROM orgtree.audit_head").fetch_one(&pool).await.unwrap();
    Head { size, hash: hash.try_into().unwrap() }
}

#[tokio::test]
async fn a_load_is_recorded_with_who_did_it_unless_it_changed_nothing() {
    let database = loaded().await;
    let refused = load(&database, &format!("{HEADER}\nB,无,NOTHING,,\n")).await;
    refused.unwrap_err();
    // What is there already, once more.
    load(&database, &format!("{HEADER}\nA,团省委,PROVINCIAL,,\n")).await.unwrap();
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT actor_kind, actor, action, detail_keys, detail_values
         FROM orgtree.audit_pending ORDER BY seq",
    )
    .fetch_all(&database.pool().await)
    .await
    .unwrap();
    let row = |values: [&str; 3]| {
        (
            "OPERATOR".to_owned(),
            "zhiyuan_orgtree_owner".to_owned(),
            "orgtree.organizations.loaded".to_owned(),
            ["lines", "written", "moved"].map(str::to_owned).to_vec(),
            values.map(str::to_owned).to_vec(),
        )
    };
    assert_eq!(rows, [row(["2", "2", "0"]), row(["1", "1", "0"])]);
}

#[tokio::test]
async fn the_service_seals_what_was_loaded_and_a_change_is_named() {
    let database = loaded().await;
    let config = config(&database, Seed::None);
    let head = signed(&database, &config).await;
    assert_eq!(head.size, 2);
    assert!(verify(&config, Some(head)).await.unwrap().is_empty());
    let admin = sqlx::PgPool::connect(&database.admin_url()).await.unwrap();
    sqlx::raw_sql(
        "SET session_replication_role = replica;
         UPDATE orgtree.audit_entry SET actor = 'somebody' WHERE index = 1",
    )
    .execute(&admin)
    .await
    .unwrap();
    let found = verify(&config, None).await.unwrap();
    assert_eq!(found, ["audit: entry 1 was edited: its hash is not that of its columns"]);
}

#[tokio::test]
async fn an_audit_that_was_emptied_is_missed_by_who_has_kept_its_head() {
    let database = loaded().await;
    let config = config(&database, Seed::None);
    let head = signed(&database, &config).await;
    let admin = sqlx::PgPool::connect(&database.admin_url()).await.unwrap();
    sqlx::raw_sql(
        "SET session_replication_role = replica;
         DELETE FROM orgtree.audit_entry; DELETE FROM orgtree.audit_head",
    )
    .execute(&admin)
    .await
    .unwrap();
    assert!(verify(&config, None).await.unwrap().is_empty());
    let found = verify(&config, Some(head)).await.unwrap();
    assert!(found[0].contains("entries 1 to 2 were truncated"), "{found:?}");
}
