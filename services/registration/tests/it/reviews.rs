//! Administrators look at who waits for a decision, and decide.

use std::time::Duration;

use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::EnrolmentDecision;
use zhiyuan_contracts::orgtree::v1::Permission;
use zhiyuan_contracts::registration::v1::review_service_client::ReviewServiceClient;
use zhiyuan_contracts::registration::v1::{
    DecideReviewRequest, ListReviewsRequest, ListReviewsResponse, RegisterRequest,
    RegistrationState, RevealReviewRequest, RevealReviewResponse, Review, ReviewDecision,
};

use crate::fake_identity::{Fault, SHOWN, Verdict};
use crate::fake_orgtree::{COUNTY, OTHER_TOWNSHIP, TOWNSHIP};
use crate::harness::{Recovery, Service, form, reason};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
const BOTH: [Permission; 2] = [Permission::Review, Permission::Reveal];
/// Who did what where, why, and how, the oldest first.
const ACTS: &str = "SELECT string_agg(concat_ws(' ', action, outcome, organization_code, purpose,
                        array_to_string(detail_keys, '+')), ',' ORDER BY n)
     FROM (SELECT action, outcome, organization_code, purpose, detail_keys, 1000000 + seq AS n
           FROM registration.audit_pending
           UNION ALL
           SELECT action, outcome, organization_code, purpose, detail_keys, index
           FROM registration.audit_entry) acts";

/// An administrator who has signed in with a second factor.
struct Reviewer<'a> {
    service: &'a Service,
    id: Uuid,
    client: ReviewServiceClient<Channel>,
}

impl<'a> Reviewer<'a> {
    /// Somebody who may do this at an organization and below it.
    async fn at(service: &'a Service, code: &str, may: &[Permission]) -> Self {
        let client = ReviewServiceClient::connect(service.address().to_owned()).await.unwrap();
        let reviewer = Self { service, id: Uuid::new_v4(), client };
        service.authority.grant(reviewer.id, code, may);
        // Nobody is let in before it is known whose tokens count.
        service
            .until("the keys are known", async |_| {
                let answer = reviewer.list(code, 0, "").await;
                !matches!(answer, Err(status) if status.code() == Code::Unavailable)
            })
            .await;
        reviewer
    }

    fn sign<T>(&self, message: T) -> tonic::Request<T> {
        let (id, now) = (self.id.to_string(), self.service.now());
        self.service.accounts.sign_with(&id, now, message, true)
    }

