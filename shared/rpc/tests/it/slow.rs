//! Callers who send slowly, or don't read.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
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
