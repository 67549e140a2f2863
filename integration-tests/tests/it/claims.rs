//! A classmate who knows name and ID number has registered first, and the true person gets them
//! back: two administrators of the level above decide.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tonic::Code;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::{
    ClaimState, ListMyClaimsRequest, ListMyClaimsResponse, ListMyRecordsRequest,
    ListMyRecordsResponse, RespondToClaimRequest, RespondToClaimResponse,
};
use zhiyuan_contracts::registration::v1::{
    Claim, ClaimDecision, DecideClaimRequest, DecideClaimResponse, ListClaimsRequest,
    ListClaimsResponse, RegisterRequest, RegistrationState, RevealClaimRequest,
    RevealClaimResponse,
};
use zhiyuan_domain::{OrganizationCode, SystemClock};
use zhiyuan_orgtree::{OperatorGrant, Role};
use zhiyuan_testkit::{Person, person};

use crate::counts::{ask, figures};
use crate::harness::caller::{AUTHORIZATION, Member, sign_in};
use crate::harness::client::ORGANIZATION;
use crate::harness::{Client, Door, Own, Refusal, Site};

/// 合肥, above both organizations.
const CITY: &str = "AH-340100";
const PATIENCE: Duration = Duration::from_secs(90);
const DECIDING: &str = "/zhiyuan.registration.v1.ClaimService/";
const ANSWERING: &str = "/zhiyuan.identity.v1.ClaimService/";
const LIST_MY_RECORDS: &str = "/zhiyuan.identity.v1.AuditService/ListMyRecords";

/// Somebody who has signed in.
struct Caller<'a> {
    door: &'a Door,
    bearer: String,
}

impl<'a> Caller<'a> {
    /// An administrator with both factors.
    async fn administrator(site: &Site, door: &'a Door, code: &str) -> Self {
        let mut member = Member::registered(site).await;
        let wanted = OperatorGrant {
            account_id: member.account_id,
            organization: OrganizationCode::parse(code).unwrap(),
            role: Role::Administrator,
            again: true,
        };
        zhiyuan_orgtree::grant(&site.orgtree(), Arc::new(SystemClock), &wanted).await.unwrap();
        Self { door, bearer: member.sign_in_with_both(site).await }
    }

    async fn call<Q, R>(&self, path: &str, request: &Q) -> Result<R, Refusal>
    where
        Q: prost::Message + Clone + 'static,
        R: prost::Message + Default + 'static,
    {
        self.door.call_with(path, request, &[(AUTHORIZATION, &self.bearer)]).await
    }

    async fn list(&self, code: &str) -> Vec<Claim> {
        let request = ListClaimsRequest { organization_code: code.into(), ..Default::default() };
        let path = format!("{DECIDING}ListClaims");
        let page: ListClaimsResponse = self.call(&path, &request).await.unwrap();
        page.claims
    }

    async fn reveal(&self, claim: &Claim) -> Result<RevealClaimResponse, Refusal> {
        let request = RevealClaimRequest {
            claim_id: claim.id.clone(),
            purpose: "当面核对身份证".into(),
        };
        self.call(&format!("{DECIDING}RevealClaim"), &request).await
    }

