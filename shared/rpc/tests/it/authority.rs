//! Asking who administers what, of an orgtree that is played.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{Request, Response};
use prost::Message as _;
use tonic::body::Body;
use uuid::Uuid;
use zhiyuan_auth::AssertionSigner;
use zhiyuan_contracts::orgtree::v1::{CheckResponse, Grant, Permission, Role, Verdict};
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::{OrganizationCode, SystemClock};
use zhiyuan_rpc::authority::{Authority, Decision, Lease};
use zhiyuan_rpc::{Error, SuiteChannel};

use crate::fixture::{answer, frame, good, streamed};
use crate::served::{Served, config};

/// How long an answer is on its way.
const WAY: Duration = Duration::from_millis(100);

/// An orgtree that gives these answers, the last one first, and notes when it was asked.
struct Played {
    _served: Served,
    asked: Arc<Mutex<Vec<Instant>>>,
    authority: Authority,
}

impl Played {
    async fn start(answers: Vec<CheckResponse>) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (heard, answers) = (Arc::clone(&asked), Arc::new(Mutex::new(answers)));
        let service = tower::service_fn(move |_request: Request<Body>| {
            heard.lock().unwrap().push(Instant::now());
            let next = answers.lock().unwrap().pop();
            async move {
                tokio::time::sleep(WAY).await;
                let Some(next) = next else {
                    let refused: tonic::Status = Error::internal("nothing more to say").into();
                    return Ok(refused.into_http());
                };
                let message = http_body::Frame::data(frame(&next.encode_to_vec()));
                let parts = [Ok(message), Ok(http_body::Frame::trailers(good()))];
                Ok::<Response<Body>, _>(answer(streamed(futures_util::stream::iter(parts))))
            }
        });
        let served = Served::serve(service, config()).await;
        let signer = AssertionSigner::new("tests", SigningKey::generate(), Arc::new(SystemClock));
        let channel = SuiteChannel::new(served.channel(), "orgtree", Arc::new(signer));
        Self { _served: served, asked, authority: Authority::new(channel) }
    }

    async fn ask(&self, code: &str, permission: Permission) -> Result<Decision, Error> {
        let code = OrganizationCode::parse(code).unwrap();
        self.authority.ask(Uuid::from_u128(1), &code, permission).await
    }

    async fn lease(&self, code: &str, permission: Permission) -> Lease {
        match self.ask(code, permission).await {
            Ok(Decision::Allowed(lease)) => lease,
            other => panic!("{other:?}"),
        }
    }

    fn questions(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn verdict(verdict: Verdict, lease_ms: i64) -> CheckResponse {
    let grant = (verdict == Verdict::Allowed).then(|| Grant {
        id: Uuid::from_u128(7).to_string(),
        organization_code: "AH".to_owned(),
        role: Role::Manager.into(),
        ..Grant::default()
    });
    CheckResponse { verdict: verdict.into(), grant, lease_ms }
}

#[tokio::test]
async fn a_lease_is_as_old_as_its_question_however_long_the_answer_took() {
    let played = Played::start(vec![verdict(Verdict::Allowed, 3000)]).await;
    let lease = played.lease("AH", Permission::Review).await;
    let heard = played.asked.lock().unwrap()[0];
    // It was asked before it was heard.
    assert!(lease.check(heard + Duration::from_millis(3000)).is_err());
    assert!(lease.check(heard + Duration::from_millis(2000)).is_ok());
    assert_eq!((lease.grant_id, lease.role), (Uuid::from_u128(7), Role::Manager));
    assert_eq!(lease.organization_code, "AH");
}

#[tokio::test]
async fn what_is_allowed_is_asked_once_while_it_lasts_and_for_that_alone() {
    let allowed = || verdict(Verdict::Allowed, 3000);
    let played = Played::start(vec![allowed(), allowed(), allowed(), allowed()]).await;
    for _ in 0..10 {
        played.lease("AH", Permission::Review).await;
    }
    assert_eq!(played.questions(), 1);
    played.lease("AH-1", Permission::Review).await;
    played.lease("AH", Permission::View).await;
    assert_eq!(played.questions(), 3);
    let code = OrganizationCode::parse("AH").unwrap();
    let other = played.authority.ask(Uuid::from_u128(2), &code, Permission::Review).await;
    assert!(matches!(other, Ok(Decision::Allowed(_))));
    assert_eq!(played.questions(), 4);
}

#[tokio::test]
async fn a_lease_that_is_over_is_asked_for_again() {
    let (over, good) = (verdict(Verdict::Allowed, 50), verdict(Verdict::Allowed, 3000));
    let played = Played::start(vec![good, over]).await;
    // Over before it was here.
    let lease = played.lease("AH", Permission::Review).await;
    assert!(lease.check(Instant::now()).is_err());
    played.lease("AH", Permission::Review).await.check(Instant::now()).unwrap();
    played.lease("AH", Permission::Review).await;
    assert_eq!(played.questions(), 2);
}

#[tokio::test]
async fn what_is_not_allowed_is_asked_each_time() {
    let played = Played::start(vec![
        verdict(Verdict::Allowed, 3000),
        verdict(Verdict::OutOfScope, 0),
        verdict(Verdict::Forbidden, 0),
    ])
    .await;
    let ask = || played.ask("AH", Permission::Review);
    assert!(matches!(ask().await, Ok(Decision::Forbidden)));
    assert!(matches!(ask().await, Ok(Decision::OutOfScope)));
    assert!(matches!(ask().await, Ok(Decision::Allowed(_))));
    assert!(matches!(ask().await, Ok(Decision::Allowed(_))));
    assert_eq!(played.questions(), 3);
}

#[tokio::test]
async fn no_answer_allows_nothing() {
    let played = Played::start(Vec::new()).await;
    assert_eq!(played.ask("AH", Permission::Review).await.unwrap_err().reason(), "INTERNAL");
}
