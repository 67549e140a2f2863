//! A lost phone: what administrators decide, and that identity hears of it.

use std::time::Duration;

use tonic::Status;
use tonic::transport::Channel;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::{ErrorReason, PhoneRecoveryState};
use zhiyuan_contracts::orgtree::v1::Role;
use zhiyuan_contracts::registration::v1::phone_recovery_service_client::PhoneRecoveryServiceClient;
use zhiyuan_contracts::registration::v1::{
    ApprovePhoneRecoveryRequest, CancelPhoneRecoveryRequest, GetPhoneRecoveryRequest,
    ListPhoneRecoveriesRequest, PhoneRecovery, StartPhoneRecoveryRequest,
};

use crate::fake_orgtree::{COUNTY, OTHER_TOWNSHIP, TOWNSHIP};
use crate::harness::{Recovery, Service, metadata, reason};
use crate::profiles::Volunteer;

const NEW_PHONE: &str = "13987654321";
const WHY: &str = "手机遗失，已在窗口核对身份证原件。";

pub(crate) type Answer = Result<PhoneRecovery, Status>;

/// A volunteer, two managers of the township and what they call.
pub(crate) struct Case<'a> {
    service: &'a Service,
    pub(crate) volunteer: String,
    pub(crate) first: String,
    pub(crate) second: String,
    client: PhoneRecoveryServiceClient<Channel>,
}

pub(crate) fn refused(answer: Answer) -> String {
    reason(&answer.unwrap_err())
}

fn new() -> String {
    Uuid::new_v4().to_string()
}

impl<'a> Case<'a> {
    pub(crate) async fn new(service: &'a Service) -> Self {
        let volunteer = Volunteer::register(service, 1).await.id;
        let manager = || service.authority.administrator(TOWNSHIP, Role::Manager);
        let (first, second) = (manager(), manager());
        let client =
            PhoneRecoveryServiceClient::connect(service.address().to_owned()).await.unwrap();
        Self { service, volunteer, first, second, client }
    }

    pub(crate) fn form(&self) -> StartPhoneRecoveryRequest {
        StartPhoneRecoveryRequest {
            request_id: new(),
            volunteer_id: self.volunteer.clone(),
            new_phone: NEW_PHONE.into(),
            reason: WHY.into(),
        }
    }

    fn sign<T>(&self, who: &str, message: T) -> tonic::Request<T> {
        self.service.accounts.sign_twice(who, self.service.now(), message)
    }

    pub(crate) async fn start_with(&self, who: &str, form: &StartPhoneRecoveryRequest) -> Answer {
        let request = self.sign(who, form.clone());
        let answer = self.client.clone().start_phone_recovery(request).await?;
        Ok(answer.into_inner().recovery.unwrap())
    }

    pub(crate) async fn start(&self) -> PhoneRecovery {
        self.start_with(&self.first, &self.form()).await.unwrap()
    }

    async fn approve_with(&self, who: &str, request_id: &str, id: &str) -> Answer {
        let request = ApprovePhoneRecoveryRequest {
            request_id: request_id.to_owned(),
            recovery_id: id.to_owned(),
        };
        let request = self.sign(who, request);
        let answer = self.client.clone().approve_phone_recovery(request).await?;
        Ok(answer.into_inner().recovery.unwrap())
    }

    pub(crate) async fn approve(&self, who: &str, id: &str) -> Answer {
        self.approve_with(who, &new(), id).await
    }

    pub(crate) async fn cancel(&self, who: &str, id: &str) -> Answer {
        self.cancel_with(who, new(), id).await
    }

    async fn cancel_with(&self, who: &str, request_id: String, id: &str) -> Answer {
        let request = CancelPhoneRecoveryRequest { request_id, recovery_id: id.to_owned() };
        let request = self.sign(who, request);
        let answer = self.client.clone().cancel_phone_recovery(request).await?;
        Ok(answer.into_inner().recovery.unwrap())
    }

