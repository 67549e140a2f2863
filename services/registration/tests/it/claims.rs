//! Claims on ID numbers that somebody else holds: who decides, and that nobody else does.

use std::time::Duration;

use tonic::Status;
use tonic::transport::Channel;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::{ClaimState, EnrolmentRefusal};
use zhiyuan_contracts::orgtree::v1::{Grant, Role};
use zhiyuan_contracts::registration::v1::claim_service_client::ClaimServiceClient;
use zhiyuan_contracts::registration::v1::review_service_client::ReviewServiceClient;
use zhiyuan_contracts::registration::v1::{
    Claim, ClaimDecision, DecideClaimRequest, DecideReviewRequest, ListClaimsRequest,
    ListReviewsRequest, RegisterRequest, RegistrationState, RevealClaimRequest,
    RevealReviewRequest, ReviewDecision,
};
use zhiyuan_rpc::wire::timestamp;

use crate::fake_claims::DELAY;
use crate::fake_identity::Verdict;
use crate::fake_orgtree::{COUNTY, OTHER_TOWNSHIP, TOWNSHIP};
use crate::harness::{Recovery, Service, form, reason};
use crate::profiles::Volunteer;

const DAY: Duration = Duration::from_secs(24 * 3600);
const LOOK: Duration = Duration::from_secs(10 * 60 + 1);

/// A volunteer of one township whose number somebody claims who chose another one, and two
/// administrators of the county above.
struct Case<'a> {
    service: &'a Service,
    holder: Uuid,
    form: RegisterRequest,
    id: String,
    first: String,
    second: String,
    client: ClaimServiceClient<Channel>,
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    reason(&answer.unwrap_err())
}

/// Asks again while the answer is to come again: on a busy machine a lease is over before the
/// commit.
async fn patiently<T>(call: impl AsyncFn() -> Result<T, Status>) -> Result<T, Status> {
    for _ in 0..20 {
        match call().await {
            Err(status) if ["UNAVAILABLE", "CONFLICT"].contains(&&*reason(&status)) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            answer => return answer,
        }
    }
    call().await
}

impl<'a> Case<'a> {
    async fn new(service: &'a Service) -> Self {
        let holder = Volunteer::register(service, 1).await.id.parse().unwrap();
        Self::against(service, holder).await
    }

    async fn against(service: &'a Service, holder: Uuid) -> Self {
        service.identity.decide(Verdict::Claim(service.now() + 7 * DAY, holder));
        let form = RegisterRequest {
            organization_code: OTHER_TOWNSHIP.into(),
            claim_statement: "有人冒用我的身份证号。\n".into(),
            ..form(2)
        };
        let answer = service.register(&form).await.unwrap();
        assert_eq!(answer.state(), RegistrationState::Review);
        let sent = service.identity.with(|state| state.last_form.clone()).unwrap();
        assert_eq!(sent.claim_statement, "有人冒用我的身份证号。");
        let id = sent.enrolment_id;
        service.claims.open(&id);
        let administrator = || service.authority.administrator(COUNTY, Role::Administrator);
        let (first, second) = (administrator(), administrator());
        let client = ClaimServiceClient::connect(service.address().to_owned()).await.unwrap();
        Self { service, holder, form, id, first, second, client }
    }

    fn sign<T>(&self, who: &str, message: T) -> tonic::Request<T> {
        self.service.accounts.sign_twice(who, self.service.now(), message)
    }

    async fn list(&self, who: &str, code: &str) -> Result<Vec<Claim>, Status> {
        let request =
            ListClaimsRequest { organization_code: code.into(), ..ListClaimsRequest::default() };
        let list = async || {
            let request = self.sign(who, request.clone());
            Ok(self.client.clone().list_claims(request).await?.into_inner().claims)
        };
        patiently(list).await
    }

    async fn reveal(&self, who: &str) -> Result<String, Status> {
        let (claim_id, purpose) = (self.id.clone(), "当面核对身份证".to_owned());
        let request = RevealClaimRequest { claim_id, purpose };
        let reveal = async || {
            let request = self.sign(who, request.clone());
            Ok(self.client.clone().reveal_claim(request).await?.into_inner().holder_statement)
        };
        patiently(reveal).await
    }

