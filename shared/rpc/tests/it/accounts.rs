//! Service accounts: callers of whom identity tells.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use zhiyuan_auth::sessions::{ACCOUNTS_KNOWN_FOR, STALE_AFTER, Word};
use zhiyuan_auth::{AccountKey, AssertionSigner, Quota, ServiceAccount, Sessions};
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::SystemClock;

use crate::fixture::{PULL, call, informed, played, refusal, request};

const WATCH: &str = "/zhiyuan.fixture.v1.FixtureService/Watch";
const LOOK: &str = "/zhiyuan.fixture.v1.FixtureService/Look";

fn word(key: &SigningKey, quota: Quota) -> Word {
    let account = ServiceAccount {
        within: None,
        name: "platform".into(),
        scopes: Arc::new(BTreeSet::from(["fixture.feed".to_owned(), "fixture.look".to_owned()])),
        keys: vec![AccountKey { key: key.verifying_key(), use_at: 0, expire_at: i64::MAX }],
        quota,
    };
    Word { accounts: Some(vec![account]), ..Word::default() }
}

const PLENTY: Quota = Quota { per_minute: 1000, per_day: 1000 };

fn assertion(key: &SigningKey) -> String {
    AssertionSigner::new("platform", key.clone(), Arc::new(SystemClock)).sign("fixture")
}

async fn answer(sessions: &Sessions, path: &str, key: &SigningKey) -> Option<(Code, String)> {
    let request = request(path, &[("zhiyuan-assertion", &assertion(key))]);
    let answer = call(&mut informed(played(), sessions.clone()), request).await;
    refusal(answer.headers())
}

fn refused(code: Code, reason: &str) -> Option<(Code, String)> {
    Some((code, reason.to_owned()))
}

#[tokio::test]
async fn an_account_is_let_in_while_identity_tells_of_it() {
    let (key, sessions) = (SigningKey::generate(), Sessions::new());
    let stale = refused(Code::Unavailable, "REVOCATIONS_STALE");
    assert_eq!(answer(&sessions, LOOK, &key).await, stale, "identity has not said anything yet");
    sessions.hear(word(&key, PLENTY), Instant::now());
    assert_eq!(answer(&sessions, LOOK, &key).await, None);
    // The same word again says nothing of accounts: they stay.
    sessions.hear(Word::default(), Instant::now());
    assert_eq!(answer(&sessions, LOOK, &key).await, None);
    let unauthenticated = refused(Code::Unauthenticated, "UNAUTHENTICATED");
    assert_eq!(answer(&sessions, LOOK, &SigningKey::generate()).await, unauthenticated);
    sessions.hear(Word { accounts: Some(Vec::new()), ..Word::default() }, Instant::now());
    assert_eq!(answer(&sessions, LOOK, &key).await, unauthenticated);
}

#[tokio::test]
async fn a_strict_method_closes_within_5_s_without_a_word_and_others_within_10_minutes() {
    let key = SigningKey::generate();
    let stale = refused(Code::Unavailable, "REVOCATIONS_STALE");
    let heard = |age: Duration| {
        let sessions = Sessions::new();
        let age = age + Duration::from_millis(1);
        sessions.hear(word(&key, PLENTY), Instant::now().checked_sub(age).unwrap());
        sessions
    };
    let young = heard(STALE_AFTER);
    assert_eq!(answer(&young, LOOK, &key).await, stale);
    assert_eq!(answer(&young, PULL, &key).await, None);
    assert_eq!(answer(&heard(ACCOUNTS_KNOWN_FOR), PULL, &key).await, stale);
}

#[tokio::test]
async fn a_stream_ends_with_its_account() {
    let (key, sessions) = (SigningKey::generate(), Sessions::new());
    sessions.hear(word(&key, PLENTY), Instant::now());
    let pull = request(PULL, &[("zhiyuan-assertion", &assertion(&key))]);
    let mut stream = call(&mut informed(played(), sessions.clone()), pull).await.into_body();
    assert!(stream.frame().await.unwrap().unwrap().is_data());
    sessions.hear(word(&key, PLENTY), Instant::now());
    let quiet = tokio::time::timeout(Duration::from_millis(20), stream.frame()).await;
    assert!(quiet.is_err(), "the same word ends nothing");
    sessions.hear(Word { accounts: Some(Vec::new()), ..Word::default() }, Instant::now());
    let end = tokio::time::timeout(Duration::from_secs(5), stream.frame()).await.unwrap();
    let trailers = end.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(refusal(&trailers), refused(Code::Unauthenticated, "UNAUTHENTICATED"));
}

