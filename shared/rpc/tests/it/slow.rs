//! Callers who send slowly, or don't read.

use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tonic::Code;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use zhiyuan_testkit::raw;

use crate::fixture::{ECHO, FOLLOW, LIST, refusal};
use crate::served::{Served, head, send, until};

#[tokio::test]
async fn a_head_that_comes_slowly_is_not_waited_for() {
    let served = Served::start(|config| config.keepalive_ms = 300).await;
    let mut slow = served.tcp().await;
    slow.write_all(b"POST / HTTP/1.1\r\nhost: fixture\r\n").await.unwrap();
    let drip = async {
        while slow.write_all(b"x-more: 7\r\n").await.is_ok() {
            let mut byte = [0; 256];
            let read = tokio::time::timeout(Duration::from_millis(50), slow.read(&mut byte)).await;
            if matches!(read, Ok(Ok(0) | Err(_))) {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), drip).await.unwrap();
}

#[tokio::test]
async fn requests_that_come_slowly_take_no_place() {
    let served = Served::start(|config| config.limits.write = 1).await;
    let (mut sender, _connection) = served.h2().await;
    let mut open = Vec::new();
    for _ in 0..20 {
        sender = sender.ready().await.unwrap();
        let (answer, mut body) = sender.send_request(head(ECHO), false).unwrap();
        body.send_data(bytes::Bytes::from_static(b"\0\0"), false).unwrap();
        open.push((answer, body));
    }
    assert!(served.serves().await);
    // Each is answered once it is there.
    let (answer, mut body) = open.pop().unwrap();
    body.send_data(bytes::Bytes::from_static(b"\0\0\0"), true).unwrap();
    assert_eq!(refusal(answer.await.unwrap().headers()), None);
}

const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";

fn refused(code: Code, reason: &str) -> Option<(Code, String)> {
    Some((code, reason.to_owned()))
}

/// Begins calls that announce a message and never send it.
async fn unfinished(sender: &mut SendRequest<Bytes>, path: &str, length: u32) -> Vec<Unfinished> {
    let mut open = Vec::new();
    for _ in 0..70 {
        *sender = sender.clone().ready().await.unwrap();
        let (answer, mut body) = sender.send_request(head(path), false).unwrap();
        let prefix = [&[0][..], &length.to_be_bytes()].concat();
        body.send_data(prefix.into(), false).unwrap();
        open.push((answer, body));
    }
    open
}

type Unfinished = (h2::client::ResponseFuture, h2::SendStream<Bytes>);

#[tokio::test]
async fn requests_to_health_and_reflection_must_come_in_time() {
    let served = Served::start(|config| config.default_deadline_ms = 300).await;
    for path in [CHECK, WATCH, REFLECTION] {
        let (mut sender, _connection) = served.h2().await;
        for (answer, _body) in unfinished(&mut sender, path, 100).await {
            let answer = tokio::time::timeout(Duration::from_secs(10), answer).await;
            let late = refused(Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
            assert_eq!(refusal(answer.unwrap().unwrap().headers()), late, "{path}");
        }
    }
}

#[tokio::test]
async fn unfinished_streams_of_health_and_reflection_take_no_place() {
    let served = Served::start(|_| ()).await;
    for path in [WATCH, REFLECTION] {
        let (mut sender, _connection) = served.h2().await;
        let _open = unfinished(&mut sender, path, 100).await;
        let (mut other, _other) = served.h2().await;
        let answer = send(&mut other, path).await.unwrap().await.unwrap();
        assert_eq!(refusal(answer.headers()), None, "{path}");
    }
}

#[tokio::test]
async fn watchers_of_health_keep_nobody_from_reflection() {
    let served = Served::start(|_| ()).await;
    let (mut sender, _connection) = served.h2().await;
    let mut watching = Vec::new();
    for _ in 0..64 {
        watching.push(send(&mut sender, WATCH).await.unwrap().await.unwrap());
    }
    let full = send(&mut sender, WATCH).await.unwrap().await.unwrap();
    assert_eq!(refusal(full.headers()), refused(Code::ResourceExhausted, "OVERLOADED"));
    let answer = send(&mut sender, REFLECTION).await.unwrap().await.unwrap();
    assert_eq!(refusal(answer.headers()), None);
}

#[tokio::test]
async fn a_stream_of_reflection_ends_in_time() {
    let served = Served::start(|config| config.max_deadline_ms = 2000).await;
    let (sender, _connection) = served.h2().await;
    let (answer, mut body) =
        sender.ready().await.unwrap().send_request(head(REFLECTION), false).unwrap();
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    body.send_data(crate::fixture::frame(&list.encode_to_vec()), false).unwrap();
    let mut answer = answer.await.unwrap().into_body();
    assert!(answer.data().await.unwrap().is_ok());
    let end = tokio::time::timeout(Duration::from_secs(10), async {
        while answer.data().await.is_some() {}
        answer.trailers().await.unwrap().unwrap()
    });
    let late = refused(Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    assert_eq!(refusal(&end.await.unwrap()), late);
}

#[tokio::test]
async fn an_answer_that_nobody_reads_ends_its_connection() {
    let served = Served::start(|config| {
        (config.stall_ms, config.limits.stream) = (300, 1);
    })
    .await;
    let mut builder = h2::client::Builder::new();
    let (mut sender, mut connection) = served.h2_with(builder.initial_window_size(0)).await;
    // Its window is 0: not even the first message fits.
    let _stalled = send(&mut sender, FOLLOW).await.unwrap().await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), connection.join_next()).await;
    assert!(ended.is_ok());
    let (mut next, _next) = served.h2().await;
    let place_is_free = until(async || {
        refusal(send(&mut next, FOLLOW).await.unwrap().await.unwrap().headers()).is_none()
    });
    assert!(place_is_free.await);
}

#[tokio::test]
async fn who_reads_slowly_is_told_from_who_does_not_read() {
    let served = Served::start(|config| config.stall_ms = 400).await;
    let (mut sender, _connection) = served.h2().await;
    let mut answer = send(&mut sender, LIST).await.unwrap().await.unwrap().into_body();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        // All that fitted into the window.
        for _ in 0..16 {
            let data = answer.data().await.unwrap().unwrap();
            answer.flow_control().release_capacity(data.len()).unwrap();
        }
    }
}