    fn decision(&self, decision: ClaimDecision) -> DecideClaimRequest {
        DecideClaimRequest {
            request_id: Uuid::new_v4().to_string(),
            claim_id: self.id.clone(),
            decision: decision.into(),
            note: "已核对身份证原件".into(),
        }
    }

    async fn send(&self, who: &str, request: &DecideClaimRequest) -> Result<(), Status> {
        patiently(async || self.send_once(who, request).await).await
    }

    async fn send_once(&self, who: &str, request: &DecideClaimRequest) -> Result<(), Status> {
        let request = self.sign(who, request.clone());
        self.client.clone().decide_claim(request).await.map(|_done| ())
    }

    async fn decide(&self, who: &str, decision: ClaimDecision) -> Result<(), Status> {
        self.send(who, &self.decision(decision)).await
    }

    /// Looks, and accepts.
    async fn accept(&self, who: &str) -> Result<(), Status> {
        self.reveal(who).await?;
        self.decide(who, ClaimDecision::Accept).await
    }

    async fn step(&self) -> String {
        self.service.sql("SELECT step FROM registration.claim").await
    }

    /// Time passes, also for identity.
    fn pass(&self, time: Duration) {
        self.service.clock.advance(time);
        let now = self.service.now();
        self.service.claims.with(|state| state.now = now);
    }

    /// Accepted by both.
    async fn accepted(&self) {
        self.pass(Duration::ZERO);
        self.accept(&self.first).await.unwrap();
        self.accept(&self.second).await.unwrap();
        assert_eq!(self.service.claims.states(), [ClaimState::Accepted]);
    }

    /// Somebody new with a role that somebody gave at that time.
    fn made_by(&self, giver: &str, ago: Duration) -> String {
        let id = self.service.authority.administrator(COUNTY, Role::Administrator);
        let at = self.service.now() - ago;
        self.service.authority.with(|state| {
            let given = state.grants.iter_mut().find(|(grant, _)| grant.account_id == id);
            let grant = &mut given.unwrap().0;
            grant.granted_by = giver.to_owned();
            grant.create_time = Some(timestamp(at));
        });
        id
    }
}

#[tokio::test]
async fn two_from_above_decide_and_after_the_delay_it_is_carried_out() {
    let service = Service::start(Recovery::On).await;
    let case = Case::new(&service).await;
    let [listed] = case.list(&case.first, COUNTY).await.unwrap().try_into().unwrap();
    assert_eq!(listed.id, case.id);
    let organizations = (&*listed.organization_code, &*listed.holder_organization_code);
    assert_eq!(organizations, (OTHER_TOWNSHIP, TOWNSHIP));
    assert_eq!(case.reveal(&case.first).await.unwrap(), "这是我的");
    let accept = case.decision(ClaimDecision::Accept);
    case.send(&case.first, &accept).await.unwrap();
    assert_eq!(service.claims.states(), [ClaimState::Open], "one alone decides nothing");
    case.pass(Duration::ZERO);
    case.accept(&case.second).await.unwrap();
    // Sent again, it is known.
    case.send(&case.first, &accept).await.unwrap();
    let told = service.claims.with(|state| state.accepted.clone());
    assert_eq!(told, [(case.first.clone(), case.second.clone())]);
    assert_eq!(service.claims.with(|state| state.holders.clone()), [case.holder.to_string()]);
    let [listed] = case.list(&case.first, COUNTY).await.unwrap().try_into().unwrap();
    assert_eq!(listed.accepted_by, [case.first.clone(), case.second.clone()]);
    assert!(listed.carry_out_after_time.is_some());

    case.pass((DELAY - time::Duration::MINUTE).unsigned_abs());
    service
        .until("it is looked at", async |service| {
            service.clock.advance(Duration::from_millis(100));
            let due = "SELECT count(*) FROM registration.claim WHERE next_step_at > decided_at + interval '71 hours'";
            service.sql(due).await == "1"
        })
        .await;
    assert_eq!(service.claims.states(), [ClaimState::Accepted], "before its time");
    case.pass(Duration::from_secs(120));
    service
        .until("it is carried out", async |service| {
            case.pass(Duration::from_secs(1));
            service.claims.states() == [ClaimState::CarriedOut]
        })
        .await;
    service.identity.settle(&Verdict::Claimed);
    assert_eq!(
        service.end(&case.form.request_id).await.unwrap().state(),
        RegistrationState::Active
    );
    assert_eq!(case.step().await, "OVER");
    let acts = "SELECT string_agg(concat_ws(' ', action, outcome, subject_account_id = '{holder}'), ','
                                  ORDER BY n) FROM
            (SELECT action, outcome, subject_account_id, 1000000 + seq AS n FROM registration.audit_pending
             UNION ALL SELECT action, outcome, subject_account_id, index FROM registration.audit_entry) a";
    let acts = acts.replace("{holder}", &case.holder.to_string());
    let [revealed, decided] =
        ["revealed", "decided"].map(|act| format!("registration.claim.{act} DONE t"));
    assert_eq!(service.sql(&acts).await, [&*revealed, &*decided, &*revealed, &*decided].join(","));
}

