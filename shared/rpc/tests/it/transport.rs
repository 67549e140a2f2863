//! What the transport of tonic leaves open, one by one.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;
use zhiyuan_testkit::raw;

use crate::fixture::{ECHO, HANG, bounds, call, guarded, played, refusal, request, sizes};
use crate::served::{Served, head, send, until};

#[tokio::test]
async fn the_streams_of_a_connection_are_limited() {
    let served = Served::start(|config| config.max_concurrent_streams = 7).await;
    let (sender, _connection) = served.h2().await;
    assert!(until(async || sender.current_max_send_streams() == 7).await);
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let served = Served::start(|config| config.handshake_ms = 200).await;
    let mut silent = served.tcp().await;
    let mut slow = served.tcp().await;
    slow.write_all(&raw::PREFACE[..10]).await.unwrap();
    assert!(raw::closes(&mut silent).await && raw::closes(&mut slow).await);
    assert!(served.serves().await);
}

#[tokio::test]
async fn a_connection_that_falls_silent_after_the_preface_is_closed() {
    let served = Served::start(|config| config.keepalive_ms = 300).await;
    let mut silent = served.tcp().await;
    raw::hello(&mut silent).await.unwrap();
    // Half a call, and no more: it may not hold the connection open.
    let half = raw::frame(raw::HEADERS, 0, 1, &raw::call(ECHO));
    let mut half_said = served.tcp().await;
    raw::hello(&mut half_said).await.unwrap();
    half_said.write_all(&half).await.unwrap();
    assert!(raw::closes(&mut silent).await && raw::closes(&mut half_said).await);
}

#[tokio::test]
async fn a_connection_that_answers_pings_may_be_silent() {
    let served = Served::start(|config| {
        (config.keepalive_ms, config.handshake_ms, config.stall_ms) = (100, 100, 100);
    })
    .await;
    let (mut sender, _connection) = served.h2().await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    let answer = send(&mut sender, ECHO).await.unwrap().await.unwrap();
    assert_eq!(refusal(answer.headers()), None);
}

#[tokio::test]
async fn a_call_past_its_deadline_is_told_so() {
    let hangs = tower::service_fn(|_request| std::future::pending());
    let served = Served::serve(guarded(hangs, &sizes(), bounds()), crate::served::config()).await;
    let mut channel = served.channel();
    std::future::poll_fn(|cx| tower::Service::poll_ready(&mut channel, cx)).await.unwrap();
    let begun = Instant::now();
    let call = tower::Service::call(&mut channel, request(ECHO, &[("grpc-timeout", "300m")]));
    // The client's own timer is the same; the raw answer is asked for below.
    let _either = call.await;
    assert!(begun.elapsed() < Duration::from_secs(4));
    let (mut sender, _connection) = served.h2().await;
    sender = sender.ready().await.unwrap();
    let mut timed = head(ECHO);
    timed.headers_mut().insert("grpc-timeout", "300m".parse().unwrap());
    let (answer, mut body) = sender.send_request(timed, false).unwrap();
    body.send_data(crate::fixture::frame(b""), true).unwrap();
    let answer = answer.await.unwrap();
    let told = Some((Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned()));
    assert_eq!(refusal(answer.headers()), told);
}

#[tokio::test]
async fn a_deadline_that_is_none_is_refused() {
    let mut service = guarded(played(), &sizes(), bounds());
    for bad in ["bogus", "-5S", "123456789S", ""] {
        let answer = call(&mut service, request(ECHO, &[("grpc-timeout", bad)])).await;
        let refused = Some((Code::InvalidArgument, "DEADLINE_MALFORMED".to_owned()));
        assert_eq!(refusal(answer.headers()), refused, "{bad}");
    }
}

#[tokio::test]
async fn two_authorizations_are_refused() {
    let mut service = guarded(played(), &sizes(), bounds());
    let (one, two) = (("authorization", "Bearer x"), ("authorization", "Bearer y"));
    let answer = call(&mut service, request(ECHO, &[one])).await;
    assert_eq!(refusal(answer.headers()), None);
    let answer = call(&mut service, request(ECHO, &[one, two])).await;
    let refused = Some((Code::Unauthenticated, "UNAUTHENTICATED".to_owned()));
    assert_eq!(refusal(answer.headers()), refused);
}

