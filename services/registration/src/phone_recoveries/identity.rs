//! identity, as it is told what administrators decided.

use uuid::Uuid;
use zhiyuan_contracts::identity::v1::phone_recovery_service_client::PhoneRecoveryServiceClient;
use zhiyuan_contracts::identity::v1::{
    ApprovePhoneRecoveryRequest, BatchGetPhoneRecoveriesRequest, BeginPhoneRecoveryRequest,
    CancelPhoneRecoveryRequest, ErrorReason, PhoneRecovery,
};
use zhiyuan_domain::Mobile;
use zhiyuan_rpc::{Remote, SuiteChannel};

use super::{Recovery, Refusal};
use crate::error::{Error, Result};

/// A client of identity's `PhoneRecoveryService`.
#[derive(Debug, Clone)]
pub(crate) struct Accounts {
    client: PhoneRecoveryServiceClient<SuiteChannel>,
}

const NOTHING: Error = Error::Contract("a recovery is missing");

impl Accounts {
    pub(crate) fn new(channel: SuiteChannel) -> Self {
        Self { client: PhoneRecoveryServiceClient::new(channel) }
    }

    /// Begins a recovery; the same answer again and again, or why not.
    pub(super) async fn begin(
        &self,
        recovery: &Recovery,
        new_phone: &Mobile,
    ) -> Result<std::result::Result<PhoneRecovery, Refusal>> {
        let request = BeginPhoneRecoveryRequest {
            recovery_id: recovery.recovery_id.to_string(),
            account_id: recovery.volunteer_id.to_string(),
            new_phone: new_phone.as_e164().to_owned(),
            started_by: recovery.started_by.to_string(),
        };
        let remote = match self.client.clone().begin_phone_recovery(request).await {
            Ok(answer) => return answer.into_inner().recovery.ok_or(NOTHING).map(Ok),
            Err(status) => Remote::from(status),
        };
        if remote.is(ErrorReason::RecoveryOpen) {
            Ok(Err(Refusal::Open))
        } else if remote.is(ErrorReason::AccountNotFound) {
            Ok(Err(Refusal::Gone))
        } else {
            Err(remote.into())
        }
    }

    /// Approves a recovery; nothing if identity doesn't have it, as its account is closed.
    pub(super) async fn approve(&self, id: Uuid, by: Uuid) -> Result<Option<PhoneRecovery>> {
        let request = ApprovePhoneRecoveryRequest {
            recovery_id: id.to_string(),
            approved_by: by.to_string(),
        };
        let remote = match self.client.clone().approve_phone_recovery(request).await {
            Ok(answer) => return answer.into_inner().recovery.ok_or(NOTHING).map(Some),
            Err(status) => Remote::from(status),
        };
        if remote.is(ErrorReason::RecoveryNotFound) { Ok(None) } else { Err(remote.into()) }
    }

    /// Cancels a recovery, known or not, unless it is over.
    pub(super) async fn cancel(&self, id: Uuid) -> Result<PhoneRecovery> {
        let request = CancelPhoneRecoveryRequest { recovery_id: id.to_string() };
        let answer = self.client.clone().cancel_phone_recovery(request).await;
        answer.map_err(Remote::from)?.into_inner().recovery.ok_or(NOTHING)
    }

    /// Those of the recoveries that identity has.
    pub(super) async fn get(&self, ids: &[Uuid]) -> Result<Vec<PhoneRecovery>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let recovery_ids = ids.iter().map(Uuid::to_string).collect();
        let request = BatchGetPhoneRecoveriesRequest { recovery_ids };
        let answer = self.client.clone().batch_get_phone_recoveries(request).await;
        Ok(answer.map_err(Remote::from)?.into_inner().recoveries)
    }
}
