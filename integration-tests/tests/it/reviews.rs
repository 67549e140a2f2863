//! The register can't tell of a rare character, and an administrator decides in its place.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tonic::Code;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::{ListMyRecordsRequest, ListMyRecordsResponse};
use zhiyuan_contracts::orgtree::v1::{RevokeGrantRequest, RevokeGrantResponse};
use zhiyuan_contracts::registration::v1::{
    DecideReviewRequest, DecideReviewResponse, GetRegistrationResponse, ListReviewsRequest,
    ListReviewsResponse, RegisterRequest, RegistrationState, RevealReviewRequest,
    RevealReviewResponse, Review, ReviewDecision,
};
use zhiyuan_domain::{OrganizationCode, SystemClock};
use zhiyuan_orgtree::{OperatorGrant, Role};
use zhiyuan_testkit::{Person, person};

use crate::harness::caller::{AUTHORIZATION, Member, sign_in};
use crate::harness::client::ORGANIZATION;
use crate::harness::{Client, Door, Own, Refusal, Site};

/// 合肥, above the organization that people choose, and what lies beside it.
const CITY: &str = "AH-340100";
const BESIDE: &str = "AH-340200";
const PATIENCE: Duration = Duration::from_secs(60);
const REVIEWS: &str = "/zhiyuan.registration.v1.ReviewService/";
const LIST_MY_RECORDS: &str = "/zhiyuan.identity.v1.AuditService/ListMyRecords";
const REVOKE_GRANT: &str = "/zhiyuan.orgtree.v1.AuthorityService/RevokeGrant";

/// Somebody with a rare character in the name.
fn rare(n: u32) -> Person {
    let person = person(n);
    Person { name: format!("{}𠮷", person.name), ..person }
}

/// An administrator who has signed in with both factors.
struct Administrator {
    door: Door,
    bearer: String,
    grant_id: Uuid,
}

impl Administrator {
    async fn at(site: &Site, door: &Door, code: &str) -> Self {
        let mut member = Member::registered(site).await;
        let wanted = OperatorGrant {
            account_id: member.account_id,
            organization: OrganizationCode::parse(code).unwrap(),
            role: Role::Administrator,
            again: true,
        };
        let clock = Arc::new(SystemClock);
        let grant_id = zhiyuan_orgtree::grant(&site.orgtree(), clock, &wanted).await.unwrap();
        let bearer = member.sign_in_with_both(site).await;
        Self { door: door.clone(), bearer, grant_id }
    }

    async fn call<Q, R>(&self, path: &str, request: &Q) -> Result<R, Refusal>
    where
        Q: prost::Message + Clone + 'static,
        R: prost::Message + Default + 'static,
    {
        self.door.call_with(path, request, &[(AUTHORIZATION, &self.bearer)]).await
    }

    async fn list(&self, code: &str) -> Result<Vec<Review>, Refusal> {
        let request =
            ListReviewsRequest { organization_code: code.to_owned(), ..Default::default() };
        let path = format!("{REVIEWS}ListReviews");
        let page: ListReviewsResponse = self.call(&path, &request).await?;
        assert_eq!(page.next_page_token, "");
        Ok(page.reviews)
    }

    async fn reveal(&self, review: &Review) -> Result<RevealReviewResponse, Refusal> {
        let (review_id, purpose) = (review.id.clone(), "当面核对身份证".to_owned());
        let request = RevealReviewRequest { review_id, purpose };
        self.call(&format!("{REVIEWS}RevealReview"), &request).await
    }

    async fn decide(&self, request: &DecideReviewRequest) -> Result<DecideReviewResponse, Refusal> {
        self.call(&format!("{REVIEWS}DecideReview"), request).await
    }
}

fn decides(review: &Review, decision: ReviewDecision) -> DecideReviewRequest {
    DecideReviewRequest {
        request_id: Uuid::new_v4().to_string(),
        review_id: review.id.clone(),
        decision: decision.into(),
        note: "身份证原件".to_owned(),
    }
}

/// Registers somebody of whom the register can't tell.
async fn in_review(client: &Client, door: &Door, person: &Person) -> RegisterRequest {
    let form = client.apply(door, person).await;
    let answer = client.register_patiently(door, &form).await.unwrap();
    assert_eq!(answer.state(), RegistrationState::Review);
    form
}

