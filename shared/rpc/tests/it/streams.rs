//! Streamed answers: how long they live, and what they hold.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use tonic::Code;
use tonic::body::Body;

use zhiyuan_auth::{AssertionSigner, CallerConfig};
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::SystemClock;

use crate::fixture::{
    FOLLOW, LIST, PULL, bounds, call, guarded, played, refusal, request, sizes, trusting,
};

/// Reads a stream to its end; its last words.
async fn end_of(mut body: Body) -> (Code, String) {
    loop {
        if let Ok(trailers) = body.frame().await.unwrap().unwrap().into_trailers() {
            return refusal(&trailers).unwrap();
        }
    }
}

fn deadline_exceeded() -> (Code, String) {
    (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned())
}

#[tokio::test]
async fn a_stream_ends_at_the_deadline_that_its_caller_named() {
    let mut service = guarded(played(), &sizes(), bounds());
    for path in [FOLLOW, LIST] {
        let answer = call(&mut service, request(path, &[("grpc-timeout", "100m")])).await;
        assert_eq!(refusal(answer.headers()), None, "{path}");
        assert_eq!(end_of(answer.into_body()).await, deadline_exceeded(), "{path}");
    }
}

#[tokio::test]
async fn only_a_long_lived_stream_outlives_the_default_deadline() {
    let mut short = bounds();
    short.default = Duration::from_millis(100);
    let mut service = guarded(played(), &sizes(), short);
    let listed = call(&mut service, request(LIST, &[])).await;
    assert_eq!(end_of(listed.into_body()).await, deadline_exceeded());

    let mut followed = call(&mut service, request(FOLLOW, &[])).await.into_body();
    followed.frame().await.unwrap().unwrap();
    let still = tokio::time::timeout(Duration::from_millis(300), followed.frame()).await;
    assert!(still.is_err(), "{still:?}");
}

#[tokio::test]
async fn a_stream_holds_its_place_until_its_body_is_gone() {
    let mut few = sizes();
    (few.stream, few.write) = (2, 1);
    let mut service = guarded(played(), &few, bounds());
    let follow = || request(FOLLOW, &[]);
    let first = call(&mut service, follow()).await;
    let _second = call(&mut service, follow()).await;
    let refused = call(&mut service, follow()).await;
    let overloaded = Some((Code::ResourceExhausted, "OVERLOADED".to_owned()));
    assert_eq!(refusal(refused.headers()), overloaded);
    let other = call(&mut service, request(crate::fixture::ECHO, &[])).await;
    assert_eq!(refusal(other.headers()), None);
    drop(first);
    assert_eq!(refusal(call(&mut service, follow()).await.headers()), None);
}

#[tokio::test]
async fn one_caller_keeps_no_other_out() {
    let keys = ["account", "orgtree"].map(|name| (name, SigningKey::generate()));
    let callers = keys.iter().map(|(name, key)| {
        let public_keys = vec![key.verifying_key().to_base64()];
        ((*name).to_owned(), CallerConfig { public_keys, scopes: vec!["fixture.feed".to_owned()] })
    });
    let mut eight = sizes();
    eight.stream = 8;
    let mut service = trusting(&callers.collect(), played(), &eight, bounds());
    let [account, orgtree] =
        keys.map(|(name, key)| AssertionSigner::new(name, key, Arc::new(SystemClock)));
    let mut pull = async |signer: &AssertionSigner| {
        let assertion = signer.sign("fixture");
        call(&mut service, request(PULL, &[("zhiyuan-assertion", &assertion)])).await
    };
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(pull(&account).await);
    }
    let overloaded = Some((Code::ResourceExhausted, "OVERLOADED".to_owned()));
    assert_eq!(refusal(pull(&account).await.headers()), overloaded);
    assert_eq!(refusal(pull(&orgtree).await.headers()), None);
    assert_eq!(refusal(held.pop().unwrap().headers()), None);
    assert_eq!(refusal(pull(&account).await.headers()), None);
}

#[tokio::test]
async fn a_stream_that_panics_ends_as_our_fault() {
    let inner = tower::service_fn(async |_request| {
        let parts = futures_util::stream::poll_fn(|_cx| -> std::task::Poll<_> {
            panic!("a test of panics")
        });
        Ok(crate::fixture::answer(crate::fixture::streamed(parts)))
    });
    let mut service = guarded(tower::util::BoxCloneService::new(inner), &sizes(), bounds());
    let answer = call(&mut service, request(FOLLOW, &[])).await;
    assert_eq!(end_of(answer.into_body()).await, (Code::Internal, "INTERNAL".to_owned()));
}