    pub(crate) async fn get(&self, who: &str, id: &str) -> Answer {
        let request = self.sign(who, GetPhoneRecoveryRequest { recovery_id: id.to_owned() });
        let answer = self.client.clone().get_phone_recovery(request).await?;
        Ok(answer.into_inner().recovery.unwrap())
    }

    async fn list(&self, who: &str, organization: &str) -> Result<Vec<PhoneRecovery>, Status> {
        let organization_code = organization.to_owned();
        let request = ListPhoneRecoveriesRequest { organization_code, ..Default::default() };
        let answer = self.client.clone().list_phone_recoveries(self.sign(who, request)).await?;
        Ok(answer.into_inner().recoveries)
    }

    pub(crate) async fn steps(&self) -> String {
        let sql = "SELECT string_agg(step, ',') FROM registration.phone_recovery";
        self.service.sql(sql).await
    }

    pub(crate) async fn until_step(&self, step: &str) {
        self.service.until(step, async |_| self.steps().await == step).await;
    }
}

#[tokio::test]
async fn one_starts_it_and_another_one_approves_it() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    let form = case.form();
    let started = case.start_with(&case.first, &form).await.unwrap();
    assert_eq!(started.state(), PhoneRecoveryState::Started);
    assert_eq!(
        (&*started.volunteer_id, &*started.organization_code, &*started.masked_new_phone),
        (&*case.volunteer, TOWNSHIP, "139****4321")
    );
    assert_eq!((&*started.started_by, &*started.reason), (&*case.first, WHY));
    // Sent again, it is the same; with another phone, another one.
    assert_eq!(case.start_with(&case.first, &form).await.unwrap().id, started.id);
    let other = StartPhoneRecoveryRequest { new_phone: "13900000000".into(), ..form };
    assert_eq!(refused(case.start_with(&case.first, &other).await), "REQUEST_ID_REUSED");
    assert_eq!(service.recoveries.with(|state| state.phones.clone()), ["+8613987654321"]);

    for _ in 0..2 {
        let told = case.approve(&case.first, &started.id).await;
        assert_eq!(refused(told), "RECOVERY_NEEDS_ANOTHER");
    }
    assert_eq!(service.recoveries.states(), [PhoneRecoveryState::Started]);
    let request_id = new();
    for _ in 0..2 {
        let approved = case.approve_with(&case.second, &request_id, &started.id).await.unwrap();
        assert_eq!(approved.state(), PhoneRecoveryState::Approved);
        assert_eq!(approved.approved_by, case.second);
    }
    let approved_by = service.recoveries.with(|state| state.approved_by.join(","));
    assert_eq!(approved_by, case.second);
    assert_eq!(case.steps().await, "APPROVED");
    let third = service.authority.administrator(COUNTY, Role::Administrator);
    assert_eq!(refused(case.approve(&third, &started.id).await), "RECOVERY_NOT_WAITING");

    // Who did what, by which grant.
    let acts = "SELECT string_agg(concat_ws(' ', action, actor, subject_account_id,
                           organization_code, purpose, array_to_string(detail_keys, ' ')), '|'
                           ORDER BY pending, n)
                FROM (SELECT true AS pending, seq AS n, action, actor, subject_account_id,
                             organization_code, purpose, detail_keys
                      FROM registration.audit_pending
                      UNION ALL SELECT false, index, action, actor, subject_account_id,
                             organization_code, purpose, detail_keys
                      FROM registration.audit_entry) acts
                WHERE action LIKE 'registration.phone%'";
    let (id, keys) = (&case.volunteer, "recovery_id grant_id");
    let expected = format!(
        "registration.phone_recovery.started {} {id} {TOWNSHIP} {WHY} {keys}|\
         registration.phone_recovery.approved {} {id} {TOWNSHIP} {keys}",
        case.first, case.second
    );
    assert_eq!(service.sql(acts).await, expected);
    // No phone is kept here.
    let row = service.sql("SELECT r FROM registration.phone_recovery r").await;
    assert!(!row.contains("87654321") && !row.contains('*'), "{row}");
}

