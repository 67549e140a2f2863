//! Streaming methods, which the contracts don't have yet.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::body::Body;
use tower::ServiceExt as _;

use crate::fixture::{self, ECHO, TALK, WATCH};
use crate::suite::{Suite, frame, post, reason};

/// Opens a stream in both directions.
async fn talk(suite: &Suite) -> (mpsc::Sender<Bytes>, Body) {
    let (sender, receiver) = mpsc::channel::<Bytes>(4);
    let parts = ReceiverStream::new(receiver)
        .map(|part| Ok::<_, std::convert::Infallible>(Frame::data(part)));
    let request = post(TALK, "application/grpc").body(Body::new(StreamBody::new(parts))).unwrap();
    let response = suite.channel().oneshot(request).await.unwrap();
    (sender, response.into_body())
}

#[tokio::test]
async fn both_directions_flow_before_either_ends() {
    let suite = fixture::start(|_| ()).await;
    let (sender, mut answers) = talk(&suite).await;
    for part in [b"one".as_slice(), b"two", b"three"] {
        sender.send(frame(part)).await.unwrap();
        let answered = answers.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(answered, frame(part));
    }
    drop(sender);
    let trailers = answers.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(
        (&trailers["grpc-status"], &trailers["x-fixture"]),
        (&"0".parse().unwrap(), &"kept".parse().unwrap())
    );
}

#[tokio::test]
async fn a_stream_that_grows_past_the_limit_is_ended() {
    let suite = fixture::start(|config| config.messages.request_bytes = 100).await;
    let (sender, answers) = talk(&suite).await;
    sender.send(frame(&[7; 60])).await.unwrap();
    sender.send(frame(&[7; 60])).await.unwrap();
    let trailers = answers.collect().await.unwrap().trailers().cloned().unwrap();
    let status = tonic::Status::from_header_map(&trailers).unwrap();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::ResourceExhausted, "MESSAGE_TOO_LARGE")
    );
}

#[tokio::test]
async fn a_stream_ends_when_its_caller_said() {
    let suite = fixture::start(|_| ()).await;
    let answer = suite.grpc(WATCH, &[("grpc-timeout", "300m")], b"").await;
    assert_eq!(answer.body, frame(b""));
    assert_eq!(reason(&answer.grpc()), "DEADLINE_EXCEEDED");
    assert!(suite.last_seen().contains_key("grpc-timeout"));
}

#[tokio::test]
async fn a_stream_without_deadline_outlives_the_default_and_holds_its_place() {
    let suite = fixture::start(|config| {
        config.server.default_deadline_ms = 100;
        config.server.limits.stream = 1;
    })
    .await;
    let request = || {
        post(WATCH, "application/grpc")
            .body(Body::new(http_body_util::Full::new(frame(b""))))
            .unwrap()
    };
    let mut watching = suite.channel().oneshot(request()).await.unwrap().into_body();
    watching.frame().await.unwrap().unwrap();
    let still = tokio::time::timeout(Duration::from_millis(400), watching.frame()).await;
    assert!(still.is_err(), "{still:?}");
    assert!(!suite.last_seen().contains_key("grpc-timeout"));
    assert_eq!(reason(&suite.grpc(WATCH, &[], b"").await.grpc()), "OVERLOADED");
    drop(watching);
    let place_is_free = async {
        while reason(&suite.grpc(WATCH, &[("grpc-timeout", "200m")], b"").await.grpc())
            == "OVERLOADED"
        {}
    };
    tokio::time::timeout(Duration::from_secs(5), place_is_free).await.unwrap();
}

#[tokio::test]
async fn connect_says_that_streams_need_grpc() {
    let suite = fixture::start(|_| ()).await;
    for path in [TALK, WATCH] {
        let answer = suite.json(path, "{}").await;
        assert_eq!((answer.status, answer.refusal().0.as_str()), (501, "unimplemented"));
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_unavailable() {
    let suite = fixture::start(|_| ()).await;
    let path = "/zhiyuan.fixture.v1.FixtureService/Break";
    let status = suite.grpc(path, &[], b"").await.grpc();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "UNAVAILABLE"));
    assert_eq!(suite.json(path, "{}").await.refusal().1, "UNAVAILABLE");
}

#[tokio::test]
async fn an_answer_that_is_no_message_is_our_fault() {
    let suite = fixture::start(|_| ()).await;
    let answer = suite.json("/zhiyuan.fixture.v1.FixtureService/Babble", "{}").await;
    assert_eq!((answer.status, answer.refusal().1.as_str()), (500, "INTERNAL"));
    assert_eq!(suite.json(ECHO, "{}").await.status, 200);
}

#[tokio::test]
async fn streams_keep_no_call_from_the_same_service() {
    // Of the service too: two streams are all that a connection to it takes.
    let suite = fixture::start(|config| config.server.max_concurrent_streams = 2).await;
    let mut watching = Vec::new();
    for _ in 0..2 {
        let message = Body::new(http_body_util::Full::new(frame(b"")));
        let request = post(WATCH, "application/grpc").body(message).unwrap();
        let mut body = suite.channel().oneshot(request).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        watching.push(body);
    }
    let answer = suite.grpc(ECHO, &[("grpc-timeout", "3S")], b"").await;
    assert_eq!(answer.grpc().code(), Code::Ok);
}
