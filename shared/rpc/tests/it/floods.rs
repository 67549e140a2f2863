//! Floods of frames: the connection ends, others are served, memory stays.

use std::time::Duration;

use h2::Reason;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Mutex;
use tonic::Code;
use zhiyuan_testkit::raw;

use crate::fixture::{ECHO, frame, refusal};
use crate::served::{Served, head};

/// What this process has in memory, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

const GROWTH: usize = 64 << 20;

/// Memory is that of the process: no two of these tests at once.
static ALONE: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let _alone = ALONE.lock().await;
    let served = Served::start(|_| ()).await;
    let before = resident();
    let mut stream = served.tcp().await;
    raw::hello(&mut stream).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let flood = async {
        for stream in (1..40_000).step_by(2) {
            let call = raw::frame(raw::HEADERS, raw::END_HEADERS, stream, &raw::call(ECHO));
            let reset = raw::frame(raw::RST_STREAM, 0, stream, &8_u32.to_be_bytes());
            if writer.write_all(&[call, reset].concat()).await.is_err() {
                break;
            }
        }
    };
    let told = async {
        let mut all = Vec::new();
        let _cut = tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut all).await;
        all
    };
    let ((), all) = tokio::join!(flood, told);
    let calm = u32::from(Reason::ENHANCE_YOUR_CALM).to_be_bytes();
    let goaway = all
        .windows(17)
        .any(|bytes| bytes[3] == raw::GOAWAY && bytes[5..9] == [0; 4] && bytes[13..17] == calm);
    assert!(goaway, "no GOAWAY");
    assert!(served.serves().await);
    assert!(resident().saturating_sub(before) < GROWTH);
}

#[tokio::test]
async fn continuations_without_end_end_the_connection() {
    let _alone = ALONE.lock().await;
    let served = Served::start(|_| ()).await;
    let before = resident();
    let mut stream = served.tcp().await;
    raw::hello(&mut stream).await.unwrap();
    stream.write_all(&raw::frame(raw::HEADERS, 0, 1, &raw::call(ECHO))).await.unwrap();
    let more =
        raw::frame(raw::CONTINUATION, 0, 1, &raw::header("x-more", &"7".repeat(100)).repeat(100));
    let mut sent = 0;
    while sent < 20_000 && stream.write_all(&more).await.is_ok() {
        sent += 1;
    }
    assert!(sent < 20_000, "all were taken");
    assert!(served.serves().await);
    assert!(resident().saturating_sub(before) < GROWTH);
}

#[tokio::test]
async fn windows_of_nothing_keep_nobody_from_a_call() {
    let _alone = ALONE.lock().await;
    let served = Served::start(|config| config.stall_ms = 500).await;
    let before = resident();
    let (mut stalled, mut kept) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        let mut builder = h2::client::Builder::new();
        let (mut sender, connection) = served.h2_with(builder.initial_window_size(0)).await;
        for _ in 0..50 {
            sender = sender.ready().await.unwrap();
            let (answer, mut body) = sender.send_request(head(ECHO), false).unwrap();
            body.send_data(frame(&[7; 60_000]), true).unwrap();
            stalled.push(answer);
        }
        kept.push((sender, connection));
    }
    assert!(served.serves().await);
    assert!(resident().saturating_sub(before) < GROWTH);
}

#[tokio::test]
async fn memory_for_answers_that_wait_is_bounded() {
    let _alone = ALONE.lock().await;
    let served = Served::start(|config| {
        (config.limits.write, config.limits.total) = (500, 600);
    })
    .await;
    // 1,000 answers of 200 KB that nobody reads would be 200 MB.
    let before = resident();
    let mut kept = Vec::new();
    for _ in 0..10 {
        let mut builder = h2::client::Builder::new();
        let (mut sender, connection) = served.h2_with(builder.initial_window_size(0)).await;
        let mut answers = Vec::new();
        for _ in 0..100 {
            let Ok(ready) = sender.clone().ready().await else { break };
            sender = ready;
            let Ok((answer, mut body)) = sender.send_request(head(ECHO), false) else { break };
            if body.send_data(frame(&[7; 200_000]), true).is_err() {
                break;
            }
            let Ok(answer) = answer.await else { break };
            answers.push(answer);
        }
        kept.push((connection, answers));
    }
    let mut cut = 0;
    for (connection, _) in &mut kept {
        cut += usize::from(connection.try_join_next().is_some());
    }
    assert!(cut > 0, "no connection was cut");
    assert!(served.serves().await);
    let grown = resident().saturating_sub(before);
    assert!(grown < 3 * GROWTH, "{grown} bytes more");
}

#[tokio::test]
async fn health_and_reflection_keep_little_of_what_is_sent() {
    let _alone = ALONE.lock().await;
    let served = Served::start(|_| ()).await;
    let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let too_large = Some((Code::ResourceExhausted, "MESSAGE_TOO_LARGE".to_owned()));
    for path in ["/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", reflection] {
        let (mut sender, _connection) = served.h2().await;
        for _ in 0..100 {
            // 4 MiB are announced, and a part of them comes.
            sender = sender.ready().await.unwrap();
            let (answer, mut body) = sender.send_request(head(path), false).unwrap();
            let begun = [&[0, 0, 0x40, 0, 0][..], &[7; 2000]].concat();
            body.send_data(begun.into(), false).unwrap();
            let answer = tokio::time::timeout(Duration::from_secs(10), answer).await;
            assert_eq!(refusal(answer.unwrap().unwrap().headers()), too_large, "{path}");
        }
    }
}
