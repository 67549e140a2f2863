//! What registration records of acts is sealed, and a later change is found.

use zhiyuan_audit::{Actor, Record, Trail};
use zhiyuan_process::Program as _;
use zhiyuan_registration::Program;

use crate::harness::{Recovery, Service};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_recorded_is_sealed_and_a_change_is_named() {
    let service = Service::start(Recovery::Off).await;
    let verify = async || Program::verify(service.config(), None).await.unwrap();
    assert!(verify().await.is_empty());
    let trail = Trail::new("registration", service.clock.clone());
    let record =
        Record::done(Actor::Service("registration".into()), "registration.volunteer.moved");
    let pool = service.pool().await;
    trail.append(&mut pool.acquire().await.unwrap(), &record.with("n", 1)).await.unwrap();
    service
        .until("it is signed", async |service| {
            service.sql("SELECT count(*)::text FROM registration.audit_head").await == "1"
        })
        .await;
    assert!(verify().await.is_empty());
    let admin = sqlx::PgPool::connect(&service.database.admin_url()).await.unwrap();
    sqlx::raw_sql(
        "SET session_replication_role = replica;
         UPDATE registration.audit_entry SET outcome = 'REFUSED'",
    )
    .execute(&admin)
    .await
    .unwrap();
    let found = verify().await;
    assert_eq!(found, ["audit: entry 1 was edited: its hash is not that of its columns"]);
}
