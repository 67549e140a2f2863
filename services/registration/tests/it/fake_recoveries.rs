//! identity by script, as far as recoveries of phones go.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tonic::{Request, Response, Status, async_trait};
use zhiyuan_contracts::identity::v1::phone_recovery_service_server::PhoneRecoveryService;
use zhiyuan_contracts::identity::v1::{
    ApprovePhoneRecoveryRequest, ApprovePhoneRecoveryResponse, BatchGetPhoneRecoveriesRequest,
    BatchGetPhoneRecoveriesResponse, BeginPhoneRecoveryRequest, BeginPhoneRecoveryResponse,
    CancelPhoneRecoveryRequest, CancelPhoneRecoveryResponse, CompletePhoneRecoveryRequest,
    CompletePhoneRecoveryResponse, ErrorReason, ListMyPhoneRecoveriesRequest,
    ListMyPhoneRecoveriesResponse, ObjectToPhoneRecoveryByCodeRequest,
    ObjectToPhoneRecoveryByCodeResponse, ObjectToPhoneRecoveryByNoticeRequest,
    ObjectToPhoneRecoveryByNoticeResponse, ObjectToPhoneRecoveryRequest,
    ObjectToPhoneRecoveryResponse, PhoneRecovery, PhoneRecoveryState,
};
use zhiyuan_rpc::{Code, Error};

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) recoveries: BTreeMap<String, PhoneRecovery>,
    /// The phones that were handed in.
    pub(crate) phones: Vec<String>,
    /// Who approved.
    pub(crate) approved_by: Vec<String>,
    /// How many calls that change anything fail from now on, without an effect.
    pub(crate) down: usize,
    /// How many have their effect and are not answered.
    pub(crate) unanswered: usize,
    /// What beginning is refused for.
    pub(crate) refuses: Option<ErrorReason>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct FakeRecoveries(Arc<Mutex<State>>);

fn none<T>() -> Result<Response<T>, Status> {
    Err(Error::method_not_found().into())
}

impl FakeRecoveries {
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    /// Makes something of the only recovery there is.
    pub(crate) fn set(&self, state: PhoneRecoveryState) {
        self.with(|all| all.recoveries.values_mut().for_each(|one| one.set_state(state)));
    }

    pub(crate) fn states(&self) -> Vec<PhoneRecoveryState> {
        self.with(|state| state.recoveries.values().map(PhoneRecovery::state).collect())
    }

    fn change(
        &self,
        work: impl FnOnce(&mut State) -> Result<PhoneRecovery, Status>,
    ) -> Result<Option<PhoneRecovery>, Status> {
        self.with(|state| {
            if state.down > 0 {
                state.down -= 1;
                return Err(Error::unavailable("told to fail").into());
            }
            let changed = work(state)?;
            if state.unanswered > 0 {
                state.unanswered -= 1;
                return Err(Error::unavailable("told to fail").into());
            }
            Ok(Some(changed))
        })
    }
}

#[async_trait]
impl PhoneRecoveryService for FakeRecoveries {
    async fn begin_phone_recovery(
        &self,
        request: Request<BeginPhoneRecoveryRequest>,
    ) -> Result<Response<BeginPhoneRecoveryResponse>, Status> {
        let request = request.into_inner();
        let recovery = self.change(|state| {
            if let Some(reason) = state.refuses {
                let code = match reason {
                    ErrorReason::AccountNotFound => Code::NotFound,
                    _ => Code::Precondition,
                };
                return Err(Error::new(code, reason, "不行").into());
            }
            state.phones.push(request.new_phone.clone());
            let new = PhoneRecovery {
                id: request.recovery_id.clone(),
                account_id: request.account_id,
                state: PhoneRecoveryState::Started.into(),
                masked_new_phone: "139****4321".into(),
                ..PhoneRecovery::default()
            };
            Ok(state.recoveries.entry(request.recovery_id).or_insert(new).clone())
        })?;
        Ok(Response::new(BeginPhoneRecoveryResponse { recovery }))
    }

    async fn approve_phone_recovery(
        &self,
        request: Request<ApprovePhoneRecoveryRequest>,
    ) -> Result<Response<ApprovePhoneRecoveryResponse>, Status> {
        let request = request.into_inner();
        let recovery = self.change(|state| {
            let Some(found) = state.recoveries.get_mut(&request.recovery_id) else {
                let reason = ErrorReason::RecoveryNotFound;
                return Err(Error::new(Code::NotFound, reason, "没有").into());
            };
            if found.state() == PhoneRecoveryState::Started {
                found.set_state(PhoneRecoveryState::Approved);
                state.approved_by.push(request.approved_by);
            }
            Ok(found.clone())
        })?;
        Ok(Response::new(ApprovePhoneRecoveryResponse { recovery }))
    }

    async fn cancel_phone_recovery(
        &self,
        request: Request<CancelPhoneRecoveryRequest>,
    ) -> Result<Response<CancelPhoneRecoveryResponse>, Status> {
        let id = request.into_inner().recovery_id;
        let recovery = self.change(|state| {
            let unknown = PhoneRecovery { id: id.clone(), ..PhoneRecovery::default() };
            let found = state.recoveries.entry(id).or_insert(unknown);
            let over = [PhoneRecoveryState::Completed, PhoneRecoveryState::Objected];
            if !over.contains(&found.state()) {
                found.set_state(PhoneRecoveryState::Cancelled);
            }
            Ok(found.clone())
        })?;
        Ok(Response::new(CancelPhoneRecoveryResponse { recovery }))
    }

    async fn batch_get_phone_recoveries(
        &self,
        request: Request<BatchGetPhoneRecoveriesRequest>,
    ) -> Result<Response<BatchGetPhoneRecoveriesResponse>, Status> {
        let ids = request.into_inner().recovery_ids;
        let recoveries = self
            .with(|state| ids.iter().filter_map(|id| state.recoveries.get(id).cloned()).collect());
        Ok(Response::new(BatchGetPhoneRecoveriesResponse { recoveries }))
    }

    async fn list_my_phone_recoveries(
        &self,
        _request: Request<ListMyPhoneRecoveriesRequest>,
    ) -> Result<Response<ListMyPhoneRecoveriesResponse>, Status> {
        none()
    }

    async fn object_to_phone_recovery(
        &self,
        _request: Request<ObjectToPhoneRecoveryRequest>,
    ) -> Result<Response<ObjectToPhoneRecoveryResponse>, Status> {
        none()
    }

    async fn object_to_phone_recovery_by_code(
        &self,
        _request: Request<ObjectToPhoneRecoveryByCodeRequest>,
    ) -> Result<Response<ObjectToPhoneRecoveryByCodeResponse>, Status> {
        none()
    }

    async fn object_to_phone_recovery_by_notice(
        &self,
        _request: Request<ObjectToPhoneRecoveryByNoticeRequest>,
    ) -> Result<Response<ObjectToPhoneRecoveryByNoticeResponse>, Status> {
        none()
    }

    async fn complete_phone_recovery(
        &self,
        _request: Request<CompletePhoneRecoveryRequest>,
    ) -> Result<Response<CompletePhoneRecoveryResponse>, Status> {
        none()
    }
}
