//! A volunteer founds a group by applying to the county's committee, and somebody registers with
//! it; and those who would like to have it otherwise.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tonic::Code;
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::{
    ApplicationDecision, ApplicationState, CloseOrganizationRequest, CloseOrganizationResponse,
    DecideApplicationRequest, DecideApplicationResponse, GetMyApplicationRequest,
    GetMyApplicationResponse, GetOrganizationRequest, GetOrganizationResponse,
    ListApplicationsRequest, ListApplicationsResponse, ListOrganizationStatisticsRequest,
    ListOrganizationStatisticsResponse, Organization, OrganizationApplication,
    OrganizationContacts, OrganizationDetails, OrganizationKind, RevealApplicationRequest,
    RevealApplicationResponse, SubmitApplicationRequest, SubmitApplicationResponse,
    UpdateApplicationRequest, UpdateApplicationResponse, UpdateOrganizationRequest,
    UpdateOrganizationResponse,
};
use zhiyuan_contracts::registration::v1::RegisterRequest;
use zhiyuan_domain::{OrganizationCode, SystemClock};
use zhiyuan_orgtree::{OperatorGrant, Role};
use zhiyuan_testkit::person;

use crate::counts::assert_recounted;
use crate::harness::caller::{AUTHORIZATION, Member, sign_in};
use crate::harness::{Client, Door, Own, Refusal, Site};

/// 肥东县 and a township of it, and what lies beside it.
const COUNTY: &str = "AH-340122";
const TOWNSHIP: &str = "AH-340122100";
const BESIDE: &str = "AH-340200";
const GROUP: &str = "AH-340122-V1";
const PATIENCE: Duration = Duration::from_secs(60);
const APPLICATIONS: &str = "/zhiyuan.orgtree.v1.OrganizationApplicationService/";
const ADMIN: &str = "/zhiyuan.orgtree.v1.OrganizationAdminService/";
const GET_ORGANIZATION: &str = "/zhiyuan.orgtree.v1.OrganizationService/GetOrganization";
const STATISTICS: &str = "/zhiyuan.orgtree.v1.StatisticsService/";

/// Somebody who has signed in at the gateway.
struct Caller {
    door: Door,
    bearer: String,
}

impl Caller {
    /// An administrator, by both factors.
    async fn administering(door: &Door, site: &Site, code: &str) -> Self {
        let mut member = Member::registered(site).await;
        let wanted = OperatorGrant {
            account_id: member.account_id,
            organization: OrganizationCode::parse(code).unwrap(),
            role: Role::Administrator,
            again: true,
        };
        let clock = Arc::new(SystemClock);
        zhiyuan_orgtree::grant(&site.orgtree(), clock, &wanted).await.unwrap();
        Self { door: door.clone(), bearer: member.sign_in_with_both(site).await }
    }

    async fn call<Q, R>(&self, service: &str, method: &str, request: &Q) -> Result<R, Refusal>
    where
        Q: prost::Message + Clone + 'static,
        R: prost::Message + Default + 'static,
    {
        let path = format!("{service}{method}");
        self.door.call_with(&path, request, &[(AUTHORIZATION, &self.bearer)]).await
    }

    async fn submit(
        &self,
        request: &SubmitApplicationRequest,
    ) -> Result<SubmitApplicationResponse, Refusal> {
        self.call(APPLICATIONS, "SubmitApplication", request).await
    }

    async fn decide(
        &self,
        request: &DecideApplicationRequest,
    ) -> Result<DecideApplicationResponse, Refusal> {
        self.call(APPLICATIONS, "DecideApplication", request).await
    }

    async fn mine(&self, id: &str) -> OrganizationApplication {
        let request = GetMyApplicationRequest { application_id: id.to_owned() };
        let answer: Result<GetMyApplicationResponse, _> =
            self.call(APPLICATIONS, "GetMyApplication", &request).await;
        answer.unwrap().application.unwrap()
    }

    async fn waiting(&self, code: &str) -> Result<Vec<OrganizationApplication>, Refusal> {
        let request = ListApplicationsRequest {
            organization_code: code.to_owned(),
            waiting_only: true,
            ..Default::default()
        };
        let page: ListApplicationsResponse =
            self.call(APPLICATIONS, "ListApplications", &request).await?;
        Ok(page.applications)
    }

    async fn reveal(&self, id: &str) -> OrganizationApplication {
        let (application_id, purpose) = (id.to_owned(), "电话核实".to_owned());
        let request = RevealApplicationRequest { application_id, purpose };
        let answer: Result<RevealApplicationResponse, _> =
            self.call(APPLICATIONS, "RevealApplication", &request).await;
        answer.unwrap().application.unwrap()
    }

