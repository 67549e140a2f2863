//! Deadlines, sizes, limits, and services that are not there.

use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;
use tonic::Code;
use tonic_types::StatusExt as _;
use zhiyuan_contracts::identity::v1::SendSmsCodeRequest;

use crate::suite::{SEND, Suite, post, reason};

fn message(phone: &str) -> Vec<u8> {
    SendSmsCodeRequest { phone: phone.to_owned(), purpose: 1, ..Default::default() }.encode_to_vec()
}

fn passed_on(suite: &Suite) -> Duration {
    let seen = suite.last_seen();
    zhiyuan_rpc::deadline::parse(seen["grpc-timeout"].to_str().unwrap()).unwrap()
}

#[tokio::test]
async fn what_is_left_of_a_deadline_is_passed_on() {
    let suite = Suite::start().await;
    for (named, least, most) in [("2S", 1500, 1950), ("1H", 29_000, 29_950), ("1000m", 500, 950)] {
        suite.grpc(SEND, &[("grpc-timeout", named)], &message("139")).await;
        let left = passed_on(&suite).as_millis();
        assert!((least..=most).contains(&left), "{named}: {left}");
    }
    suite.json(SEND, "{}").await;
    assert!(passed_on(&suite) <= Duration::from_millis(4950));
    let request = post(SEND, "application/json").header("connect-timeout-ms", "2000");
    suite.http1(request.body(Bytes::from("{}")).unwrap()).await;
    assert!(passed_on(&suite) <= Duration::from_millis(1950));
}

#[tokio::test]
async fn a_call_ends_at_its_deadline() {
    let suite = Suite::start().await;
    for named in ["200m", "20m", "1n"] {
        let started = Instant::now();
        let answer = suite.grpc(SEND, &[("grpc-timeout", named)], &message("hang")).await;
        assert_eq!(answer.grpc().code(), Code::DeadlineExceeded, "{named}");
        assert_eq!(reason(&answer.grpc()), "DEADLINE_EXCEEDED", "{named}");
        assert!(started.elapsed() < Duration::from_secs(2));
    }
    let request = post(SEND, "application/json").header("connect-timeout-ms", "200");
    let answer = suite.http1(request.body(r#"{"phone":"hang"}"#.into()).unwrap()).await;
    assert_eq!((answer.status, answer.refusal().1.as_str()), (504, "DEADLINE_EXCEEDED"));
}

#[tokio::test]
async fn a_deadline_that_is_none_is_refused() {
    let suite = Suite::start().await;
    for bad in ["soon", "-5S", "123456789S", "5"] {
        let status = suite.grpc(SEND, &[("grpc-timeout", bad)], b"").await.grpc();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::InvalidArgument, "DEADLINE_MALFORMED")
        );
    }
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused() {
    let suite = Suite::start_with(|config| config.messages.request_bytes = 1000).await;
    let fits = suite.grpc(SEND, &[], &message(&"1".repeat(990))).await;
    assert_eq!(fits.grpc().code(), Code::Ok);
    for size in [1001, 3_000_000] {
        let status = suite.grpc(SEND, &[], &message(&"1".repeat(size))).await.grpc();
        assert_eq!(status.code(), Code::ResourceExhausted, "{size}");
        assert_eq!(reason(&status), "MESSAGE_TOO_LARGE", "{size}");
    }
    let body = format!(r#"{{"phone": "{}"}}"#, "1".repeat(1000));
    let answer = suite.json(SEND, &body).await;
    assert_eq!((answer.status, answer.refusal().1.as_str()), (429, "MESSAGE_TOO_LARGE"));
}

#[tokio::test]
async fn an_answer_over_the_limit_of_json_is_our_fault() {
    let suite = Suite::start_with(|config| config.messages.answer_bytes = 10).await;
    let answer = suite.json(SEND, r#"{"phone": "a long answer"}"#).await;
    assert_eq!((answer.status, answer.refusal().1.as_str()), (500, "INTERNAL"));
}

#[tokio::test]
async fn a_service_that_is_down_is_told_without_its_transport() {
    let suite = Suite::start_with(|config| {
        for address in config.upstreams.values_mut() {
            *address = "http://127.0.0.1:1".to_owned();
        }
    })
    .await;
    let status = suite.grpc(SEND, &[], &message("139")).await.grpc();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "UNAVAILABLE"));
    assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
    assert!(status.message().starts_with("系统暂时繁忙"), "{}", status.message());
    let answer = suite.json(SEND, "{}").await;
    assert_eq!((answer.status, answer.refusal().1.as_str()), (503, "UNAVAILABLE"));
    assert!(answer.text().contains("retryDelay"));
    assert!(!answer.text().contains("127.0.0.1") && !answer.text().contains("connect error"));
}

#[tokio::test]
async fn a_full_class_is_refused_at_once_and_leaves_the_others() {
    let suite = Suite::start_with(|config| config.server.limits.message = 1).await;
    let hang = message("hang");
    let hanging = suite.grpc(SEND, &[("grpc-timeout", "2S")], &hang);
    let (hanging, ()) = tokio::join!(hanging, async {
        while suite.seen.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let answer = suite.json(SEND, "{}").await;
        assert_eq!((answer.status, answer.refusal().1.as_str()), (429, "OVERLOADED"));
        assert!(answer.text().contains("retryDelay"));
        let status = suite.grpc(SEND, &[], &message("139")).await.grpc();
        assert_eq!(reason(&status), "OVERLOADED");
        let path = "/zhiyuan.registration.v1.RegistrationService/GetRegistration";
        assert_eq!(suite.json(path, "{}").await.status, 200);
    });
    assert_eq!(hanging.grpc().code(), Code::DeadlineExceeded);
    assert_eq!(suite.json(SEND, "{}").await.status, 200);
}
