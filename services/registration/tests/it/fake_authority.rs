//! orgtree by script, as far as administrators go: grants as they are set, with all
//! permissions or but some.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use time::{Duration, OffsetDateTime};
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::authority_service_server::AuthorityService;
use zhiyuan_contracts::orgtree::v1::{
    CheckRequest, CheckResponse, CheckVoicesRequest, CheckVoicesResponse, CreateGrantRequest,
    CreateGrantResponse, FilterScopeRequest, FilterScopeResponse, FilterWithinRequest,
    FilterWithinResponse, Grant, ListAccountGrantsRequest, ListAccountGrantsResponse,
    ListGrantsRequest, ListGrantsResponse, ListMyGrantsRequest, ListMyGrantsResponse, Permission,
    RevokeGrantRequest, RevokeGrantResponse, Right, Role, Verdict, Voices,
};
use zhiyuan_rpc::Error;
use zhiyuan_rpc::wire::{from_timestamp, timestamp};

#[derive(Debug)]
pub(crate) struct State {
    /// With what each allows, where that is not what its role does.
    pub(crate) grants: Vec<(Grant, Option<Vec<Permission>>)>,
    /// Of all that is allowed.
    pub(crate) lease_ms: i64,
    /// Where organizations were moved to, by the code above them.
    pub(crate) moved: HashMap<String, String>,
    /// How often something was moved.
    pub(crate) moves: u64,
    /// Whether scopes are not answered about.
    pub(crate) down: bool,
    /// How often it was asked about a scope.
    pub(crate) scopes: usize,
}

impl State {
    /// Whether an organization is at another one or below it, as things were moved.
    fn is_in(&self, code: &str, above: &str) -> bool {
        let parent = self.moved.get(code).map(String::as_str);
        let parent = parent.or_else(|| code.rsplit_once('-').map(|(parent, _)| parent));
        code == above || parent.is_some_and(|parent| self.is_in(parent, above))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct FakeAuthority(Arc<Mutex<State>>);

impl Default for FakeAuthority {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State {
            grants: Vec::new(),
            lease_ms: 3000,
            moved: HashMap::new(),
            moves: 0,
            down: false,
            scopes: 0,
        })))
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

fn is_within(code: &str, above: &str) -> bool {
    code.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
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
        self.add(account_id, organization, role, None);
    }

    /// Somebody new with a role that somebody gave at that time.
    pub(crate) fn made_by(
        &self,
        granted_by: &str,
        organization: &str,
        at: OffsetDateTime,
    ) -> String {
        let id = self.administrator(organization, Role::Manager);
        self.with(|state| {
            let given = state.grants.iter_mut().find(|(grant, _)| grant.account_id == id);
            let grant = &mut given.unwrap().0;
            grant.granted_by = granted_by.to_owned();
            grant.create_time = Some(timestamp(at));
        });
        id
    }

    /// Gives exactly these permissions.
    pub(crate) fn grant(&self, account: Uuid, organization: &str, permissions: &[Permission]) {
        let permissions = Some(permissions.to_vec());
        self.add(&account.to_string(), organization, Role::Manager, permissions);
    }

    fn add(
        &self,
        account_id: &str,
        organization: &str,
        role: Role,
        permissions: Option<Vec<Permission>>,
    ) {
        let grant = Grant {
            id: Uuid::new_v4().to_string(),
            account_id: account_id.to_owned(),
            organization_code: organization.to_owned(),
            role: role.into(),
            ..Grant::default()
        };
        self.with(|state| state.grants.push((grant, permissions)));
    }

    /// Hangs an organization below another one.
    pub(crate) fn hang(&self, code: &str, above: &str) {
        self.with(|state| {
            state.moved.insert(code.to_owned(), above.to_owned());
            state.moves += 1;
        });
    }

    pub(crate) fn revoke(&self, account_id: &str) {
        self.with(|state| state.grants.retain(|(grant, _)| grant.account_id != account_id));
    }
}

/// Two whom the same person made are two once they have been there for so much longer than one
/// has to be.
const LONGER: Duration = Duration::days(23);

