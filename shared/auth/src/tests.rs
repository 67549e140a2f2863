//! Every way to present something else than an assertion of one's own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use time::OffsetDateTime;
use zhiyuan_crypto::{International, Key32, SigningKey, Suite as _};
use zhiyuan_domain::clock::ManualClock;

use super::*;
use crate::jws::seal;

const NOW: i64 = 1_795_000_000;

fn key(byte: u8) -> SigningKey {
    SigningKey::from_seed(&Key32::from_bytes([byte; 32]))
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(OffsetDateTime::from_unix_timestamp(NOW).unwrap()))
}

fn callers(list: &[(&str, &[u8], &[&str])]) -> Result<TrustedCallers, InvalidCallers> {
    let config = list.iter().map(|(name, keys, scopes)| {
        let public_keys = keys.iter().map(|b| key(*b).verifying_key().to_base64()).collect();
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        ((*name).to_owned(), CallerConfig { public_keys, scopes })
    });
    TrustedCallers::new(&config.collect::<BTreeMap<_, _>>())
}

/// `identity` trusts registration (key 1, and 2 to come) and orgtree (key 3).
fn verifier(clock: Arc<ManualClock>) -> AssertionVerifier {
    let list: [(&str, &[u8], &[&str]); 2] =
        [("registration", &[1, 2], &["identity.enrol"]), ("orgtree", &[3], &["identity.read"])];
    AssertionVerifier::new("identity", callers(&list).unwrap(), Accounts::default(), clock)
}

fn verify(token: &str) -> Result<String, AssertionError> {
    verifier(clock()).verify(token).map(|caller| caller.name.to_string())
}

fn header() -> Value {
    json!({ "alg": "EdDSA", "typ": "zhiyuan-service+jwt", "kid": key(1).key_id() })
}

fn claims() -> Value {
    json!({ "iss": "registration", "aud": "identity", "iat": NOW, "exp": NOW + 60, "jti": "1" })
}

fn with(mut value: Value, member: &str, to: impl Into<Value>) -> Value {
    value[member] = to.into();
    value
}

/// Signs with key 1, whatever header and claims say.
fn token(header: &Value, claims: &Value) -> String {
    seal(&key(1), &header.to_string(), &claims.to_string())
}

#[test]
fn admits_the_caller_with_its_scopes() {
    assert_eq!(verify(&token(&header(), &claims())), Ok("registration".to_owned()));
    let caller = verifier(clock()).verify(&token(&header(), &claims())).unwrap();
    assert!(caller.has_scope("identity.enrol"));
    for scope in ["identity.read", "identity", "identity.enrol.all", "*", ""] {
        assert!(!caller.has_scope(scope), "{scope}");
    }
}

#[test]
fn what_is_signed_has_exactly_the_agreed_members() {
    let token = AssertionSigner::new("registration", key(1), clock()).sign("identity");
    let parts: Vec<&str> = token.split('.').collect();
    let read = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    assert_eq!(read(parts[0]), header());
    let mut found = read(parts[1]);
    let id = found["jti"].take();
    assert_eq!(id.as_str().unwrap().len(), 22);
    assert_eq!(found, with(claims(), "jti", Value::Null));
    assert_eq!(verify(&token), Ok("registration".to_owned()));
}

#[test]
fn an_assertion_is_kept_per_audience_and_renewed_in_time() {
    let clock = clock();
    let signer = AssertionSigner::new("registration", key(1), clock.clone());
    let first = signer.sign("identity");
    let other = signer.sign("orgtree");
    assert_ne!(first, other);
    clock.advance(Duration::from_secs(40));
    assert_eq!(signer.sign("identity"), first);
    clock.advance(Duration::from_secs(1));
    let second = signer.sign("identity");
    assert_ne!(second, first);
    assert!(verifier(clock.clone()).verify(&second).is_ok());
    assert_eq!(verifier(clock.clone()).verify(&other), Err(AssertionError::Audience));

    clock.set(OffsetDateTime::from_unix_timestamp(NOW - 3600).unwrap());
    let after_setback = signer.sign("identity");
    assert!(verifier(clock).verify(&after_setback).is_ok());
}

#[test]
fn both_keys_of_a_caller_count_while_they_overlap() {
    for byte in [1, 2] {
        let token = AssertionSigner::new("registration", key(byte), clock()).sign("identity");
        assert_eq!(verify(&token), Ok("registration".to_owned()));
    }
    let after = callers(&[("registration", &[2], &[])]).unwrap();
    let after = AssertionVerifier::new("identity", after, Accounts::default(), clock());
    let old = AssertionSigner::new("registration", key(1), clock()).sign("identity");
    assert_eq!(after.verify(&old), Err(AssertionError::UnknownKey));
}

