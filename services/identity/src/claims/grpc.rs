//! `zhiyuan.identity.v1.ClaimService`.

use tonic::{Request, Response, Status as RpcStatus, async_trait};
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::claim_service_server::ClaimService;
use zhiyuan_contracts::identity::v1::{
    AcceptClaimRequest, AcceptClaimResponse, BatchGetClaimsRequest, BatchGetClaimsResponse,
    CarryOutClaimRequest, CarryOutClaimResponse, ClaimState, ClaimStatus, ListMyClaimsRequest,
    ListMyClaimsResponse, MyClaim, RejectClaimRequest, RejectClaimResponse, RespondToClaimRequest,
    RespondToClaimResponse, ShowClaimRequest, ShowClaimResponse,
};
use zhiyuan_domain::{AccountId, EnrolmentId, Remark, Statement};
use zhiyuan_rpc::page::Page;
use zhiyuan_rpc::wire::timestamp;
use zhiyuan_rpc::{Fields, PersonIdentity};

use super::deciding::Status;
use super::{Claim, Claims, MOST, State};
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

    async fn list(&self, me: Uuid, request: &ListMyClaimsRequest) -> Result<ListMyClaimsResponse> {
        let page = Page::parse(request.page_size, &request.page_token, &["claims"])?;
        let before = page.after_key(|key| Uuid::try_parse(key).ok())?;
        let rows = self.claims.of_holder(me, before, page.fetch()).await?;
        let (rows, next_page_token) = page.cut(rows, |row| row.claim_id.to_string());
        let mut claims = Vec::with_capacity(rows.len());
        for row in rows {
            let said = self.claims.answer_of(&row).await?;
            claims.push(MyClaim {
                id: row.claim_id.to_string(),
                state: to_wire(row.state).into(),
                open_time: Some(timestamp(row.opened_at)),
                carry_out_after_time: row.carry_out_after.map(timestamp),
                end_time: row.ended_at.map(timestamp),
                statement: said.map(|said| said.as_str().to_owned()).unwrap_or_default(),
            });
        }
        Ok(ListMyClaimsResponse { claims, next_page_token })
    }

    async fn respond(&self, me: Uuid, request: &RespondToClaimRequest) -> Result<()> {
        let mut fields = Fields::new();
        let id = fields.take("claim_id", EnrolmentId::parse(&request.claim_id));
        let statement = fields.take("statement", Statement::parse(&request.statement));
        let (Some(id), Some(statement)) = (id, statement) else {
            return Err(fields.into_error().into());
        };
        self.claims.respond(me, id.as_uuid(), &statement).await
    }

    async fn batch_get(&self, request: &BatchGetClaimsRequest) -> Result<Vec<ClaimStatus>> {
        let mut fields = Fields::new();
        let asked = &request.claim_ids;
        if asked.is_empty() || asked.len() > MOST {
            let message = "请提供 1 至 500 份身份认领申请的标识";
            fields.refuse("claim_ids", "CLAIM_IDS_COUNT", message);
            return Err(fields.into_error().into());
        }
        let viewer = match &*request.viewer_account_id {
            "" => None,
            id => fields.take("viewer_account_id", AccountId::parse(id)),
        };
        let ids = asked.iter().enumerate().filter_map(|(index, id)| {
            fields.take(&format!("claim_ids[{index}]"), EnrolmentId::parse(id))
        });
        let ids: Vec<Uuid> = ids.map(|id| id.as_uuid()).collect();
        fields.finish()?;
        let viewer = viewer.map(|viewer| viewer.as_uuid());
        let statuses = self.claims.statuses(&ids, viewer).await?;
        Ok(statuses.into_iter().map(render).collect())
    }

    async fn show(&self, request: &ShowClaimRequest) -> Result<ShowClaimResponse> {
        let mut fields = Fields::new();
        let id = fields.take("claim_id", EnrolmentId::parse(&request.claim_id));
        let viewer = fields.take("viewer_account_id", AccountId::parse(&request.viewer_account_id));
        let purpose = fields.take("purpose", Remark::parse(&request.purpose));
        let (Some(id), Some(viewer), Some(purpose)) = (id, viewer, purpose) else {
            return Err(fields.into_error().into());
        };
        let sides = self.claims.show(viewer.as_uuid(), id.as_uuid(), &purpose).await?;
        let opened = &sides.opened;
        let guardian = opened.guardian.as_ref();
        let said = sides.holder_statement.as_ref();
        Ok(ShowClaimResponse {
            name: opened.name.as_str().to_owned(),
            id_number: opened.id_number.as_str().to_owned(),
            masked_phone: opened.phone.masked(),
            statement: sides.statement.as_str().to_owned(),
            guardian_name: guardian.map(|one| one.name.as_str().to_owned()).unwrap_or_default(),
            guardian_id_number: guardian
                .map(|one| one.id_number.as_str().to_owned())
                .unwrap_or_default(),
            holder_masked_phone: sides.holder_phone.masked(),
            holder_since_time: Some(timestamp(sides.holder_since)),
            holder_statement: said.map(|said| said.as_str().to_owned()).unwrap_or_default(),
        })
    }

    async fn accept(&self, request: &AcceptClaimRequest) -> Result<ClaimStatus> {
        let mut fields = Fields::new();
        let id = fields.take("claim_id", EnrolmentId::parse(&request.claim_id));
        let first = fields.take("first_by", AccountId::parse(&request.first_by));
        let second = fields.take("second_by", AccountId::parse(&request.second_by));
        let holder = holder(&mut fields, &request.holder_id);
        let (Some(id), Some(first), Some(second)) = (id, first, second) else {
            return Err(fields.into_error().into());
        };
        fields.finish()?;
        let by = [first.as_uuid(), second.as_uuid()];
        let claim = self.claims.accept((id.as_uuid(), holder), by).await?;
        self.rendered(claim).await
    }

    async fn reject(&self, request: &RejectClaimRequest) -> Result<ClaimStatus> {
        let mut fields = Fields::new();
        let id = fields.take("claim_id", EnrolmentId::parse(&request.claim_id));
        let by = match &*request.rejected_by {
            "" => None,
            by => fields.take("rejected_by", AccountId::parse(by)),
        };
        let holder = holder(&mut fields, &request.holder_id);
        let Some(id) = id else { return Err(fields.into_error().into()) };
        fields.finish()?;
        let by = by.map(|by| by.as_uuid());
        let claim = self.claims.reject((id.as_uuid(), holder), by).await?;
        self.rendered(claim).await
    }

    async fn carry_out(&self, request: &CarryOutClaimRequest) -> Result<ClaimStatus> {
        let mut fields = Fields::new();
        let id = fields.take("claim_id", EnrolmentId::parse(&request.claim_id));
        let Some(id) = id else { return Err(fields.into_error().into()) };
        let claim = self.claims.carry_out(id.as_uuid()).await?;
        self.rendered(claim).await
    }

    async fn rendered(&self, claim: Claim) -> Result<ClaimStatus> {
        Ok(render(self.claims.one(claim).await?))
    }
}

