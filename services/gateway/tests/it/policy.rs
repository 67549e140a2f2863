//! Each policy of the contracts is enforced.

use zhiyuan_contracts::policy::{Caller, Policies};

use crate::fixture::{self, SNAPSHOT};
use crate::suite::{Suite, post, reason};

#[tokio::test]
async fn public_methods_are_routed_and_no_others() {
    let suite = Suite::start().await;
    let policies = Policies::load().unwrap();
    let (mut routed, mut closed) = (0, 0);
    for policy in policies.iter() {
        let before = suite.seen.lock().unwrap().len();
        let headers = match policy.caller {
            Caller::Service { at_gateway: true, .. } => &[("zhiyuan-assertion", "signed")][..],
            Caller::SignedIn { .. } => &[("authorization", "Bearer token")],
            Caller::Any | Caller::Service { .. } => &[],
        };
        let grpc = suite.grpc(&policy.path, headers, b"").await;
        let mut request = post(&policy.path, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let json = suite.http1(request.body("{}".into()).unwrap()).await;
        let reached = suite.seen.lock().unwrap().len() - before;
        match policy.caller.at_gateway() {
            true => {
                routed += 1;
                assert_ne!(reason(&grpc.grpc()), "METHOD_NOT_FOUND", "{}", policy.path);
                // Streams are for gRPC alone.
                let streams = policy.method.is_server_streaming();
                assert_eq!(json.text().contains("METHOD_NOT_FOUND"), streams, "{}", policy.path);
                assert_eq!(reached, if streams { 1 } else { 2 }, "{}", policy.path);
            }
            false => {
                closed += 1;
                assert_eq!(grpc.grpc().code(), tonic::Code::Unimplemented, "{}", policy.path);
                assert_eq!(reason(&grpc.grpc()), "METHOD_NOT_FOUND", "{}", policy.path);
                assert_eq!(json.status, 501, "{}", policy.path);
                assert_eq!(json.refusal().1, "METHOD_NOT_FOUND", "{}", policy.path);
                assert_eq!(reached, 0, "{}", policy.path);
            }
        }
    }
    assert!(routed >= 6 && closed >= 1, "{routed} routed, {closed} closed");
}

#[tokio::test]
async fn a_service_account_without_assertion_takes_no_place() {
    let suite = fixture::start(|config| config.server.limits.suite = 1).await;
    let signed = ("zhiyuan-assertion", "signed");
    let headers = [signed, ("grpc-timeout", "1S")];
    let hanging = suite.grpc(SNAPSHOT, &headers, b"");
    let (hanging, ()) = tokio::join!(hanging, async {
        while suite.seen.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        // Not `OVERLOADED`: nobody has asked yet whether there is a place.
        for headers in [&[][..], &[signed, signed]] {
            let refused = suite.grpc(SNAPSHOT, headers, b"").await.grpc();
            assert_eq!(refused.code(), tonic::Code::Unauthenticated);
            assert_eq!(reason(&refused), "UNAUTHENTICATED");
        }
        assert_eq!(suite.json(SNAPSHOT, "{}").await.refusal().1, "UNAUTHENTICATED");
    });
    assert_eq!(reason(&hanging.grpc()), "DEADLINE_EXCEEDED");
    assert_eq!(suite.seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn many_service_accounts_are_served_at_once() {
    let suite = fixture::start(|_| ()).await;
    let headers = [("zhiyuan-assertion", "signed"), ("grpc-timeout", "1S")];
    let calls = (0..32).map(|_| suite.grpc(SNAPSHOT, &headers, b""));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(reason(&answer.grpc()), "DEADLINE_EXCEEDED");
    }
}

#[tokio::test]
async fn an_internal_method_looks_like_none() {
    let suite = Suite::start().await;
    let begin = "/zhiyuan.identity.v1.EnrolmentService/BeginEnrolment";
    let none = "/zhiyuan.identity.v1.EnrolmentService/NoSuchMethod";
    let (begin_json, none_json) = (suite.json(begin, "{}").await, suite.json(none, "{}").await);
    assert_eq!((begin_json.status, begin_json.text()), (none_json.status, none_json.text()));
    let (begin, none) = (suite.grpc(begin, &[], b"").await, suite.grpc(none, &[], b"").await);
    assert_eq!(begin.grpc().message(), none.grpc().message());
    assert_eq!(begin.grpc().details(), none.grpc().details());
}

#[tokio::test]
async fn a_path_must_match_to_the_letter() {
    let suite = Suite::start().await;
    for path in [
        "/",
        "//zhiyuan.identity.v1.SmsCodeService/SendSmsCode",
        "/zhiyuan.identity.v1.SmsCodeService/sendsmscode",
        "/zhiyuan.identity.v1.SmsCodeService%2FSendSmsCode",
        "/zhiyuan.identity.v1.SmsCodeService/SendSmsCode/",
        "/zhiyuan.identity.v1.SmsCodeService",
        "/grpc.health.v1.Healthy/Check",
    ] {
        let status = suite.grpc(path, &[], b"").await.grpc();
        assert_eq!(status.code(), tonic::Code::Unimplemented, "{path}");
        assert_eq!(reason(&status), "METHOD_NOT_FOUND", "{path}");
    }
    let answer = suite.json("/no/such", "{}").await;
    assert_eq!((answer.status, answer.refusal().0.as_str()), (501, "unimplemented"));
    assert!(suite.seen.lock().unwrap().is_empty());
}
