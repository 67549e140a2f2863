//! Methods for people who have signed in.

use tonic::Code;

use crate::suite::{Suite, reason};

pub(crate) const SIGN_IN: &str = "/zhiyuan.identity.v1.SignInService/SignIn";
pub(crate) const REFRESH: &str = "/zhiyuan.identity.v1.SignInService/RefreshSession";
pub(crate) const SIGN_OUT: &str = "/zhiyuan.identity.v1.SignInService/SignOut";
pub(crate) const CLOSE: &str = "/zhiyuan.identity.v1.AccountService/CloseMyAccount";
/// A method for who has signed in.
pub(crate) const MINE: &str = "/zhiyuan.identity.v1.AuditService/ListMyRecords";

#[tokio::test]
async fn a_token_is_passed_on_as_it_came_and_not_verified_here() {
    let suite = Suite::start().await;
    for token in ["Bearer anything", "bearer a.b.c", "Bearer a b"] {
        let headers = [("authorization", token)];
        assert_eq!(suite.grpc(MINE, &headers, b"").await.grpc().code(), Code::Ok);
        assert_eq!(suite.last_seen()["authorization"], token);
        for http2 in [false, true] {
            suite.call(http2, MINE, &headers, "{}").await;
            assert_eq!(suite.last_seen()["authorization"], token);
        }
    }
    assert_eq!(suite.reached(), 9);
}

#[tokio::test]
async fn without_exactly_one_bearer_token_nothing_reaches_a_service() {
    let suite = Suite::start().await;
    let bearer = ("authorization", "Bearer a");
    for headers in [
        &[][..],
        &[bearer, bearer],
        &[bearer, ("authorization", "Basic eDp5")],
        &[("authorization", "")],
        &[("authorization", "Bearer")],
        &[("authorization", "Basic eDp5")],
        &[("authorization", "access.1")],
        &[("zhiyuan-assertion", "signed")],
        &[("grpc-metadata-authorization", "Bearer a")],
        &[("x-authorization", "Bearer a")],
        &[("authorization-bin", "QmVhcmVyIGE")],
        &[("cookie", "zhiyuan-access=a")],
    ] {
        let refused = suite.grpc(MINE, headers, b"").await.grpc();
        assert_eq!(refused.code(), Code::Unauthenticated, "{headers:?}");
        assert_eq!(reason(&refused), "UNAUTHENTICATED", "{headers:?}");
        for http2 in [false, true] {
            let refused = suite.call(http2, MINE, headers, "{}").await;
            assert_eq!(refused.status, 401, "{headers:?}");
            assert_eq!(refused.refusal().1, "UNAUTHENTICATED", "{headers:?}");
        }
    }
    assert_eq!(suite.reached(), 0);
}

#[tokio::test]
async fn who_has_not_signed_in_takes_no_place() {
    let suite = Suite::start_with(|config| config.server.limits.read = 1).await;
    let hang = [("authorization", "Bearer hang"), ("grpc-timeout", "2S")];
    let hanging = suite.grpc(MINE, &hang, b"");
    let (hanging, ()) = tokio::join!(hanging, async {
        while suite.reached() == 0 {
            tokio::task::yield_now().await;
        }
        let full = suite.call(false, MINE, &[("authorization", "Bearer a")], "{}").await;
        assert_eq!(full.refusal().1, "OVERLOADED");
        let cookie = ("zhiyuan-session", "cookie");
        for headers in [&[][..], &[cookie]] {
            let refused = suite.call(false, MINE, headers, "{}").await;
            assert_eq!(refused.refusal().1, "UNAUTHENTICATED");
        }
        let renewal = suite.call(false, REFRESH, &[cookie], "{}").await;
        assert_eq!(renewal.refusal().1, "UNAUTHENTICATED");
        let refused = suite.grpc(MINE, &[], b"").await.grpc();
        assert_eq!(reason(&refused), "UNAUTHENTICATED");
    });
    assert_eq!(reason(&hanging.grpc()), "DEADLINE_EXCEEDED");
    assert_eq!(suite.reached(), 1);
}
