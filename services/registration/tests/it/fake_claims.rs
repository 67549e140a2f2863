//! identity by script, as far as claims go.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use time::{Duration, OffsetDateTime};
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::claim_service_server::ClaimService;
use zhiyuan_contracts::identity::v1::{
    AcceptClaimRequest, AcceptClaimResponse, BatchGetClaimsRequest, BatchGetClaimsResponse,
    CarryOutClaimRequest, CarryOutClaimResponse, ClaimState, ClaimStatus, ErrorReason,
    ListMyClaimsRequest, ListMyClaimsResponse, RejectClaimRequest, RejectClaimResponse,
    RespondToClaimRequest, RespondToClaimResponse, ShowClaimRequest, ShowClaimResponse,
};
use zhiyuan_rpc::wire::{from_timestamp, timestamp};
use zhiyuan_rpc::{Code, Error};

pub(crate) const DELAY: Duration = Duration::hours(72);

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) claims: BTreeMap<String, ClaimStatus>,
    /// Who is a side of each, or a guardian of one.
    pub(crate) own: Vec<Uuid>,
    /// Who accepted, as identity was told.
    pub(crate) accepted: Vec<(String, String)>,
    /// Against whom, as identity was told with what was decided.
    pub(crate) holders: Vec<String>,
    /// Who rejected; empty where nobody did.
    pub(crate) rejected: Vec<String>,
    /// Why somebody looked.
    pub(crate) purposes: Vec<String>,
    /// How many calls that change anything fail from now on, without an effect.
    pub(crate) down: usize,
    pub(crate) now: OffsetDateTime,
}

#[derive(Debug, Clone)]
pub(crate) struct FakeClaims(Arc<Mutex<State>>);

impl Default for FakeClaims {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State {
            claims: BTreeMap::new(),
            own: Vec::new(),
            accepted: Vec::new(),
            rejected: Vec::new(),
            holders: Vec::new(),
            purposes: Vec::new(),
            down: 0,
            now: OffsetDateTime::UNIX_EPOCH,
        })))
    }
}

fn none<T>() -> Result<Response<T>, Status> {
    Err(Error::method_not_found().into())
}

fn refused<T>(code: Code, reason: ErrorReason) -> Result<T, Status> {
    Err(Error::new(code, reason, "不行").into())
}

impl FakeClaims {
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    /// A claim that is open.
    pub(crate) fn open(&self, id: &str) {
        let status = ClaimStatus {
            claim_id: id.to_owned(),
            state: ClaimState::Open.into(),
            masked_name: "汪*".into(),
            ..ClaimStatus::default()
        };
        self.with(|state| state.claims.insert(id.to_owned(), status));
    }

    pub(crate) fn states(&self) -> Vec<ClaimState> {
        self.with(|state| state.claims.values().map(ClaimStatus::state).collect())
    }

    fn change(
        &self,
        id: &str,
        work: impl FnOnce(&mut ClaimStatus, &mut Told) -> Result<(), Status>,
    ) -> Result<Option<ClaimStatus>, Status> {
        self.with(|state| {
            if state.down > 0 {
                state.down -= 1;
                return Err(Error::unavailable("told to fail").into());
            }
            let Some(found) = state.claims.get_mut(id) else {
                return refused(Code::NotFound, ErrorReason::ClaimNotFound);
            };
            let (accepted, rejected) = (&mut state.accepted, &mut state.rejected);
            work(found, &mut Told { now: state.now, accepted, rejected })?;
            Ok(Some(found.clone()))
        })
    }
}

/// What a call leaves.
struct Told<'a> {
    now: OffsetDateTime,
    accepted: &'a mut Vec<(String, String)>,
    rejected: &'a mut Vec<String>,
}

#[async_trait]
impl ClaimService for FakeClaims {
    async fn list_my_claims(
        &self,
        _request: Request<ListMyClaimsRequest>,
    ) -> Result<Response<ListMyClaimsResponse>, Status> {
        none()
    }

    async fn respond_to_claim(
        &self,
        _request: Request<RespondToClaimRequest>,
    ) -> Result<Response<RespondToClaimResponse>, Status> {
        none()
    }

    async fn batch_get_claims(
        &self,
        request: Request<BatchGetClaimsRequest>,
    ) -> Result<Response<BatchGetClaimsResponse>, Status> {
        let BatchGetClaimsRequest { claim_ids, viewer_account_id } = request.into_inner();
        assert!((1..=500).contains(&claim_ids.len()));
        let claims = self.with(|state| {
            let own = viewer_account_id.parse().is_ok_and(|viewer| state.own.contains(&viewer));
            let found = claim_ids.iter().filter_map(|id| state.claims.get(id));
            found.map(|one| ClaimStatus { own, ..one.clone() }).collect()
        });
        Ok(Response::new(BatchGetClaimsResponse { claims }))
    }

    async fn show_claim(
        &self,
        request: Request<ShowClaimRequest>,
    ) -> Result<Response<ShowClaimResponse>, Status> {
        self.with(|state| state.purposes.push(request.into_inner().purpose));
        let shown = ShowClaimResponse {
            name: "汪明".into(),
            statement: "有人冒用".into(),
            holder_statement: "这是我的".into(),
            ..ShowClaimResponse::default()
        };
        Ok(Response::new(shown))
    }

    async fn accept_claim(
        &self,
        request: Request<AcceptClaimRequest>,
    ) -> Result<Response<AcceptClaimResponse>, Status> {
        let request = request.into_inner();
        self.with(|state| state.holders.push(request.holder_id.clone()));
        let claim = self.change(&request.claim_id, |found, told| {
            if found.state() == ClaimState::Open {
                found.set_state(ClaimState::Accepted);
                found.carry_out_after_time = Some(timestamp(told.now + DELAY));
                told.accepted.push((request.first_by.clone(), request.second_by.clone()));
            }
            Ok(())
        })?;
        Ok(Response::new(AcceptClaimResponse { claim }))
    }

    async fn reject_claim(
        &self,
        request: Request<RejectClaimRequest>,
    ) -> Result<Response<RejectClaimResponse>, Status> {
        let request = request.into_inner();
        self.with(|state| state.holders.push(request.holder_id.clone()));
        let claim = self.change(&request.claim_id, |found, told| {
            if matches!(found.state(), ClaimState::Open | ClaimState::Accepted) {
                found.set_state(ClaimState::Rejected);
                told.rejected.push(request.rejected_by.clone());
            }
            Ok(())
        })?;
        Ok(Response::new(RejectClaimResponse { claim }))
    }

    async fn carry_out_claim(
        &self,
        request: Request<CarryOutClaimRequest>,
    ) -> Result<Response<CarryOutClaimResponse>, Status> {
        let id = request.into_inner().claim_id;
        let claim = self.change(&id, |found, told| {
            let after = found.carry_out_after_time.as_ref().and_then(from_timestamp);
            if found.state() == ClaimState::Accepted && after.is_some_and(|at| at <= told.now) {
                found.set_state(ClaimState::CarriedOut);
            } else if found.state() != ClaimState::CarriedOut {
                return refused(Code::Precondition, ErrorReason::ClaimTooEarly);
            }
            Ok(())
        })?;
        Ok(Response::new(CarryOutClaimResponse { claim }))
    }
}