/// What became of a registration that was decided.
async fn decided(
    client: &Client,
    form: &RegisterRequest,
) -> Result<GetRegistrationResponse, Refusal> {
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = client.outcome(&client.json, &form.request_id).await?;
        if answer.state() != RegistrationState::Review {
            return Ok(answer);
        }
        assert!(Instant::now() < until, "a decision has no effect");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(answer: Result<T, Refusal>, code: Code, reason: &str) {
    let refusal = answer.unwrap_err();
    assert_eq!((refusal.code, &*refusal.reason), (code, reason), "{refusal:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_above_decides_where_the_register_could_not_tell() {
    let suite = Own::start("reviews").await;
    let site = &suite.site;
    let client = Client::of(site);
    let above = Administrator::at(site, &client.json, CITY).await;
    let beside = Administrator::at(site, &client.grpc, BESIDE).await;
    let (right, wrong) = (rare(7_400), rare(7_401));
    let accepted = in_review(&client, &client.grpc, &right).await;
    let refused = in_review(&client, &client.json, &wrong).await;

    let listed = above.list(CITY).await.unwrap();
    let [first, second] = listed.as_slice() else { panic!("{listed:?}") };
    for (review, person) in [(first, &right), (second, &wrong)] {
        assert_eq!(review.organization_code, ORGANIZATION);
        let initial = person.name.chars().next().unwrap();
        assert!(review.masked_name.starts_with(initial) && review.masked_name.ends_with('*'));
        let shown = above.reveal(review).await.unwrap();
        assert_eq!((&shown.name, &shown.id_number), (&person.name, &person.id_number));
    }
    // Nobody beside knows of them, or sees them.
    assert_eq!(beside.list(BESIDE).await, Ok(Vec::new()));
    assert_refused(beside.list(CITY).await, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    assert_refused(beside.reveal(first).await, Code::NotFound, "REVIEW_NOT_FOUND");
    let accept = decides(first, ReviewDecision::Accept);
    assert_refused(beside.decide(&accept).await, Code::NotFound, "REVIEW_NOT_FOUND");

    above.decide(&accept).await.unwrap();
    let done = decided(&client, &accepted).await.unwrap();
    assert_eq!(done.state(), RegistrationState::Active);
    client.wait_for_text(&right.mobile, "注册已完成").await;
    // Once more is known, and otherwise is too late.
    above.decide(&accept).await.unwrap();
    let otherwise = above.decide(&decides(first, ReviewDecision::NameMismatch)).await;
    assert_refused(otherwise, Code::FailedPrecondition, "REVIEW_DECIDED");
    assert_refused(above.reveal(first).await, Code::FailedPrecondition, "REVIEW_DECIDED");

    above.decide(&decides(second, ReviewDecision::NameMismatch)).await.unwrap();
    let told = decided(&client, &refused).await;
    assert_refused(told, Code::FailedPrecondition, "ID_NAME_MISMATCH");
    client.wait_for_text(&wrong.mobile, "未能完成").await;
    assert_eq!(above.list(CITY).await, Ok(Vec::new()));

    // The person reads who looked, and why.
    let bearer = sign_in(site, &right).await;
    let mine: ListMyRecordsResponse = client
        .json
        .call_with(LIST_MY_RECORDS, &ListMyRecordsRequest::default(), &[(AUTHORIZATION, &bearer)])
        .await
        .unwrap();
    for (action, purpose) in
        [("identity.applicant.revealed", "当面核对身份证"), ("identity.enrolment.decided", "")]
    {
        let found = mine.records.iter().find(|record| record.action == action).unwrap();
        assert_eq!(found.purpose, purpose);
    }
    suite.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_no_administrator_any_more_decides_nothing() {
    let suite = Own::start("reviews-revoked").await;
    let site = &suite.site;
    let client = Client::of(site);
    let province = Administrator::at(site, &client.json, "AH").await;
    let city = Administrator::at(site, &client.grpc, CITY).await;
    let form = in_review(&client, &client.json, &rare(7_410)).await;
    let [review] = city.list(CITY).await.unwrap().try_into().unwrap();

    let revoke = RevokeGrantRequest {
        request_id: Uuid::new_v4().to_string(),
        grant_id: city.grant_id.to_string(),
    };
    // It may have to be sent again until it is over everywhere.
    let until = Instant::now() + PATIENCE;
    loop {
        let ended: Result<RevokeGrantResponse, _> = province.call(REVOKE_GRANT, &revoke).await;
        match ended {
            Ok(_) => break,
            Err(refusal) if refusal.is_transient() && Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(refusal) => panic!("{refusal:?}"),
        }
    }
    let late = city.decide(&decides(&review, ReviewDecision::Accept)).await;
    assert_refused(late, Code::NotFound, "REVIEW_NOT_FOUND");
    assert_refused(city.reveal(&review).await, Code::NotFound, "REVIEW_NOT_FOUND");
    let state = client.registration(&client.json, &form.request_id).await.unwrap().state();
    assert_eq!(state, RegistrationState::Review);

    assert_eq!(province.list("AH").await, Ok(vec![review.clone()]));
    province.reveal(&review).await.unwrap();
    province.decide(&decides(&review, ReviewDecision::NumberNotFound)).await.unwrap();
    let told = decided(&client, &form).await;
    assert_refused(told, Code::FailedPrecondition, "ID_NOT_FOUND");
    suite.stop().await;
}
