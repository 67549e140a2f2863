//! Who administers nothing founds an organization by applying to the one above.

mod deciding;
mod ending;
mod limits;
mod replaying;
mod revealing;
mod sequences;

use sqlx::PgPool;
use time::macros::datetime;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::organization_application_service_client::OrganizationApplicationServiceClient;
use zhiyuan_contracts::orgtree::v1::{
    ApplicationDecision, ApplicationState, DecideApplicationRequest, DecideApplicationResponse,
    GetMyApplicationRequest, ListApplicationsRequest, ListMyApplicationsRequest,
    OrganizationApplication, OrganizationContacts, OrganizationDetails, OrganizationKind,
    OrganizationState, RevealApplicationRequest, Role, SubmitApplicationRequest,
    SubmitApplicationResponse, UpdateApplicationRequest, UpdateApplicationResponse,
    WithdrawApplicationRequest,
};
use zhiyuan_orgtree::Role as TypedRole;

use crate::authority::{Bearer, HEADER, PROVINCE, Suite, account, list as grants};
use crate::changing::{admin, administrator, create, creates, get, update, updates};
use crate::harness::{Service, assert_field, assert_refused, empty, load, told};

pub(crate) type Person = OrganizationApplicationServiceClient<InterceptedService<Channel, Bearer>>;

/// The province, at a time from which days can pass before the machine's own: a cut that the
/// database waits for would hold up whoever accepts.
async fn on_province() -> Suite {
    let database = empty().await;
    load(&database, &format!("{HEADER}\n{PROVINCE}\n")).await.unwrap();
    Suite::start_at(database, datetime!(2020-01-06 0:00 UTC)).await
}

/// Somebody who has signed in, with a second factor or without.
fn person_at(suite: &Suite, service: &Service, n: u128, second_factor: bool) -> Person {
    let bearer = suite.bearer(account(n), second_factor);
    OrganizationApplicationServiceClient::with_interceptor(service.channel.clone(), bearer)
}

/// Somebody who has signed in by password alone.
fn applicant(suite: &Suite, n: u128) -> Person {
    person_at(suite, &suite.service, n, false)
}

/// An administrator of an organization.
async fn decider(suite: &Suite, n: u128, code: &str) -> Person {
    suite.make(account(n), code, TypedRole::Administrator).await;
    person_at(suite, &suite.service, n, true)
}

fn request_id() -> String {
    Uuid::new_v4().to_string()
}

fn says(name: &str) -> OrganizationDetails {
    let contacts = OrganizationContacts { phone: "13800000000".into(), ..Default::default() };
    OrganizationDetails { name: name.to_owned(), contacts: Some(contacts), ..Default::default() }
}

fn submits(superior: &str, name: &str) -> SubmitApplicationRequest {
    SubmitApplicationRequest {
        request_id: request_id(),
        superior_code: superior.to_owned(),
        kind: OrganizationKind::VolunteerGroup.into(),
        details: Some(says(name)),
        purpose: "陪伴社区老人".to_owned(),
    }
}

async fn submit(
    person: &mut Person,
    request: SubmitApplicationRequest,
) -> Result<SubmitApplicationResponse, Status> {
    Ok(person.submit_application(request).await?.into_inner())
}

fn corrects(id: &str, etag: &str, name: &str) -> UpdateApplicationRequest {
    UpdateApplicationRequest {
        request_id: request_id(),
        application_id: id.to_owned(),
        etag: etag.to_owned(),
        kind: OrganizationKind::VolunteerGroup.into(),
        details: Some(says(name)),
        purpose: "陪伴社区老人".to_owned(),
    }
}

async fn correct(
    person: &mut Person,
    request: UpdateApplicationRequest,
) -> Result<UpdateApplicationResponse, Status> {
    Ok(person.update_application(request).await?.into_inner())
}

async fn withdraw(person: &mut Person, id: &str) -> Result<(), Status> {
    let request =
        WithdrawApplicationRequest { request_id: request_id(), application_id: id.to_owned() };
    person.withdraw_application(request).await.map(drop)
}

