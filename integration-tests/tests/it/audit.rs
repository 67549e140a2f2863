//! What an operator does is in the audit, and what the log has of it can't be taken back.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::harness::processes::binary;
use crate::harness::{Processes, Settings, Site};

const PATIENCE: Duration = Duration::from_secs(30);

/// The head in the last line that tells one.
fn told(log: &str) -> Option<String> {
    let lines = log.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut heads = lines.filter_map(|line| {
        let head = line.get("audit.head").or_else(|| line.get("fields")?.get("audit.head"))?;
        Some(head.as_str()?.to_owned())
    });
    heads.next()
}

/// `verify` of a service, which ends as expected; what it told.
async fn verified(site: &Site, service: &str, head: Option<&str>, code: i32) -> String {
    let mut verify = Command::new(binary(service));
    verify.arg("verify").arg("--config").arg(site.files.of(service));
    if let Some(head) = head {
        verify.args(["--head", head]);
    }
    let done = tokio::task::spawn_blocking(move || verify.output().unwrap()).await.unwrap();
    let told = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(code), "{service}: {told}");
    told.into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_was_erased_together_with_its_heads_is_missed_by_who_has_the_log() {
    let suite = Processes::start("audit", Settings::default()).await;
    let site = &suite.site;
    let until = Instant::now() + PATIENCE;
    let head = loop {
        if let Some(head) = told(&suite.log("orgtree")) {
            break head;
        }
        assert!(Instant::now() < until, "nobody signs:\n{}", suite.log("orgtree"));
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    for service in ["identity", "registration", "orgtree"] {
        verified(site, service, None, 0).await;
    }
    verified(site, "orgtree", Some(&head), 0).await;
    let mut main = site.main_database().await;
    let (actor, action): (String, String) =
        sqlx::query_as("SELECT actor, action FROM orgtree.audit_entry WHERE index = 1")
            .fetch_one(&mut main)
            .await
            .unwrap();
    assert_eq!((&*actor, &*action), ("zhiyuan_orgtree_owner", "orgtree.organizations.loaded"));

    sqlx::raw_sql(
        "SET session_replication_role = replica;
         DELETE FROM orgtree.audit_entry; DELETE FROM orgtree.audit_head",
    )
    .execute(&mut main)
    .await
    .unwrap();
    verified(site, "orgtree", None, 0).await;
    let told = verified(site, "orgtree", Some(&head), 1).await;
    assert!(told.contains("truncated") && told.contains("head of size 1 was removed"), "{told}");
    verified(site, "orgtree", Some("the last one"), 1).await;
    suite.stop().await;
}
