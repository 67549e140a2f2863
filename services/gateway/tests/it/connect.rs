//! The Connect protocol, with JSON and with protobuf.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use http::Request;
use prost::Message as _;
use zhiyuan_contracts::identity::v1::{SendSmsCodeRequest, SendSmsCodeResponse};

use crate::suite::{SEND, Suite, post};

const BODY: &str = r#"{"phone": "139", "purpose": "SMS_PURPOSE_REGISTER"}"#;

#[tokio::test]
async fn json_is_answered_with_json_over_either_http() {
    let suite = Suite::start().await;
    let request = || {
        post(SEND, "application/json; charset=utf-8")
            .header("connect-protocol-version", "1")
            .body(Bytes::from(BODY))
            .unwrap()
    };
    for answer in [suite.http1(request()).await, suite.http2(request()).await] {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert!(answer.headers.contains_key("x-trace-id"));
        let expected = serde_json::json!({
            "challengeId": "for 139",
            "expireTime": "2026-01-01T00:00:00Z",
        });
        assert_eq!(answer.json(), expected);
    }
}

#[tokio::test]
async fn enums_go_out_by_name_and_nested_messages_as_objects() {
    let suite = Suite::start().await;
    let path = "/zhiyuan.registration.v1.RegistrationService/GetRegistration";
    for body in [r#"{"request_id": "x"}"#, r#"{"requestId": "x"}"#, "{}"] {
        let json = suite.json(path, body).await.json();
        assert_eq!(json["state"], "REGISTRATION_STATE_ACTIVE");
        assert_eq!(json["volunteer"]["volunteerNumber"], "340100000000017");
    }
}

#[tokio::test]
async fn protobuf_is_answered_with_protobuf() {
    let suite = Suite::start().await;
    let message = SendSmsCodeRequest { phone: "139".into(), purpose: 1, ..Default::default() }
        .encode_to_vec();
    let request = post(SEND, "application/proto").body(message.into()).unwrap();
    let answer = suite.http1(request).await;
    assert_eq!(
        (answer.status, &answer.headers["content-type"]),
        (200, &"application/proto".parse().unwrap())
    );
    let message = SendSmsCodeResponse::decode(answer.body).unwrap();
    assert_eq!(message.challenge_id, "for 139");
}