#[tokio::test]
async fn who_has_no_say_learns_of_nothing() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    let elsewhere = service.authority.administrator(OTHER_TOWNSHIP, Role::Administrator);
    let viewer = service.authority.administrator(TOWNSHIP, Role::Viewer);
    let nobody = StartPhoneRecoveryRequest { volunteer_id: new(), ..case.form() };
    let hidden = case.start_with(&elsewhere, &case.form()).await.unwrap_err();
    let absent = case.start_with(&elsewhere, &nobody).await.unwrap_err();
    assert_eq!((hidden.code(), hidden.message()), (absent.code(), absent.message()));
    assert_eq!(reason(&hidden), "VOLUNTEER_NOT_FOUND");
    let told = case.start_with(&viewer, &case.form()).await.unwrap_err();
    assert_eq!(reason(&told), "PERMISSION_MISSING");
    assert_eq!(metadata(&told, "permission").as_deref(), Some("MANAGE_MEMBERS"));
    assert_eq!(case.steps().await, "");

    let id = case.start().await.id;
    for answer in [
        case.approve(&elsewhere, &id).await,
        case.cancel(&elsewhere, &id).await,
        case.get(&elsewhere, &id).await,
        case.get(&case.first, &new()).await,
    ] {
        assert_eq!(refused(answer), "RECOVERY_NOT_FOUND");
    }
    for answer in [
        case.approve(&viewer, &id).await,
        case.cancel(&viewer, &id).await,
        case.get(&viewer, &id).await,
    ] {
        assert_eq!(refused(answer), "PERMISSION_MISSING");
    }
    assert_eq!(
        reason(&case.list(&elsewhere, TOWNSHIP).await.unwrap_err()),
        "ORGANIZATION_NOT_FOUND"
    );
    assert_eq!(reason(&case.list(&viewer, TOWNSHIP).await.unwrap_err()), "PERMISSION_MISSING");
    let listed = case.list(&case.second, TOWNSHIP).await.unwrap();
    assert_eq!(listed.iter().map(|one| &*one.id).collect::<Vec<_>>(), [&*id]);
    // The password alone is not enough for an administrator.
    let request = service.accounts.sign(&case.first, service.now(), case.form());
    let told = case.client.clone().start_phone_recovery(request).await.unwrap_err();
    assert_eq!(told.code(), tonic::Code::FailedPrecondition);
    for (field, value) in [("reason", ""), ("reason", "新号13900000000"), ("new_phone", "1")] {
        let mut form = case.form();
        match field {
            "reason" => form.reason = value.into(),
            _ => form.new_phone = value.into(),
        }
        assert_eq!(refused(case.start_with(&case.first, &form).await), "INVALID_FIELDS");
    }
}

#[tokio::test]
async fn nobody_recovers_the_own_phone() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    let me = case.volunteer.clone();
    service.authority.give(&me, TOWNSHIP, Role::Manager);
    assert_eq!(refused(case.start_with(&me, &case.form()).await), "RECOVERY_OF_SELF");
    let above = service.authority.administrator(COUNTY, Role::Administrator);
    let id = case.start_with(&above, &case.form()).await.unwrap().id;
    assert_eq!(refused(case.approve(&me, &id).await), "RECOVERY_OF_SELF");
}

#[tokio::test]
async fn an_administrator_is_recovered_by_those_who_could_give_what_he_holds() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    // Of two organizations, one of them above that of the managers.
    service.authority.give(&case.volunteer, TOWNSHIP, Role::Viewer);
    service.authority.give(&case.volunteer, COUNTY, Role::Administrator);
    let peer = service.authority.administrator(TOWNSHIP, Role::Administrator);
    for who in [&case.first, &peer] {
        let told = case.start_with(who, &case.form()).await;
        assert_eq!(refused(told), "RECOVERY_OF_ADMINISTRATOR");
    }
    let above = [(); 2].map(|()| service.authority.administrator(COUNTY, Role::Administrator));
    let id = case.start_with(&above[0], &case.form()).await.unwrap().id;
    assert_eq!(refused(case.approve(&case.second, &id).await), "RECOVERY_OF_ADMINISTRATOR");
    case.approve(&above[1], &id).await.unwrap();
    // To end it, nobody has to stand above.
    let cancelled = case.cancel(&case.second, &id).await.unwrap();
    assert_eq!(cancelled.state(), PhoneRecoveryState::Cancelled);
}

