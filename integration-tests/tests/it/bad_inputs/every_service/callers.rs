//! Who calls (rows 10, 14 and 15). What else a caller may forge is tried by `access` and by
//! the tests of `zhiyuan-auth`.

use tonic::Code;
use zhiyuan_contracts::policy::Caller;

use super::{assert_refused, ways};
use crate::harness::caller::{ASSERTION, AUTHORIZATION, Proof};
use crate::harness::{Site, shared};

pub(super) async fn no_token(site: &Site) {
    let mut closed = 0;
    for mut way in ways(site) {
        if way.policy.caller == Caller::Any {
            continue;
        }
        closed += 1;
        way.proof = Proof::Nothing;
        let told = way.ask(&way.sample()).await;
        assert_refused(&told, Code::Unauthenticated, "UNAUTHENTICATED", &way);
    }
    assert!(closed >= 8, "{closed}");
}

#[tokio::test]
async fn every_service_10_missing_token() {
    no_token(&shared()).await;
}

pub(super) async fn two_tokens(site: &Site) {
    for way in ways(site) {
        let written = way.write(&way.sample());
        let two = [("authorization", "Bearer canary-1"), ("authorization", "Bearer canary-2")];
        let told = way.send(&two, written).await;
        assert_refused(&told, Code::Unauthenticated, "UNAUTHENTICATED", &way);
        assert!(!told.repeats(b"canary"), "{way}");
    }
}

#[tokio::test]
async fn every_service_14_duplicate_authorization() {
    two_tokens(&shared()).await;
}

pub(super) async fn spoofed(site: &Site) {
    for mut way in ways(site) {
        let proof = std::mem::replace(&mut way.proof, Proof::Nothing);
        let Some((header, value)) = proof.header(&way.policy).await else { continue };
        let written = way.write(&way.sample());
        let by_metadata = format!("grpc-metadata-{header}");
        let binary = format!("{header}-bin");
        let bearer = format!("Bearer {value}");
        let bare = value.trim_start_matches("Bearer ");
        let cookie = format!("zhiyuan-access={bare}; __Host-zhiyuan-access={bare}");
        // Its own header is good in its own form, and no other is.
        let other = if header == ASSERTION { (AUTHORIZATION, &*bearer) } else { (ASSERTION, bare) };
        for (name, value) in [
            ("x-vol-user", "1"),
            ("x-vol-scopes", "identity.enrolments"),
            ("x-zhiyuan-caller", "registration"),
            ("zhiyuan-caller", "registration"),
            ("x-forwarded-client-cert", "By=registration"),
            ("grpc-metadata-authorization", bearer.as_str()),
            other,
            ("x-authorization", bearer.as_str()),
            ("cookie", cookie.as_str()),
            ("zhiyuan-refresh-token", bare),
            (by_metadata.as_str(), value.as_str()),
            (binary.as_str(), bare),
        ] {
            let told = way.send(&[(name, value)], written.clone()).await;
            assert_refused(&told, Code::Unauthenticated, "UNAUTHENTICATED", &way);
        }
    }
}

#[tokio::test]
async fn every_service_15_spoofed_headers() {
    spoofed(&shared()).await;
}
