//! Every way to present something else than a token of one's own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use time::OffsetDateTime;
use zhiyuan_crypto::Key32;
use zhiyuan_domain::clock::ManualClock;

use super::*;
use crate::sessions::Word;
use crate::{AssertionSigner, jws::seal};

const NOW: i64 = 1_795_000_000;

fn key(byte: u8) -> SigningKey {
    SigningKey::from_seed(&Key32::from_bytes([byte; 32]))
}

fn clock(at: i64) -> Arc<ManualClock> {
    Arc::new(ManualClock::new(OffsetDateTime::from_unix_timestamp(at).unwrap()))
}

fn person() -> SignedIn {
    SignedIn {
        account_id: Uuid::from_u128(1),
        session_id: Uuid::from_u128(2),
        second_factor: false,
    }
}

/// Knows the public keys 1 and 2.
fn verifier(at: i64) -> TokenVerifier {
    let sessions = Sessions::new();
    let keys = vec![key(1).verifying_key(), key(2).verifying_key()];
    sessions.hear(Word { keys, ..Word::default() }, Instant::now());
    TokenVerifier::new(sessions, clock(at))
}

fn verify(token: &str) -> Result<SignedIn, TokenError> {
    verifier(NOW).verify(token)
}

fn header() -> Value {
    json!({ "alg": "EdDSA", "typ": TYPE, "kid": key(1).key_id() })
}

fn claims() -> Value {
    json!({
        "iss": "zhiyuan", "aud": "zhiyuan", "sub": "00000000-0000-0000-0000-000000000001",
        "sid": "00000000-0000-0000-0000-000000000002",
        "acr": "1", "iat": NOW, "exp": NOW + 600
    })
}

fn with(mut value: Value, member: &str, to: impl Into<Value>) -> Value {
    value[member] = to.into();
    value
}

fn without(mut value: Value, member: &str) -> Value {
    value.as_object_mut().unwrap().remove(member);
    value
}

fn token(header: &Value, claims: &Value) -> String {
    seal(&key(1), &header.to_string(), &claims.to_string())
}

#[test]
fn admits_whom_it_was_issued_to() {
    for second_factor in [false, true] {
        let person = SignedIn { second_factor, ..person() };
        for byte in [1, 2] {
            assert_eq!(verify(&issue(&key(byte), &person, NOW, i64::MAX)), Ok(person));
        }
    }
    assert_eq!(verify(&token(&header(), &claims())), Ok(person()));
}

#[test]
fn what_is_issued_has_exactly_the_agreed_members() {
    let token = issue(&key(1), &person(), NOW, i64::MAX);
    let parts: Vec<&str> = token.split('.').collect();
    let read = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    assert_eq!((read(parts[0]), read(parts[1])), (header(), claims()));
}

#[test]
fn refuses_other_keys_types_and_algorithms() {
    let unknown = issue(&key(3), &person(), NOW, i64::MAX);
    assert_eq!(verify(&unknown), Err(TokenError::UnknownKey));
    for (member, to, expected) in [
        ("alg", "none", TokenError::Algorithm),
        ("alg", "HS256", TokenError::Algorithm),
        ("alg", "eddsa", TokenError::Algorithm),
        ("typ", "JWT", TokenError::Type),
        ("typ", "zhiyuan-service+jwt", TokenError::Type),
        ("kid", "../1", TokenError::UnknownKey),
    ] {
        let forged = token(&with(header(), member, to), &claims());
        assert_eq!(verify(&forged), Err(expected), "{member} {to}");
    }
    for (member, value) in [
        ("jku", json!("https://attacker.example/jwks.json")),
        ("jwk", json!({ "kty": "OKP" })),
        ("crit", json!([])),
        ("x5u", json!("https://attacker.example")),
    ] {
        let forged = token(&with(header(), member, value), &claims());
        assert_eq!(verify(&forged), Err(TokenError::Malformed), "{member}");
    }
}

