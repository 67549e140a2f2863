//! The end of a server: who is told what, and when.

use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

use crate::fixture::{ECHO, FOLLOW, HANG, refusal, request};
use crate::served::{Served, send, until};

const NOT_SERVING: i32 = 2;

async fn health(served: &Served) -> Option<i32> {
    let mut client = HealthClient::new(served.channel());
    let check = client.check(HealthCheckRequest::default()).await.ok()?;
    Some(check.get_ref().status)
}

#[tokio::test]
async fn says_not_serving_before_the_listener_closes() {
    let mut served = Served::start(|config| config.lame_duck_ms = 1500).await;
    let mut client = HealthClient::new(served.channel());
    let mut watch = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status, 1);
    served.stop.request();
    let stopped = Instant::now();
    assert!(until(async || health(&served).await == Some(NOT_SERVING)).await);
    assert_eq!(watch.message().await.unwrap().unwrap().status, NOT_SERVING);
    let end = watch.message().await.unwrap_err();
    assert_eq!(end.get_details_error_info().unwrap().reason, "DRAINING");
    // Callers that have not heard of it yet are served meanwhile.
    assert!(served.serves().await);
    served.ended().await;
    assert!(stopped.elapsed() >= Duration::from_millis(1500));
    assert!(TcpStream::connect(served.address).await.is_err());
}

#[tokio::test]
async fn open_streams_are_told_and_do_not_hold_it_up() {
    let mut served = Served::start(|_| ()).await;
    let mut channel = served.channel();
    std::future::poll_fn(|cx| tower::Service::poll_ready(&mut channel, cx)).await.unwrap();
    let answer = tower::Service::call(&mut channel, request(FOLLOW, &[])).await.unwrap();
    let mut body = answer.into_body();
    body.frame().await.unwrap().unwrap();
    served.stop.request();
    let begun = Instant::now();
    let read = body.collect().await.unwrap();
    let trailers = read.trailers().unwrap();
    assert_eq!(refusal(trailers), Some((Code::Unavailable, "DRAINING".to_owned())));
    let status = tonic::Status::from_header_map(trailers).unwrap();
    assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
    served.ended().await;
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_open_call_may_end_and_a_stalled_one_is_cut_in_time() {
    let mut served = Served::start(|config| config.drain_ms = 1000).await;
    let (mut sender, mut connection) = served.h2().await;
    let mut builder = h2::client::Builder::new();
    let (mut stalled, _stalled) = served.h2_with(builder.initial_window_size(0)).await;
    let _unread = send(&mut stalled, FOLLOW).await.unwrap().await.unwrap();
    // One call whose request is not complete yet, one that hangs.
    sender = sender.ready().await.unwrap();
    let (open, mut body) = sender.send_request(crate::served::head(ECHO), false).unwrap();
    let hanging = send(&mut sender, HANG).await.unwrap();
    assert!(health(&served).await.is_some());
    served.stop.request();
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_millis(200)).await;
    body.send_data(crate::fixture::frame(b""), true).unwrap();
    assert_eq!(refusal(open.await.unwrap().headers()), None);
    assert!(hanging.await.is_err());
    served.ended().await;
    assert!(begun.elapsed() >= Duration::from_millis(1000));
    assert!(begun.elapsed() < Duration::from_secs(8));
    connection.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn the_hard_stop_waits_for_nothing() {
    let mut served = Served::start(|config| config.lame_duck_ms = 60_000).await;
    let (mut sender, _connection) = served.h2().await;
    let hanging = send(&mut sender, HANG).await.unwrap();
    assert!(health(&served).await.is_some());
    served.stop.force();
    tokio::time::timeout(Duration::from_secs(10), served.ended()).await.unwrap();
    assert!(hanging.await.is_err());
}

#[tokio::test]
async fn nothing_open_ends_at_once() {
    let mut served = Served::start(|_| ()).await;
    assert!(served.serves().await);
    served.stop.request();
    tokio::time::timeout(Duration::from_secs(2), served.ended()).await.unwrap();
}

#[tokio::test]
async fn a_connection_without_calls_that_does_not_answer_is_not_waited_for() {
    let mut served = Served::start(|_| ()).await;
    let mut dead = served.tcp().await;
    zhiyuan_testkit::raw::hello(&mut dead).await.unwrap();
    assert!(served.serves().await);
    served.stop.request();
    tokio::time::timeout(Duration::from_secs(8), served.ended()).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_dropped_leaves_nothing_behind() {
    let mut served = Served::start(|_| ()).await;
    let (mut sender, mut connection) = served.h2().await;
    let hanging = send(&mut sender, HANG).await.unwrap();
    assert!(health(&served).await.is_some());
    served.running.abort_all();
    assert!(served.running.join_next().await.unwrap().unwrap_err().is_cancelled());
    assert!(hanging.await.is_err());
    tokio::time::timeout(Duration::from_secs(8), connection.join_next()).await.unwrap();
}
