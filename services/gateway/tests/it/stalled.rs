//! Callers that never read what they are answered: they must not keep the places of
//! others.

use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use http::{Request, Response};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::fixture::{self, WATCH};
use crate::suite::{SEND, Suite, frame, reason};

const HEALTH_WATCH: &str = "/grpc.health.v1.Health/Watch";

/// A connection whose windows are 0: no byte of an answer fits.
struct Stalled {
    sender: SendRequest<Bytes>,
    /// Answers begun. Dropping one would reset its stream.
    answers: Vec<Response<RecvStream>>,
    _connection: JoinSet<()>,
}

impl Stalled {
    async fn connect(suite: &Suite) -> Self {
        let stream = TcpStream::connect(suite.address).await.unwrap();
        let (sender, connection) = h2::client::Builder::new()
            .initial_window_size(0)
            .handshake::<_, Bytes>(stream)
            .await
            .unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // Ends with the gateway.
            let _cut = connection.await;
        });
        Self { sender, answers: Vec::new(), _connection: tasks }
    }

    /// Sends a call, and waits for no more than the head of its answer. Returns the
    /// reason of a refusal, else nothing.
    async fn call(&mut self, path: &str, timeout: Option<&str>) -> String {
        let mut request = Request::post(format!("http://gateway{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(timeout) = timeout {
            request = request.header("grpc-timeout", timeout);
        }
        let request = request.body(()).unwrap();
        self.sender = self.sender.clone().ready().await.unwrap();
        let (answer, mut body) = self.sender.send_request(request, false).unwrap();
        body.send_data(frame(b""), true).unwrap();
        let answer = answer.await.unwrap();
        let refused = tonic::Status::from_header_map(answer.headers());
        self.answers.push(answer);
        refused.map(|status| reason(&status)).unwrap_or_default()
    }
}

#[tokio::test]
async fn answers_that_nobody_reads_hold_no_place_past_their_deadline() {
    let suite = Suite::start_with(|config| config.server.limits.message = 4).await;
    let mut stalled = [Stalled::connect(&suite).await, Stalled::connect(&suite).await];
    for connection in &mut stalled {
        for _ in 0..10 {
            connection.call(SEND, Some("500m")).await;
        }
    }
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(suite.grpc(SEND, &[], b"").await.grpc().code(), Code::Ok);
    assert_eq!(suite.json(SEND, "{}").await.status, 200);
}

#[tokio::test]
async fn a_stream_that_nobody_reads_gives_its_place_back_at_its_deadline() {
    let suite = fixture::start(|config| config.server.limits.stream = 2).await;
    let mut stalled = Stalled::connect(&suite).await;
    for _ in 0..2 {
        assert_eq!(stalled.call(WATCH, Some("500m")).await, "");
    }
    assert_eq!(stalled.call(WATCH, Some("500m")).await, "OVERLOADED");
    tokio::time::sleep(Duration::from_millis(600)).await;
    let answer = suite.grpc(WATCH, &[("grpc-timeout", "100m")], b"").await;
    assert_eq!(
        (answer.body, reason_of(&answer.trailers)),
        (frame(b""), "DEADLINE_EXCEEDED".into())
    );
}

#[tokio::test]
async fn watchers_of_health_are_limited_and_take_no_place_of_a_call() {
    let suite = Suite::start_with(|config| config.server.limits.read = 1).await;
    let mut stalled = Stalled::connect(&suite).await;
    for _ in 0..64 {
        assert_eq!(stalled.call(HEALTH_WATCH, None).await, "");
    }
    assert_eq!(stalled.call(HEALTH_WATCH, None).await, "OVERLOADED");
    let mut health = HealthClient::new(suite.channel());
    assert_eq!(health.check(HealthCheckRequest::default()).await.unwrap().get_ref().status, 1);
    let path = "/zhiyuan.registration.v1.RegistrationService/GetRegistration";
    assert_eq!(suite.json(path, "{}").await.status, 200);
    drop(stalled);
    let mut next = Stalled::connect(&suite).await;
    let place_is_free = async {
        while next.call(HEALTH_WATCH, None).await == "OVERLOADED" {
            // Not faster than the gateway notices.
            next.answers.clear();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), place_is_free).await.unwrap();
}

fn reason_of(trailers: &http::HeaderMap) -> String {
    reason(&tonic::Status::from_header_map(trailers).unwrap())
}
