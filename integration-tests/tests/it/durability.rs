//! What is acknowledged is on disk, and a service says whether it is.

use crate::harness::{Processes, Settings};

const ON: &str = "durability: fsync=on synchronous_commit=on";
const OFF: &str = "acknowledged writes may be lost";
/// The services with a database.
const STORING: [&str; 3] = ["identity", "registration", "orgtree"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_durable_suite_loses_nothing_that_it_acknowledged_and_says_so() {
    let settings = Settings { durable: true, ..Settings::default() };
    let suite = Processes::start("durable", settings).await;
    let mut main = suite.site.main_database().await;
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        let value: String = sqlx::query_scalar("SELECT current_setting($1)")
            .bind(setting)
            .fetch_one(&mut main)
            .await
            .unwrap();
        assert_eq!(value, "on", "{setting}");
    }
    for service in STORING {
        let log = suite.log(service);
        assert!(log.contains(ON), "{service} does not say it:\n{log}");
        assert!(!log.contains(OFF), "{service}:\n{log}");
    }
    suite.stop().await;
}
