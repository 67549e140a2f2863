//! Spans reach a collector, and one call is one trace across hops. Telemetry is set up once for a
//! process, so each of these tests is one of its own.

#![expect(clippy::unwrap_used, reason = "a test; helpers included")]

use std::collections::BTreeSet;

use http::HeaderMap;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};
use tracing::Instrument as _;
use zhiyuan_telemetry::{Format, TelemetryConfig, init, init_to_file, propagation};

struct Collector(UnboundedSender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.send(request.into_inner()).unwrap();
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn collector(
    tasks: &mut JoinSet<()>,
) -> (String, UnboundedReceiver<ExportTraceServiceRequest>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = unbounded_channel();
    let server = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(Collector(sender)))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tasks.spawn(async move { server.await.unwrap() });
    (endpoint, receiver)
}

/// The second hop: another service that the first one calls.
async fn second(headers: &HeaderMap) -> String {
    let span = tracing::info_span!("second");
    propagation::set_parent(&span, headers);
    async {
        tracing::info_span!("db.entry.insert").in_scope(|| tracing::warn!("inserted"));
        propagation::current_trace_id().unwrap()
    }
    .instrument(span)
    .await
}

#[tokio::test]
async fn one_call_is_one_trace_across_two_hops_in_spans_and_in_log_lines() {
    let mut tasks = JoinSet::new();
    let (endpoint, mut exports) = collector(&mut tasks).await;
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let config = TelemetryConfig {
        log: "warn".to_owned(),
        format: Format::Json,
        otlp_endpoint: Some(endpoint),
        ..TelemetryConfig::default()
    };
    let telemetry = init_to_file("zhiyuan-test", &config, &log).unwrap();
    assert!(matches!(init("again", &config), Err(zhiyuan_telemetry::Error::Again(_))));
    assert_eq!(propagation::current_trace_id(), None);
    tracing::warn!("outside");

    let (first_id, second_id) = async {
        let mut headers = HeaderMap::new();
        propagation::inject(&mut headers);
        (propagation::current_trace_id().unwrap(), second(&headers).await)
    }
    .instrument(tracing::info_span!("first", service = "gateway"))
    .await;
    assert_eq!(first_id, second_id);
    assert_eq!(first_id.len(), 32);
    telemetry.shutdown().await;

    let mut names = BTreeSet::new();
    while let Ok(export) = exports.try_recv() {
        for resource in export.resource_spans {
            let attributes = resource.resource.unwrap().attributes;
            let name = attributes.iter().find(|entry| entry.key == "service.name").unwrap();
            let value = name.value.clone().unwrap().value.unwrap();
            assert_eq!(value, Value::StringValue("zhiyuan-test".to_owned()));
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                let id: String = span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(id, first_id);
                assert_eq!(span.parent_span_id.is_empty(), span.name == "first");
                names.insert(span.name);
            }
        }
    }
    // Traced although the filter of log lines is above them.
    assert_eq!(
        names.iter().map(String::as_str).collect::<Vec<_>>(),
        ["db.entry.insert", "first", "second"]
    );

    let lines = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0]["message"], "outside");
    assert!(lines[0].get("trace_id").is_none());
    assert_eq!(lines[1]["message"], "inserted");
    assert_eq!(lines[1]["trace_id"], first_id.as_str());
    tasks.abort_all();
}