#[tokio::test]
async fn what_identity_was_not_told_it_is_told_later() {
    let service = Service::start(Recovery::On).await;
    let case = Case::new(&service).await;
    let form = case.form();
    // The decision stands, and identity is down; then it hears, and the answer is lost.
    for lost in [1, 0] {
        service.recoveries.with(|state| (state.down, state.unanswered) = (lost, 1 - lost));
        assert_eq!(refused(case.start_with(&case.first, &form).await), "UNAVAILABLE");
    }
    assert_eq!(case.steps().await, "STARTING");
    let started = case.start_with(&case.first, &form).await.unwrap();
    assert_eq!(service.recoveries.states(), [PhoneRecoveryState::Started]);
    // The approval is delivered though nobody comes again.
    service.recoveries.with(|state| state.down = 1);
    assert_eq!(refused(case.approve(&case.second, &started.id).await), "UNAVAILABLE");
    assert_eq!(case.steps().await, "APPROVING");
    service.clock.advance(Duration::from_secs(31));
    case.until_step("APPROVED").await;
    assert_eq!(service.recoveries.states(), [PhoneRecoveryState::Approved]);
    service.recoveries.with(|state| state.down = 1);
    assert_eq!(refused(case.cancel(&case.first, &started.id).await), "UNAVAILABLE");
    service.clock.advance(Duration::from_secs(31));
    case.until_step("CANCELLED").await;
    assert_eq!(service.recoveries.states(), [PhoneRecoveryState::Cancelled]);
}

#[tokio::test]
async fn a_start_that_identity_never_heard_of_is_prevented_after_a_while() {
    let service = Service::start(Recovery::On).await;
    let case = Case::new(&service).await;
    service.recoveries.with(|state| state.down = 1);
    let form = case.form();
    assert_eq!(refused(case.start_with(&case.first, &form).await), "UNAVAILABLE");
    service.clock.advance(Duration::from_secs(15 * 60 + 1));
    case.until_step("CANCELLED").await;
    assert_eq!(service.recoveries.states(), [PhoneRecoveryState::Cancelled]);
    let told = case.start_with(&case.first, &form).await.unwrap();
    assert_eq!(told.state(), PhoneRecoveryState::Cancelled);
    assert_eq!(refused(case.approve(&case.second, &told.id).await), "RECOVERY_NOT_WAITING");
}

#[tokio::test]
async fn a_start_whose_answer_was_lost_goes_on() {
    let service = Service::start(Recovery::On).await;
    let case = Case::new(&service).await;
    service.recoveries.with(|state| state.unanswered = 1);
    assert_eq!(refused(case.start_with(&case.first, &case.form()).await), "UNAVAILABLE");
    service.clock.advance(Duration::from_secs(15 * 60 + 1));
    case.until_step("STARTED").await;
    let id = case.list(&case.second, TOWNSHIP).await.unwrap()[0].id.clone();
    case.approve(&case.second, &id).await.unwrap();
}

#[tokio::test]
async fn what_identity_refuses_is_told_each_time() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    for (refuses, told) in [
        (ErrorReason::RecoveryOpen, "RECOVERY_OPEN"),
        (ErrorReason::AccountNotFound, "VOLUNTEER_NOT_FOUND"),
    ] {
        service.recoveries.with(|state| state.refuses = Some(refuses));
        let form = case.form();
        assert_eq!(refused(case.start_with(&case.first, &form).await), told);
        service.recoveries.with(|state| state.refuses = None);
        assert_eq!(refused(case.start_with(&case.first, &form).await), told);
    }
    assert_eq!(case.steps().await, "REFUSED,REFUSED");
}