#[test]
fn refuses_other_algorithms() {
    for alg in ["none", "None", "", "HS256", "ES256", "Ed25519", "eddsa"] {
        let header = with(header(), "alg", alg);
        assert_eq!(verify(&token(&header, &claims())), Err(AssertionError::Algorithm), "{alg}");
    }
}

#[test]
fn refuses_an_unsigned_token() {
    let signed = token(&header(), &claims());
    let unsigned = signed.rsplit_once('.').unwrap().0;
    assert_eq!(verify(&format!("{unsigned}.")), Err(AssertionError::Signature));
    let none = token(&with(header(), "alg", "none"), &claims());
    let none = none.rsplit_once('.').unwrap().0;
    assert_eq!(verify(&format!("{none}.")), Err(AssertionError::Algorithm));
}

#[test]
fn refuses_a_mac_keyed_with_the_public_key() {
    let public = Key32::from_bytes(*key(1).verifying_key().as_bytes());
    for (alg, error) in [("HS256", AssertionError::Algorithm), ("EdDSA", AssertionError::Signature)]
    {
        let signed = token(&with(header(), "alg", alg), &claims());
        let signed = signed.rsplit_once('.').unwrap().0;
        let mac = International.mac(&public, signed.as_bytes());
        // As it is, and filled up to the length of a signature.
        for mac in [mac.to_vec(), [mac, mac].concat()] {
            let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac));
            assert_eq!(verify(&token), Err(error));
        }
    }
}

#[test]
fn refuses_other_types() {
    for typ in ["JWT", "at+jwt", "", "ZHIYUAN-SERVICE+JWT", "application/zhiyuan-service+jwt"] {
        let header = with(header(), "typ", typ);
        assert_eq!(verify(&token(&header, &claims())), Err(AssertionError::Type), "{typ}");
    }
}

#[test]
fn refuses_an_unknown_key() {
    let stranger = AssertionSigner::new("registration", key(9), clock()).sign("identity");
    assert_eq!(verify(&stranger), Err(AssertionError::UnknownKey));
    for kid in ["", "../keys/1", "registration"] {
        let header = with(header(), "kid", kid);
        assert_eq!(verify(&token(&header, &claims())), Err(AssertionError::UnknownKey), "{kid}");
    }
}

#[test]
fn refuses_a_caller_that_takes_the_name_or_the_key_of_another() {
    // Its own key, the other's name.
    let named = AssertionSigner::new("registration", key(3), clock()).sign("identity");
    assert_eq!(verify(&named), Err(AssertionError::Issuer));
    // The id of the other's key, its own signature.
    let claimed = seal(&key(3), &header().to_string(), &claims().to_string());
    assert_eq!(verify(&claimed), Err(AssertionError::Signature));
    // The key of the caller, under the id of its other key.
    let second = with(header(), "kid", key(2).key_id());
    assert_eq!(verify(&token(&second, &claims())), Err(AssertionError::Signature));
    // A name that nobody has.
    let unnamed = AssertionSigner::new("identity", key(1), clock()).sign("identity");
    assert_eq!(verify(&unnamed), Err(AssertionError::Issuer));
}

