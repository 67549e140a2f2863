//! `zhiyuan.registration.v1.ClaimService`.

use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_contracts::registration::v1::claim_service_server::ClaimService;
use zhiyuan_contracts::registration::v1::{
    Claim as WireClaim, DecideClaimRequest, DecideClaimResponse, ListClaimsRequest,
    ListClaimsResponse, RevealClaimRequest, RevealClaimResponse,
};
use zhiyuan_domain::{EnrolmentId, OrganizationCode, Remark, RequestId};
use zhiyuan_rpc::page::Page;
use zhiyuan_rpc::wire::timestamp;
use zhiyuan_rpc::{Fields, PersonIdentity};

use super::deciding::Deciding;
use super::listing::Listed;
use super::{Claims, Decision};
use crate::error::Result;

/// `ClaimService`.
#[derive(Debug)]
pub(crate) struct ClaimRpc {
    claims: Claims,
}

impl ClaimRpc {
    pub(crate) fn new(claims: Claims) -> Self {
        Self { claims }
    }

    async fn list(&self, me: Uuid, request: &ListClaimsRequest) -> Result<ListClaimsResponse> {
        let mut fields = Fields::new();
        let above = OrganizationCode::parse(&request.organization_code);
        let above = fields.take("organization_code", above);
        let Some(above) = above else { return Err(fields.into_error().into()) };
        let filter = ["claims", above.as_str()];
        let page = Page::parse(request.page_size, &request.page_token, &filter)?;
        let (listed, next_page_token) = self.claims.list(me, &above, &page).await?;
        let claims = listed.into_iter().map(render).collect();
        Ok(ListClaimsResponse { claims, next_page_token })
    }

    async fn reveal(&self, me: Uuid, request: &RevealClaimRequest) -> Result<RevealClaimResponse> {
        let mut fields = Fields::new();
        let id = fields.take("claim_id", EnrolmentId::parse(&request.claim_id));
        let purpose = fields.take("purpose", Remark::parse(&request.purpose));
        let (Some(id), Some(purpose)) = (id, purpose) else {
            return Err(fields.into_error().into());
        };
        let shown = self.claims.reveal(me, id.as_uuid(), &purpose).await?;
        Ok(RevealClaimResponse {
            name: shown.name,
            id_number: shown.id_number,
            masked_phone: shown.masked_phone,
            statement: shown.statement,
            guardian_name: shown.guardian_name,
            guardian_id_number: shown.guardian_id_number,
            holder_masked_phone: shown.holder_masked_phone,
            holder_since_time: shown.holder_since_time,
            holder_statement: shown.holder_statement,
        })
    }

    async fn decide(&self, me: Uuid, request: &DecideClaimRequest) -> Result<DecideClaimResponse> {
        let mut fields = Fields::new();
        let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
        let claim = fields.take("claim_id", EnrolmentId::parse(&request.claim_id));
        let decision = Decision::from_wire(request.decision());
        if decision.is_none() {
            fields.refuse("decision", "DECISION_UNKNOWN", "请选择核定结论");
        }
        let note = fields.take("note", Remark::parse_optional(&request.note));
        let (Some(request_id), Some(claim), Some(decision), Some(note)) =
            (request_id, claim, decision, note)
        else {
            return Err(fields.into_error().into());
        };
        let deciding = Deciding { request_id, claim: claim.as_uuid(), decision, note };
        self.claims.decide(me, &deciding).await?;
        Ok(DecideClaimResponse {})
    }
}

fn render(Listed { claim, standing }: Listed) -> WireClaim {
    let code = |code: Option<OrganizationCode>| code.map(|c| c.to_string()).unwrap_or_default();
    WireClaim {
        id: claim.claim_id.to_string(),
        state: standing.state.into(),
        masked_name: standing.masked_name,
        organization_code: claim.organization.to_string(),
        holder_organization_code: code(claim.holder_organization),
        roster_organization_code: code(claim.roster_organization),
        open_time: Some(timestamp(claim.opened_at)),
        expire_time: standing.expires_at.map(timestamp),
        accepted_by: claim.first_by.iter().chain(&claim.second_by).map(Uuid::to_string).collect(),
        carry_out_after_time: standing.carry_out_after.map(timestamp),
    }
}

type Answer<T> = std::result::Result<Response<T>, Status>;

#[async_trait]
impl ClaimService for ClaimRpc {
    async fn list_claims(&self, request: Request<ListClaimsRequest>) -> Answer<ListClaimsResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        Ok(Response::new(self.list(me, request.get_ref()).await?))
    }

    async fn reveal_claim(
        &self,
        request: Request<RevealClaimRequest>,
    ) -> Answer<RevealClaimResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        Ok(Response::new(self.reveal(me, request.get_ref()).await?))
    }

    async fn decide_claim(
        &self,
        request: Request<DecideClaimRequest>,
    ) -> Answer<DecideClaimResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        Ok(Response::new(self.decide(me, request.get_ref()).await?))
    }
}