fn decides(
    id: &str,
    etag: &str,
    decision: ApplicationDecision,
    code: &str,
) -> DecideApplicationRequest {
    let note = if decision == ApplicationDecision::Accept { "" } else { "请补充说明" };
    DecideApplicationRequest {
        request_id: request_id(),
        application_id: id.to_owned(),
        etag: etag.to_owned(),
        decision: decision.into(),
        note: note.to_owned(),
        organization_code: code.to_owned(),
    }
}

fn accepts(made: &SubmitApplicationResponse, code: &str) -> DecideApplicationRequest {
    decides(&made.application_id, &made.etag, ApplicationDecision::Accept, code)
}

async fn decide(
    person: &mut Person,
    request: DecideApplicationRequest,
) -> Result<DecideApplicationResponse, Status> {
    Ok(person.decide_application(request).await?.into_inner())
}

async fn mine(person: &mut Person, id: &str) -> Result<OrganizationApplication, Status> {
    let request = GetMyApplicationRequest { application_id: id.to_owned() };
    Ok(person.get_my_application(request).await?.into_inner().application.unwrap())
}

async fn reveal(person: &mut Person, id: &str) -> Result<OrganizationApplication, Status> {
    let (application_id, purpose) = (id.to_owned(), "电话核实".to_owned());
    let request = RevealApplicationRequest { application_id, purpose };
    Ok(person.reveal_application(request).await?.into_inner().application.unwrap())
}

/// As a list shows it.
fn masked(mut seen: OrganizationApplication) -> OrganizationApplication {
    let contacts = seen.details.as_mut().and_then(|details| details.contacts.as_mut());
    contacts.unwrap().phone = "*******0000".to_owned();
    seen
}

/// Every page of the applications to an organization.
async fn listed(
    person: &mut Person,
    code: &str,
    waiting_only: bool,
) -> Result<Vec<OrganizationApplication>, Status> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let organization_code = code.to_owned();
        let request =
            ListApplicationsRequest { organization_code, waiting_only, page_size: 1, page_token };
        let page = person.list_applications(request).await?.into_inner();
        assert!(page.applications.len() <= 1);
        all.extend(page.applications);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

