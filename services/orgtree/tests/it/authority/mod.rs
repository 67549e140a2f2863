//! Who administers what: orgtree, people with tokens, and services that ask.

pub(crate) mod delegating;
pub(crate) mod figures;
mod granting;
mod handing_over;
mod inviting;
mod operator;
mod recording;
mod revoking;
mod scope;
mod scopes;
mod targets;
mod voices;
mod wrong_numbers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use time::macros::datetime;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Server, server::TcpIncoming};
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_auth::{AssertionSigner, CallerConfig, SignedIn, token};
use zhiyuan_contracts::identity::v1::session_service_server::{
    SessionService, SessionServiceServer,
};
use zhiyuan_contracts::identity::v1::{
    EndOtherSessionsRequest, EndOtherSessionsResponse, EndSessionRequest, EndSessionResponse,
    ListRevocationsRequest, ListRevocationsResponse, ListSessionsRequest, ListSessionsResponse,
    ListSigningKeysRequest, ListSigningKeysResponse, ReportServiceAccountUsesRequest,
    ReportServiceAccountUsesResponse,
};
use zhiyuan_contracts::orgtree::v1::authority_service_client::AuthorityServiceClient;
use zhiyuan_contracts::orgtree::v1::invitation_service_client::InvitationServiceClient;
use zhiyuan_contracts::orgtree::v1::{
    AcceptInvitationRequest, AcceptInvitationResponse, CheckRequest, CheckResponse,
    ConfirmInvitationRequest, CreateGrantRequest, CreateInvitationRequest,
    CreateInvitationResponse, Grant, HandOverRequest, Invitation, ListGrantsRequest,
    ListInvitationsRequest, ListMyGrantsRequest, Permission, RevokeGrantRequest, Role, Verdict,
    WithdrawInvitationRequest,
};
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::{Clock as _, ManualClock, OrganizationCode};
use zhiyuan_orgtree::{Config, OperatorGrant, Role as TypedRole, Seed};
use zhiyuan_rpc::SuiteChannel;
use zhiyuan_rpc::authority::Authority;
use zhiyuan_testkit::TestDatabase;

use crate::harness::{Service, config, empty, load, told};

pub(crate) const HEADER: &str = "code,name,kind,parent_code,region_code,state,successor_code";
pub(crate) const BEGIN: OffsetDateTime = datetime!(2026-11-23 0:00 UTC);
/// Longer than a revocation takes.
pub(crate) const LONG: Duration = Duration::from_secs(10);

/// The services that ask, and their scopes; of authority only the first one may.
const ASKING: [(&str, &str); 3] = [
    ("registration", "orgtree.authority"),
    ("stranger", "orgtree.feed"),
    ("platform", "orgtree.statistics"),
];

/// A province of two cities, each with a township; one township was merged into another.
pub(crate) const PROVINCE: &str = "\
A,省,PROVINCIAL,,,,
A-1,市一,MUNICIPAL,A,,,
A-1-1,镇一一,TOWNSHIP,A-1,,,
A-1-9,镇一九,TOWNSHIP,A-1-1,,CLOSED,A-1-1
A-2,市二,MUNICIPAL,A,,,
A-2-1,镇二一,TOWNSHIP,A-2,,,";

/// Plays identity: tells which key signs tokens, and that no session ended.
struct Played(SigningKey);

type Answer<T> = Result<Response<T>, Status>;

#[async_trait]
impl SessionService for Played {
    async fn list_revocations(
        &self,
        _request: Request<ListRevocationsRequest>,
    ) -> Answer<ListRevocationsResponse> {
        let signing_keys = vec![self.0.verifying_key().as_bytes().to_vec()];
        Ok(Response::new(ListRevocationsResponse { signing_keys, ..Default::default() }))
    }

    async fn list_sessions(
        &self,
        _request: Request<ListSessionsRequest>,
    ) -> Answer<ListSessionsResponse> {
        Err(Status::unimplemented(""))
    }

