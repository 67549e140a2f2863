//! The same call, sent many times at once, over two replicas: one effect, one answer.

use std::fmt::Debug;
use std::pin::Pin;
use std::time::Duration;

use futures_util::future::join_all;
use prost::Message as _;
use sqlx::PgPool;
use tonic::{Code, Status};
use zhiyuan_contracts::orgtree::v1::{
    ApplicationDecision, ApplicationState, ChangeKind, SubmitApplicationRequest,
    SubmitApplicationResponse, WithdrawApplicationRequest, WithdrawProposalRequest,
};
use zhiyuan_orgtree::Role as TypedRole;

use super::{
    correct, corrects, decide, decides, mine, on_province, person_at, recorded, request_id, submit,
    submits,
};
use crate::authority::{Suite, account};
use crate::changing::proposals::{propose, proposes};
use crate::changing::{admin, admin_at, administrator, get};
use crate::harness::{Service, assert_refused};

const TIMES: i64 = 8;

type Calling<T> = Pin<Box<dyn Future<Output = Result<T, Status>> + Send>>;

/// Makes a call that comes to a row, again and again while somebody holds the row: none of them
/// can have seen what another one did.
async fn at_once<T: Debug + PartialEq + Send>(
    (suite, replica): (&Suite, &Service),
    pool: &PgPool,
    row: &'static str,
    call: impl Fn(&Service) -> Calling<T>,
) -> T {
    let mut holding = pool.begin().await.unwrap();
    sqlx::query(row).execute(&mut *holding).await.unwrap();
    let calls = (0..TIMES).map(|n| call(if n % 2 == 0 { &suite.service } else { replica }));
    let release = async {
        let waiting = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                       WHERE NOT l.granted AND a.datname = current_database()";
        let wait = async {
            while sqlx::query_scalar::<_, i64>(waiting).fetch_one(pool).await.unwrap() < TIMES {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(4), wait).await.unwrap();
        holding.commit().await.unwrap();
    };
    let (answers, ()) = tokio::join!(join_all(calls), release);
    let mut answers: Vec<T> = answers.into_iter().map(Result::unwrap).collect();
    let first = answers.pop().unwrap();
    assert!(answers.iter().all(|other| *other == first), "{answers:?}");
    first
}

const APPLICATION: &str = "SELECT FROM orgtree.application FOR UPDATE";
const PROPOSAL: &str = "SELECT FROM orgtree.proposal FOR UPDATE";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_step_sent_many_times_at_once_is_one_step_and_has_one_answer() {
    let suite = on_province().await;
    let (pool, replica) = (suite.database.pool().await, suite.replica().await);
    suite.make(account(1), "A-1", TypedRole::Administrator).await;
    let both = (&suite, &replica);
    let volunteer = |service: &Service| person_at(&suite, service, 9, false);
    let city = |service: &Service| person_at(&suite, service, 1, true);
    let mut applicant = volunteer(&suite.service);
    let made = submit(&mut applicant, submits("A-1", "暖阳")).await.unwrap();
    let SubmitApplicationResponse { application_id: id, etag, .. } = &made;

    let back = decides(id, etag, ApplicationDecision::Return, "");
    at_once(both, &pool, APPLICATION, |service| {
        let (mut city, back) = (city(service), back.clone());
        Box::pin(async move { decide(&mut city, back).await })
    })
    .await;
    let seen = mine(&mut applicant, id).await.unwrap();
    assert_eq!((seen.state(), seen.etag.as_str()), (ApplicationState::Returned, "2"));
    let again = corrects(id, "2", "暖阳二");
    let corrected = at_once(both, &pool, APPLICATION, |service| {
        let (mut volunteer, again) = (volunteer(service), again.clone());
        Box::pin(async move { correct(&mut volunteer, again).await })
    })
    .await;
    assert_eq!(corrected.etag, "3");
    let reject = decides(id, "3", ApplicationDecision::Reject, "");
    at_once(both, &pool, APPLICATION, |service| {
        let (mut city, reject) = (city(service), reject.clone());
        Box::pin(async move { decide(&mut city, reject).await })
    })
    .await;
    let other = submit(&mut applicant, submits("A-1", "春风")).await.unwrap();
    let withdraws = WithdrawApplicationRequest {
        request_id: request_id(),
        application_id: other.application_id.clone(),
    };
    at_once(both, &pool, APPLICATION, |service| {
        let (mut volunteer, withdraws) = (volunteer(service), withdraws.clone());
        Box::pin(async move { volunteer.withdraw_application(withdraws).await.map(drop) })
    })
    .await;
    let seen = mine(&mut applicant, &other.application_id).await.unwrap();
    assert_eq!((seen.state(), seen.etag.as_str()), (ApplicationState::Withdrawn, "2"));
    let steps = ["submitted", "returned", "resubmitted", "rejected", "submitted", "withdrawn"];
    let done = steps.map(|step| (format!("orgtree.application.{step}"), "DONE".to_owned()));
    assert_eq!(recorded(&pool).await, done);
    replica.stop().await;
    suite.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_is_withdrawn_once_however_often_it_is_sent() {
    let suite = on_province().await;
    let (pool, replica) = (suite.database.pool().await, suite.replica().await);
    administrator(&suite, 1, "A").await;
    let wanted = proposes(&get(&suite, "A-2").await, ChangeKind::Close, "A-1");
    let proposal = propose(&mut admin(&suite, 1), wanted).await.unwrap();
    let withdraws =
        WithdrawProposalRequest { request_id: request_id(), proposal_id: proposal.id.clone() };
    at_once((&suite, &replica), &pool, PROPOSAL, |service| {
        let (mut admin, withdraws) = (admin_at(&suite, service, 1), withdraws.clone());
        Box::pin(async move { admin.withdraw_proposal(withdraws).await.map(drop) })
    })
    .await;
    let records = crate::changing::recorded(&pool).await;
    let withdrawn = records.iter().filter(|(act, ..)| act == "orgtree.change.withdrawn");
    assert_eq!(withdrawn.count(), 1);
    replica.stop().await;
    suite.stop().await;
}

/// Who has the database tries a few billions of numbers.
#[tokio::test]
async fn what_is_kept_of_a_call_tells_nobody_the_number_that_is_deleted() {
    let suite = on_province().await;
    let pool = suite.database.pool().await;
    let mut applicant = person_at(&suite, &suite.service, 9, false);
    let wanted = submits("A-1", "暖阳");
    let made = submit(&mut applicant, wanted.clone()).await.unwrap();
    let said = SubmitApplicationRequest { request_id: String::new(), ..wanted.clone() };
    let tried: bool = sqlx::query_scalar("SELECT digest = sha256($1) FROM orgtree.request")
        .bind(said.encode_to_vec())
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(!tried);
    // A call that was kept by a binary of before is the same, sent again.
    sqlx::query("UPDATE orgtree.request SET digest = sha256($1)")
        .bind(said.encode_to_vec())
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(submit(&mut applicant, wanted.clone()).await.unwrap(), made);
    let other = SubmitApplicationRequest { purpose: "别的".into(), ..wanted };
    let status = submit(&mut applicant, other).await.unwrap_err();
    assert_refused(&status, Code::AlreadyExists, "REQUEST_ID_REUSED");
    suite.stop().await;
}
