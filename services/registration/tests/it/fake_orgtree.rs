//! orgtree by script: organizations and regions as they are set.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, async_trait};
use zhiyuan_contracts::orgtree::v1::organization_service_server::OrganizationService;
use zhiyuan_contracts::orgtree::v1::region_service_server::RegionService;
use zhiyuan_contracts::orgtree::v1::{
    ErrorReason, GetOrganizationRequest, GetOrganizationResponse, GetRegionRequest,
    GetRegionResponse, ListOrganizationsRequest, ListOrganizationsResponse, ListRegionsRequest,
    ListRegionsResponse, Organization, OrganizationState, Region,
};
use zhiyuan_rpc::{Code, Error};

pub(crate) const TOWNSHIP: &str = "AH-341800-341822-341822100";
pub(crate) const OTHER_TOWNSHIP: &str = "AH-341800-341822-341822101";
pub(crate) const COUNTY: &str = "AH-341800-341822";
pub(crate) const RESIDENCE: &str = "341822";
pub(crate) const OTHER_RESIDENCE: &str = "340102";
pub(crate) const CITY: &str = "341800";
/// It is no more.
pub(crate) const ABOLISHED: &str = "341421";

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) organizations: BTreeMap<String, Organization>,
    /// Whether it is a leaf.
    pub(crate) regions: BTreeMap<String, bool>,
    /// How many calls fail from now on.
    pub(crate) down: usize,
    pub(crate) calls: usize,
    /// Holds the next answer about an organization back.
    gate: Option<Arc<Semaphore>>,
    pub(crate) held: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct FakeOrgtree(pub(crate) Arc<Mutex<State>>);

impl Default for FakeOrgtree {
    fn default() -> Self {
        let organization = |code: &str, takes_registrations| Organization {
            code: code.into(),
            parent_code: code.rsplit_once('-').map_or("", |(parent, _)| parent).into(),
            state: OrganizationState::Active.into(),
            takes_registrations,
            ..Default::default()
        };
        let organizations = [(TOWNSHIP, true), (OTHER_TOWNSHIP, true), (COUNTY, false)]
            .map(|(code, takes)| (code.to_owned(), organization(code, takes)));
        let regions =
            [(RESIDENCE, true), (OTHER_RESIDENCE, true), (CITY, false), (ABOLISHED, true)]
                .map(|(code, leaf)| (code.to_owned(), leaf));
        Self(Arc::new(Mutex::new(State {
            organizations: organizations.into(),
            regions: regions.into(),
            down: 0,
            calls: 0,
            gate: None,
            held: 0,
        })))
    }
}

impl FakeOrgtree {
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    pub(crate) fn close(&self, code: &str, successor: &str) {
        self.with(|state| {
            let organization = state.organizations.get_mut(code).unwrap();
            organization.state = OrganizationState::Closed.into();
            organization.successor_code = successor.into();
        });
    }

    /// Decides the next answer about an organization, and keeps it until there is a
    /// permit.
    pub(crate) fn hold(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        self.with(|state| state.gate = Some(Arc::clone(&gate)));
        gate
    }

    fn call<T>(
        &self,
        work: impl FnOnce(&mut State) -> Option<T>,
        reason: ErrorReason,
    ) -> Result<T, Status> {
        self.with(|state| {
            state.calls += 1;
            if state.down > 0 {
                state.down -= 1;
                return Err(Error::unavailable("told to fail").into());
            }
            work(state).ok_or_else(|| Error::new(Code::NotFound, reason, "没有").into())
        })
    }
}

#[async_trait]
impl OrganizationService for FakeOrgtree {
    async fn list_organizations(
        &self,
        _request: Request<ListOrganizationsRequest>,
    ) -> Result<Response<ListOrganizationsResponse>, Status> {
        Err(Error::method_not_found().into())
    }

    async fn get_organization(
        &self,
        request: Request<GetOrganizationRequest>,
    ) -> Result<Response<GetOrganizationResponse>, Status> {
        let code = request.into_inner().code;
        let find = |state: &mut State| state.organizations.get(&code).cloned();
        let organization = self.call(find, ErrorReason::OrganizationNotFound)?;
        if let Some(gate) = self.with(|state| state.gate.take()) {
            self.with(|state| state.held += 1);
            gate.acquire().await.unwrap().forget();
        }
        Ok(Response::new(GetOrganizationResponse { organization: Some(organization) }))
    }
}

#[async_trait]
impl RegionService for FakeOrgtree {
    async fn list_regions(
        &self,
        _request: Request<ListRegionsRequest>,
    ) -> Result<Response<ListRegionsResponse>, Status> {
        Err(Error::method_not_found().into())
    }

    async fn get_region(
        &self,
        request: Request<GetRegionRequest>,
    ) -> Result<Response<GetRegionResponse>, Status> {
        let code = request.into_inner().code;
        let find = |state: &mut State| state.regions.get(&code).copied();
        let leaf = self.call(find, ErrorReason::RegionNotFound)?;
        let abolished = code == ABOLISHED;
        let region = Some(Region { code, leaf, abolished, ..Default::default() });
        Ok(Response::new(GetRegionResponse { region }))
    }
}