impl State {
    /// The givers of an account's grants for a right, of those that were given by a time; each
    /// with that who gave to them. `None` if there is no grant.
    fn makers(
        &self,
        account_id: &str,
        right: &Right,
        given_by: Option<OffsetDateTime>,
    ) -> Option<BTreeSet<String>> {
        let will_do = |grant: &&Grant| {
            let at = grant.create_time.as_ref().and_then(from_timestamp);
            grant.account_id == account_id
                && is_within(&right.organization_code, &grant.organization_code)
                && (grant.granted_by.is_empty() || given_by.is_none_or(|by| at <= Some(by)))
        };
        let given = self.grants.iter().map(|(grant, _)| grant).find(will_do)?;
        let (mut makers, mut next) = (BTreeSet::new(), given.granted_by.clone());
        while !next.is_empty() && makers.insert(next.clone()) {
            let above = self.grants.iter().find(|(grant, _)| grant.account_id == next);
            next = above.map(|(grant, _)| grant.granted_by.clone()).unwrap_or_default();
        }
        Some(makers)
    }

    fn voices(&self, asked: &CheckVoicesRequest) -> Voices {
        let given_by = asked.given_by_time.as_ref().map(|at| from_timestamp(at).unwrap());
        let of = |id: &str, by| -> Option<BTreeSet<String>> {
            let makers = asked.rights.iter().map(|right| self.makers(id, right, by));
            Some(makers.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
        };
        let (one, other) = (&*asked.account_id, &*asked.other_account_id);
        let Some(mine) = of(one, given_by) else { return Voices::None };
        if other.is_empty() {
            return Voices::Independent;
        }
        let Some(theirs) = of(other, given_by) else { return Voices::NoneOfOther };
        if one == other || mine.contains(other) || theirs.contains(one) {
            return Voices::Dependent;
        }
        let old = given_by.map(|by| by - LONGER);
        let both_old = of(one, old).is_some() && of(other, old).is_some();
        if given_by.is_none() || mine.is_disjoint(&theirs) || both_old {
            return Voices::Independent;
        }
        Voices::Dependent
    }
}

#[async_trait]
impl AuthorityService for FakeAuthority {
    async fn check_voices(
        &self,
        request: Request<CheckVoicesRequest>,
    ) -> Result<Response<CheckVoicesResponse>, Status> {
        let asked = request.into_inner();
        assert!((1..=500).contains(&asked.rights.len()));
        let voices = self.with(|state| state.voices(&asked)).into();
        Ok(Response::new(CheckVoicesResponse { voices }))
    }

    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        let request = request.into_inner();
        Ok(Response::new(self.with(|state| {
            let reaching: Vec<&(Grant, Option<Vec<Permission>>)> = state
                .grants
                .iter()
                .filter(|(grant, _)| {
                    grant.account_id == request.account_id
                        && is_within(&request.organization_code, &grant.organization_code)
                })
                .collect();
            let allowed = reaching.iter().find(|(grant, only)| match only {
                Some(only) => only.contains(&request.permission()),
                None => has(grant.role(), request.permission()),
            });
            match allowed {
                Some((grant, _)) => CheckResponse {
                    verdict: Verdict::Allowed.into(),
                    grant: Some(grant.clone()),
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

    async fn filter_within(
        &self,
        request: Request<FilterWithinRequest>,
    ) -> Result<Response<FilterWithinResponse>, Status> {
        let asked = request.into_inner();
        assert!((1..=500).contains(&asked.organization_codes.len()));
        let mut organization_codes = asked.organization_codes;
        organization_codes.retain(|code| is_within(code, &asked.organization_code));
        Ok(Response::new(FilterWithinResponse { organization_codes }))
    }

    async fn filter_scope(
        &self,
        request: Request<FilterScopeRequest>,
    ) -> Result<Response<FilterScopeResponse>, Status> {
        let FilterScopeRequest { scope_codes, mut organization_codes } = request.into_inner();
        assert!((1..=20).contains(&scope_codes.len()) && organization_codes.len() <= 1000);
        assert!(!organization_codes.contains(&String::new()));
        self.with(|state| {
            state.scopes += 1;
            if state.down {
                return Err(Error::unavailable("down").into());
            }
            organization_codes
                .retain(|code| scope_codes.iter().any(|above| state.is_in(code, above)));
            let scope_version = format!("{}-{}", scope_codes.join("-").to_lowercase(), state.moves);
            Ok(Response::new(FilterScopeResponse { organization_codes, scope_version }))
        })
    }

    async fn list_account_grants(
        &self,
        request: Request<ListAccountGrantsRequest>,
    ) -> Result<Response<ListAccountGrantsResponse>, Status> {
        let request = request.into_inner();
        // One a page.
        let at: usize = request.page_token.parse().unwrap_or_default();
        let own: Vec<Grant> = self.with(|state| {
            let grants = state.grants.iter().map(|(grant, _)| grant);
            grants.filter(|grant| grant.account_id == request.account_id).cloned().collect()
        });
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
