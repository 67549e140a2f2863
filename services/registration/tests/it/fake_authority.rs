//! orgtree by script, as far as administrators go: grants as they are set, with all
//! permissions or but some.

use std::sync::{Arc, Mutex};

use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::authority_service_server::AuthorityService;
use zhiyuan_contracts::orgtree::v1::{
    CheckRequest, CheckResponse, CreateGrantRequest, CreateGrantResponse, Grant,
    ListAccountGrantsRequest, ListAccountGrantsResponse, ListGrantsRequest, ListGrantsResponse,
    ListMyGrantsRequest, ListMyGrantsResponse, Permission, RevokeGrantRequest, RevokeGrantResponse,
    Role, Verdict,
};
use zhiyuan_rpc::Error;

#[derive(Debug)]
pub(crate) struct State {
    grants: Vec<Grant>,
    /// Of all that is allowed.
    pub(crate) lease_ms: i64,
}

#[derive(Debug, Clone)]
pub(crate) struct FakeAuthority(Arc<Mutex<State>>);

impl Default for FakeAuthority {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { grants: Vec::new(), lease_ms: 3000 })))
    }
}

fn has(role: Role, permission: Permission) -> bool {
    match role {
        Role::Unspecified => false,
        Role::Administrator => true,
        Role::Manager => permission == Permission::ManageMembers || permission == Permission::View,
        Role::Viewer | Role::Auditor => permission == Permission::View,
    }
}

fn none<T>() -> Result<Response<T>, Status> {
    Err(Error::method_not_found().into())
}

impl FakeAuthority {
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    /// Somebody new with a role.
    pub(crate) fn administrator(&self, organization: &str, role: Role) -> String {
        let id = Uuid::new_v4().to_string();
        self.give(&id, organization, role);
        id
    }

    pub(crate) fn give(&self, account_id: &str, organization: &str, role: Role) {
        let grant = Grant {
            id: Uuid::new_v4().to_string(),
            account_id: account_id.to_owned(),
            organization_code: organization.to_owned(),
            role: role.into(),
            ..Grant::default()
        };
        self.with(|state| state.grants.push(grant));
    }

    pub(crate) fn revoke(&self, account_id: &str) {
        self.with(|state| state.grants.retain(|grant| grant.account_id != account_id));
    }
}

#[async_trait]
impl AuthorityService for FakeAuthority {
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        let request = request.into_inner();
        Ok(Response::new(self.with(|state| {
            let reaches = |grant: &&Grant| {
                let place = &grant.organization_code;
                let code = &request.organization_code;
                grant.account_id == request.account_id
                    && (code == place || code.starts_with(&format!("{place}-")))
            };
            let reaching: Vec<&Grant> = state.grants.iter().filter(reaches).collect();
            let allows = |grant: &&&Grant| has(grant.role(), request.permission());
            match reaching.iter().find(allows) {
                Some(grant) => CheckResponse {
                    verdict: Verdict::Allowed.into(),
                    grant: Some((*grant).clone()),
                    lease_ms: state.lease_ms,
                },
                None => {
                    let out = reaching.is_empty();
                    let verdict = if out { Verdict::OutOfScope } else { Verdict::Forbidden };
                    CheckResponse { verdict: verdict.into(), ..CheckResponse::default() }
                }
            }
        })))
    }

    async fn list_account_grants(
        &self,
        request: Request<ListAccountGrantsRequest>,
    ) -> Result<Response<ListAccountGrantsResponse>, Status> {
        let request = request.into_inner();
        // One a page.
        let at: usize = request.page_token.parse().unwrap_or_default();
        let own = |grant: &&Grant| grant.account_id == request.account_id;
        let own: Vec<Grant> = self.with(|state| state.grants.iter().filter(own).cloned().collect());
        let next_page_token = if at + 1 < own.len() { (at + 1).to_string() } else { String::new() };
        let grants = own.into_iter().skip(at).take(1).collect();
        Ok(Response::new(ListAccountGrantsResponse { grants, next_page_token }))
    }

    async fn list_my_grants(
        &self,
        _request: Request<ListMyGrantsRequest>,
    ) -> Result<Response<ListMyGrantsResponse>, Status> {
        none()
    }

    async fn list_grants(
        &self,
        _request: Request<ListGrantsRequest>,
    ) -> Result<Response<ListGrantsResponse>, Status> {
        none()
    }

    async fn create_grant(
        &self,
        _request: Request<CreateGrantRequest>,
    ) -> Result<Response<CreateGrantResponse>, Status> {
        none()
    }

    async fn revoke_grant(
        &self,
        _request: Request<RevokeGrantRequest>,
    ) -> Result<Response<RevokeGrantResponse>, Status> {
        none()
    }
}
