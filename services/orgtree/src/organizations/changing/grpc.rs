//! `zhiyuan.orgtree.v1.OrganizationAdminService`.

use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::organization_admin_service_server::OrganizationAdminService;
use zhiyuan_contracts::orgtree::v1::{
    ApproveProposalRequest, ApproveProposalResponse, CloseOrganizationRequest,
    CloseOrganizationResponse, CreateOrganizationRequest, CreateOrganizationResponse,
    ListProposalsRequest, ListProposalsResponse, MoveOrganizationRequest, MoveOrganizationResponse,
    ProposeChangeRequest, ProposeChangeResponse, ProposeSplitRequest, ProposeSplitResponse,
    UpdateOrganizationRequest, UpdateOrganizationResponse, WithdrawProposalRequest,
    WithdrawProposalResponse,
};
use zhiyuan_domain::{OrganizationCode, RequestId};
use zhiyuan_rpc::page::Page;
use zhiyuan_rpc::{Fields, PersonIdentity};

use super::changes::Work;
use super::form::{Close, Move, Update, decision};
use super::proposals::NewProposal;
use super::{Changing, NewOrganization};
use crate::requests;

/// `OrganizationAdminService`.
#[derive(Debug)]
pub(crate) struct OrganizationAdmin(pub(crate) Changing);

/// Proposals of one page: each may say twenty parts.
const MOST: i32 = 50;

type Answer<T> = std::result::Result<Response<T>, Status>;

/// A call of a person, with what it says in one spelling.
fn call(
    caller: Uuid,
    method: &'static str,
    request_id: RequestId,
    says: &impl prost::Message,
) -> requests::Request {
    requests::Request::new(caller, method, request_id, &says.encode_to_vec())
}

#[async_trait]
impl OrganizationAdminService for OrganizationAdmin {
    async fn create_organization(
        &self,
        request: Request<CreateOrganizationRequest>,
    ) -> Answer<CreateOrganizationResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let (id, new) = NewOrganization::parse(request.get_ref())?;
        let call = call(me, "CreateOrganization", id, &new.says());
        let organization = Some(self.0.change(&call, Work::Create(&new)).await?);
        Ok(Response::new(CreateOrganizationResponse { organization }))
    }

    async fn update_organization(
        &self,
        request: Request<UpdateOrganizationRequest>,
    ) -> Answer<UpdateOrganizationResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let (id, new) = Update::parse(request.get_ref())?;
        let call = call(me, "UpdateOrganization", id, &new.says());
        let organization = Some(self.0.change(&call, Work::Update(&new)).await?);
        Ok(Response::new(UpdateOrganizationResponse { organization }))
    }

    async fn move_organization(
        &self,
        request: Request<MoveOrganizationRequest>,
    ) -> Answer<MoveOrganizationResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let (id, new) = Move::parse(request.get_ref())?;
        let call = call(me, "MoveOrganization", id, &new.says());
        let organization = Some(self.0.change(&call, Work::Move(&new)).await?);
        Ok(Response::new(MoveOrganizationResponse { organization }))
    }

    async fn close_organization(
        &self,
        request: Request<CloseOrganizationRequest>,
    ) -> Answer<CloseOrganizationResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let (id, new) = Close::parse(request.get_ref())?;
        let call = call(me, "CloseOrganization", id, &new.says());
        let organization = Some(self.0.change(&call, Work::Close(&new)).await?);
        Ok(Response::new(CloseOrganizationResponse { organization }))
    }

    async fn propose_change(
        &self,
        request: Request<ProposeChangeRequest>,
    ) -> Answer<ProposeChangeResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let (id, new) = NewProposal::parse(request.get_ref())?;
        let call = call(me, "ProposeChange", id, &new.says());
        let proposal = Some(self.0.propose(&call, &new).await?);
        Ok(Response::new(ProposeChangeResponse { proposal }))
    }

    async fn propose_split(
        &self,
        request: Request<ProposeSplitRequest>,
    ) -> Answer<ProposeSplitResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let (id, new) = NewProposal::parse_split(request.get_ref())?;
        let call = call(me, "ProposeSplit", id, &new.says_split());
        let proposal = Some(self.0.propose(&call, &new).await?);
        Ok(Response::new(ProposeSplitResponse { proposal }))
    }

    async fn list_proposals(
        &self,
        request: Request<ListProposalsRequest>,
    ) -> Answer<ListProposalsResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let request = request.get_ref();
        let mut fields = Fields::new();
        let below = match request.organization_code.as_str() {
            "" => None,
            text => fields.take("organization_code", OrganizationCode::parse(text)),
        };
        fields.finish()?;
        let (reader, within) = (me.to_string(), below.as_ref().map(OrganizationCode::as_str));
        let filter = ["proposals", &reader, within.unwrap_or_default()];
        let size = if request.page_size == 0 { MOST } else { request.page_size.min(MOST) };
        let page = Page::parse(size, &request.page_token, &filter)?;
        let (proposals, next_page_token) = self.0.proposals(me, below.as_ref(), &page).await?;
        Ok(Response::new(ListProposalsResponse { proposals, next_page_token }))
    }

    async fn approve_proposal(
        &self,
        request: Request<ApproveProposalRequest>,
    ) -> Answer<ApproveProposalResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let ApproveProposalRequest { request_id, proposal_id } = request.get_ref();
        let (request_id, id) = decision(request_id, proposal_id)?;
        let call = requests::Request::new(me, "ApproveProposal", request_id, id.as_bytes());
        let organization = Some(self.0.approve(&call, id).await?);
        Ok(Response::new(ApproveProposalResponse { organization }))
    }

    async fn withdraw_proposal(
        &self,
        request: Request<WithdrawProposalRequest>,
    ) -> Answer<WithdrawProposalResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let WithdrawProposalRequest { request_id, proposal_id } = request.get_ref();
        let (request_id, id) = decision(request_id, proposal_id)?;
        let call = requests::Request::new(me, "WithdrawProposal", request_id, id.as_bytes());
        self.0.withdraw(&call, id).await?;
        Ok(Response::new(WithdrawProposalResponse {}))
    }
}
