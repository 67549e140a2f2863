//! A collector that takes connections and never answers.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use zhiyuan_telemetry::{TelemetryConfig, init};

#[tokio::test]
async fn the_end_of_the_process_does_not_wait_for_a_silent_collector() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = TelemetryConfig {
        otlp_endpoint: Some(format!("http://{}", listener.local_addr().unwrap())),
        ..TelemetryConfig::default()
    };
    let telemetry = init("zhiyuan-test", &config).unwrap();
    tracing::info_span!("lost").in_scope(|| ());
    let started = Instant::now();
    telemetry.shutdown().await;
    assert!(started.elapsed() < Duration::from_secs(4));
}