#[tokio::test]
async fn nobody_decides_who_is_not_outside_or_has_not_looked() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    let administrator = |code: &str| service.authority.administrator(code, Role::Administrator);
    // Of the roster's, or the holder's, or the claimant's organization.
    for code in [TOWNSHIP, OTHER_TOWNSHIP] {
        let inside = administrator(code);
        assert_eq!(refused(case.reveal(&inside).await), "CLAIM_NOT_FOUND");
        assert_eq!(refused(case.decide(&inside, ClaimDecision::Accept).await), "CLAIM_NOT_FOUND");
        let both = administrator(COUNTY);
        service.authority.give(&both, code, Role::Viewer);
        assert_eq!(refused(case.reveal(&both).await), "CLAIM_NEEDS_ANOTHER");
        assert!(case.list(&inside, code).await.unwrap().is_empty());
    }
    let viewer = service.authority.administrator(COUNTY, Role::Viewer);
    assert_eq!(refused(case.reveal(&viewer).await), "PERMISSION_MISSING");
    let blind = case.decide(&case.first, ClaimDecision::Accept).await;
    assert_eq!(refused(blind), "REVIEW_NOT_SEEN");
    let blind = case.decide(&case.first, ClaimDecision::Reject).await;
    assert_eq!(refused(blind), "REVIEW_NOT_SEEN");
    // A side of it, or a guardian of one.
    let side = administrator(COUNTY);
    service.claims.with(|state| state.own.push(side.parse().unwrap()));
    assert_eq!(refused(case.reveal(&side).await), "REVIEW_OF_ONESELF");
    assert_eq!(refused(case.decide(&side, ClaimDecision::Accept).await), "REVIEW_OF_ONESELF");
    assert_eq!(service.claims.states(), [ClaimState::Open]);
    assert_eq!(case.step().await, "OPEN");
}

/// Above a root there is nobody, so those decide there whom the operator made, and nobody else.
#[tokio::test]
async fn about_a_root_decide_two_whom_the_operator_made_its_administrators() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    service.orgtree.with(|state| {
        for code in [TOWNSHIP, OTHER_TOWNSHIP] {
            state.organizations.get_mut(code).unwrap().parent_code = String::new();
        }
    });
    let of_both = || {
        let id = service.authority.administrator(TOWNSHIP, Role::Administrator);
        service.authority.give(&id, OTHER_TOWNSHIP, Role::Administrator);
        id
    };
    let (first, second, made) = (of_both(), of_both(), of_both());
    let long_ago = Some(timestamp(service.now() - 90 * DAY));
    service.authority.with(|state| {
        let given = state.grants.iter_mut().map(|(grant, _)| grant);
        let at_one = |grant: &&mut Grant| {
            grant.account_id == made && grant.organization_code == OTHER_TOWNSHIP
        };
        let grant = given.into_iter().find(at_one).unwrap();
        grant.granted_by = first.clone();
        grant.create_time = long_ago;
    });
    let of_one = service.authority.administrator(TOWNSHIP, Role::Administrator);
    assert_eq!(refused(case.reveal(&of_one).await), "CLAIM_NOT_FOUND");
    for act in [case.reveal(&made).await.map(drop), case.accept(&made).await] {
        assert_eq!(refused(act), "CLAIM_NEEDS_ANOTHER");
    }
    assert!(case.list(&made, OTHER_TOWNSHIP).await.unwrap().is_empty());
    case.accept(&first).await.unwrap();
    assert_eq!(refused(case.accept(&first).await), "CLAIM_NEEDS_ANOTHER");
    case.accept(&second).await.unwrap();
    assert_eq!(case.step().await, "ACCEPTED");
}

