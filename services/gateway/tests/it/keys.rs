//! The public keys of access tokens, as a page.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use prost::Message as _;
use tonic::body::Body;
use zhiyuan_contracts::identity::v1::{ListSigningKeysResponse, SigningKey};

use crate::fixture::{good, stream_body};
use crate::suite::{Answer, Suite, deps, frame};

const PAGE: &str = "/.well-known/jwks.json";

/// What identity is like.
const WELL: u8 = 0;
const DOWN: u8 = 1;
const MAD: u8 = 2;

type State = Arc<AtomicU8>;

async fn suite(state: &State) -> Suite {
    let state = Arc::clone(state);
    let identity = tower::service_fn(move |request| play(request, state.load(Ordering::SeqCst)));
    Suite::assemble(identity, &["identity", "orgtree", "registration"], deps(), |_| ()).await
}

async fn play(request: Request<Body>, state: u8) -> Result<Response<Body>, Infallible> {
    assert_eq!(request.uri().path(), "/zhiyuan.identity.v1.SessionService/ListSigningKeys");
    let key = |id: &str, byte, length| SigningKey {
        id: id.to_owned(),
        public_key: vec![byte; length],
        ..Default::default()
    };
    let keys = match state {
        MAD => vec![key("2026-11", 0xFB, 31)],
        _ => vec![key("2026-11", 0xFB, 32), key("2026-12", 0xFF, 32)],
    };
    let answer = ListSigningKeysResponse { keys, ..Default::default() }.encode_to_vec();
    let mut failed = HeaderMap::new();
    failed.insert("grpc-status", HeaderValue::from_static("14"));
    let parts = match state {
        DOWN => vec![Ok(Frame::trailers(failed))],
        _ => vec![Ok(Frame::data(frame(&answer))), Ok(Frame::trailers(good()))],
    };
    let mut response = Response::new(stream_body(stream::iter(parts)));
    let content_type = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", content_type);
    Ok(response)
}

async fn get(suite: &Suite) -> Answer {
    suite.http1(Request::get(PAGE).body(Bytes::new()).unwrap()).await
}

#[tokio::test]
async fn are_a_key_set_that_may_be_kept_for_a_minute() {
    let suite = suite(&State::default()).await;
    let answer = get(&suite).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/jwk-set+json");
    assert_eq!(answer.headers["cache-control"], "public, max-age=60");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    let key = |kid: &str, x: String| {
        serde_json::json!({
            "kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig", "alg": "EdDSA",
        })
    };
    // 32 bytes in the alphabet of URLs, without padding.
    let first = key("2026-11", format!("{}-_s", "-_v7".repeat(10)));
    let second = key("2026-12", format!("{}_8", "_".repeat(41)));
    assert_eq!(answer.json(), serde_json::json!({ "keys": [first, second] }));
    let head = suite.http2(Request::head(PAGE).body(Bytes::new()).unwrap()).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.headers["cache-control"], "public, max-age=60");
    let posted = suite.json(PAGE, "{}").await;
    assert_eq!(posted.refusal().1, "METHOD_NOT_FOUND");
}

#[tokio::test]
async fn are_asked_for_once_by_many_who_ask() {
    let suite = suite(&State::default()).await;
    for answer in join_all((0..50).map(|_| get(&suite))).await {
        assert_eq!(answer.status, 200);
    }
    // Once, unless the machine was so slow that five seconds passed.
    assert!(suite.reached() <= 2, "{}", suite.reached());
}

#[tokio::test]
async fn are_told_as_they_were_while_identity_is_down_or_mad() {
    for sick in [DOWN, MAD] {
        let state = State::default();
        let suite = suite(&state).await;
        let good = get(&suite).await;
        state.store(sick, Ordering::SeqCst);
        let asked_again = async {
            while suite.reached() < 3 {
                let answer = get(&suite).await;
                assert_eq!((answer.status, &answer.body), (200, &good.body));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), asked_again).await.unwrap();
        assert_eq!(get(&suite).await.body, good.body);
    }
}

#[tokio::test]
async fn are_unavailable_until_they_were_told_once_and_then_told_soon() {
    for sick in [DOWN, MAD] {
        let state = State::new(AtomicU8::new(sick));
        let suite = suite(&state).await;
        for _ in 0..20 {
            let answer = get(&suite).await;
            assert_eq!(
                (answer.status, &*answer.body),
                (503, &b"the keys are not known just now\n"[..])
            );
            assert_eq!(answer.headers["cache-control"], "no-store");
        }
        // Once a second, whoever asks.
        assert!(suite.reached() < 10, "{}", suite.reached());
        state.store(WELL, Ordering::SeqCst);
        let told = async {
            while get(&suite).await.status != 200 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), told).await.unwrap();
    }
}