#[tokio::test]
async fn who_does_not_even_take_the_bytes_is_cut() {
    let served = Served::start(|config| config.stall_ms = 300).await;
    let mut deaf = served.tcp().await;
    raw::hello(&mut deaf).await.unwrap();
    // The largest windows there are: only TCP holds the answer back.
    let windows = [&[0, 4][..], &0x7fff_ffff_u32.to_be_bytes()].concat();
    deaf.write_all(&raw::frame(raw::SETTINGS, 0, 0, &windows)).await.unwrap();
    let more = 0x7000_0000_u32.to_be_bytes();
    deaf.write_all(&raw::frame(8, 0, 0, &more)).await.unwrap();
    deaf.write_all(&raw::frame(raw::HEADERS, raw::END_HEADERS, 1, &raw::call(LIST))).await.unwrap();
    deaf.write_all(&raw::frame(0, 1, 1, &crate::fixture::frame(b""))).await.unwrap();
    let cut = until(async || deaf.write_all(&raw::frame(6, 0, 0, &[0; 8])).await.is_err());
    assert!(cut.await);
    assert!(served.serves().await);
}

#[tokio::test]
async fn who_asks_on_and_on_and_takes_no_answer_is_cut() {
    let served = Served::start(|config| config.stall_ms = 300).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut deaf = socket.connect(served.address).await.unwrap();
    // Answers that are a head alone: once written to the buffer nothing is left to count.
    let asks = b"GET / HTTP/1.1\r\nhost: fixture\r\n\r\n".repeat(100);
    let cut = async {
        loop {
            let sent = tokio::time::timeout(Duration::from_millis(100), deaf.write_all(&asks));
            if matches!(sent.await, Ok(Err(_broken))) {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), cut).await.unwrap();
    assert!(served.serves().await);
}