    /// The volunteers at an organization and below it, once there are as many.
    async fn until_counted(&self, code: &str, volunteers: i64) {
        let request = ListOrganizationStatisticsRequest {
            organization_code: code.into(),
            ..Default::default()
        };
        let until = Instant::now() + PATIENCE;
        loop {
            let page: Result<ListOrganizationStatisticsResponse, _> =
                self.call(STATISTICS, "ListOrganizationStatistics", &request).await;
            let figures = page.ok().and_then(|page| page.organization?.subtree);
            if figures.is_some_and(|figures| figures.volunteers == volunteers) {
                return;
            }
            assert!(Instant::now() < until, "{code}: {figures:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn request_id() -> String {
    Uuid::new_v4().to_string()
}

fn says(name: &str) -> OrganizationDetails {
    let contacts = OrganizationContacts { phone: "0551-67712345".into(), ..Default::default() };
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

fn decides(id: &str, etag: &str, decision: ApplicationDecision) -> DecideApplicationRequest {
    DecideApplicationRequest {
        request_id: request_id(),
        application_id: id.to_owned(),
        etag: etag.to_owned(),
        decision: decision.into(),
        note: "请写明服务的社区".to_owned(),
        organization_code: GROUP.to_owned(),
    }
}

async fn organization(door: &Door, code: &str) -> Organization {
    let request = GetOrganizationRequest { code: code.to_owned(), as_of_time: None };
    let answer: GetOrganizationResponse = door.call(GET_ORGANIZATION, &request).await.unwrap();
    answer.organization.unwrap()
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(answer: Result<T, Refusal>, code: Code, reason: &str) {
    let refusal = answer.unwrap_err();
    assert_eq!((refusal.code, &*refusal.reason), (code, reason), "{refusal:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volunteer_founds_a_group_that_somebody_registers_with() {
    let suite = Own::start("applications").await;
    let site = &suite.site;
    let client = Client::of(site);
    let county = Caller::administering(&client.json, site, COUNTY).await;
    let mut member = Member::registered(site).await;
    let bearer = sign_in(site, &member.person).await;
    let volunteer = Caller { door: client.grpc.clone(), bearer };

    let made = volunteer.submit(&submits(COUNTY, "暖阳志愿服务队")).await.unwrap();
    let id = made.application_id.as_str();
    let waiting = county.waiting(COUNTY).await.unwrap();
    let [seen] = waiting.as_slice() else { panic!("{waiting:?}") };
    assert_eq!((&*seen.id, &*seen.purpose), (id, "陪伴社区老人"));
    let listed = seen.details.clone().and_then(|details| details.contacts).unwrap();
    assert_eq!(listed.phone, "****-****2345");
    assert_eq!(county.reveal(id).await.details, Some(says("暖阳志愿服务队")));
    county.decide(&decides(id, &seen.etag, ApplicationDecision::Return)).await.unwrap();
    let seen = volunteer.mine(id).await;
    assert_eq!((seen.state(), &*seen.note), (ApplicationState::Returned, "请写明服务的社区"));
    let corrected = UpdateApplicationRequest {
        request_id: request_id(),
        application_id: id.to_owned(),
        etag: seen.etag,
        kind: OrganizationKind::VolunteerGroup.into(),
        details: Some(says("店埠镇暖阳志愿服务队")),
        purpose: "陪伴店埠镇的老人".to_owned(),
    };
    let again: UpdateApplicationResponse =
        volunteer.call(APPLICATIONS, "UpdateApplication", &corrected).await.unwrap();
    let accept = decides(id, &again.etag, ApplicationDecision::Accept);
    let accepted = county.decide(&accept).await.unwrap();
    assert_eq!(accepted.grant.unwrap().account_id, member.account_id.to_string());
    assert_eq!(volunteer.mine(id).await.organization_code, GROUP);
    // Sent again under another id, it is over.
    let once_more = DecideApplicationRequest { request_id: request_id(), ..accept };
    let once_more = county.decide(&once_more).await;
    assert_refused(once_more, Code::FailedPrecondition, "APPLICATION_ENDED");

    // Who has applied administers it, with a second factor.
    let owner = Caller { door: client.json.clone(), bearer: member.sign_in_with_both(site).await };
    let group = organization(&client.grpc, GROUP).await;
    assert!(group.takes_registrations);
    assert_eq!(group.name, "店埠镇暖阳志愿服务队");
    let renames = |paths: &[&str]| UpdateOrganizationRequest {
        request_id: request_id(),
        code: GROUP.to_owned(),
        etag: group.etag.clone(),
        update_mask: Some(prost_types::FieldMask {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        }),
        details: Some(says("暖阳志愿服务队")),
    };
    let weak: Result<UpdateOrganizationResponse, _> =
        volunteer.call(ADMIN, "UpdateOrganization", &renames(&["name"])).await;
    assert_refused(weak, Code::FailedPrecondition, "SECOND_FACTOR_REQUIRED");
    let renamed: UpdateOrganizationResponse =
        owner.call(ADMIN, "UpdateOrganization", &renames(&["name"])).await.unwrap();
    assert_eq!(renamed.organization.unwrap().name, "暖阳志愿服务队");

    // Somebody registers with it, and counts there and above.
    let somebody = person(7_450);
    let form = RegisterRequest {
        organization_code: GROUP.to_owned(),
        ..client.apply(&client.json, &somebody).await
    };
    client.register_to_the_end(&client.json, &form).await.unwrap();
    owner.until_counted(GROUP, 1).await;
    county.until_counted(COUNTY, 1).await;
    let counts = assert_recounted(site).await;
    assert_eq!((counts[GROUP].0[0], counts[COUNTY].1[0]), (1, 1));
    suite.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_makes_an_organization_of_the_own_application_or_of_one_that_is_out_of_sight() {
    let suite = Own::start("applications-attacked").await;
    let site = &suite.site;
    let client = Client::of(site);
    let county = Caller::administering(&client.grpc, site, COUNTY).await;
    let beside = Caller::administering(&client.json, site, BESIDE).await;
    let below = Caller::administering(&client.json, site, TOWNSHIP).await;
    let bearer = sign_in(site, &Member::registered(site).await.person).await;
    let volunteer = Caller { door: client.json.clone(), bearer };

    // The own one: by who administers nothing, and by who administers the superior.
    let made = volunteer.submit(&submits(COUNTY, "暖阳志愿服务队")).await.unwrap();
    let accept = decides(&made.application_id, &made.etag, ApplicationDecision::Accept);
    let weak = volunteer.decide(&accept).await;
    assert_refused(weak, Code::FailedPrecondition, "SECOND_FACTOR_REQUIRED");
    let own = county.submit(&submits(COUNTY, "春风志愿服务队")).await.unwrap();
    let accept_own = decides(&own.application_id, &own.etag, ApplicationDecision::Accept);
    assert_refused(county.decide(&accept_own).await, Code::PermissionDenied, "APPLICATION_OWN");
    // From beside and from below.
    for caller in [&beside, &below] {
        let refused = caller.decide(&accept).await;
        assert_refused(refused, Code::NotFound, "APPLICATION_NOT_FOUND");
        let refused = caller.waiting(COUNTY).await;
        assert_refused(refused, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    }
    assert_eq!(beside.waiting(BESIDE).await, Ok(Vec::new()));
    // Names that look like another one's: of other letters, and of other widths.
    county.decide(&accept).await.unwrap();
    let alike = volunteer.submit(&submits(COUNTY, "暖阳ⅼ志愿服务队")).await;
    assert_refused(alike, Code::InvalidArgument, "INVALID_FIELDS");
    let alike = volunteer.submit(&submits(COUNTY, "暖阳 志愿服务队")).await;
    assert_refused(alike, Code::AlreadyExists, "ORGANIZATION_NAME_TAKEN");
    // A superior that is closed meanwhile.
    let late = volunteer.submit(&submits(TOWNSHIP, "秋水志愿服务队")).await.unwrap();
    let township = organization(&client.grpc, TOWNSHIP).await;
    let close = CloseOrganizationRequest {
        request_id: request_id(),
        code: TOWNSHIP.to_owned(),
        etag: township.etag,
    };
    let closed: Result<CloseOrganizationResponse, _> =
        county.call(ADMIN, "CloseOrganization", &close).await;
    closed.unwrap();
    let accept = decides(&late.application_id, &late.etag, ApplicationDecision::Accept);
    let refused = county.decide(&accept).await;
    assert_refused(refused, Code::FailedPrecondition, "APPLICATION_ENDED");
    let seen = volunteer.mine(&late.application_id).await;
    assert_eq!(seen.state(), ApplicationState::Lapsed);
    let refused = volunteer.submit(&submits(TOWNSHIP, "秋水志愿服务队")).await;
    assert_refused(refused, Code::FailedPrecondition, "ORGANIZATION_CLOSED");
    suite.stop().await;
}
