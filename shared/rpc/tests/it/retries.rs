//! Calls that are sent again, and calls that are not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::Full;
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tower::Service as _;
use zhiyuan_auth::AssertionSigner;
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::SystemClock;
use zhiyuan_rpc::{Error, SuiteChannel, deadline};

use crate::fixture::{frame, refusal};
use crate::served::{Served, config};

const IDEMPOTENT: &str = "/zhiyuan.orgtree.v1.RegionService/GetRegion";
const ONCE: &str = "/zhiyuan.identity.v1.SmsCodeService/SendSmsCode";

/// A service that refuses the first calls and counts all.
struct Refusing {
    _served: Served,
    calls: Arc<AtomicUsize>,
    channel: SuiteChannel,
}

impl Refusing {
    async fn start(first: usize, refuse: fn() -> Status) -> Self {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let service = tower::service_fn(move |_request: Request<Body>| {
            let refused = counted.fetch_add(1, Ordering::Relaxed) < first;
            let status = if refused { refuse() } else { Status::ok("") };
            std::future::ready(Ok(status.into_http()))
        });
        let mut config = config();
        config.max_concurrent_streams = 1000;
        let served = Served::serve(service, config).await;
        let channel = suite(served.channel());
        Self { _served: served, calls, channel }
    }

    async fn call(&self, path: &str, size: usize) -> Response<Body> {
        let mut channel = self.channel.clone();
        std::future::poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
        channel.call(request(path, size)).await.unwrap()
    }

    /// How often a call was sent, and how it ended.
    async fn sent(&self, path: &str, size: usize) -> (usize, Code) {
        let before = self.calls.load(Ordering::Relaxed);
        let code = refusal(self.call(path, size).await.headers()).unwrap().0;
        (self.calls.load(Ordering::Relaxed) - before, code)
    }
}

fn suite(channel: Channel) -> SuiteChannel {
    let key = SigningKey::generate();
    let signer = Arc::new(AssertionSigner::new("tests", key, Arc::new(SystemClock)));
    SuiteChannel::new(channel, "fixture", signer)
}

fn request(path: &str, size: usize) -> Request<Body> {
    Request::post(path)
        .header("content-type", "application/grpc")
        .body(Body::new(Full::new(frame(&vec![7; size]))))
        .unwrap()
}

fn unavailable() -> Status {
    Error::unavailable("a test").with_retry_after(Duration::from_millis(10)).into()
}

#[tokio::test]
async fn what_may_be_sent_twice_is_sent_until_it_is_answered() {
    let service = Refusing::start(2, unavailable).await;
    assert_eq!(service.sent(IDEMPOTENT, 10).await, (3, Code::Ok));
    let service = Refusing::start(2, || Error::conflict("a test").into()).await;
    assert_eq!(service.sent(IDEMPOTENT, 10).await, (3, Code::Ok));
    let bare = Refusing::start(1, || Status::unavailable("")).await;
    assert_eq!(bare.sent(IDEMPOTENT, 10).await, (2, Code::Ok));
}

#[tokio::test]
async fn three_times_at_most() {
    let service = Refusing::start(usize::MAX, unavailable).await;
    assert_eq!(service.sent(IDEMPOTENT, 10).await, (3, Code::Unavailable));
}

#[tokio::test]
async fn what_may_not_is_sent_once() {
    let service = Refusing::start(usize::MAX, unavailable).await;
    assert_eq!(service.sent(ONCE, 10).await.0, 1, "not idempotent");
    assert_eq!(service.sent(IDEMPOTENT, 100_000).await.0, 1, "too large to keep");
    let refusals: [fn() -> Status; 5] = [
        || Error::internal("a test").into(),
        || Error::overloaded(Duration::from_millis(10)).into(),
        || Error::deadline_exceeded().into(),
        || Status::aborted("for good"),
        // Longer than a place is worth keeping.
        || Error::unavailable("a test").with_retry_after(Duration::from_secs(2)).into(),
    ];
    for refuse in refusals {
        let service = Refusing::start(usize::MAX, refuse).await;
        assert_eq!(service.sent(IDEMPOTENT, 10).await.0, 1, "{:?}", refuse());
    }
}

#[tokio::test]
async fn a_deadline_is_not_waited_past() {
    let service = Refusing::start(usize::MAX, || {
        Error::unavailable("a test").with_retry_after(Duration::from_millis(900)).into()
    })
    .await;
    let sent = deadline::run(Duration::from_millis(600), service.sent(IDEMPOTENT, 10)).await;
    assert_eq!(sent.unwrap(), (1, Code::Unavailable));
}

#[tokio::test]
async fn a_storm_of_refusals_is_not_made_worse() {
    let service = Refusing::start(usize::MAX, unavailable).await;
    let calls = (0..300).map(|_| service.sent(IDEMPOTENT, 10));
    let ended = futures_util::future::join_all(calls).await;
    assert!(ended.iter().all(|(_, code)| *code == Code::Unavailable));
    let sent = service.calls.load(Ordering::Relaxed);
    // A tenth of 300, and one in each second; without a budget 900.
    assert!((301..=400).contains(&sent), "{sent} for 300 calls");
}

#[tokio::test]
async fn a_connection_that_breaks_is_made_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let connections = AtomicUsize::new(0);
    let breaking = async {
        loop {
            drop(listener.accept().await.unwrap());
            connections.fetch_add(1, Ordering::Relaxed);
        }
    };
    let calls = async {
        let mut made = Vec::new();
        for path in [ONCE, IDEMPOTENT] {
            let before = connections.load(Ordering::Relaxed);
            let mut channel = suite(zhiyuan_rpc::connect_lazy(&address).unwrap());
            assert!(channel.call(request(path, 10)).await.is_err());
            made.push(connections.load(Ordering::Relaxed) - before);
        }
        assert_eq!(made, [1, 3]);
    };
    tokio::select! {
        () = breaking => {}
        () = calls => {}
    }
}