#[tokio::test]
async fn every_code_has_its_name_and_http_status() {
    let suite = Suite::start().await;
    for (code, name, http) in [
        (1, "canceled", 499),
        (2, "unknown", 500),
        (3, "invalid_argument", 400),
        (4, "deadline_exceeded", 504),
        (5, "not_found", 404),
        (6, "already_exists", 409),
        (7, "permission_denied", 403),
        (8, "resource_exhausted", 429),
        (9, "failed_precondition", 400),
        (10, "aborted", 409),
        (11, "out_of_range", 400),
        (12, "unimplemented", 501),
        (13, "internal", 500),
        (14, "unavailable", 503),
        (15, "data_loss", 500),
        (16, "unauthenticated", 401),
    ] {
        let answer = suite.json(SEND, &format!(r#"{{"phone": "rich:{code}"}}"#)).await;
        assert_eq!((answer.status, answer.refusal().0.as_str()), (http, name));
        assert_eq!(answer.headers["content-type"], "application/json");
    }
}

#[tokio::test]
async fn details_are_readable_and_exact() {
    let suite = Suite::start().await;
    let json = suite.json(SEND, r#"{"phone": "rich:8"}"#).await.json();
    assert_eq!(json["message"], "请稍后再试");
    let details = json["details"].as_array().unwrap();
    let debug = |name: &str| {
        let found = details.iter().find(|detail| detail["type"] == name);
        found.map(|detail| detail["debug"].clone()).unwrap()
    };
    let info = debug("google.rpc.ErrorInfo");
    assert_eq!(info["reason"], "SMS_TOO_SOON");
    assert_eq!(info["domain"], "identity.zhiyuan");
    assert_eq!(info["metadata"]["seconds"], "30");
    assert_eq!(debug("google.rpc.RetryInfo")["retryDelay"], "30s");
    assert_eq!(debug("google.rpc.LocalizedMessage")["locale"], "zh-CN");
    assert_eq!(debug("google.rpc.BadRequest")["fieldViolations"][0]["field"], "phone");
    for detail in details {
        let value = STANDARD_NO_PAD.decode(detail["value"].as_str().unwrap()).unwrap();
        if detail["type"] == "google.rpc.ErrorInfo" {
            let info = tonic_types::pb::ErrorInfo::decode(value.as_slice()).unwrap();
            assert_eq!(info.reason, "SMS_TOO_SOON");
        }
    }
}

#[tokio::test]
async fn a_bare_fault_becomes_the_fixed_text() {
    let suite = Suite::start().await;
    let answer = suite.json(SEND, r#"{"phone": "bare:13"}"#).await;
    assert_eq!((answer.status, answer.refusal().1.as_str()), (500, "INTERNAL"));
    assert!(!answer.text().contains("sms.codes"));
}

#[tokio::test]
async fn headers_of_the_protocol_are_checked() {
    let suite = Suite::start().await;
    for (name, value, http, code, reason) in [
        ("connect-protocol-version", "2", 400, "invalid_argument", "MALFORMED_REQUEST"),
        ("connect-timeout-ms", "soon", 400, "invalid_argument", "DEADLINE_MALFORMED"),
        ("connect-timeout-ms", "-1", 400, "invalid_argument", "DEADLINE_MALFORMED"),
        ("connect-timeout-ms", "", 400, "invalid_argument", "DEADLINE_MALFORMED"),
        ("connect-timeout-ms", "10000000000", 400, "invalid_argument", "DEADLINE_MALFORMED"),
        ("content-encoding", "gzip", 501, "unimplemented", "MALFORMED_REQUEST"),
    ] {
        let request = post(SEND, "application/json").header(name, value);
        let answer = suite.http1(request.body(Bytes::from(BODY)).unwrap()).await;
        assert_eq!(answer.status, http, "{name}: {value}");
        assert_eq!(answer.refusal(), (code.to_owned(), reason.to_owned()), "{name}: {value}");
    }
    for (name, value) in [("connect-timeout-ms", "9999999999"), ("content-encoding", "identity")] {
        let request = post(SEND, "application/json").header(name, value);
        assert_eq!(suite.http1(request.body(Bytes::from(BODY)).unwrap()).await.status, 200);
    }
}

#[tokio::test]
async fn only_listed_headers_reach_a_service() {
    let suite = Suite::start().await;
    let request = post(SEND, "application/json")
        .header("authorization", "Bearer person")
        .header("zhiyuan-assertion", "forged")
        .header("grpc-encoding", "gzip")
        .header("x-forwarded-for", "10.0.0.1")
        .header("cookie", "a=b");
    suite.http1(request.body(Bytes::from(BODY)).unwrap()).await;
    let seen = suite.last_seen();
    assert_eq!(seen["authorization"], "Bearer person");
    assert_eq!(seen["content-type"], "application/grpc");
    for name in ["zhiyuan-assertion", "grpc-encoding", "x-forwarded-for", "cookie"] {
        assert!(!seen.contains_key(name), "{name}");
    }
    let two =
        post(SEND, "application/json").header("authorization", "a").header("authorization", "b");
    let answer = suite.http1(two.body(Bytes::from(BODY)).unwrap()).await;
    assert_eq!((answer.status, answer.refusal().1.as_str()), (401, "UNAUTHENTICATED"));
}

#[tokio::test]
async fn other_methods_and_types_are_refused_by_http() {
    let suite = Suite::start().await;
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let request = Request::builder().method(method).uri(SEND).body(Bytes::new()).unwrap();
        let answer = suite.http1(request).await;
        assert_eq!((answer.status, &answer.headers["allow"]), (405, &"POST".parse().unwrap()));
    }
    for content_type in
        ["text/plain", "application/xml", "application/grpc-web", "application/connect+json"]
    {
        let answer = suite.http1(post(SEND, content_type).body(BODY.into()).unwrap()).await;
        assert_eq!(answer.status, 415, "{content_type}");
        assert_eq!(answer.refusal().0, "invalid_argument");
        assert!(answer.headers.contains_key("accept-post"));
    }
    let bare = suite.http1(Request::post(SEND).body(BODY.into()).unwrap()).await;
    assert_eq!(bare.status, 415);
    let old = suite.http1(post(SEND, "application/grpc").body(Bytes::new()).unwrap()).await;
    assert_eq!(old.status, 505);
    assert!(suite.seen.lock().unwrap().is_empty());
}
