//! Methods for people who have signed in.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::Request;
use http_body_util::Full;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::body::Body;
use uuid::Uuid;
use zhiyuan_auth::accounts::Use;
use zhiyuan_auth::sessions::{STALE_AFTER, Sessions, Word};
use zhiyuan_auth::{SignedIn, token};
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::{Clock as _, SystemClock};
use zhiyuan_rpc::revocations::{RevocationSource, SourceError, watch};

use crate::fixture::{call, frame, informed, played, refusal};

const MINE: &str = "/zhiyuan.fixture.v1.FixtureService/Mine";
const REVEAL: &str = "/zhiyuan.fixture.v1.FixtureService/Reveal";
const ADMINISTER: &str = "/zhiyuan.fixture.v1.FixtureService/Administer";

fn person(second_factor: bool) -> SignedIn {
    let (account_id, session_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
    SignedIn { account_id, session_id, second_factor }
}

fn bearer(key: &SigningKey, second_factor: bool) -> String {
    let now = SystemClock.now().unix_timestamp();
    format!("Bearer {}", token::issue(key, &person(second_factor), now, i64::MAX))
}

/// What a method answers to these headers.
async fn answer(sessions: &Sessions, path: &str, authorization: &[&str]) -> Option<(Code, String)> {
    let mut request =
        Request::post(path).header("content-type", "application/grpc").header("te", "trailers");
    for value in authorization {
        request = request.header("authorization", *value);
    }
    let request = request.body(Body::new(Full::new(frame(b"")))).unwrap();
    refusal(call(&mut informed(played(), sessions.clone()), request).await.headers())
}

fn refused(code: Code, reason: &str) -> Option<(Code, String)> {
    Some((code, reason.to_owned()))
}

fn knowing(key: &SigningKey, asked: Instant) -> Sessions {
    let sessions = Sessions::new();
    sessions.hear(Word { keys: vec![key.verifying_key()], ..Word::default() }, asked);
    sessions
}

#[tokio::test]
async fn who_has_signed_in_is_let_in_and_nobody_else() {
    let key = SigningKey::generate();
    let sessions = knowing(&key, Instant::now());
    let good = bearer(&key, false);
    assert_eq!(answer(&sessions, MINE, &[&good]).await, None);
    assert_eq!(answer(&sessions, REVEAL, &[&good]).await, None);
    assert_eq!(answer(&sessions, MINE, &[&good.replace("Bearer", "bearer")]).await, None);

    let unauthenticated = refused(Code::Unauthenticated, "UNAUTHENTICATED");
    let invalid = refused(Code::Unauthenticated, "TOKEN_INVALID");
    assert_eq!(answer(&sessions, MINE, &[]).await, unauthenticated, "nothing");
    assert_eq!(answer(&sessions, MINE, &[&good, &good]).await, unauthenticated, "two");
    let basic = good.replace("Bearer", "Basic");
    assert_eq!(answer(&sessions, MINE, &[&basic]).await, unauthenticated, "another scheme");
    assert_eq!(answer(&sessions, MINE, &["Bearer "]).await, invalid, "empty");
    let stranger = bearer(&SigningKey::generate(), true);
    assert_eq!(answer(&sessions, MINE, &[&stranger]).await, invalid, "an unknown key");
}

#[tokio::test]
async fn an_administrator_has_a_second_factor() {
    let key = SigningKey::generate();
    let sessions = knowing(&key, Instant::now());
    let one = answer(&sessions, ADMINISTER, &[&bearer(&key, false)]).await;
    assert_eq!(one, refused(Code::FailedPrecondition, "SECOND_FACTOR_REQUIRED"));
    assert_eq!(answer(&sessions, ADMINISTER, &[&bearer(&key, true)]).await, None);
}

#[tokio::test]
async fn strict_methods_close_when_the_last_word_is_too_old_and_others_go_on() {
    let key = SigningKey::generate();
    let stale = refused(Code::Unavailable, "REVOCATIONS_STALE");
    let good = bearer(&key, true);
    // Nobody has said yet which keys there are.
    for path in [MINE, REVEAL, ADMINISTER] {
        assert_eq!(answer(&Sessions::new(), path, &[&good]).await, stale, "{path}");
    }
    let long_ago = Instant::now().checked_sub(STALE_AFTER + Duration::from_millis(1)).unwrap();
    let sessions = knowing(&key, long_ago);
    assert_eq!(answer(&sessions, MINE, &[&good]).await, None);
    for path in [REVEAL, ADMINISTER] {
        assert_eq!(answer(&sessions, path, &[&good]).await, stale, "{path}");
    }
}

#[tokio::test]
async fn an_ended_session_is_refused() {
    let key = SigningKey::generate();
    let sessions = knowing(&key, Instant::now());
    sessions.end(person(false).session_id, Instant::now());
    let refusal = answer(&sessions, MINE, &[&bearer(&key, false)]).await;
    assert_eq!(refusal, refused(Code::Unauthenticated, "TOKEN_INVALID"));
}

/// Plays identity: answers slowly, or not at all.
struct Played {
    questions: Arc<AtomicUsize>,
    answers: Arc<Mutex<Vec<Result<Word, &'static str>>>>,
}

impl RevocationSource for Played {
    async fn ask(&mut self) -> Result<Word, SourceError> {
        self.questions.fetch_add(1, Ordering::SeqCst);
        // Long on its way, in the time of the test.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let next = self.answers.lock().unwrap().pop();
        next.unwrap_or(Err("cut off")).map_err(Into::into)
    }

    async fn tell(&mut self, _uses: &[Use]) -> Result<(), SourceError> {
        unreachable!("no service account called")
    }
}

#[tokio::test]
async fn a_watcher_counts_the_age_of_its_word_from_the_question() {
    let questions = Arc::new(AtomicUsize::new(0));
    let over = person(false).session_id;
    let word = Word { ended: vec![over], ..Word::default() };
    let answers = Arc::new(Mutex::new(vec![Ok(word)]));
    let source = Played { questions: Arc::clone(&questions), answers };
    let (sessions, stop) = (Sessions::new(), CancellationToken::new());
    let begin = Instant::now();
    let watching = watch(source, sessions.clone(), stop.clone());
    tokio::pin!(watching);
    // Until it was cut off twice.
    while questions.load(Ordering::SeqCst) < 4 {
        tokio::select! {
            _ended = &mut watching => unreachable!(),
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
    }
    // Asked at the beginning, before the answer's way of 50 ms; what failed makes it no younger.
    assert!(sessions.is_fresh(begin + STALE_AFTER));
    assert!(!sessions.is_fresh(begin + STALE_AFTER + Duration::from_millis(50)));
    stop.cancel();
    watching.await.unwrap();
}