/// Whose account somebody has decided about; what is wrong is noted.
fn holder(fields: &mut Fields, id: &str) -> Option<Uuid> {
    match id {
        "" => None,
        id => fields.take("holder_id", AccountId::parse(id)).map(|id| id.as_uuid()),
    }
}

fn render(status: Status) -> ClaimStatus {
    let claim = status.claim;
    ClaimStatus {
        claim_id: claim.claim_id.to_string(),
        state: to_wire(claim.state).into(),
        masked_name: status.masked_name.unwrap_or_default(),
        own: status.own,
        expire_time: status.expires_at.map(timestamp),
        carry_out_after_time: claim.carry_out_after.map(timestamp),
    }
}

fn to_wire(state: State) -> ClaimState {
    match state {
        State::Open => ClaimState::Open,
        State::Accepted => ClaimState::Accepted,
        State::CarriedOut => ClaimState::CarriedOut,
        State::Rejected => ClaimState::Rejected,
        State::Expired => ClaimState::Expired,
        State::Ended => ClaimState::Ended,
    }
}

type Answer<T> = std::result::Result<Response<T>, RpcStatus>;

#[async_trait]
impl ClaimService for ClaimRpc {
    async fn list_my_claims(
        &self,
        request: Request<ListMyClaimsRequest>,
    ) -> Answer<ListMyClaimsResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        Ok(Response::new(self.list(me, request.get_ref()).await?))
    }

    async fn respond_to_claim(
        &self,
        request: Request<RespondToClaimRequest>,
    ) -> Answer<RespondToClaimResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        self.respond(me, request.get_ref()).await?;
        Ok(Response::new(RespondToClaimResponse {}))
    }

    async fn batch_get_claims(
        &self,
        request: Request<BatchGetClaimsRequest>,
    ) -> Answer<BatchGetClaimsResponse> {
        let claims = self.batch_get(request.get_ref()).await?;
        Ok(Response::new(BatchGetClaimsResponse { claims }))
    }

    async fn show_claim(&self, request: Request<ShowClaimRequest>) -> Answer<ShowClaimResponse> {
        Ok(Response::new(self.show(request.get_ref()).await?))
    }

    async fn accept_claim(
        &self,
        request: Request<AcceptClaimRequest>,
    ) -> Answer<AcceptClaimResponse> {
        let claim = Some(self.accept(request.get_ref()).await?);
        Ok(Response::new(AcceptClaimResponse { claim }))
    }

    async fn reject_claim(
        &self,
        request: Request<RejectClaimRequest>,
    ) -> Answer<RejectClaimResponse> {
        let claim = Some(self.reject(request.get_ref()).await?);
        Ok(Response::new(RejectClaimResponse { claim }))
    }

    async fn carry_out_claim(
        &self,
        request: Request<CarryOutClaimRequest>,
    ) -> Answer<CarryOutClaimResponse> {
        let claim = Some(self.carry_out(request.get_ref()).await?);
        Ok(Response::new(CarryOutClaimResponse { claim }))
    }
}
