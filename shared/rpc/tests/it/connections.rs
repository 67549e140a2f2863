//! Floods of connections, and connections that have come of age.

use std::time::Duration;

use http_body_util::BodyExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::Code;

use crate::fixture::{ECHO, FOLLOW, refusal};
use crate::served::{Served, head, send, until};

#[tokio::test]
async fn idle_connections_make_room_for_calls() {
    let served = Served::start(|config| config.max_connections = 16).await;
    let (mut steady, _connection) = served.h2().await;
    send(&mut steady, ECHO).await.unwrap().await.unwrap();
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(TcpStream::connect(served.address).await.unwrap());
        if idle.len() % 20 == 0 {
            let answer = send(&mut steady, ECHO).await.unwrap().await.unwrap();
            assert_eq!(refusal(answer.headers()), None);
        }
    }
    assert!(served.serves().await);
    // Who calls now and then is not taken for idle among those who never did.
    let answer = send(&mut steady, ECHO).await.unwrap().await.unwrap();
    assert_eq!(refusal(answer.headers()), None);
    let mut open = 0;
    for stream in &idle {
        let nothing_to_read = stream.try_read(&mut [0; 8]);
        open += usize::from(nothing_to_read.is_err());
    }
    assert!(open <= 16, "{open} of 200 are still open");
}

#[tokio::test]
async fn a_connection_with_a_call_keeps_its_place() {
    let served = Served::start(|config| config.max_connections = 2).await;
    let (mut one, _of_one) = served.h2().await;
    let (mut other, _of_other) = served.h2().await;
    let mut streams = Vec::new();
    for sender in [&mut one, &mut other] {
        let answer = send(sender, FOLLOW).await.unwrap().await.unwrap();
        assert_eq!(refusal(answer.headers()), None);
        streams.push(answer.into_body());
    }
    let (mut next, address) = (JoinSet::new(), served.address);
    next.spawn(async move {
        h2::client::handshake(TcpStream::connect(address).await.unwrap()).await.map(drop)
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    for stream in &mut streams {
        // The first message; the stream is as it was.
        assert!(stream.data().await.unwrap().is_ok());
    }
    drop(streams);
    drop((one, _of_one));
    let next = tokio::time::timeout(Duration::from_secs(10), next.join_next()).await;
    next.unwrap().unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn who_only_sends_slowly_makes_room() {
    let served = Served::start(|config| {
        (config.max_connections, config.default_deadline_ms) = (4, 60_000);
        config.max_deadline_ms = 60_000;
    })
    .await;
    let (mut busy, _connection) = served.h2().await;
    let followed = send(&mut busy, FOLLOW).await.unwrap().await.unwrap();
    let health = "/grpc.health.v1.Health/Check";
    let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let mut slow = Vec::new();
    for path in [ECHO, health, reflection] {
        let (sender, connection) = served.h2().await;
        let mut sender = sender.ready().await.unwrap();
        let (answer, mut body) = sender.send_request(head(path), false).unwrap();
        body.send_data(bytes::Bytes::from_static(b"\0\0"), false).unwrap();
        slow.push((answer, body, connection));
    }
    // One after the other, and nobody who is served.
    let mut kept = Vec::new();
    for _ in 0..3 {
        let (mut next, connection) = served.h2().await;
        let answer = send(&mut next, FOLLOW).await.unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(8), answer).await;
        let answer = answer.unwrap().unwrap();
        assert_eq!(refusal(answer.headers()), None);
        kept.push((next, connection, answer));
    }
    let mut followed = followed.into_body();
    assert!(followed.data().await.unwrap().is_ok());
    for (answer, _body, _connection) in slow {
        assert!(answer.await.is_err());
    }
}

#[tokio::test]
async fn a_connection_of_age_is_asked_to_leave_and_its_streams_end_well() {
    let served = Served::start(|config| config.max_age_ms = 300).await;
    let mut channel = served.channel();
    std::future::poll_fn(|cx| tower::Service::poll_ready(&mut channel, cx)).await.unwrap();
    let request = crate::fixture::request(FOLLOW, &[]);
    let answer = tower::Service::call(&mut channel, request).await.unwrap();
    let read = tokio::time::timeout(Duration::from_secs(10), answer.into_body().collect());
    let read = read.await.unwrap().unwrap();
    let left = Some((Code::Unavailable, "DRAINING".to_owned()));
    assert_eq!(refusal(read.trailers().unwrap()), left);

    let (mut sender, mut connection) = served.h2().await;
    assert!(until(async || send(&mut sender, ECHO).await.is_err()).await);
    // GOAWAY with no error: nothing was lost.
    let ended = connection.join_next().await.unwrap().unwrap();
    assert!(ended.is_none_or(|error| error.reason() == Some(h2::Reason::NO_ERROR)));
    assert!(served.serves().await);
}
