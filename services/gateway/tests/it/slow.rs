//! Callers who send slowly, who don't call, and the end of the gateway.

use std::convert::Infallible;
use std::time::Duration;

use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tower::ServiceExt as _;

use crate::fixture::{self, WATCH};
use crate::suite::{SEND, Suite, frame, post, reason};

/// Whether the gateway closes a connection within ten seconds; what it said.
async fn closes(stream: &mut TcpStream) -> Option<String> {
    let mut said = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut said));
    read.await.ok()?.ok();
    Some(String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
async fn a_head_that_comes_slowly_is_not_waited_for() {
    let suite = Suite::start_with(|config| {
        (config.server.keepalive_ms, config.server.handshake_ms) = (300, 300);
    })
    .await;
    let mut slow = TcpStream::connect(suite.address).await.unwrap();
    slow.write_all(b"POST / HTTP/1.1\r\nhost: gateway\r\n").await.unwrap();
    assert!(closes(&mut slow).await.is_some());
    let mut silent = TcpStream::connect(suite.address).await.unwrap();
    assert!(closes(&mut silent).await.is_some());
    assert_eq!(suite.json(SEND, "{}").await.status, 200);
}

#[tokio::test]
async fn bodies_that_come_slowly_take_no_place_and_end_at_their_deadline() {
    let suite = Suite::start_with(|config| {
        (config.server.limits.message, config.server.default_deadline_ms) = (1, 2000);
    })
    .await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(suite.address).await.unwrap();
        let head = format!(
            "POST {SEND} HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n\
             content-length: 1000\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    assert_eq!(suite.json(SEND, "{}").await.status, 200);
    for stream in &mut slow {
        let said = closes(stream).await.unwrap();
        assert!(said.starts_with("HTTP/1.1 504") && said.contains("DEADLINE_EXCEEDED"), "{said}");
    }
}

#[tokio::test]
async fn a_stream_whose_request_comes_slowly_takes_no_place_and_ends_in_time() {
    let suite = fixture::start(|config| {
        (config.server.limits.stream, config.server.default_deadline_ms) = (1, 2000);
    })
    .await;
    let (sender, parts) = tokio::sync::mpsc::channel::<Result<_, Infallible>>(1);
    sender.send(Ok(Frame::data(frame(b"7").slice(..3)))).await.unwrap();
    let body = Body::new(StreamBody::new(ReceiverStream::new(parts)));
    let slow = suite.channel().oneshot(post(WATCH, "application/grpc").body(body).unwrap());
    let (slow, ()) = tokio::join!(slow, async {
        let quick = suite.grpc(WATCH, &[("grpc-timeout", "1S")], b"").await;
        assert_eq!(quick.body, frame(b""));
    });
    let late = tonic::Status::from_header_map(slow.unwrap().headers()).unwrap();
    assert_eq!(reason(&late), "DEADLINE_EXCEEDED");
    drop(sender);
}

#[tokio::test]
async fn connections_without_a_call_keep_nobody_out() {
    let suite = Suite::start_with(|config| config.server.max_connections = 20).await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(TcpStream::connect(suite.address).await.unwrap());
    }
    assert_eq!(suite.json(SEND, "{}").await.status, 200);
    assert_eq!(reason_of_end(&suite.grpc(SEND, &[], b"").await.grpc()), "");
}

fn reason_of_end(status: &tonic::Status) -> String {
    match status.code() {
        tonic::Code::Ok => String::new(),
        _ => reason(status),
    }
}

#[tokio::test]
async fn a_stream_is_told_that_the_gateway_stops() {
    let suite = fixture::start(|_| ()).await;
    let message = Body::new(http_body_util::Full::new(frame(b"")));
    let request = post(WATCH, "application/grpc").body(message).unwrap();
    let mut body = suite.channel().oneshot(request).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    suite.stop.request();
    let end = tokio::time::timeout(Duration::from_secs(10), body.collect()).await;
    let trailers = end.unwrap().unwrap().trailers().cloned().unwrap();
    assert_eq!(reason(&tonic::Status::from_header_map(&trailers).unwrap()), "DRAINING");
    suite.ended().await;
}

#[tokio::test]
async fn an_answer_that_nobody_reads_does_not_stay() {
    let suite = Suite::start_with(|config| config.server.stall_ms = 300).await;
    let stream = TcpStream::connect(suite.address).await.unwrap();
    let (mut sender, connection) = h2::client::Builder::new()
        .initial_window_size(0)
        .handshake::<_, bytes::Bytes>(stream)
        .await
        .unwrap();
    let request = http::Request::post(format!("http://gateway{SEND}"))
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    let unread = async {
        let (answer, mut body) = sender.send_request(request, false).unwrap();
        body.send_data(frame(b""), true).unwrap();
        let _kept = answer.await;
        std::future::pending::<()>().await;
    };
    let cut = async { tokio::time::timeout(Duration::from_secs(10), connection).await.is_ok() };
    tokio::select! {
        cut = cut => assert!(cut, "the connection is still there"),
        () = unread => {}
    }
}