    async fn end_session(
        &self,
        _request: Request<EndSessionRequest>,
    ) -> Answer<EndSessionResponse> {
        Err(Status::unimplemented(""))
    }

    async fn end_other_sessions(
        &self,
        _request: Request<EndOtherSessionsRequest>,
    ) -> Answer<EndOtherSessionsResponse> {
        Err(Status::unimplemented(""))
    }

    async fn list_signing_keys(
        &self,
        _request: Request<ListSigningKeysRequest>,
    ) -> Answer<ListSigningKeysResponse> {
        Err(Status::unimplemented(""))
    }

    async fn report_service_account_uses(
        &self,
        _request: Request<ReportServiceAccountUsesRequest>,
    ) -> Answer<ReportServiceAccountUsesResponse> {
        Ok(Response::new(ReportServiceAccountUsesResponse::default()))
    }
}

fn copy(key: &SigningKey) -> SigningKey {
    SigningKey::from_base64(&key.to_base64()).unwrap()
}

/// Orgtree, with an identity that says whose tokens count, and a service that may ask.
pub(crate) struct Suite {
    pub(crate) database: TestDatabase,
    pub(crate) config: Config,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) service: Service,
    tokens: SigningKey,
    /// Of who asks, by name.
    asking: BTreeMap<&'static str, SigningKey>,
    identity: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Suite {
    /// On the province above.
    pub(crate) async fn on_province() -> Self {
        let database = empty().await;
        load(&database, &format!("{HEADER}\n{PROVINCE}\n")).await.unwrap();
        Self::start(database).await
    }

    pub(crate) async fn start(database: TestDatabase) -> Self {
        Self::start_at(database, BEGIN).await
    }

    /// At another time than the others.
    #[expect(clippy::disallowed_methods, reason = "ended with the suite")]
    pub(crate) async fn start_at(database: TestDatabase, begin: OffsetDateTime) -> Self {
        let tokens = SigningKey::generate();
        let asking = BTreeMap::from(ASKING.map(|(name, _)| (name, SigningKey::generate())));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let identity = listener.local_addr().unwrap();
        let played = Server::builder()
            .add_service(SessionServiceServer::new(Played(copy(&tokens))))
            .serve_with_incoming(TcpIncoming::from(listener));
        let played = tokio::spawn(played);
        let mut config = config(&database, Seed::None);
        config.identity_address = format!("http://{identity}");
        for (name, scope) in ASKING {
            let public_keys = vec![asking.get(name).unwrap().verifying_key().to_base64()];
            let caller = CallerConfig { public_keys, scopes: vec![scope.to_owned()] };
            config.callers.insert(name.to_owned(), caller);
        }
        let clock = Arc::new(ManualClock::new(begin));
        let service = Service::start_with(config.clone(), clock.clone()).await;
        let suite = Self { database, config, clock, service, tokens, asking, identity: played };
        suite.until_informed(&suite.service).await;
        suite
    }

    /// Another process of the same service.
    pub(crate) async fn replica(&self) -> Service {
        let service = Service::start_with(self.config.clone(), self.clock.clone()).await;
        self.until_informed(&service).await;
        service
    }

    /// Until the service has heard which keys count.
    async fn until_informed(&self, service: &Service) {
        let mut client = self.person_at(service, account(0), true);
        let waiting = async {
            while client.list_my_grants(ListMyGrantsRequest::default()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap();
    }

    /// Somebody who has signed in with a second factor.
    pub(crate) fn person(&self, account_id: Uuid) -> Person {
        self.person_at(&self.service, account_id, true)
    }

    pub(crate) fn person_at(
        &self,
        service: &Service,
        account_id: Uuid,
        second_factor: bool,
    ) -> Person {
        let bearer = self.bearer(account_id, second_factor);
        AuthorityServiceClient::with_interceptor(service.channel.clone(), bearer)
    }

    /// The same person, with invitations.
    fn inviter(&self, account_id: Uuid) -> Inviter {
        self.inviter_at(&self.service, account_id)
    }

    fn inviter_at(&self, service: &Service, account_id: Uuid) -> Inviter {
        let bearer = self.bearer(account_id, true);
        InvitationServiceClient::with_interceptor(service.channel.clone(), bearer)
    }

    /// The proof of somebody who has signed in, with a second factor or without.
    pub(crate) fn bearer(&self, account_id: Uuid, second_factor: bool) -> Bearer {
        let person = SignedIn { account_id, session_id: Uuid::new_v4(), second_factor };
        let token =
            token::issue(&self.tokens, &person, self.clock.now().unix_timestamp(), i64::MAX);
        Bearer(format!("Bearer {token}").parse().unwrap())
    }

    /// The channel of a service that asks.
    pub(crate) fn channel(&self, name: &str, service: &Service) -> SuiteChannel {
        let signer =
            AssertionSigner::new(name, copy(self.asking.get(name).unwrap()), self.clock.clone());
        SuiteChannel::new(service.channel.clone(), "orgtree", Arc::new(signer))
    }

    /// What other services ask with.
    fn authority(&self, service: &Service) -> Authority {
        Authority::new(self.channel("registration", service))
    }

    /// Asks orgtree itself.
    pub(crate) async fn check(
        &self,
        account_id: Uuid,
        code: &str,
        permission: Permission,
    ) -> CheckResponse {
        let channel = self.channel("registration", &self.service);
        let mut client = AuthorityServiceClient::new(channel);
        client.check(asks(account_id, code, permission)).await.unwrap().into_inner()
    }

    pub(crate) async fn verdict(
        &self,
        account_id: Uuid,
        code: &str,
        permission: Permission,
    ) -> Verdict {
        self.check(account_id, code, permission).await.verdict()
    }

    /// Makes somebody something, as the operator does.
    pub(crate) async fn make(&self, account_id: Uuid, code: &str, role: TypedRole) -> Uuid {
        let wanted = OperatorGrant {
            account_id,
            organization: OrganizationCode::parse(code).unwrap(),
            role,
            again: true,
        };
        zhiyuan_orgtree::grant(&self.config, self.clock.clone(), &wanted).await.unwrap()
    }

    /// A time from now, as the contract says it.
    fn clock_in(&self, wait: Duration) -> prost_types::Timestamp {
        zhiyuan_rpc::wire::timestamp(self.clock.now() + wait)
    }

    pub(crate) async fn stop(self) {
        self.service.stop().await;
        self.identity.abort();
    }
}

type Inviter = InvitationServiceClient<InterceptedService<Channel, Bearer>>;
pub(crate) type Person = AuthorityServiceClient<InterceptedService<Channel, Bearer>>;

#[derive(Clone)]
pub(crate) struct Bearer(tonic::metadata::MetadataValue<tonic::metadata::Ascii>);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// The account of somebody.
pub(crate) fn account(n: u128) -> Uuid {
    Uuid::from_u128(0x0193_8a6e_7c00_7abc_8def_0000_0000_0000 + n)
}

fn asks(account_id: Uuid, code: &str, permission: Permission) -> CheckRequest {
    CheckRequest {
        account_id: account_id.to_string(),
        organization_code: code.to_owned(),
        permission: permission.into(),
    }
}

pub(crate) fn gives(account_id: Uuid, code: &str, role: Role) -> CreateGrantRequest {
    CreateGrantRequest {
        request_id: Uuid::new_v4().to_string(),
        account_id: account_id.to_string(),
        organization_code: code.to_owned(),
        role: role.into(),
        expire_time: None,
    }
}

fn revokes(grant_id: impl ToString) -> RevokeGrantRequest {
    let request_id = Uuid::new_v4().to_string();
    RevokeGrantRequest { request_id, grant_id: grant_id.to_string() }
}

/// With the time that a revocation takes.
pub(crate) fn patiently<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(LONG);
    request
}

async fn give(person: &mut Person, request: CreateGrantRequest) -> Result<Grant, Status> {
    Ok(person.create_grant(request).await?.into_inner().grant.unwrap())
}

/// Every page of a list.
pub(crate) async fn list(
    person: &mut Person,
    below: &str,
    page_size: i32,
) -> Result<Vec<Grant>, Status> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let organization_code = below.to_owned();
        let request = ListGrantsRequest { organization_code, page_size, page_token };
        let page = person.list_grants(request).await?.into_inner();
        assert!(page_size == 0 || page.grants.len() <= usize::try_from(page_size).unwrap());
        all.extend(page.grants);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

async fn mine(person: &mut Person, page_size: i32) -> Vec<Grant> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListMyGrantsRequest { page_size, page_token };
        let page = person.list_my_grants(request).await.unwrap().into_inner();
        all.extend(page.grants);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

/// The code and the reason.
pub(crate) fn refusal(status: &Status) -> (tonic::Code, String) {
    let (code, reason, _) = told(status);
    (code, reason)
}

fn invites(code: &str, role: Role) -> CreateInvitationRequest {
    CreateInvitationRequest {
        request_id: Uuid::new_v4().to_string(),
        organization_code: code.to_owned(),
        role: role.into(),
        ..CreateInvitationRequest::default()
    }
}

fn accepts(invitation_code: &str) -> AcceptInvitationRequest {
    let request_id = Uuid::new_v4().to_string();
    AcceptInvitationRequest { request_id, invitation_code: invitation_code.to_owned() }
}

fn confirms(accepted: &AcceptInvitationResponse) -> ConfirmInvitationRequest {
    ConfirmInvitationRequest {
        request_id: Uuid::new_v4().to_string(),
        invitation_id: accepted.invitation_id.clone(),
        check_number: accepted.check_number.clone(),
    }
}

fn hands_over(accepted: &AcceptInvitationResponse) -> HandOverRequest {
    let ConfirmInvitationRequest { request_id, invitation_id, check_number } = confirms(accepted);
    HandOverRequest { request_id, invitation_id, check_number }
}

fn withdraws(invitation_id: &str) -> WithdrawInvitationRequest {
    let request_id = Uuid::new_v4().to_string();
    WithdrawInvitationRequest { request_id, invitation_id: invitation_id.to_owned() }
}

async fn invite(
    person: &mut Inviter,
    request: CreateInvitationRequest,
) -> Result<CreateInvitationResponse, Status> {
    Ok(person.create_invitation(request).await?.into_inner())
}

async fn accept(person: &mut Inviter, code: &str) -> Result<AcceptInvitationResponse, Status> {
    Ok(person.accept_invitation(accepts(code)).await?.into_inner())
}

async fn confirm(person: &mut Inviter, request: ConfirmInvitationRequest) -> Result<Grant, Status> {
    Ok(person.confirm_invitation(request).await?.into_inner().grant.unwrap())
}

/// Makes somebody an administrator, invited by one and confirmed by another one.
pub(crate) async fn invited(suite: &Suite, by: (u128, u128), to: u128, code: &str) -> Grant {
    let mut inviter = suite.inviter(account(by.0));
    let made = invite(&mut inviter, invites(code, Role::Administrator)).await.unwrap();
    let accepted = accept(&mut suite.inviter(account(to)), &made.invitation_code).await.unwrap();
    confirm(&mut suite.inviter(account(by.1)), confirms(&accepted)).await.unwrap()
}

/// Every page of the invitations that somebody may see.
async fn invitations(
    person: &mut Inviter,
    below: &str,
    page_size: i32,
) -> Result<Vec<Invitation>, Status> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let organization_code = below.to_owned();
        let request = ListInvitationsRequest { organization_code, page_size, page_token };
        let page = person.list_invitations(request).await?.into_inner();
        all.extend(page.invitations);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}
