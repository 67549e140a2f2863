//! What identity records of acts is sealed, and a later change is found.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;
use zhiyuan_audit::{Actor, Head, Record, Trail};
use zhiyuan_domain::{AccountId, Clock as _, SystemClock};
use zhiyuan_identity::Program;
use zhiyuan_process::Program as _;

use crate::harness::Identity;

const SEALED: &str = "SELECT count(*) FROM identity.audit_entry";
const SIGNED: &str = "SELECT count(*) FROM identity.audit_head";

async fn verify(identity: &Identity, head: Option<String>) -> anyhow::Result<Vec<String>> {
    Program::verify(identity.config.clone(), head).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_recorded_is_sealed_and_a_change_is_named() {
    let identity = Identity::start().await;
    assert!(verify(&identity, None).await.unwrap().is_empty());
    let trail = Trail::new("identity", identity.clock.clone());
    let subject = AccountId::from(Uuid::new_v4());
    for n in 0..3 {
        let actor = Actor::ServiceAccount("platform".into());
        let record = Record::done(actor, "identity.number.revealed").about(subject).with("n", n);
        let mut connection = identity.pool.acquire().await.unwrap();
        trail.append(&mut connection, &record).await.unwrap();
    }
    let clock = Arc::new(SystemClock);
    let began = clock.now();
    while identity.count(SEALED).await < 3 {
        assert!(clock.now() - began < Duration::from_secs(20), "nobody seals");
        // The first entries were signed; what came after them, a minute later.
        identity.pass(time::Duration::minutes(1));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(identity.count(SIGNED).await >= 1);
    assert!(verify(&identity, None).await.unwrap().is_empty());
    let far = Head { size: 9, hash: [7; 32] }.to_string();
    let found = verify(&identity, Some(far)).await.unwrap();
    assert!(found[0].contains("entries 4 to 9 were truncated"), "{found:?}");
    verify(&identity, Some("the last one".into())).await.unwrap_err();

    let mut admin = identity.pool.acquire().await.unwrap();
    sqlx::raw_sql(
        "SET session_replication_role = replica;
         UPDATE identity.audit_entry SET subject_account_id = NULL WHERE index = 2",
    )
    .execute(&mut *admin)
    .await
    .unwrap();
    let found = verify(&identity, None).await.unwrap();
    assert_eq!(found, ["audit: entry 2 was edited: its hash is not that of its columns"]);
}