/// One root, and a claim within its township and on itself, is listed to whom it is for.
#[tokio::test]
async fn a_claim_on_the_root_itself_is_listed_there() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    service.orgtree.with(|state| {
        state.organizations.get_mut(COUNTY).unwrap().parent_code = String::new();
    });
    sqlx::query("UPDATE registration.claim SET holder_organization_code = $1")
        .bind(COUNTY)
        .execute(&service.pool().await)
        .await
        .unwrap();
    let made = case.made_by(&case.first, 90 * DAY);
    assert!(case.list(&made, COUNTY).await.unwrap().is_empty());
    assert_eq!(refused(case.reveal(&made).await), "CLAIM_NEEDS_ANOTHER");
    assert_eq!(case.list(&case.first, COUNTY).await.unwrap().len(), 1);
    case.accept(&case.first).await.unwrap();
    case.accept(&case.second).await.unwrap();
    assert_eq!(case.step().await, "ACCEPTED");
}

#[tokio::test]
async fn the_organization_of_the_roster_is_one_that_it_concerns() {
    let service = Service::start(Recovery::Off).await;
    let holder = Volunteer::register(&service, 1).await.id.parse().unwrap();
    // On the roster of the county itself, whose administrators are evidence and no judges.
    let run = async |sql: String| {
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&service.pool().await).await.unwrap();
    };
    run(format!(
        "INSERT INTO registration.roster_member
             (partition, person_id, organization_code, since, ends_in, revision)
         SELECT partition, volunteer_id, '{COUNTY}', now(), '2030-01', 1
         FROM registration.volunteer"
    ))
    .await;
    let case = Case::against(&service, holder).await;
    assert_eq!(refused(case.reveal(&case.first).await), "CLAIM_NOT_FOUND");
    assert!(case.list(&case.first, COUNTY).await.unwrap().is_empty());
    let above = service.authority.administrator("AH-341800", Role::Administrator);
    let [listed] = case.list(&above, "AH-341800").await.unwrap().try_into().unwrap();
    assert_eq!(listed.roster_organization_code, COUNTY);
    case.accept(&above).await.unwrap();
    // Whoever leaves a roster, or goes elsewhere, while it is open changes nothing of who decides.
    run("UPDATE registration.roster_member SET organization_code = NULL, since = NULL, ends_in = NULL"
        .to_owned())
    .await;
    run("UPDATE registration.volunteer SET organization_code = 'BJ-1'".to_owned()).await;
    assert_eq!(refused(case.reveal(&case.first).await), "CLAIM_NOT_FOUND");
    let other = service.authority.administrator("AH-341800", Role::Administrator);
    case.accept(&other).await.unwrap();
    assert_eq!(case.step().await, "ACCEPTED");
}

#[tokio::test]
async fn the_two_are_two_and_have_nothing_from_each_other() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    let new = case.made_by(&Uuid::new_v4().to_string(), 6 * DAY);
    assert_eq!(refused(case.accept(&new).await), "CLAIM_GRANT_TOO_NEW");
    case.accept(&case.first).await.unwrap();
    assert_eq!(refused(case.accept(&case.first).await), "CLAIM_NEEDS_ANOTHER");
    let made = case.made_by(&case.first, 30 * DAY);
    assert_eq!(refused(case.accept(&made).await), "CLAIM_NEEDS_ANOTHER");
    assert_eq!(case.step().await, "OPEN");
    case.accept(&case.second).await.unwrap();
    assert_eq!(case.step().await, "ACCEPTED");
}