    async fn list(
        &self,
        code: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<ListReviewsResponse, Status> {
        let request = ListReviewsRequest {
            organization_code: code.to_owned(),
            page_size,
            page_token: page_token.to_owned(),
        };
        Ok(self.client.clone().list_reviews(self.sign(request)).await?.into_inner())
    }

    /// All that wait, by pages.
    async fn all(&self, code: &str, page_size: i32) -> Vec<Review> {
        let (mut all, mut token) = (Vec::new(), String::new());
        loop {
            let page = self.list(code, page_size, &token).await.unwrap();
            assert!(page_size == 0 || page.reviews.len() <= usize::try_from(page_size).unwrap());
            all.extend(page.reviews);
            token = page.next_page_token;
            if token.is_empty() {
                return all;
            }
        }
    }

    async fn reveal(&self, review_id: &str) -> Result<RevealReviewResponse, Status> {
        let request = RevealReviewRequest {
            review_id: review_id.to_owned(),
            purpose: "核对身份证".into(),
        };
        Ok(self.client.clone().reveal_review(self.sign(request)).await?.into_inner())
    }

    /// Decides, as somebody who has looked.
    async fn decide(&self, request: &DecideReviewRequest) -> Result<(), Status> {
        let look =
            "UPDATE registration.registration SET review_seen_by = review_seen_by || $1::uuid
                    WHERE enrolment_id::text = $2";
        let looked = sqlx::query(look).bind(self.id).bind(&request.review_id);
        looked.execute(&self.service.pool().await).await.unwrap();
        self.decide_blindly(request).await
    }

    async fn decide_blindly(&self, request: &DecideReviewRequest) -> Result<(), Status> {
        self.client.clone().decide_review(self.sign(request.clone())).await.map(|_| ())
    }
}

fn decides(review_id: &str, decision: ReviewDecision) -> DecideReviewRequest {
    DecideReviewRequest {
        request_id: Uuid::new_v4().to_string(),
        review_id: review_id.to_owned(),
        decision: decision.into(),
        note: "已核对身份证原件".into(),
    }
}

/// Registrations of so many people that wait for a decision at an organization.
async fn in_review(
    service: &Service,
    code: &str,
    people: std::ops::Range<u32>,
) -> Vec<RegisterRequest> {
    service.identity.decide(Verdict::Review(service.now() + WEEK));
    let mut forms = Vec::new();
    for n in people {
        let form = RegisterRequest { organization_code: code.into(), ..form(n) };
        let answer = service.register(&form).await.unwrap();
        assert_eq!(answer.state(), RegistrationState::Review);
        forms.push(form);
        service.clock.advance(Duration::from_millis(5));
    }
    forms
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, expected: &str) {
    let status = answer.unwrap_err();
    assert_eq!((status.code(), &*reason(&status)), (code, expected), "{status:?}");
}

fn waits_again<T>(answer: &Result<T, Status>) -> bool {
    matches!(answer, Err(status) if status.code() == Code::Unavailable)
}

#[tokio::test]
async fn who_is_accepted_becomes_a_volunteer_without_the_client() {
    let service = Service::start(Recovery::Off).await;
    let RegisterRequest { request_id, .. } = in_review(&service, TOWNSHIP, 1..2).await.remove(0);
    let submitted = service.now();
    let reviewer = Reviewer::at(&service, COUNTY, &BOTH).await;
    let [review] = reviewer.all(COUNTY, 0).await.try_into().unwrap();
    assert_eq!((&*review.organization_code, &*review.masked_name), (TOWNSHIP, "汪*"));
    assert_ne!(review.id, request_id, "with that anybody could ask for the registration");
    let expires = review.expire_time.unwrap().seconds;
    let week = i64::try_from(WEEK.as_secs()).unwrap();
    assert!((expires - submitted.unix_timestamp() - week).abs() <= 1);

    let shown = reviewer.reveal(&review.id).await.unwrap();
    assert_eq!((&*shown.name, &*shown.id_number), SHOWN);
    assert_eq!(service.identity.with(|state| state.purposes.clone()), ["核对身份证"]);

    let decision = decides(&review.id, ReviewDecision::Accept);
    reviewer.decide(&decision).await.unwrap();
    let end = service.end(&request_id).await.unwrap();
    assert_eq!(end.state(), RegistrationState::Active);
    let decided = service.identity.with(|state| state.decided.clone());
    assert_eq!(decided, [(EnrolmentDecision::Accept, reviewer.id.to_string())]);
    assert!(reviewer.all(COUNTY, 0).await.is_empty());
    // Sent again, it is known; another one comes too late.
    reviewer.decide(&decision).await.unwrap();
    let reused = DecideReviewRequest { note: String::new(), ..decision };
    assert_refused(reviewer.decide(&reused).await, Code::AlreadyExists, "REQUEST_ID_REUSED");
    let other = decides(&review.id, ReviewDecision::NameMismatch);
    assert_refused(reviewer.decide(&other).await, Code::FailedPrecondition, "REVIEW_DECIDED");
    assert_refused(reviewer.reveal(&review.id).await, Code::FailedPrecondition, "REVIEW_DECIDED");
    let acts = format!(
        "registration.review.revealed DONE {TOWNSHIP} 核对身份证 review+grant_id,\
         registration.review.decided DONE {TOWNSHIP} 已核对身份证原件 review+decision+grant_id"
    );
    assert_eq!(service.sql(ACTS).await, acts);
}

#[tokio::test]
async fn one_id_is_of_one_decision_though_two_come_at_once() {
    let service = Service::start(Recovery::Off).await;
    in_review(&service, TOWNSHIP, 1..3).await;
    let reviewer = Reviewer::at(&service, COUNTY, &BOTH).await;
    let reviews = reviewer.all(COUNTY, 0).await;
    let first = decides(&reviews[0].id, ReviewDecision::Accept);
    let other = DecideReviewRequest { review_id: reviews[1].id.clone(), ..first.clone() };
    // Both have looked for the id before one of them stores it.
    let mut held = service.pool().await.begin().await.unwrap();
    let lock = "LOCK TABLE registration.request IN SHARE ROW EXCLUSIVE MODE";
    sqlx::query(lock).execute(&mut *held).await.unwrap();
    let release = async {
        let waiting = "SELECT count(*) FROM pg_locks
                       WHERE NOT granted AND relation = 'registration.request'::regclass";
        service.until("both wait", async |_| service.sql(waiting).await == "2").await;
        held.commit().await.unwrap();
    };
    let (one, two, ()) =
        futures_util::join!(reviewer.decide(&first), reviewer.decide(&other), release);
    let (won, lost) = if one.is_ok() { (one, two) } else { (two, one) };
    won.unwrap();
    assert_refused(lost, Code::AlreadyExists, "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn who_is_refused_hears_why() {
    for (decision, expected) in [
        (ReviewDecision::NameMismatch, "ID_NAME_MISMATCH"),
        (ReviewDecision::NumberNotFound, "ID_NOT_FOUND"),
    ] {
        let service = Service::start(Recovery::Off).await;
        let RegisterRequest { request_id, .. } =
            in_review(&service, TOWNSHIP, 1..2).await.remove(0);
        let reviewer = Reviewer::at(&service, TOWNSHIP, &[Permission::Review]).await;
        let review = reviewer.all(TOWNSHIP, 0).await.remove(0);
        let request = DecideReviewRequest { note: " ".into(), ..decides(&review.id, decision) };
        reviewer.decide(&request).await.unwrap();
        assert_eq!(reason(&service.end(&request_id).await.unwrap_err()), expected);
        assert_eq!(service.sql("SELECT count(*) FROM registration.volunteer").await, "0");
    }
}

/// Nothing is lost between the decision and identity, whichever way the call fails.
#[tokio::test]
async fn a_decision_that_identity_does_not_hear_is_delivered_later() {
    for fault in [Fault::Before, Fault::After] {
        let service = Service::start(Recovery::On).await;
        let RegisterRequest { request_id, .. } =
            in_review(&service, TOWNSHIP, 1..2).await.remove(0);
        let reviewer = Reviewer::at(&service, TOWNSHIP, &BOTH).await;
        let review = reviewer.all(TOWNSHIP, 0).await.remove(0);
        service.identity.fail("decide", &[fault; 3]);
        reviewer.decide(&decides(&review.id, ReviewDecision::Accept)).await.unwrap();
        let end = service.end(&request_id).await.unwrap();
        assert_eq!(end.state(), RegistrationState::Active, "{fault:?}");
        assert!(service.identity.calls("decide") >= 4);
        assert_eq!(service.identity.with(|state| state.decided.len()), 1);
    }
}

#[tokio::test]
async fn nobody_sees_or_decides_outside_of_their_scope_or_without_the_permission() {
    let service = Service::start(Recovery::Off).await;
    let RegisterRequest { request_id, .. } = in_review(&service, TOWNSHIP, 1..2).await.remove(0);
    let inside = Reviewer::at(&service, COUNTY, &BOTH).await;
    let review = inside.all(COUNTY, 0).await.remove(0);
    let beside = Reviewer::at(&service, OTHER_TOWNSHIP, &BOTH).await;
    let viewer = Reviewer::at(&service, COUNTY, &[Permission::View]).await;
    let blind = Reviewer::at(&service, COUNTY, &[Permission::Review]).await;
    let accept = || decides(&review.id, ReviewDecision::Accept);

    assert!(beside.all(OTHER_TOWNSHIP, 0).await.is_empty());
    for code in [TOWNSHIP, COUNTY] {
        assert_refused(beside.list(code, 0, "").await, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    }
    assert_refused(beside.reveal(&review.id).await, Code::NotFound, "REVIEW_NOT_FOUND");
    assert_refused(beside.decide(&accept()).await, Code::NotFound, "REVIEW_NOT_FOUND");
    let nobody = zhiyuan_domain::new_id(service.clock.as_ref()).to_string();
    assert_refused(inside.reveal(&nobody).await, Code::NotFound, "REVIEW_NOT_FOUND");

    let (denied, missing) = (Code::PermissionDenied, "PERMISSION_MISSING");
    assert_refused(viewer.list(COUNTY, 0, "").await, denied, missing);
    assert_refused(viewer.decide(&accept()).await, denied, missing);
    assert_refused(viewer.reveal(&review.id).await, denied, missing);
    let refused = blind.reveal(&review.id).await.unwrap_err();
    let metadata = refused.get_error_details().error_info().unwrap().metadata.clone();
    assert_eq!(metadata["permission"], "REVEAL");
    // Without a second factor nobody gets as far as that.
    let id = inside.id.to_string();
    let weak = service.accounts.sign_with(&id, service.now(), accept(), false);
    let weak = inside.client.clone().decide_review(weak).await.unwrap_err();
    assert_eq!(weak.code(), Code::FailedPrecondition, "{weak:?}");

    assert_eq!(service.get(&request_id).await.unwrap().state(), RegistrationState::Review);
    assert_eq!(service.identity.calls("reveal") + service.identity.calls("decide"), 0);
    // Who tried is recorded.
    let acts = service.sql(ACTS).await;
    assert_eq!(acts.matches("REFUSED").count(), 5, "{acts}");
    assert!(!acts.contains("DONE"), "{acts}");
}

#[tokio::test]
async fn what_was_allowed_by_a_lease_that_ended_takes_no_effect() {
    let service = Service::start(Recovery::Off).await;
    let RegisterRequest { request_id, .. } = in_review(&service, TOWNSHIP, 1..2).await.remove(0);
    let reviewer = Reviewer::at(&service, COUNTY, &BOTH).await;
    let review = reviewer.all(COUNTY, 0).await.remove(0);
    // Over when it is answered.
    service.authority.with(|state| state.lease_ms = 0);
    let decided = reviewer.decide(&decides(&review.id, ReviewDecision::Accept)).await;
    assert!(waits_again(&decided), "{decided:?}");
    let revealed = reviewer.reveal(&review.id).await;
    assert!(waits_again(&revealed), "{revealed:?}");
    assert_eq!(service.sql(ACTS).await, "");
    assert_eq!(service.identity.calls("reveal"), 0);

    service.authority.with(|state| state.grants.clear());
    let decided = reviewer.decide(&decides(&review.id, ReviewDecision::Accept)).await;
    assert_refused(decided, Code::NotFound, "REVIEW_NOT_FOUND");
    assert_eq!(service.get(&request_id).await.unwrap().state(), RegistrationState::Review);
}

/// The right ended while identity was asked: what was recorded is not shown.
#[tokio::test]
async fn who_is_shown_too_late_is_not_shown() {
    let service = Service::start(Recovery::Off).await;
    in_review(&service, TOWNSHIP, 1..2).await;
    let reviewer = Reviewer::at(&service, COUNTY, &BOTH).await;
    let review = reviewer.all(COUNTY, 0).await.remove(0);
    service.authority.with(|state| state.lease_ms = 1500);
    let gate = service.identity.hold("reveal");
    let opening = async {
        service.until("identity is asked", async |it| it.identity.calls("reveal") == 1).await;
        tokio::time::sleep(Duration::from_millis(1600)).await;
        gate.add_permits(1);
    };
    let (revealed, ()) = tokio::join!(reviewer.reveal(&review.id), opening);
    assert!(waits_again(&revealed), "{revealed:?}");
}

#[tokio::test]
async fn nobody_decides_about_themselves() {
    let service = Service::start(Recovery::Off).await;
    in_review(&service, TOWNSHIP, 1..2).await;
    let reviewer = Reviewer::at(&service, COUNTY, &BOTH).await;
    let review = reviewer.all(COUNTY, 0).await.remove(0);
    service.identity.with(|state| state.own.push(reviewer.id));
    let (denied, oneself) = (Code::PermissionDenied, "REVIEW_OF_ONESELF");
    assert_refused(reviewer.reveal(&review.id).await, denied, oneself);
    let decided = reviewer.decide(&decides(&review.id, ReviewDecision::Accept)).await;
    assert_refused(decided, denied, oneself);
    assert_eq!(service.identity.calls("reveal") + service.identity.calls("decide"), 0);
}

#[tokio::test]
async fn a_review_that_is_over_is_none_any_more() {
    let service = Service::start(Recovery::Off).await;
    let form = in_review(&service, TOWNSHIP, 1..2).await.remove(0);
    let reviewer = Reviewer::at(&service, COUNTY, &BOTH).await;
    let review = reviewer.all(COUNTY, 0).await.remove(0);
    // At identity first, and then here.
    let expired = zhiyuan_contracts::identity::v1::EnrolmentRefusal::IdCheckExpired;
    service.identity.settle(&Verdict::Refused(expired));
    assert!(reviewer.all(COUNTY, 0).await.is_empty());
    for _ in 0..2 {
        let decided = reviewer.decide(&decides(&review.id, ReviewDecision::Accept)).await;
        assert_refused(decided, Code::NotFound, "REVIEW_NOT_FOUND");
        assert_refused(reviewer.reveal(&review.id).await, Code::NotFound, "REVIEW_NOT_FOUND");
        let _ = service.register(&form).await;
    }
    assert_eq!(service.step().await, "REFUSED");
}

#[tokio::test]
async fn of_two_who_decide_at_once_one_does() {
    let service = Service::start(Recovery::Off).await;
    let RegisterRequest { request_id, .. } = in_review(&service, TOWNSHIP, 1..2).await.remove(0);
    let reviewer = Reviewer::at(&service, COUNTY, &BOTH).await;
    let other = Reviewer::at(&service, TOWNSHIP, &BOTH).await;
    let review = reviewer.all(COUNTY, 0).await.remove(0);
    let accept = decides(&review.id, ReviewDecision::Accept);
    let refuse = decides(&review.id, ReviewDecision::NameMismatch);
    let (one, two) = tokio::join!(reviewer.decide(&accept), other.decide(&refuse));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    let late = if one.is_ok() { two } else { one };
    // Decided; or, as identity tells sooner, over.
    let late = late.unwrap_err();
    assert!(["REVIEW_DECIDED", "REVIEW_NOT_FOUND"].contains(&&*reason(&late)), "{late:?}");
    let _ = service.end(&request_id).await;
    assert_eq!(service.identity.with(|state| state.decided.len()), 1);
}

#[tokio::test]
async fn a_list_has_all_below_and_nothing_beside_the_longest_waiting_first() {
    let service = Service::start(Recovery::Off).await;
    in_review(&service, TOWNSHIP, 1..4).await;
    in_review(&service, OTHER_TOWNSHIP, 4..6).await;
    in_review(&service, TOWNSHIP, 6..8).await;
    let county = Reviewer::at(&service, COUNTY, &BOTH).await;
    let other = Reviewer::at(&service, OTHER_TOWNSHIP, &BOTH).await;
    let ids = |reviews: Vec<Review>| reviews.into_iter().map(|it| it.id).collect::<Vec<_>>();
    let codes = |reviews: &[Review]| {
        reviews.iter().map(|review| review.organization_code == TOWNSHIP).collect::<Vec<_>>()
    };
    let all = county.all(COUNTY, 0).await;
    assert_eq!(codes(&all), [true, true, true, false, false, true, true]);
    let times: Vec<_> = all.iter().map(|it| it.submit_time.unwrap()).collect();
    assert!(times.is_sorted_by_key(|at| (at.seconds, at.nanos)));
    let below: Vec<String> =
        ids(all.clone()).into_iter().zip(codes(&all)).filter(|it| it.1).map(|it| it.0).collect();
    for size in [1, 2, 3, 500] {
        assert_eq!(ids(county.all(COUNTY, size).await), ids(all.clone()), "{size}");
        assert_eq!(ids(county.all(TOWNSHIP, size).await), below, "{size}");
        assert_eq!(other.all(OTHER_TOWNSHIP, size).await.len(), 2, "{size}");
    }
    let page = county.list(COUNTY, 1, "").await.unwrap();
    let elsewhere = county.list(TOWNSHIP, 1, &page.next_page_token).await;
    assert_refused(elsewhere, Code::InvalidArgument, "PAGE_TOKEN_INVALID");
}

/// More wait elsewhere than one call looks through: the page is empty, and not the last.
#[tokio::test]
async fn a_list_goes_on_behind_whatever_waits_elsewhere() {
    let service = Service::start(Recovery::Off).await;
    let crowd = format!(
        "INSERT INTO registration.registration
             (request_id, digest, digest_version, enrolment_id, region_code, organization_code,
              league_member, step, retry_at, next_step_at, last_call_at, created_at)
         SELECT gen_random_uuid(), sha256('x'), 1,
                ('01930000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, '341822',
                '{TOWNSHIP}', false, 'REVIEW', now(), now(), now(), now()
         FROM generate_series(1, 10500) AS n"
    );
    sqlx::query(sqlx::AssertSqlSafe(crowd)).execute(&service.pool().await).await.unwrap();
    in_review(&service, OTHER_TOWNSHIP, 1..3).await;
    let other = Reviewer::at(&service, OTHER_TOWNSHIP, &BOTH).await;
    let page = other.list(OTHER_TOWNSHIP, 10, "").await.unwrap();
    assert!(page.reviews.is_empty() && !page.next_page_token.is_empty());
    assert_eq!(other.all(OTHER_TOWNSHIP, 10).await.len(), 2);
}

#[tokio::test]
async fn malformed_requests_name_their_fields() {
    let service = Service::start(Recovery::Off).await;
    let reviewer = Reviewer::at(&service, COUNTY, &BOTH).await;
    let named = |status: Status| {
        let violations = status.get_error_details().bad_request().unwrap().field_violations.clone();
        violations.into_iter().map(|violation| violation.field).collect::<Vec<_>>()
    };
    let long = DecideReviewRequest { note: "核".repeat(201), ..Default::default() };
    let fields = ["request_id", "review_id", "decision", "note"];
    assert_eq!(named(reviewer.decide(&long).await.unwrap_err()), fields);
    let nothing = reviewer.sign(RevealReviewRequest::default());
    let nothing = reviewer.client.clone().reveal_review(nothing).await.unwrap_err();
    assert_eq!(named(nothing), ["review_id", "purpose"]);
    assert_eq!(named(reviewer.list("-", 0, "").await.unwrap_err()), ["organization_code"]);
    assert_eq!(named(reviewer.list(COUNTY, -1, "").await.unwrap_err()), ["page_size"]);
}

#[tokio::test]
async fn who_has_not_looked_decides_nothing() {
    let service = Service::start(Recovery::Off).await;
    in_review(&service, TOWNSHIP, 1..2).await;
    let reviewer = Reviewer::at(&service, COUNTY, &BOTH).await;
    let other = Reviewer::at(&service, COUNTY, &BOTH).await;
    let [review] = reviewer.all(COUNTY, 0).await.try_into().unwrap();
    let decision = decides(&review.id, ReviewDecision::Accept);
    let seen = other.reveal(&review.id).await;
    seen.unwrap();
    let blind = reviewer.decide_blindly(&decision).await;
    assert_refused(blind, Code::FailedPrecondition, "REVIEW_NOT_SEEN");
    reviewer.reveal(&review.id).await.unwrap();
    // It left no trace that kept it from being sent again.
    reviewer.decide_blindly(&decision).await.unwrap();
}
