//! `zhiyuan.registration.v1.ReviewService`.

use tonic::{Request, Response, Status, async_trait};
use zhiyuan_contracts::registration::v1::review_service_server::ReviewService;
use zhiyuan_contracts::registration::v1::{
    DecideReviewRequest, DecideReviewResponse, ListReviewsRequest, ListReviewsResponse,
    RevealReviewRequest, RevealReviewResponse, Review as WireReview,
};
use zhiyuan_domain::{AccountId, EnrolmentId, OrganizationCode, Remark, RequestId};
use zhiyuan_rpc::page::Page;
use zhiyuan_rpc::wire::timestamp;
use zhiyuan_rpc::{Fields, PersonIdentity};

use super::reviewing::Deciding;
use super::{Decision, Reviews};
use crate::error::Result;

/// `ReviewService`.
#[derive(Debug)]
pub(crate) struct ReviewRpc {
    reviews: Reviews,
}

impl ReviewRpc {
    pub(crate) fn new(reviews: Reviews) -> Self {
        Self { reviews }
    }

    async fn list(
        &self,
        me: AccountId,
        request: &ListReviewsRequest,
    ) -> Result<ListReviewsResponse> {
        let mut fields = Fields::new();
        let above = OrganizationCode::parse(&request.organization_code);
        let above = fields.take("organization_code", above);
        let Some(above) = above else { return Err(fields.into_error().into()) };
        let filter = ["reviews", above.as_str()];
        let page = Page::parse(request.page_size, &request.page_token, &filter)?;
        let (listed, next_page_token) = self.reviews.list(me, &above, &page).await?;
        let reviews = listed.into_iter().map(|listed| WireReview {
            id: listed.waiting.id.to_string(),
            organization_code: listed.waiting.organization,
            masked_name: listed.masked_name,
            submit_time: Some(timestamp(listed.waiting.submitted_at)),
            expire_time: Some(timestamp(listed.waiting.expires_at)),
        });
        Ok(ListReviewsResponse { reviews: reviews.collect(), next_page_token })
    }

    async fn reveal(
        &self,
        me: AccountId,
        request: &RevealReviewRequest,
    ) -> Result<RevealReviewResponse> {
        let mut fields = Fields::new();
        let id = fields.take("review_id", EnrolmentId::parse(&request.review_id));
        let purpose = fields.take("purpose", Remark::parse(&request.purpose));
        let (Some(id), Some(purpose)) = (id, purpose) else {
            return Err(fields.into_error().into());
        };
        let shown = self.reviews.reveal(me, id, &purpose).await?;
        Ok(RevealReviewResponse {
            name: shown.name,
            id_number: shown.id_number,
            guardian_name: shown.guardian_name,
            guardian_id_number: shown.guardian_id_number,
        })
    }

    async fn decide(
        &self,
        me: AccountId,
        request: &DecideReviewRequest,
    ) -> Result<DecideReviewResponse> {
        let mut fields = Fields::new();
        let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
        let review = fields.take("review_id", EnrolmentId::parse(&request.review_id));
        let decision = Decision::from_wire(request.decision());
        if decision.is_none() {
            fields.refuse("decision", "DECISION_UNKNOWN", "请选择审核结论");
        }
        let note = fields.take("note", Remark::parse_optional(&request.note));
        let (Some(request_id), Some(review), Some(decision), Some(note)) =
            (request_id, review, decision, note)
        else {
            return Err(fields.into_error().into());
        };
        self.reviews.decide(me, &Deciding { request_id, review, decision, note }).await?;
        Ok(DecideReviewResponse {})
    }
}

/// The administrator who calls.
fn caller<T>(request: &Request<T>) -> std::result::Result<AccountId, Status> {
    Ok(AccountId::from(PersonIdentity::of(request)?.account_id))
}

#[async_trait]
impl ReviewService for ReviewRpc {
    async fn list_reviews(
        &self,
        request: Request<ListReviewsRequest>,
    ) -> std::result::Result<Response<ListReviewsResponse>, Status> {
        let me = caller(&request)?;
        Ok(Response::new(self.list(me, request.get_ref()).await?))
    }

    async fn reveal_review(
        &self,
        request: Request<RevealReviewRequest>,
    ) -> std::result::Result<Response<RevealReviewResponse>, Status> {
        let me = caller(&request)?;
        Ok(Response::new(self.reveal(me, request.get_ref()).await?))
    }

    async fn decide_review(
        &self,
        request: Request<DecideReviewRequest>,
    ) -> std::result::Result<Response<DecideReviewResponse>, Status> {
        let me = caller(&request)?;
        Ok(Response::new(self.decide(me, request.get_ref()).await?))
    }
}