/// The public key taken as the secret of a MAC, as in the attack on RS256 and HS256.
#[test]
fn the_public_key_makes_no_token() {
    use zhiyuan_crypto::{International, Suite as _};
    let head = with(header(), "alg", "HS256").to_string();
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(head),
        URL_SAFE_NO_PAD.encode(claims().to_string())
    );
    let secret = Key32::from_bytes(*key(1).verifying_key().as_bytes());
    let mac = International.mac(&secret, signed.as_bytes());
    let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac));
    assert_eq!(verify(&forged), Err(TokenError::Algorithm));
}

#[test]
fn refuses_an_assertion_of_a_service_even_under_a_known_key() {
    let signer = AssertionSigner::new("zhiyuan", key(1), clock(NOW));
    assert_eq!(verify(&signer.sign("zhiyuan")), Err(TokenError::Type));
}

#[test]
fn refuses_claims_that_are_not_ours() {
    for (claims, expected) in [
        (with(claims(), "iss", "other"), TokenError::Audience),
        (with(claims(), "aud", "identity"), TokenError::Audience),
        (with(claims(), "aud", json!(["zhiyuan"])), TokenError::Malformed),
        (with(claims(), "sub", "1"), TokenError::Malformed),
        (with(claims(), "sub", "00000000000000000000000000000001"), TokenError::Malformed),
        (with(claims(), "acr", "3"), TokenError::Malformed),
        (with(claims(), "admin", true), TokenError::Malformed),
        (without(claims(), "sid"), TokenError::Malformed),
        (without(claims(), "exp"), TokenError::Malformed),
        (with(claims(), "exp", NOW), TokenError::Lifetime),
        (with(claims(), "exp", NOW + 601), TokenError::Lifetime),
        (with(claims(), "iat", i64::MIN), TokenError::Lifetime),
        (with(claims(), "exp", 1e300), TokenError::Malformed),
    ] {
        assert_eq!(verify(&token(&header(), &claims)), Err(expected), "{claims}");
    }
}

#[test]
fn clocks_may_differ_by_a_minute_and_not_more() {
    let token = issue(&key(1), &person(), NOW, i64::MAX);
    for (at, expected) in [
        (NOW - 61, Err(TokenError::NotYetValid)),
        (NOW - 60, Ok(person())),
        (NOW + 659, Ok(person())),
        (NOW + 660, Err(TokenError::Expired)),
        (NOW + 400 * 86_400, Err(TokenError::Expired)),
        (NOW - 400 * 86_400, Err(TokenError::NotYetValid)),
    ] {
        assert_eq!(verifier(at).verify(&token), expected, "{}", at - NOW);
    }
}

#[test]
fn refuses_what_was_altered_cut_or_padded() {
    let good = token(&header(), &claims());
    for at in [0, good.find('.').unwrap() + 5, good.rfind('.').unwrap() + 5] {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        assert!(verify(&String::from_utf8(bytes).unwrap()).is_err(), "byte {at}");
    }
    for bad in [
        String::new(),
        "..".into(),
        good[..good.len() - 1].into(),
        format!("{good}="),
        format!("{good}."),
        format!(" {good}"),
        "a".repeat(5000),
    ] {
        assert!(verify(&bad).is_err(), "{bad}");
    }
}

#[test]
fn an_ended_session_is_over_whatever_its_token_says() {
    let verifier = verifier(NOW);
    let token = issue(&key(1), &person(), NOW, i64::MAX);
    assert_eq!(verifier.verify(&token), Ok(person()));
    verifier.sessions().end(person().session_id, Instant::now() - Duration::from_secs(1));
    assert_eq!(verifier.verify(&token), Err(TokenError::Revoked));
    let other = SignedIn { session_id: Uuid::from_u128(3), ..person() };
    assert_eq!(verifier.verify(&issue(&key(1), &other, NOW, i64::MAX)), Ok(other));
}

#[test]
fn a_token_does_not_outlive_its_session() {
    assert_eq!(expire_at(NOW, i64::MAX), NOW + LIFETIME);
    assert_eq!(expire_at(NOW, NOW + 60), NOW + 60);
    let later = verifier(NOW + 60 + 60);
    let token = issue(&key(1), &person(), NOW, NOW + 60);
    assert_eq!(later.verify(&token), Err(TokenError::Expired));
}
