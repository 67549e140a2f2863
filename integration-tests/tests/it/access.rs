//! Who may call what: every method of the contracts, at the gateway and at the service
//! itself, with every kind of credential. Made from the descriptors, so that a method
//! that is added is tested without a word.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::Method;
use tonic::Code;
use zhiyuan_contracts::policy::{Caller, MethodPolicy, Policies};
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::{ManualClock, SharedClock, SystemClock};

use crate::harness::caller::{
    ASSERTION, AUTHORIZATION, bearer, rightful, service_of, sign, signed_in,
};
use crate::harness::client::now;
use crate::harness::http::Http;
use crate::harness::{Door, Processes, Refusal, Settings, Site};

/// A caller that is known and may do nothing.
const STRANGER: &str = "stranger";

/// Headers that a caller sends, and what a service makes of them.
struct Credential {
    what: &'static str,
    headers: Vec<(&'static str, String)>,
    expected: Code,
}

fn shifted(by: time::Duration) -> SharedClock {
    Arc::new(ManualClock::new(now() + by))
}

/// What somebody might try in order to pass for a service.
fn forgeries(
    (caller, known): (&str, &SigningKey),
    stranger: &SigningKey,
    audience: &str,
) -> Vec<Credential> {
    let clock = || -> SharedClock { Arc::new(SystemClock) };
    let unknown = SigningKey::generate();
    let valid = sign(caller, known, clock(), audience);
    let mut altered = valid.clone();
    let last = if altered.ends_with('A') { "B" } else { "A" };
    altered.replace_range(altered.len() - 10..altered.len() - 9, last);
    if altered == valid {
        altered.replace_range(altered.len() - 10..altered.len() - 9, "C");
    }
    let (_, claims_and_signature) = valid.split_once('.').unwrap();
    let (claims, _) = claims_and_signature.split_once('.').unwrap();
    // {"alg":"none","typ":"zhiyuan-service+jwt"}
    let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiemhpeXVhbi1zZXJ2aWNlK2p3dCJ9.{claims}.");
    let elsewhere = if audience == "orgtree" { "identity" } else { "orgtree" };
    let minutes = time::Duration::minutes;
    let asserted = |what, token: String| Credential {
        what,
        headers: vec![(ASSERTION, token)],
        expected: Code::Unauthenticated,
    };
    vec![
        Credential { what: "nothing", headers: Vec::new(), expected: Code::Unauthenticated },
        asserted("an empty assertion", String::new()),
        asserted("garbage", "garbage".into()),
        asserted("an unsigned assertion", none),
        asserted("an altered assertion", altered),
        asserted("an expired assertion", sign(caller, known, shifted(minutes(-5)), audience)),
        asserted("an assertion of the future", sign(caller, known, shifted(minutes(5)), audience)),
        asserted("another audience", sign(caller, known, clock(), elsewhere)),
        asserted("a key that nobody knows", sign(caller, &unknown, clock(), audience)),
        asserted("another caller's name", sign(caller, stranger, clock(), audience)),
        Credential {
            what: "two assertions",
            headers: vec![(ASSERTION, valid.clone()), (ASSERTION, valid.clone())],
            expected: Code::Unauthenticated,
        },
        Credential {
            what: "the assertion in another header",
            headers: vec![("authorization", format!("Bearer {valid}"))],
            expected: Code::Unauthenticated,
        },
        Credential {
            what: "headers that claim it",
            headers: [
                ("zhiyuan-caller", "registration"),
                ("zhiyuan-scopes", "identity.enrolments"),
                ("x-zhiyuan-caller", "registration"),
                ("x-forwarded-for", "127.0.0.1"),
                ("x-forwarded-client-cert", "By=registration"),
            ]
            .map(|(name, value)| (name, value.to_owned()))
            .into(),
            expected: Code::Unauthenticated,
        },
        Credential {
            what: "a caller without the scope",
            headers: vec![(ASSERTION, sign(STRANGER, stranger, clock(), audience))],
            expected: Code::PermissionDenied,
        },
    ]
}

fn pairs<'a>(headers: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    headers.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// Whether a handler was reached, however it answered the empty message.
fn reached(answer: &Result<(), Refusal>) -> bool {
    let Err(refusal) = answer else { return true };
    !matches!(
        refusal.code,
        Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented | Code::Unavailable
    )
}

async fn suite() -> (Processes, SigningKey) {
    let stranger = SigningKey::generate();
    let section = format!(
        "\n[callers.{STRANGER}]\npublic_keys = [\"{}\"]\nscopes = []\n",
        stranger.verifying_key().to_base64()
    );
    let suite = Processes::start(
        "access",
        Settings {
            config: ["identity", "registration", "orgtree"]
                .map(|service| (service, section.clone()))
                .into(),
            ..Settings::default()
        },
    )
    .await;
    (suite, stranger)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_method_lets_in_whom_its_policy_names_and_nobody_else() {
    let (suite, stranger) = suite().await;
    let policies = Policies::load().unwrap();
    let mut services = BTreeSet::new();
    for policy in policies.iter() {
        let service = service_of(policy);
        services.insert(service.clone());
        let (name, key) = rightful(&suite.site, policy);
        let forgeries = forgeries((name, &key), &stranger, &service);
        match &policy.caller {
            Caller::Any => public(&suite.site, policy, &service, &forgeries).await,
            Caller::SignedIn { .. } => for_people(&suite.site, policy, &service, forgeries).await,
            Caller::Service { .. } => {
                let valid = sign(name, &key, Arc::new(SystemClock), &service);
                for_services(&suite.site, policy, &service, &forgeries, &valid).await;
            }
        }
    }
    let expected = ["identity", "orgtree", "registration"].map(str::to_owned);
    assert_eq!(services, expected.into());
    unknown_methods(&suite.site).await;
    suite.stop().await;
}

/// Anybody gets as far as the handler, and no credential changes that.
async fn public(site: &Site, policy: &MethodPolicy, service: &str, credentials: &[Credential]) {
    let gateway = site.addresses.gateway;
    let doors = [Door::grpc(gateway), Door::json(gateway), Door::grpc(site.address_of(service))];
    for door in &doors {
        for credential in credentials {
            let answer = door.call_raw(&policy.path, &pairs(&credential.headers)).await;
            assert!(reached(&answer), "{} with {}: {answer:?}", policy.path, credential.what);
        }
    }
}

/// What somebody might try in order to pass for a person.
fn of_nobody(bearer: &str) -> Vec<Credential> {
    let token = bearer.strip_prefix("Bearer ").unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let [head, claims, signature] = parts[..] else { panic!("no JWT") };
    let turned: String = signature.chars().rev().collect();
    // {"alg":"none","typ":"zhiyuan-access+jwt"}
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiemhpeXVhbi1hY2Nlc3Mrand0In0";
    let tried = |what, values: &[String]| Credential {
        what,
        headers: values.iter().map(|value| (AUTHORIZATION, value.clone())).collect(),
        expected: Code::Unauthenticated,
    };
    vec![
        tried("an empty token", &["Bearer ".to_owned()]),
        tried("garbage", &["Bearer garbage".to_owned()]),
        tried("the bare token", &[token.to_owned()]),
        tried("another scheme", &[format!("Basic {token}")]),
        tried("an unsigned token", &[format!("Bearer {none}.{claims}.")]),
        tried("another signature", &[format!("Bearer {head}.{claims}.{turned}")]),
        tried("a cut token", &[format!("Bearer {head}.{claims}")]),
        tried("two tokens", &[bearer.to_owned(), bearer.to_owned()]),
        Credential {
            what: "the cookie without a page of ours",
            headers: vec![("cookie", format!("zhiyuan-access={token}"))],
            expected: Code::Unauthenticated,
        },
    ]
}

/// At the gateway and at the service, for a person alone, however a service may prove
/// itself.
async fn for_people(
    site: &Site,
    policy: &MethodPolicy,
    service: &str,
    mut forgeries: Vec<Credential>,
) {
    let (path, gateway) = (&policy.path, site.addresses.gateway);
    let weak = signed_in(site).await;
    forgeries.extend(of_nobody(&weak));
    let doors = [Door::grpc(gateway), Door::json(gateway), Door::grpc(site.address_of(service))];
    for door in &doors {
        for credential in &forgeries {
            let refusal = door.call_raw(path, &pairs(&credential.headers)).await.unwrap_err();
            let what = format!("{path} with {}: {refusal:?}", credential.what);
            assert_eq!(refusal.code, Code::Unauthenticated, "{what}");
            assert!(["UNAUTHENTICATED", "TOKEN_INVALID"].contains(&&*refusal.reason), "{what}");
        }
        // Who signs in by password alone has no second factor.
        if let Caller::SignedIn { second_factor: true, .. } = policy.caller {
            let answer = door.call_raw(path, &[(AUTHORIZATION, &weak)]).await;
            assert_eq!(answer.unwrap_err().reason, "SECOND_FACTOR_REQUIRED", "{path}");
        }
        let token = bearer(site, policy).await;
        let answer = door.call_raw(path, &[(AUTHORIZATION, &token)]).await;
        assert!(reached(&answer), "{path}: {answer:?}");
    }
}

/// At the service, for a service alone; at the gateway not there, whoever asks, or for
/// the same, if it is for service accounts.
async fn for_services(
    site: &Site,
    policy: &MethodPolicy,
    service: &str,
    forgeries: &[Credential],
    valid: &str,
) {
    let path = &policy.path;
    let valid = Credential {
        what: "a good assertion",
        headers: vec![(ASSERTION, valid.to_owned())],
        expected: Code::Ok,
    };
    let gateway = site.addresses.gateway;
    if policy.caller.at_gateway() {
        let door = Door::grpc(gateway);
        for credential in forgeries {
            let refusal = door.call_raw(path, &pairs(&credential.headers)).await.unwrap_err();
            assert_eq!(refusal.code, credential.expected, "{path} with {}", credential.what);
        }
        let answer = door.call_raw(path, &pairs(&valid.headers)).await;
        assert!(reached(&answer), "{path} with {}: {answer:?}", valid.what);
    }
    let closed = !policy.caller.at_gateway();
    for door in [Door::grpc(gateway), Door::json(gateway)].iter().filter(|_| closed) {
        for credential in forgeries.iter().chain([&valid]) {
            let refusal = door.call_raw(path, &pairs(&credential.headers)).await.unwrap_err();
            assert_eq!(
                (refusal.code, &*refusal.reason),
                (Code::Unimplemented, "METHOD_NOT_FOUND"),
                "{path} with {}",
                credential.what
            );
        }
    }
    let direct = Door::grpc(site.address_of(service));
    for credential in forgeries {
        let refusal = direct.call_raw(path, &pairs(&credential.headers)).await.unwrap_err();
        assert_eq!(refusal.code, credential.expected, "{path} with {}", credential.what);
        let reason = match credential.expected {
            Code::PermissionDenied => "SCOPE_MISSING",
            _ => "UNAUTHENTICATED",
        };
        assert_eq!(refusal.reason, reason, "{path} with {}", credential.what);
        // The same for who comes with HTTP/1.1 and JSON.
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(pairs(&credential.headers));
        let url = format!("http://{}{path}", site.address_of(service));
        let answer = Http::new().send(Method::POST, &url, &headers, b"{}".to_vec()).await.unwrap();
        let code = (credential.expected as i32).to_string();
        assert_eq!(answer.header("grpc-status"), code, "{path} with {}", credential.what);
    }
    let answer = direct.call_raw(path, &pairs(&valid.headers)).await;
    assert!(reached(&answer), "{path} with {}: {answer:?}", valid.what);
}

/// A path must match to the letter.
async fn unknown_methods(site: &Site) {
    for path in [
        "/zhiyuan.identity.v1.EnrolmentService/Unknown",
        "/zhiyuan.identity.v1.enrolmentservice/BeginEnrolment",
        "/zhiyuan.identity.v1.EnrolmentService/BeginEnrolment/",
        "//zhiyuan.identity.v1.EnrolmentService/BeginEnrolment",
        "/ZHIYUAN.identity.v1.EnrolmentService/BeginEnrolment",
        "/zhiyuan.identity.v1.EnrolmentService/%42eginEnrolment",
    ] {
        for service in ["gateway", "identity"] {
            let door = Door::grpc(site.address_of(service));
            let refusal = door.call_raw(path, &[]).await.unwrap_err();
            assert_eq!(refusal.code, Code::Unimplemented, "{path} at {service}");
        }
    }
}
