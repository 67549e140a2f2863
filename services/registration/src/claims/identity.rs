//! identity, as it is asked about claims, and told what administrators decided.

use time::OffsetDateTime;
use tonic::Status;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::claim_service_client::ClaimServiceClient;
use zhiyuan_contracts::identity::v1::{
    AcceptClaimRequest, BatchGetClaimsRequest, CarryOutClaimRequest, ClaimState, ClaimStatus,
    ErrorReason, RejectClaimRequest, ShowClaimRequest, ShowClaimResponse,
};
use zhiyuan_domain::Remark;
use zhiyuan_rpc::wire::from_timestamp;
use zhiyuan_rpc::{Remote, SuiteChannel};

use super::Fault;
use crate::error::{Error, Result};

/// A client of identity's `ClaimService`.
#[derive(Debug, Clone)]
pub(crate) struct Sides {
    client: ClaimServiceClient<SuiteChannel>,
}

/// How a claim stands at identity, while it goes on there.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) state: ClaimState,
    pub(super) masked_name: String,
    /// Whether the viewer is a side of it, or a guardian of one.
    pub(super) own: bool,
    pub(super) expires_at: Option<OffsetDateTime>,
    pub(super) carry_out_after: Option<OffsetDateTime>,
}

impl Standing {
    fn of(status: ClaimStatus) -> Self {
        Self {
            state: status.state(),
            expires_at: status.expire_time.as_ref().and_then(from_timestamp),
            carry_out_after: status.carry_out_after_time.as_ref().and_then(from_timestamp),
            masked_name: status.masked_name,
            own: status.own,
        }
    }

    /// Whether it may still be carried out.
    pub(super) fn goes_on(&self) -> bool {
        matches!(self.state, ClaimState::Open | ClaimState::Accepted)
    }
}

const NOTHING: Error = Error::Contract("a claim is missing");

impl Sides {
    pub(crate) fn new(channel: SuiteChannel) -> Self {
        Self { client: ClaimServiceClient::new(channel) }
    }

    /// Those of the claims that identity has, each with its id.
    pub(super) async fn get(
        &self,
        ids: &[Uuid],
        viewer: Option<Uuid>,
    ) -> Result<Vec<(Uuid, Standing)>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let request = BatchGetClaimsRequest {
            claim_ids: ids.iter().map(Uuid::to_string).collect(),
            viewer_account_id: viewer.map(|id| id.to_string()).unwrap_or_default(),
        };
        let answer = self.client.clone().batch_get_claims(request).await.map_err(Remote::from)?;
        let standing = answer.into_inner().claims.into_iter().map(|status| {
            let id = Uuid::try_parse(&status.claim_id);
            let id = id.map_err(|_form| Error::Contract("claim_id"))?;
            Ok((id, Standing::of(status)))
        });
        standing.collect()
    }

    /// Both sides of a claim; identity records the look.
    pub(super) async fn show(
        &self,
        viewer: Uuid,
        id: Uuid,
        purpose: &Remark,
    ) -> Result<ShowClaimResponse> {
        let request = ShowClaimRequest {
            claim_id: id.to_string(),
            viewer_account_id: viewer.to_string(),
            purpose: purpose.as_str().to_owned(),
        };
        let answer = self.client.clone().show_claim(request).await;
        Ok(answer.map_err(refusal)?.into_inner())
    }

    /// Tells that two have accepted a claim.
    pub(super) async fn accept(
        &self,
        (id, holder): (Uuid, Uuid),
        [first, second]: [Uuid; 2],
    ) -> Result<Standing> {
        let request = AcceptClaimRequest {
            claim_id: id.to_string(),
            first_by: first.to_string(),
            second_by: second.to_string(),
            holder_id: holder.to_string(),
        };
        let answer = self.client.clone().accept_claim(request).await;
        answer.map_err(refusal)?.into_inner().claim.map(Standing::of).ok_or(NOTHING)
    }

    /// Tells that a claim is rejected, or that nobody stands behind it any more.
    pub(super) async fn reject(
        &self,
        (id, holder): (Uuid, Uuid),
        by: Option<Uuid>,
    ) -> Result<Standing> {
        let request = RejectClaimRequest {
            claim_id: id.to_string(),
            rejected_by: by.map(|id| id.to_string()).unwrap_or_default(),
            holder_id: holder.to_string(),
        };
        let answer = self.client.clone().reject_claim(request).await;
        answer.map_err(refusal)?.into_inner().claim.map(Standing::of).ok_or(NOTHING)
    }

    /// Lets a claim be carried out; `None` if its delay is not over by identity's clock.
    pub(super) async fn carry_out(&self, id: Uuid) -> Result<Option<Standing>> {
        let request = CarryOutClaimRequest { claim_id: id.to_string() };
        match self.client.clone().carry_out_claim(request).await {
            Ok(answer) => answer.into_inner().claim.map(Standing::of).ok_or(NOTHING).map(Some),
            Err(status) => {
                let remote = Remote::from(status);
                if remote.is(ErrorReason::ClaimTooEarly) { Ok(None) } else { Err(remote.into()) }
            }
        }
    }
}

/// What identity knows better.
fn refusal(status: Status) -> Error {
    let remote = Remote::from(status);
    if remote.is(ErrorReason::ClaimOwn) {
        Error::ReviewOfOneself
    } else if remote.is(ErrorReason::ClaimOver) {
        Fault::Over.into()
    } else if remote.is(ErrorReason::ClaimNotFound) {
        Fault::NotFound.into()
    } else {
        remote.into()
    }
}