#[tokio::test]
async fn whoever_gave_the_first_one_the_role_is_no_second_one() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    let made = case.made_by(&case.second, 30 * DAY);
    case.accept(&made).await.unwrap();
    assert_eq!(refused(case.accept(&case.second).await), "CLAIM_NEEDS_ANOTHER");
    case.accept(&case.first).await.unwrap();
    assert_eq!(service.claims.states(), [ClaimState::Accepted]);
}

#[tokio::test]
async fn two_whom_the_same_person_made_are_two_once_they_are_so_for_long() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    let giver = Uuid::new_v4().to_string();
    let (new, old) = (case.made_by(&giver, 29 * DAY), case.made_by(&giver, 60 * DAY));
    case.accept(&old).await.unwrap();
    assert_eq!(refused(case.accept(&new).await), "CLAIM_NEEDS_ANOTHER");
    assert_eq!(case.step().await, "OPEN");
    let refusals = "SELECT count(*) FROM (
            SELECT action, outcome FROM registration.audit_pending
            UNION ALL SELECT action, outcome FROM registration.audit_entry) a
        WHERE action = 'registration.claim.decided' AND outcome = 'REFUSED'";
    assert_eq!(service.sql(refusals).await, "1");
    case.pass(DAY);
    case.decide(&new, ClaimDecision::Accept).await.unwrap();
    assert_eq!(case.step().await, "ACCEPTED");
}

#[tokio::test]
async fn over_somebody_in_between_one_is_still_made_by_the_other() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    let between = case.made_by(&case.first, 90 * DAY);
    let last = case.made_by(&between, 90 * DAY);
    case.accept(&last).await.unwrap();
    assert_eq!(refused(case.accept(&case.first).await), "CLAIM_NEEDS_ANOTHER");
    case.accept(&case.second).await.unwrap();
    assert_eq!(service.claims.states(), [ClaimState::Accepted]);
}

#[tokio::test]
async fn an_acceptance_counts_no_more_once_the_right_to_it_has_ended() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    case.accept(&case.first).await.unwrap();
    service.authority.revoke(&case.first);
    service
        .until("the lease is over", async |_| {
            matches!(case.reveal(&case.first).await, Err(status) if reason(&status) == "CLAIM_NOT_FOUND")
        })
        .await;
    case.accept(&case.second).await.unwrap();
    assert_eq!(service.claims.states(), [ClaimState::Open], "the second is the first one now");
    let third = service.authority.administrator(COUNTY, Role::Administrator);
    case.accept(&third).await.unwrap();
    let told = service.claims.with(|state| state.accepted.clone());
    assert_eq!(told, [(case.second.clone(), third)]);
}

#[tokio::test]
async fn one_rejection_ends_it_until_it_is_carried_out() {
    let service = Service::start(Recovery::On).await;
    let case = Case::new(&service).await;
    case.accepted().await;
    let third = service.authority.administrator(COUNTY, Role::Administrator);
    case.reveal(&third).await.unwrap();
    case.decide(&third, ClaimDecision::Reject).await.unwrap();
    assert_eq!(service.claims.with(|state| state.rejected.clone()), [third]);
    assert_eq!(service.claims.with(|state| state.holders.pop()), Some(case.holder.to_string()));
    assert_eq!(case.step().await, "REJECTED");
    assert_eq!(refused(case.decide(&case.first, ClaimDecision::Reject).await), "CLAIM_OVER");
    assert_eq!(refused(case.reveal(&case.first).await), "CLAIM_OVER");
    service.identity.settle(&Verdict::Refused(EnrolmentRefusal::ClaimRejected));
    // Without a word of the feed it is looked at within a quarter of an hour.
    service.clock.advance(Duration::from_secs(16 * 60));
    let end = service.end(&case.form.request_id).await;
    assert_eq!(refused(end), "CLAIM_REJECTED");
    assert_eq!(case.step().await, "OVER");
}