#[tokio::test]
async fn what_is_over_is_neither_approved_nor_cancelled() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    let id = case.start().await.id;
    for state in
        [PhoneRecoveryState::Objected, PhoneRecoveryState::Expired, PhoneRecoveryState::Completed]
    {
        service.recoveries.set(state);
        assert_eq!(refused(case.approve(&case.second, &id).await), "RECOVERY_NOT_WAITING");
        assert_eq!(refused(case.cancel(&case.second, &id).await), "RECOVERY_OVER");
        assert_eq!(case.get(&case.first, &id).await.unwrap().state(), state);
    }
    service.recoveries.set(PhoneRecoveryState::Started);
    case.cancel(&case.first, &id).await.unwrap();
    assert_eq!(refused(case.cancel(&case.second, &id).await), "RECOVERY_OVER");
    assert_eq!(refused(case.approve(&case.second, &id).await), "RECOVERY_NOT_WAITING");
}

#[tokio::test]
async fn a_cancellation_that_identity_hears_of_too_late_is_told_so() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    let (id, request_id) = (case.start().await.id, new());
    service.recoveries.with(|state| state.down = 1);
    let told = case.cancel_with(&case.first, request_id.clone(), &id).await;
    assert_eq!(refused(told), "UNAVAILABLE");
    service.recoveries.set(PhoneRecoveryState::Completed);
    for _ in 0..2 {
        let told = case.cancel_with(&case.first, request_id.clone(), &id).await;
        assert_eq!(refused(told), "RECOVERY_OVER");
    }
}

#[tokio::test]
async fn nothing_is_decided_once_the_lease_is_over() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    let id = case.start().await.id;
    service.authority.with(|state| state.lease_ms = 0);
    let others = [(); 2].map(|()| service.authority.administrator(TOWNSHIP, Role::Manager));
    assert_eq!(refused(case.start_with(&others[0], &case.form()).await), "UNAVAILABLE");
    assert_eq!(refused(case.approve(&others[1], &id).await), "UNAVAILABLE");
    assert_eq!(refused(case.cancel(&others[1], &id).await), "UNAVAILABLE");
    assert_eq!(case.steps().await, "STARTED");
    // Who is no administrator any more is asked about anew.
    service.authority.with(|state| state.lease_ms = 3000);
    service.authority.revoke(&others[1]);
    assert_eq!(refused(case.approve(&others[1], &id).await), "RECOVERY_NOT_FOUND");
}

#[tokio::test]
async fn one_administrator_starts_so_many_a_day() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    for n in 2..12 {
        let volunteer_id = Volunteer::register(&service, n).await.id;
        for _ in 0..2 {
            let volunteer_id = volunteer_id.clone();
            let form = StartPhoneRecoveryRequest { volunteer_id, ..case.form() };
            case.start_with(&case.first, &form).await.unwrap();
        }
    }
    let told = case.start_with(&case.first, &case.form()).await;
    assert_eq!(refused(told), "RECOVERIES_EXHAUSTED");
    case.start_with(&case.second, &case.form()).await.unwrap();
    service.clock.advance(Duration::from_secs(24 * 3600));
    case.start_with(&case.first, &case.form()).await.unwrap();
}

#[tokio::test]
async fn administrators_of_where_the_volunteer_is_now_decide() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    let above = service.authority.administrator(COUNTY, Role::Administrator);
    let there = service.authority.administrator(OTHER_TOWNSHIP, Role::Manager);
    let ids = [case.start().await.id, case.start_with(&above, &case.form()).await.unwrap().id];
    let sql = format!(
        "WITH moved AS (UPDATE registration.volunteer SET organization_code = '{OTHER_TOWNSHIP}'
                        WHERE volunteer_id = '{}' RETURNING 1) SELECT count(*) FROM moved",
        case.volunteer
    );
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&service.pool().await).await.unwrap();
    assert_eq!(refused(case.approve(&case.second, &ids[0]).await), "RECOVERY_NOT_FOUND");
    // Who started it has no say there.
    assert_eq!(refused(case.approve(&there, &ids[0]).await), "RECOVERY_NEEDS_ANOTHER");
    case.approve(&there, &ids[1]).await.unwrap();
    assert_eq!(case.list(&case.first, TOWNSHIP).await.unwrap(), []);
    assert_eq!(case.list(&there, OTHER_TOWNSHIP).await.unwrap().len(), 2);
}
