//! The suite as it runs in production: each service a process of its own.

use crate::harness::{Processes, Settings};
use crate::province;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_of_every_county_register_at_once_in_four_processes() {
    let suite = Processes::start("processes", Settings::default()).await;
    province::register_and_check(&suite.site).await;
    suite.stop().await;
}