/// What the audit has of applications: the action and the outcome.
async fn recorded(pool: &PgPool) -> Vec<(String, String)> {
    sqlx::query_as(
        "SELECT action, outcome FROM
             (SELECT NULL::bigint AS index, seq, action, outcome FROM orgtree.audit_pending
              UNION ALL
              SELECT index, NULL, action, outcome FROM orgtree.audit_entry) AS recorded
         WHERE action LIKE 'orgtree.application.%' ORDER BY index, seq",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn an_application_is_returned_corrected_and_accepted_and_makes_a_group_and_its_administrator()
{
    let suite = on_province().await;
    let pool = suite.database.pool().await;
    let (mut volunteer, mut city) = (applicant(&suite, 9), decider(&suite, 1, "A-1").await);
    let wanted = submits("a-1", " 暖阳 服务队");
    let made = submit(&mut volunteer, wanted.clone()).await.unwrap();
    assert_eq!(submit(&mut volunteer, wanted.clone()).await.unwrap(), made);
    let other = SubmitApplicationRequest { purpose: "别的".into(), ..wanted };
    let status = submit(&mut volunteer, other).await.unwrap_err();
    assert_refused(&status, Code::AlreadyExists, "REQUEST_ID_REUSED");

    let id = made.application_id.as_str();
    let seen = mine(&mut volunteer, id).await.unwrap();
    assert_eq!((seen.state(), seen.etag.as_str()), (ApplicationState::Submitted, "1"));
    assert_eq!((seen.superior_code.as_str(), seen.note.as_str()), ("A-1", ""));
    assert_eq!(seen.details.as_ref(), Some(&says("暖阳 服务队")));
    assert_eq!(listed(&mut city, "A-1", true).await.unwrap(), [masked(seen)]);
    assert!(!get(&suite, "A-1").await.leaf);

    let back = decides(id, &made.etag, ApplicationDecision::Return, "");
    let answer = decide(&mut city, back.clone()).await.unwrap();
    assert_eq!(answer, DecideApplicationResponse::default());
    assert_eq!(decide(&mut city, back).await.unwrap(), answer);
    let seen = mine(&mut volunteer, id).await.unwrap();
    assert_eq!((seen.state(), seen.note.as_str()), (ApplicationState::Returned, "请补充说明"));
    assert!(listed(&mut city, "A-1", true).await.unwrap().is_empty());
    assert_eq!(listed(&mut city, "A-1", false).await.unwrap(), [masked(seen.clone())]);

    let again = correct(&mut volunteer, corrects(id, &seen.etag, "暖阳志愿服务队")).await.unwrap();
    let accept = decides(id, &again.etag, ApplicationDecision::Accept, "a-1-v1");
    let accepted = decide(&mut city, accept.clone()).await.unwrap();
    let organization = accepted.organization.clone().unwrap();
    assert_eq!(organization, get(&suite, "A-1-V1").await);
    assert_eq!(organization.kind(), OrganizationKind::VolunteerGroup);
    assert_eq!(
        (organization.name.as_str(), organization.state()),
        ("暖阳志愿服务队", OrganizationState::Active)
    );
    assert_eq!(organization.contacts.unwrap().phone, "13800000000");
    assert!(organization.takes_registrations && organization.leaf);
    let grant = accepted.grant.clone().unwrap();
    assert_eq!((grant.role(), &*grant.organization_code), (Role::Administrator, "A-1-V1"));
    assert_eq!(grant.account_id, account(9).to_string());
    assert_eq!((grant.granted_by, grant.expire_time), (account(1).to_string(), None));

    // Sent again it is the same; under another id it is over.
    assert_eq!(decide(&mut city, accept.clone()).await.unwrap(), accepted);
    let once_more = DecideApplicationRequest { request_id: request_id(), ..accept };
    let status = decide(&mut city, once_more).await.unwrap_err();
    assert_refused(&status, Code::FailedPrecondition, "APPLICATION_ENDED");
    let seen = mine(&mut volunteer, id).await.unwrap();
    assert_eq!((seen.state(), &*seen.organization_code), (ApplicationState::Accepted, "A-1-V1"));
    assert_eq!(seen.details.unwrap().contacts, Some(OrganizationContacts::default()));

    // The applicant administers it, and nothing else.
    let mut own = admin(&suite, 9);
    let renamed = updates(&get(&suite, "A-1-V1").await, &["name"], says("暖阳"));
    update(&mut own, renamed).await.unwrap();
    create(&mut own, creates("A-1-V1-1", "A-1-V1", "一分队")).await.unwrap();
    let status = create(&mut own, creates("A-1-3", "A-1", "新镇")).await.unwrap_err();
    assert_refused(&status, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    let mut person = suite.person(account(9));
    assert_eq!(grants(&mut person, "A-1-V1", 0).await.unwrap().len(), 1);

    let done = |action: &str| (format!("orgtree.application.{action}"), "DONE".to_owned());
    let expected = ["submitted", "returned", "resubmitted", "accepted"].map(done);
    assert_eq!(recorded(&pool).await, expected);
    let told: Vec<i64> = sqlx::query_scalar(
        "SELECT revision FROM orgtree.outbox WHERE key = 'A-1-V1'
         UNION ALL SELECT revision FROM orgtree.event WHERE key = 'A-1-V1' ORDER BY 1",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(told, [1, 2]);
    suite.stop().await;
}

#[tokio::test]
async fn nobody_reads_or_touches_the_application_of_somebody_else() {
    let suite = on_province().await;
    let (mut volunteer, mut other) = (applicant(&suite, 9), applicant(&suite, 8));
    let made = submit(&mut volunteer, submits("A-1", "暖阳")).await.unwrap();
    let id = made.application_id.as_str();
    for status in [
        mine(&mut other, id).await.unwrap_err(),
        withdraw(&mut other, id).await.unwrap_err(),
        correct(&mut other, corrects(id, &made.etag, "暖阳")).await.unwrap_err(),
        mine(&mut other, &Uuid::new_v4().to_string()).await.unwrap_err(),
    ] {
        assert_refused(&status, Code::NotFound, "APPLICATION_NOT_FOUND");
    }
    let page = other.list_my_applications(ListMyApplicationsRequest::default()).await.unwrap();
    assert!(page.into_inner().applications.is_empty());
    // The own ones, the latest first, page by page.
    suite.clock.advance(std::time::Duration::from_secs(1));
    let second = submit(&mut volunteer, submits("A-2", "暖阳")).await.unwrap();
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListMyApplicationsRequest { page_size: 1, page_token };
        let page = volunteer.list_my_applications(request).await.unwrap().into_inner();
        found.extend(page.applications.into_iter().map(|one| one.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(found, [second.application_id.as_str(), id]);
    suite.stop().await;
}

#[tokio::test]
async fn fields_are_refused_all_at_once_and_each_for_its_reason() {
    let suite = on_province().await;
    let (mut volunteer, mut city) = (applicant(&suite, 9), decider(&suite, 1, "A-1").await);
    let empty = SubmitApplicationRequest { request_id: request_id(), ..Default::default() };
    let (code, reason, fields) = told(&submit(&mut volunteer, empty).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (Code::InvalidArgument, "INVALID_FIELDS"));
    let fields: Vec<&str> = fields.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["superior_code", "kind", "details.name", "purpose"]);
    let good = submits("A-1", "暖阳");
    let with = |details| SubmitApplicationRequest { details: Some(details), ..good.clone() };
    let silent = OrganizationDetails { contacts: None, ..says("暖阳") };
    let mut noted = says("暖阳");
    noted.contacts.as_mut().unwrap().note = "找张三 11010519491231002X".into();
    let coded = |code: &str| OrganizationDetails { credit_code: code.into(), ..says("暖阳") };
    for (request, field, reason) in [
        (with(silent), "details.contacts.phone", "CONTACT_PHONE_MISSING"),
        (with(noted), "details.contacts.note", "CONTACT_NOTE_PERSONAL"),
        (with(says("暖阳А队")), "details.name", "ORGANIZATION_NAME_SCRIPTS"),
        (with(says("暖\u{202e}阳")), "details.name", "ORGANIZATION_NAME_CHARACTERS"),
        (with(coded("51340000MJ0000034G")), "details.credit_code", "CREDIT_CODE_CHECKSUM"),
        (
            SubmitApplicationRequest { purpose: "电话13800000000".into(), ..good.clone() },
            "purpose",
            "REMARK_PERSONAL",
        ),
        (SubmitApplicationRequest { kind: 99, ..good.clone() }, "kind", "KIND_UNKNOWN"),
    ] {
        assert_field(&submit(&mut volunteer, request).await.unwrap_err(), field, reason);
    }
    let made = submit(&mut volunteer, good).await.unwrap();
    let accept = accepts(&made, "A-1-V1");
    let back = decides(&made.application_id, &made.etag, ApplicationDecision::Return, "");
    for (request, field, reason) in [
        (
            DecideApplicationRequest { decision: 0, ..accept.clone() },
            "decision",
            "DECISION_UNKNOWN",
        ),
        (
            DecideApplicationRequest { organization_code: String::new(), ..accept.clone() },
            "organization_code",
            "ORGANIZATION_CODE_LENGTH",
        ),
        (DecideApplicationRequest { etag: "01".into(), ..accept.clone() }, "etag", "ETAG_INVALID"),
        (DecideApplicationRequest { note: " ".into(), ..back }, "note", "REMARK_EMPTY"),
        (
            DecideApplicationRequest { application_id: "x".into(), ..accept },
            "application_id",
            "ID_FORMAT",
        ),
    ] {
        assert_field(&decide(&mut city, request).await.unwrap_err(), field, reason);
    }
    let stale = corrects(&made.application_id, "01", "暖阳");
    let status = correct(&mut volunteer, stale).await.unwrap_err();
    let told = status.get_error_details().bad_request().unwrap().field_violations.clone();
    assert!(told[0].description.starts_with("申请"), "{told:?}");
    administrator(&suite, 2, "A").await;
    suite.stop().await;
}