    async fn accept(&self, claim: &Claim) -> Result<(), Refusal> {
        let request = DecideClaimRequest {
            request_id: Uuid::new_v4().to_string(),
            claim_id: claim.id.clone(),
            decision: ClaimDecision::Accept.into(),
            note: "身份证原件".into(),
        };
        let path = format!("{DECIDING}DecideClaim");
        self.call(&path, &request).await.map(|_done: DecideClaimResponse| ())
    }
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(answer: Result<T, Refusal>, code: Code, reason: &str) {
    let refusal = answer.unwrap_err();
    assert_eq!((refusal.code, &*refusal.reason), (code, reason), "{refusal:?}");
}

/// Lets the delay pass.
async fn pass_the_delay(site: &Site, claim: &Claim) {
    let mut database = site.main_database().await;
    for passed in [
        "UPDATE identity.claim SET carry_out_after = now() WHERE claim_id = $1",
        "UPDATE registration.claim SET next_step_at = now() WHERE claim_id = $1",
    ] {
        let id: Uuid = claim.id.parse().unwrap();
        let done = sqlx::query(passed).bind(id).execute(&mut database).await.unwrap();
        assert_eq!(done.rows_affected(), 1);
    }
}

/// How many volunteers there are at an organization.
async fn volunteers(site: &Site, code: &str) -> i64 {
    figures(ask(site, code, None).await.unwrap().own)[0]
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_true_person_gets_the_number_back_from_a_classmate() {
    let suite = Own::start("claims").await;
    let site = &suite.site;
    let client = Client::of(site);
    let door = &client.json;
    let squatter = person(7_450);
    let true_person = Person { mobile: person(7_451).mobile, ..squatter.clone() };
    let form = client.apply(door, &squatter).await;
    client.register_to_the_end(door, &form).await.unwrap();
    let holder = Caller { door, bearer: sign_in(site, &squatter).await };
    let [first, second] = [
        Caller::administrator(site, door, CITY).await,
        Caller::administrator(site, door, CITY).await,
    ];
    let inside = Caller::administrator(site, door, ORGANIZATION).await;
    let elsewhere = client.registrable(door).await;
    let elsewhere = elsewhere
        .into_iter()
        .find(|one| one.code.starts_with("AH-3401") && one.code != ORGANIZATION)
        .unwrap()
        .code;
    until("the volunteers are counted", async || volunteers(site, ORGANIZATION).await == 4).await;
    let there = volunteers(site, &elsewhere).await;

    // Registering is refused, and the same form with a word to it is a claim.
    let form = client.apply(door, &true_person).await;
    let form = RegisterRequest { organization_code: elsewhere.clone(), ..form };
    let told = client.register_patiently(door, &form).await;
    assert_refused(told, Code::AlreadyExists, "ALREADY_REGISTERED");
    let form = RegisterRequest {
        request_id: Uuid::new_v4().to_string(),
        claim_statement: "身份证在我手上，账号是同学冒用注册的。".into(),
        ..form
    };
    let answer = client.register_patiently(door, &form).await.unwrap();
    assert_eq!(answer.state(), RegistrationState::Review);
    client.wait_for_text(&squatter.mobile, "有人提出认领").await;

    let [claim] = first.list(CITY).await.try_into().unwrap();
    assert_eq!(
        (&*claim.organization_code, &*claim.holder_organization_code),
        (&*elsewhere, ORGANIZATION)
    );
    assert!(inside.list(ORGANIZATION).await.is_empty());
    assert_refused(inside.reveal(&claim).await, Code::NotFound, "CLAIM_NOT_FOUND");
    assert_refused(inside.accept(&claim).await, Code::NotFound, "CLAIM_NOT_FOUND");
    assert_refused(first.accept(&claim).await, Code::FailedPrecondition, "REVIEW_NOT_SEEN");
    // The classmate objects, which alone ends nothing.
    let respond = RespondToClaimRequest {
        claim_id: claim.id.clone(),
        statement: "我才是本人。".into(),
    };
    let path = format!("{ANSWERING}RespondToClaim");
    let _kept: RespondToClaimResponse = holder.call(&path, &respond).await.unwrap();
    let shown = first.reveal(&claim).await.unwrap();
    assert_eq!(
        (&*shown.id_number, &*shown.holder_statement),
        (&*squatter.id_number, "我才是本人。")
    );
    assert!(shown.statement.contains("身份证在我手上"));
    first.accept(&claim).await.unwrap();
    assert_refused(first.accept(&claim).await, Code::FailedPrecondition, "CLAIM_NEEDS_ANOTHER");
    second.reveal(&claim).await.unwrap();
    second.accept(&claim).await.unwrap();
    client.wait_for_text(&true_person.mobile, "等待期过后").await;
    let path = format!("{ANSWERING}ListMyClaims");
    let mine: ListMyClaimsResponse =
        holder.call(&path, &ListMyClaimsRequest::default()).await.unwrap();
    assert_eq!(mine.claims[0].state(), ClaimState::Accepted);

    pass_the_delay(site, &claim).await;
    until("the claim is carried out", async || {
        let answer = client.outcome(door, &form.request_id).await.unwrap();
        answer.state() == RegistrationState::Active
    })
    .await;
    client.wait_for_text(&true_person.mobile, "注册已完成").await;
    client.wait_for_text(&squatter.mobile, "该账号已终止").await;
    // The classmate's session is over, and the true person reads who looked.
    let records = ListMyRecordsRequest::default();
    until("the session is over", async || {
        let told: Result<ListMyRecordsResponse, _> = holder.call(LIST_MY_RECORDS, &records).await;
        told.is_err_and(|refusal| refusal.code == Code::Unauthenticated)
    })
    .await;
    let bearer = sign_in(site, &true_person).await;
    let person = Caller { door, bearer };
    let mine: ListMyRecordsResponse = person.call(LIST_MY_RECORDS, &records).await.unwrap();
    let accepted = mine.records.iter().filter(|one| one.action == "identity.claim.accepted");
    assert_eq!(accepted.count(), 2);
    let mut database = site.main_database().await;
    let levels = "SELECT array_agg(level ORDER BY registered_at DESC) FROM registration.volunteer
                  WHERE organization_code = $1 AND NOT closed";
    let levels: Vec<i16> =
        sqlx::query_scalar(levels).bind(&elsewhere).fetch_one(&mut database).await.unwrap();
    assert_eq!(levels.first(), Some(&3));
    until("one went, and one came", async || {
        volunteers(site, ORGANIZATION).await == 3 && volunteers(site, &elsewhere).await == there + 1
    })
    .await;
    suite.stop().await;
}