#[tokio::test]
async fn it_ends_with_the_right_of_who_accepted_it() {
    let service = Service::start(Recovery::On).await;
    let case = Case::new(&service).await;
    case.accepted().await;
    service.authority.revoke(&case.first);
    service
        .until("it is cancelled", async |service| {
            case.pass(LOOK);
            service.claims.states() == [ClaimState::Rejected]
        })
        .await;
    assert_eq!(service.claims.with(|state| state.rejected.clone()), [""], "nobody rejected it");
}

#[tokio::test]
async fn a_process_that_dies_between_decision_and_telling_loses_nothing() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    case.pass(Duration::ZERO);
    case.accept(&case.first).await.unwrap();
    case.reveal(&case.second).await.unwrap();
    service.claims.with(|state| state.down = 1);
    let accept = case.decision(ClaimDecision::Accept);
    assert_eq!(refused(case.send_once(&case.second, &accept).await), "UNAVAILABLE");
    assert_eq!(case.step().await, "ACCEPTING");
    service.kill();
    service.start_another().await;
    service
        .until("identity is told", async |service| {
            case.pass(Duration::from_secs(1));
            service.claims.states() == [ClaimState::Accepted]
        })
        .await;
    // Dead again before it is carried out, it is, once.
    service
        .until("it is carried out", async |service| {
            case.pass(LOOK);
            service.claims.states() == [ClaimState::CarriedOut]
        })
        .await;
    assert_eq!(service.claims.with(|state| state.accepted.len()), 1);
}

#[tokio::test]
async fn one_reviewer_has_nothing_to_do_with_it() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    let mut client = ReviewServiceClient::connect(service.address().to_owned()).await.unwrap();
    let list = ListReviewsRequest { organization_code: COUNTY.into(), ..Default::default() };
    let listed = client.list_reviews(case.sign(&case.first, list)).await.unwrap().into_inner();
    assert!(listed.reviews.is_empty());
    let reveal = RevealReviewRequest { review_id: case.id.clone(), purpose: "核对".into() };
    let told = client.reveal_review(case.sign(&case.first, reveal)).await;
    assert_eq!(refused(told), "REVIEW_NOT_FOUND");
    let decide = DecideReviewRequest {
        request_id: Uuid::new_v4().to_string(),
        review_id: case.id.clone(),
        decision: ReviewDecision::Accept.into(),
        note: String::new(),
    };
    let told = client.decide_review(case.sign(&case.first, decide)).await;
    assert_eq!(refused(told), "REVIEW_NOT_FOUND");
}

#[tokio::test]
async fn a_number_that_is_free_again_ends_it_and_the_registration_goes_on() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    case.accept(&case.first).await.unwrap();
    // identity asks the register anew, and the number is the applicant's.
    service.identity.settle(&Verdict::Claimed);
    service.clock.advance(DAY);
    service.start_another().await;
    let end = service.end(&case.form.request_id).await.unwrap();
    assert_eq!(end.state(), RegistrationState::Active);
    assert_eq!(case.step().await, "OVER");
    assert_eq!(refused(case.decide(&case.first, ClaimDecision::Reject).await), "CLAIM_OVER");
}

#[tokio::test]
async fn a_platform_claims_nothing_and_a_statement_is_one() {
    let service = Service::start(Recovery::Off).await;
    for (statement, expected) in [("\u{0}", false), (&*"冒".repeat(501), false), ("冒用", true)]
    {
        let form = RegisterRequest { claim_statement: statement.into(), ..form(1) };
        let answer = service.register(&form).await;
        assert_eq!(answer.is_ok(), expected, "{answer:?}");
        if expected {
            // Another statement is another form.
            let other = RegisterRequest { claim_statement: "另一个".into(), ..form };
            assert_eq!(refused(service.register(&other).await), "REQUEST_ID_REUSED");
        }
    }
}
