//! Without a collector there are trace ids all the same.

use http::HeaderMap;
use zhiyuan_telemetry::{TelemetryConfig, init_to_file, propagation};

#[tokio::test]
async fn trace_ids_are_made_logged_and_passed_on_without_a_collector() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let telemetry = init_to_file("zhiyuan-test", &TelemetryConfig::default(), &log).unwrap();
    let (id, headers) = tracing::info_span!("first").in_scope(|| {
        tracing::info!(rows = 3, "done");
        let mut headers = HeaderMap::new();
        propagation::inject(&mut headers);
        (propagation::current_trace_id().unwrap(), headers)
    });
    let parent = headers.get("traceparent").unwrap().to_str().unwrap();
    assert_eq!(parent.split('-').nth(1), Some(id.as_str()));
    assert_eq!(headers.len(), 1);
    telemetry.shutdown().await;
    let line = std::fs::read_to_string(&log).unwrap();
    assert!(line.contains("done rows=3"), "{line}");
    assert!(line.ends_with(&format!(" trace_id={id}\n")), "{line}");
}
