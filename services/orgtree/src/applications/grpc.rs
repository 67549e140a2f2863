//! `zhiyuan.orgtree.v1.OrganizationApplicationService`.

use prost::Message as _;
use time::OffsetDateTime;
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::organization_application_service_server::OrganizationApplicationService;
use zhiyuan_contracts::orgtree::v1::{
    DecideApplicationRequest, DecideApplicationResponse, GetMyApplicationRequest,
    GetMyApplicationResponse, ListApplicationsRequest, ListApplicationsResponse,
    ListMyApplicationsRequest, ListMyApplicationsResponse, OrganizationApplication,
    OrganizationContacts, RevealApplicationRequest, RevealApplicationResponse,
    SubmitApplicationRequest, SubmitApplicationResponse, UpdateApplicationRequest,
    UpdateApplicationResponse, WithdrawApplicationRequest, WithdrawApplicationResponse,
};
use zhiyuan_domain::{OrganizationCode, RequestId};
use zhiyuan_rpc::page::Page;
use zhiyuan_rpc::wire::timestamp;
use zhiyuan_rpc::{Fields, PersonIdentity};

use super::Application;
use super::db::{self, Listed};
use super::deciding::said_on_wire;
use super::form::{Corrected, Decision, New, application, look, withdrawal};
use super::submitting::own;
use crate::authority::grpc::key;
use crate::authority::{Permission, require};
use crate::error::Result;
use crate::organizations::changing::Changing;
use crate::requests::{self, DigestKey};

/// `OrganizationApplicationService`.
#[derive(Debug)]
pub(crate) struct Applications(pub(crate) Changing, pub(crate) DigestKey);

type Answer<T> = std::result::Result<Response<T>, Status>;

#[async_trait]
impl OrganizationApplicationService for Applications {
    async fn submit_application(
        &self,
        request: Request<SubmitApplicationRequest>,
    ) -> Answer<SubmitApplicationResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let (id, new) = New::parse(request.get_ref())?;
        let call = self.call(me, "SubmitApplication", id, &new.says());
        Ok(Response::new(self.submit(&call, &new).await?))
    }

    async fn get_my_application(
        &self,
        request: Request<GetMyApplicationRequest>,
    ) -> Answer<GetMyApplicationResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        Ok(Response::new(self.get_own(me, request.get_ref()).await?))
    }

    async fn list_my_applications(
        &self,
        request: Request<ListMyApplicationsRequest>,
    ) -> Answer<ListMyApplicationsResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        Ok(Response::new(self.list_own(me, request.get_ref()).await?))
    }

    async fn update_application(
        &self,
        request: Request<UpdateApplicationRequest>,
    ) -> Answer<UpdateApplicationResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let (id, new) = Corrected::parse(request.get_ref())?;
        let call = self.call(me, "UpdateApplication", id, &new.says());
        Ok(Response::new(self.resubmit(&call, &new).await?))
    }

    async fn withdraw_application(
        &self,
        request: Request<WithdrawApplicationRequest>,
    ) -> Answer<WithdrawApplicationResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let WithdrawApplicationRequest { request_id, application_id } = request.get_ref();
        let (request_id, id) = withdrawal(request_id, application_id)?;
        let call = requests::Request::new(me, "WithdrawApplication", request_id, id.as_bytes());
        self.withdraw(&call, id).await?;
        Ok(Response::new(WithdrawApplicationResponse {}))
    }

    async fn list_applications(
        &self,
        request: Request<ListApplicationsRequest>,
    ) -> Answer<ListApplicationsResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        Ok(Response::new(self.list(me, request.get_ref()).await?))
    }

    async fn reveal_application(
        &self,
        request: Request<RevealApplicationRequest>,
    ) -> Answer<RevealApplicationResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let (id, purpose) = look(request.get_ref())?;
        let shown = self.reveal(me, id, &purpose).await?;
        let application = Some(to_wire(&shown, self.0.clock.now()));
        Ok(Response::new(RevealApplicationResponse { application }))
    }

    async fn decide_application(
        &self,
        request: Request<DecideApplicationRequest>,
    ) -> Answer<DecideApplicationResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let (id, decision) = Decision::parse(request.get_ref())?;
        let says = decision.says().encode_to_vec();
        let call = requests::Request::new(me, "DecideApplication", id, &says);
        Ok(Response::new(self.decide(&call, &decision).await?))
    }
}

