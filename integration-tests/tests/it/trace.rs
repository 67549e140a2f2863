//! One call is one trace, from the gateway through the services to SQL.

use std::collections::{BTreeMap, BTreeSet};

use zhiyuan_testkit::person;

use crate::harness::client::REGISTER;
use crate::harness::collector::{Collector, Span};
use crate::harness::processes::SERVICES;
use crate::harness::{Client, Processes, Settings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_is_one_trace_from_the_gateway_to_sql() {
    let collector = Collector::start().await;
    let settings =
        Settings { otlp_endpoint: Some(collector.endpoint.clone()), ..Settings::default() };
    let mut suite = Processes::start("trace", settings).await;
    let client = Client::of(&suite.site);
    let form = client.apply(&client.grpc, &person(8_000)).await;
    let body = serde_json::json!({
        "request_id": form.request_id,
        "name": form.name,
        "id_number": form.id_number,
        "region_code": form.region_code,
        "organization_code": form.organization_code,
        "phone": form.phone,
        "sms_challenge_id": form.sms_challenge_id,
        "sms_code": form.sms_code,
        "password": form.password,
        "consents": [{"purpose": "CONSENT_PURPOSE_REGISTRATION",
                      "version": form.consents[0].version}],
    });
    let answer = client.json.post(REGISTER, &body).await.unwrap();
    assert_eq!(answer.json()["state"], "REGISTRATION_STATE_ACTIVE");
    let trace = answer.header("x-trace-id").to_owned();
    assert_eq!(trace.len(), 32, "{trace}");

    // A process sends its last spans before it ends.
    suite.terminate().await;
    let spans: Vec<Span> =
        collector.spans().into_iter().filter(|span| span.trace == trace).collect();
    let mut by_service: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for span in &spans {
        by_service.entry(&span.service).or_default().insert(&span.name);
    }
    let services: BTreeSet<&str> = by_service.keys().copied().collect();
    assert_eq!(services, SERVICES.into(), "{by_service:?}");
    for (service, names) in &by_service {
        let sql = names.iter().any(|name| name.starts_with("db."));
        assert_eq!(sql, *service != "gateway", "{service}: {names:?}");
    }
    // One tree: every span but the first has its parent in the same trace.
    let ids: BTreeSet<&[u8]> = spans.iter().map(|span| span.id.as_slice()).collect();
    let roots: Vec<&Span> =
        spans.iter().filter(|span| !ids.contains(span.parent.as_slice())).collect();
    assert_eq!(roots.len(), 1, "{roots:?}");
    assert_eq!((roots[0].service.as_str(), roots[0].name.as_str()), ("gateway", REGISTER));
    assert!(roots[0].parent.is_empty());
    suite.stop().await;
}