#[tokio::test]
async fn headers_over_the_limit_are_refused_in_words_and_far_over_it_by_http() {
    let served = Served::start(|_| ()).await;
    let (mut sender, _connection) = served.h2().await;
    let too_large = Some((Code::ResourceExhausted, "MESSAGE_TOO_LARGE".to_owned()));
    for (size, http, told) in [(15_000, 200, None), (17_000, 200, too_large), (40_000, 431, None)] {
        sender = sender.ready().await.unwrap();
        let mut large = head(ECHO);
        large.headers_mut().insert("x-large", "7".repeat(size).parse().unwrap());
        let (answer, mut body) = sender.send_request(large, false).unwrap();
        let _refused_already = body.send_data(crate::fixture::frame(b""), true);
        let answer = answer.await.unwrap();
        assert_eq!((answer.status().as_u16(), refusal(answer.headers())), (http, told), "{size}");
    }
    let answer = send(&mut sender, ECHO).await.unwrap().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_path_is_taken_to_the_letter() {
    let served = Served::start(|_| ()).await;
    let unknown = Some((Code::Unimplemented, "METHOD_NOT_FOUND".to_owned()));
    let method = ECHO.trim_start_matches('/');
    for path in [
        format!("//{method}"),
        format!("/{}", method.replace('/', "%2F")),
        format!("/{}", method.to_lowercase()),
        format!("{ECHO}/"),
        "/".to_owned(),
    ] {
        let mut channel = served.channel();
        std::future::poll_fn(|cx| tower::Service::poll_ready(&mut channel, cx)).await.unwrap();
        let answer = tower::Service::call(&mut channel, request(&path, &[])).await.unwrap();
        assert_eq!(refusal(answer.headers()), unknown, "{path}");
    }
    // Without a slash it is no path, and reaches nobody (as in CVE-2026-33186).
    let mut stream = served.tcp().await;
    raw::hello(&mut stream).await.unwrap();
    let bare = raw::frame(raw::HEADERS, raw::END_HEADERS, 1, &raw::call(method));
    stream.write_all(&bare).await.unwrap();
    let reset = loop {
        match raw::next(&mut stream).await.unwrap() {
            (raw::RST_STREAM, 1, code) => break code,
            (raw::HEADERS, 1, _) => panic!("it was answered"),
            _ => {}
        }
    };
    assert_eq!(reset, [0, 0, 0, 1], "PROTOCOL_ERROR");
}

#[tokio::test]
async fn calls_over_the_limit_are_refused_at_once_and_health_is_not() {
    let served = Served::start(|config| {
        (config.limits.suite, config.limits.total) = (2, 3);
    })
    .await;
    let (mut sender, _connection) = served.h2().await;
    let mut hanging = Vec::new();
    for _ in 0..2 {
        hanging.push(send(&mut sender, HANG).await.unwrap());
    }
    let overloaded = Some((Code::ResourceExhausted, "OVERLOADED".to_owned()));
    let refused = send(&mut sender, HANG).await.unwrap().await.unwrap();
    assert_eq!(refusal(refused.headers()), overloaded);
    let status = tonic::Status::from_header_map(refused.headers()).unwrap();
    assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
    // What matters most has the last place of all.
    assert_eq!(refusal(send(&mut sender, ECHO).await.unwrap().await.unwrap().headers()), None);
    let mut health = HealthClient::new(served.channel());
    let check = HealthCheckRequest::default();
    assert_eq!(health.check(check).await.unwrap().get_ref().status, 1);
}

#[tokio::test]
async fn reflection_can_be_switched_off() {
    let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    for shown in [true, false] {
        let served = Served::start(|config| config.reflection = shown).await;
        let (mut sender, _connection) = served.h2().await;
        let answer = send(&mut sender, path).await.unwrap().await.unwrap();
        let none = Some((Code::Unimplemented, "METHOD_NOT_FOUND".to_owned()));
        assert_eq!(refusal(answer.headers()) == none, !shown);
        let mut health = HealthClient::new(served.channel());
        let check = HealthCheckRequest::default();
        assert_eq!(health.check(check).await.unwrap().get_ref().status, 1);
    }
}