impl Applications {
    /// A call of the applicant, with what it says in one spelling; whom to ask is deleted before
    /// the call is forgotten.
    fn call(
        &self,
        caller: Uuid,
        method: &'static str,
        request_id: RequestId,
        says: &impl prost::Message,
    ) -> requests::Request {
        requests::Request::keyed(&self.1, caller, method, request_id, &says.encode_to_vec())
    }

    async fn get_own(
        &self,
        me: Uuid,
        request: &GetMyApplicationRequest,
    ) -> Result<GetMyApplicationResponse> {
        let mut fields = Fields::new();
        let id = fields.take("application_id", application(&request.application_id));
        let Some(id) = id else { return Err(fields.into_error().into()) };
        let found = own(db::find(&self.0.pool, id).await?, me)?;
        let application = Some(to_wire(&found, self.0.clock.now()));
        Ok(GetMyApplicationResponse { application })
    }

    async fn list_own(
        &self,
        me: Uuid,
        request: &ListMyApplicationsRequest,
    ) -> Result<ListMyApplicationsResponse> {
        let filter = ["my_applications", &me.to_string()];
        let page = Page::parse(request.page_size, &request.page_token, &filter)?;
        let after = page.after_key(key)?;
        let found = db::list_own(&self.0.pool, me, after, page.fetch()).await?;
        let (found, next_page_token) = page.cut(found, |one| one.id.to_string());
        let now = self.0.clock.now();
        let applications = found.iter().map(|one| to_wire(one, now)).collect();
        Ok(ListMyApplicationsResponse { applications, next_page_token })
    }

    async fn list(
        &self,
        me: Uuid,
        request: &ListApplicationsRequest,
    ) -> Result<ListApplicationsResponse> {
        let mut fields = Fields::new();
        let code = OrganizationCode::parse(&request.organization_code);
        let code = fields.take("organization_code", code);
        let Some(code) = code else { return Err(fields.into_error().into()) };
        let which = if request.waiting_only { "waiting" } else { "" };
        let filter = ["applications", &me.to_string(), code.as_str(), which];
        let page = Page::parse(request.page_size, &request.page_token, &filter)?;
        let (after, now) = (page.after_key(key)?, self.0.clock.now());
        let permission = Permission::ManageOrganization;
        require(&self.0.pool, me, code.as_str(), permission, now).await?;
        let listed = Listed {
            reader: me,
            below: code.as_str(),
            waiting_only: request.waiting_only,
            after,
            limit: page.fetch(),
        };
        let found = db::list(&self.0.pool, listed, now).await?;
        let (found, next_page_token) = page.cut(found, |one| one.id.to_string());
        let applications = found.iter().map(|one| masked(to_wire(one, now))).collect();
        Ok(ListApplicationsResponse { applications, next_page_token })
    }
}

/// Characters of a number that a list shows.
const SHOWN: usize = 4;

/// Without whom to ask, who is often a person with a number of their own.
fn masked(mut one: OrganizationApplication) -> OrganizationApplication {
    if let Some(contacts) = one.details.as_mut().and_then(|details| details.contacts.as_mut()) {
        let OrganizationContacts { phone, group_number, .. } = contacts;
        for number in [phone, group_number] {
            *number = tail_of(number);
        }
    }
    one
}

/// A number with stars for all letters and digits but the last ones.
fn tail_of(number: &str) -> String {
    let mut hidden = number.chars().filter(|c| c.is_alphanumeric()).count().saturating_sub(SHOWN);
    let star = |c: char| {
        if c.is_alphanumeric() && hidden > 0 {
            hidden -= 1;
            return '*';
        }
        c
    };
    number.chars().map(star).collect()
}

fn to_wire(one: &Application, now: OffsetDateTime) -> OrganizationApplication {
    let code = one.made.as_ref().map(|made| made.organization_code.clone());
    OrganizationApplication {
        id: one.id.to_string(),
        applicant_account_id: one.applicant.to_string(),
        superior_code: one.superior_code.clone(),
        kind: one.kind.number().into(),
        details: Some(said_on_wire(&one.said)),
        purpose: one.purpose.clone(),
        state: one.standing(now).number().into(),
        create_time: Some(timestamp(one.submitted_at)),
        update_time: Some(timestamp(one.changed_at)),
        expire_time: Some(timestamp(one.expires_at)),
        note: one.note.clone(),
        organization_code: code.unwrap_or_default(),
        etag: one.revision.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_shows_the_last_four_of_a_number() {
        for (number, shown) in [
            ("", ""),
            ("13800001234", "*******1234"),
            ("0551-67712345", "****-****2345"),
            ("13800001234、13900005678", "***********、*******5678"),
            ("12355", "*2355"),
        ] {
            assert_eq!(tail_of(number), shown);
        }
    }
}