/// Another set of organizations: it may go on, but not with what it was shown.
#[tokio::test]
async fn a_stream_ends_when_its_account_is_restricted_otherwise_and_is_told_so() {
    let within = |codes: &[&str]| {
        let codes: BTreeSet<String> = codes.iter().map(|&code| code.to_owned()).collect();
        Some(Arc::new(codes))
    };
    for (before, after) in
        [(None, within(&["A"])), (within(&["A"]), within(&["B"])), (within(&["A"]), None)]
    {
        let (key, sessions) = (SigningKey::generate(), Sessions::new());
        let restricted = |within: &Option<Arc<BTreeSet<String>>>| {
            let mut word = word(&key, PLENTY);
            word.accounts.iter_mut().flatten().for_each(|it| it.within.clone_from(within));
            word
        };
        sessions.hear(restricted(&before), Instant::now());
        let pull = request(PULL, &[("zhiyuan-assertion", &assertion(&key))]);
        let mut stream = call(&mut informed(played(), sessions.clone()), pull).await.into_body();
        assert!(stream.frame().await.unwrap().unwrap().is_data());
        sessions.hear(restricted(&after), Instant::now());
        let end = tokio::time::timeout(Duration::from_secs(5), stream.frame()).await.unwrap();
        let trailers = end.unwrap().unwrap().into_trailers().unwrap();
        let expected = refused(Code::FailedPrecondition, "FEED_SCOPE_CHANGED");
        assert_eq!(refusal(&trailers), expected, "{before:?} {after:?}");
    }
}

#[tokio::test]
async fn a_stream_ends_when_it_is_not_known_any_longer_whether_its_account_counts() {
    let key = SigningKey::generate();
    for (path, known_for) in [(WATCH, STALE_AFTER), (PULL, ACCOUNTS_KNOWN_FOR)] {
        let sessions = Sessions::new();
        let nearly = known_for - Duration::from_millis(500);
        sessions.hear(word(&key, PLENTY), Instant::now().checked_sub(nearly).unwrap());
        let headers = [("zhiyuan-assertion", &*assertion(&key))];
        let open = request(path, &headers);
        let mut stream = call(&mut informed(played(), sessions.clone()), open).await.into_body();
        assert!(stream.frame().await.unwrap().unwrap().is_data());
        // It goes on by a word that came meanwhile.
        let younger = nearly - Duration::from_millis(500);
        sessions.hear(Word::default(), Instant::now().checked_sub(younger).unwrap());
        let quiet = tokio::time::timeout(Duration::from_millis(700), stream.frame()).await;
        assert!(quiet.is_err(), "{path}");
        let end = tokio::time::timeout(Duration::from_secs(5), stream.frame()).await.unwrap();
        let trailers = end.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(refusal(&trailers), refused(Code::Unavailable, "REVOCATIONS_STALE"), "{path}");
    }
}

#[tokio::test]
async fn who_has_called_as_often_as_it_may_is_told_when_it_may_again() {
    let (key, sessions) = (SigningKey::generate(), Sessions::new());
    for (quota, window, most) in [
        (Quota { per_minute: 2, per_day: 1000 }, "minute", 60),
        (Quota { per_minute: 1000, per_day: 2 }, "day", 86_400),
    ] {
        sessions.hear(Word { accounts: Some(Vec::new()), ..Word::default() }, Instant::now());
        sessions.hear(word(&key, quota), Instant::now());
        let mut guarded = informed(played(), sessions.clone());
        let headers = [("zhiyuan-assertion", &*assertion(&key))];
        // A minute may end meanwhile.
        let refused = loop {
            let answer = call(&mut guarded, request(LOOK, &headers)).await;
            if let Some(status) = Status::from_header_map(answer.headers()) {
                break status;
            }
        };
        assert_eq!(refused.code(), Code::ResourceExhausted);
        let details = refused.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!(info.reason, "QUOTA_EXHAUSTED");
        assert_eq!(info.metadata["window"], window);
        let wait = details.retry_info().unwrap().retry_delay.unwrap().as_secs();
        assert!((1..=most).contains(&wait), "{wait}");
    }
}
