//! One trace a call, and nothing of its content in the logs.

use crate::signed_in::{MINE, REFRESH, SIGN_IN, SIGN_OUT};
use crate::suite::{SEND, Suite, log};

const FOREIGN: &str = "11111111111111111111111111111111";

#[tokio::test]
async fn a_trace_begins_here_and_its_id_is_told() {
    let suite = Suite::start().await;
    let parent = format!("00-{FOREIGN}-2222222222222222-01");
    let grpc = suite.grpc(SEND, &[("traceparent", &parent)], b"").await;
    let mut ids = Vec::new();
    for answer in [grpc, suite.json(SEND, "{}").await] {
        let id = answer.headers["x-trace-id"].to_str().unwrap().to_owned();
        let passed_on = suite.seen.lock().unwrap()[ids.len()]["traceparent"].clone();
        assert!(passed_on.to_str().unwrap().contains(&id), "{passed_on:?}");
        assert_ne!(id, FOREIGN);
        ids.push(id);
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_refusal_tells_its_trace_too() {
    let suite = Suite::start().await;
    let grpc = suite.grpc("/no/such", &[], b"").await;
    let fault = suite.json(SEND, r#"{"phone": "bare:13"}"#).await;
    assert!(grpc.headers.contains_key("x-trace-id"));
    let id = fault.headers["x-trace-id"].to_str().unwrap();
    assert!(fault.json()["message"].as_str().unwrap().contains(id));
}

#[tokio::test]
async fn nothing_of_what_is_sent_is_logged() {
    let suite = Suite::start().await;
    let canary = "13900007777";
    let path = format!("/{canary}/{canary}");
    suite.json(&path, "{}").await;
    for phone in ["", "bare:13 ", "rich:14 "] {
        suite.json(SEND, &format!(r#"{{"phone": "{phone}{canary}", "{canary}": 1}}"#)).await;
        suite.json(SEND, &format!(r#"{{"phone": "{phone}{canary}"}}"#)).await;
    }
    let headers = [("authorization", canary), ("x-phone", canary), ("grpc-timeout", canary)];
    suite.grpc(SEND, &headers, canary.as_bytes()).await;
    suite.json(SEND, r#"{"phone": "bare:13"}"#).await;
    let mode = ("zhiyuan-session", "cookie");
    for token in [canary.to_owned(), format!("refuse:13.{canary}"), format!("\"{canary}\"")] {
        let cookies = format!("zhiyuan-access={token}; zhiyuan-refresh={token}");
        for path in [MINE, SIGN_OUT, REFRESH] {
            suite.call(false, path, &[mode, ("cookie", &cookies)], "{}").await;
        }
    }
    for token in ["access=", "refresh=", "access=; "] {
        let body = format!(r#"{{"identifier": "{token}{canary}"}}"#);
        suite.call(false, SIGN_IN, &[mode], &body).await;
    }
    suite.call(false, SIGN_IN, &[mode, ("origin", canary)], "{}").await;
    suite.call(false, SIGN_IN, &[("zhiyuan-session", canary)], "{}").await;
    let lines = std::fs::read_to_string(log()).unwrap();
    assert!(lines.contains("request failed"), "the log is empty");
    assert!(!lines.contains(canary));
}