#[test]
fn refuses_unknown_and_repeated_members() {
    let extra: [(&str, Value); 7] = [
        ("jku", "https://example.org/keys".into()),
        ("jwk", json!({ "kty": "OKP" })),
        ("x5u", "https://example.org/cert".into()),
        ("x5c", json!(["AA=="])),
        ("crit", json!(["b64"])),
        ("b64", false.into()),
        ("cty", "JWT".into()),
    ];
    for (member, value) in extra {
        let token = token(&with(header(), member, value), &claims());
        assert_eq!(verify(&token), Err(AssertionError::Malformed), "{member}");
    }
    for member in ["nbf", "sub", "scope"] {
        let token = token(&header(), &with(claims(), member, 1));
        assert_eq!(verify(&token), Err(AssertionError::Malformed), "{member}");
    }
    let twice = header().to_string().replacen('{', r#"{"alg":"none","#, 1);
    let token = seal(&key(1), &twice, &claims().to_string());
    assert_eq!(verify(&token), Err(AssertionError::Malformed));
    let twice = claims().to_string().replacen('{', r#"{"iss":"orgtree","#, 1);
    let token = seal(&key(1), &header().to_string(), &twice);
    assert_eq!(verify(&token), Err(AssertionError::Malformed));
}

#[test]
fn refuses_missing_members_and_other_shapes() {
    for member in ["alg", "typ", "kid"] {
        let mut header = header();
        header.as_object_mut().unwrap().remove(member);
        assert_eq!(verify(&token(&header, &claims())), Err(AssertionError::Malformed), "{member}");
    }
    for member in ["iss", "aud", "iat", "exp", "jti"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(member);
        assert_eq!(verify(&token(&header(), &claims)), Err(AssertionError::Malformed), "{member}");
    }
    let shapes = [
        with(claims(), "aud", json!(["identity"])),
        with(claims(), "exp", (NOW + 60).to_string()),
        with(claims(), "iat", NOW as f64 + 0.5),
        with(claims(), "iss", Value::Null),
        json!(["registration", "identity", NOW, NOW + 60, "1"]),
    ];
    for claims in shapes {
        assert_eq!(verify(&token(&header(), &claims)), Err(AssertionError::Malformed), "{claims}");
    }
    let array = json!(["EdDSA", "zhiyuan-service+jwt", key(1).key_id()]);
    assert_eq!(verify(&token(&array, &claims())), Err(AssertionError::Malformed));
}

#[test]
fn refuses_another_audience() {
    for audience in ["orgtree", "", "IDENTITY", "identity ", "identity.zhiyuan"] {
        let claims = with(claims(), "aud", audience);
        assert_eq!(verify(&token(&header(), &claims)), Err(AssertionError::Audience), "{audience}");
    }
}

#[test]
fn the_time_of_an_assertion_is_bounded_on_both_sides() {
    let at = |iat: i64, exp: i64| {
        let claims = with(with(claims(), "iat", iat), "exp", exp);
        verify(&token(&header(), &claims)).map(drop)
    };
    assert_eq!(at(NOW, NOW + 1), Ok(()));
    // Up to 60 s of difference between the clocks.
    assert_eq!(at(NOW + 60, NOW + 120), Ok(()));
    assert_eq!(at(NOW + 61, NOW + 121), Err(AssertionError::NotYetValid));
    assert_eq!(at(NOW - 119, NOW - 59), Ok(()));
    assert_eq!(at(NOW - 120, NOW - 60), Err(AssertionError::Expired));
    assert_eq!(at(NOW - 3600, NOW - 3540), Err(AssertionError::Expired));
    // Never more than 60 s of life.
    assert_eq!(at(NOW, NOW + 61), Err(AssertionError::Lifetime));
    assert_eq!(at(NOW - 3600, NOW + 60), Err(AssertionError::Lifetime));
    assert_eq!(at(NOW, NOW), Err(AssertionError::Lifetime));
    assert_eq!(at(NOW, NOW - 1), Err(AssertionError::Lifetime));
    assert_eq!(at(i64::MIN, i64::MAX), Err(AssertionError::Lifetime));
    assert_eq!(at(i64::MAX - 1, i64::MAX), Err(AssertionError::NotYetValid));
    assert_eq!(at(i64::MIN, i64::MIN + 1), Err(AssertionError::Expired));
}

#[test]
fn refuses_a_token_of_which_any_character_was_altered() {
    let token = token(&header(), &claims());
    for at in 0..token.len() {
        let mut altered = token.clone().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        assert!(verify(std::str::from_utf8(&altered).unwrap()).is_err(), "character {at}");
    }
}

#[test]
fn refuses_the_payload_of_another_token() {
    let (mine, other) =
        (token(&header(), &claims()), token(&header(), &with(claims(), "jti", "2")));
    let payload = |token: &str| token.split('.').nth(1).unwrap().to_owned();
    let swapped = mine.replace(&payload(&mine), &payload(&other));
    assert_eq!(verify(&swapped), Err(AssertionError::Signature));
}

#[test]
fn refuses_other_encodings() {
    let good = token(&header(), &claims());
    let [head, payload, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let padded = URL_SAFE.encode(&bytes);
    assert!(padded.ends_with('='));
    // The last character carries 4 bits that mean nothing; they must be zero.
    let mut stray = signature.to_owned();
    let last = stray.pop().unwrap();
    stray.push(char::from(last as u8 + 1));
    let malformed = [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        format!("{head}.{payload}"),
        format!("{good}."),
        format!("{good}.{signature}"),
        format!("{head}.{payload}.{padded}"),
        format!("{head}.{payload}.{stray}"),
        format!("{head}=.{payload}.{signature}"),
        format!(" {good}"),
        format!("{good}\n"),
        format!("Bearer {good}"),
        format!("{head}.{payload}.签名"),
    ];
    for token in malformed {
        assert!(
            matches!(verify(&token), Err(AssertionError::Malformed | AssertionError::Signature)),
            "{token}"
        );
    }
    let with_stray = format!("{head}.{payload}.{stray}");
    assert_eq!(verify(&with_stray), Err(AssertionError::Malformed));
}

#[test]
fn refuses_a_token_above_four_kib() {
    let filled = |length: usize| {
        let claims = with(claims(), "jti", "1".repeat(length));
        token(&header(), &claims)
    };
    let long = filled(2800);
    assert!((3900..=4096).contains(&long.len()), "{}", long.len());
    assert_eq!(verify(&long), Ok("registration".to_owned()));
    assert_eq!(verify(&filled(3000)), Err(AssertionError::TooLong));
}

#[test]
fn refuses_callers_that_cannot_be_told_apart_or_never_prove_themselves() {
    let error = |list: &[(&str, &[u8], &[&str])]| callers(list).unwrap_err();
    let shared = |caller: &str, other: &str| InvalidCallers::SharedKey {
        caller: caller.to_owned(),
        other: other.to_owned(),
    };
    assert_eq!(error(&[("a", &[1], &[]), ("b", &[2, 1], &[])]), shared("b", "a"));
    assert_eq!(error(&[("a", &[1, 1], &[])]), shared("a", "a"));
    assert_eq!(error(&[("a", &[], &[])]), InvalidCallers::NoKey { caller: "a".to_owned() });
    assert_eq!(error(&[("", &[1], &[])]), InvalidCallers::NoName);

    let config = CallerConfig { public_keys: vec!["AAAA".to_owned()], scopes: vec![] };
    let invalid = TrustedCallers::new(&BTreeMap::from([("a".to_owned(), config)]));
    assert!(matches!(invalid, Err(InvalidCallers::Key { caller, .. }) if caller == "a"));
}

#[test]
fn the_configuration_has_no_unknown_members() {
    let read = |json: Value| serde_json::from_value::<CallerConfig>(json);
    assert!(read(json!({ "public_keys": ["x"], "scopes": ["y"] })).is_ok());
    assert!(read(json!({ "public_keys": ["x"] })).unwrap().scopes.is_empty());
    assert!(read(json!({ "scopes": [] })).is_err());
    assert!(read(json!({ "public_keys": [], "scope": [] })).is_err());
}

#[test]
fn a_signer_does_not_show_its_tokens() {
    let signer = AssertionSigner::new("registration", key(1), clock());
    let token = signer.sign("identity");
    assert!(!format!("{signer:?}").contains(&token));
    assert!(!format!("{signer:?}").contains(key(1).to_base64().as_str()));
}

#[test]
fn every_refusal_has_a_reason_of_its_own() {
    use AssertionError::*;
    let all = [
        TooLong,
        Malformed,
        Algorithm,
        Type,
        UnknownKey,
        Signature,
        Issuer,
        Audience,
        Lifetime,
        NotYetValid,
        Expired,
    ];
    let reasons: std::collections::BTreeSet<_> = all.iter().map(|e| e.reason()).collect();
    assert_eq!(reasons.len(), all.len());
}

#[test]
fn a_service_account_that_identity_tells_of_is_admitted_but_takes_no_name_or_key_of_a_service() {
    let list: [(&str, &[u8], &[&str]); 1] = [("registration", &[1], &["identity.enrol"])];
    let accounts = Accounts::default();
    let by_configuration = callers(&list).unwrap();
    let verifier = AssertionVerifier::new("identity", by_configuration, accounts.clone(), clock());
    let account = |name: &str, byte: u8| ServiceAccount {
        within: None,
        name: name.into(),
        scopes: Arc::new(BTreeSet::from(["identity.enrol".to_owned()])),
        keys: vec![AccountKey {
            key: key(byte).verifying_key(),
            use_at: NOW - 100,
            expire_at: NOW + 100,
        }],
        quota: Quota::default(),
    };
    let token = |byte, name| AssertionSigner::new(name, key(byte), clock()).sign("identity");
    let unknown = Err(AssertionError::UnknownKey);
    let verify = |byte, name| verifier.verify(&token(byte, name));
    assert_eq!(verify(7, "platform"), unknown);
    accounts.hear(vec![account("platform", 7), account("registration", 8), account("other", 1)]);
    let admitted = verify(7, "platform").unwrap();
    assert!(admitted.is_account() && &*admitted.name == "platform");
    assert_eq!(verify(7, "registration"), Err(AssertionError::Issuer));
    assert_eq!(verify(8, "registration"), unknown);
    assert_eq!(verify(1, "other"), Err(AssertionError::Issuer));
    assert!(!verify(1, "registration").unwrap().is_account());
    accounts.hear(Vec::new());
    assert_eq!(verify(7, "platform"), unknown);
}
