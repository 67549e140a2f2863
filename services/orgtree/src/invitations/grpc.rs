//! `zhiyuan.orgtree.v1.InvitationService`.

use prost::Message as _;
use sqlx::PgPool;
use time::OffsetDateTime;
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_audit::Trail;
use zhiyuan_auth::SignedIn;
use zhiyuan_contracts::orgtree::v1::invitation_service_server::InvitationService;
use zhiyuan_contracts::orgtree::v1::{
    AcceptInvitationRequest, AcceptInvitationResponse, ConfirmInvitationRequest,
    ConfirmInvitationResponse, CreateDelegationRequest, CreateDelegationResponse,
    CreateInvitationRequest, CreateInvitationResponse, Grant as WireGrant, HandOverRequest,
    HandOverResponse, Invitation as WireInvitation, InvitationState, ListInvitationsRequest,
    ListInvitationsResponse, Role as WireRole, WithdrawInvitationRequest,
    WithdrawInvitationResponse,
};
use zhiyuan_domain::{OrganizationCode, Remark, RequestId, SharedClock, Violation};
use zhiyuan_rpc::page::Page;
use zhiyuan_rpc::wire::{from_timestamp, timestamp};
use zhiyuan_rpc::{Fields, PersonIdentity};

use super::changes::Changes;
use super::codes::{CheckNumber, Code};
use super::confirming::Own;
use super::db::{self, Listed};
use super::making::{NewInvitation, To};
use super::{Codes, Invitation, Standing, VALID_DAYS};
use crate::authority::ending::Endings;
use crate::authority::grpc::{key, no_id, no_role, no_time, to_wire as grant_to_wire, violation};
use crate::authority::{Permission, Role, Verdict, decide, reaching};
use crate::error::{Error, Result};
use crate::requests;

/// `InvitationService`.
#[derive(Debug)]
pub(crate) struct Invitations {
    pool: PgPool,
    clock: SharedClock,
    codes: Codes,
    changes: Changes,
}

type Answer<T> = std::result::Result<Response<T>, Status>;

#[async_trait]
impl InvitationService for Invitations {
    async fn create_invitation(
        &self,
        request: Request<CreateInvitationRequest>,
    ) -> Answer<CreateInvitationResponse> {
        let person = PersonIdentity::of(&request)?;
        Ok(Response::new(self.create(person, &request.into_inner()).await?))
    }

    async fn create_delegation(
        &self,
        request: Request<CreateDelegationRequest>,
    ) -> Answer<CreateDelegationResponse> {
        let person = PersonIdentity::of(&request)?;
        Ok(Response::new(self.delegate(person, &request.into_inner()).await?))
    }

    async fn accept_invitation(
        &self,
        request: Request<AcceptInvitationRequest>,
    ) -> Answer<AcceptInvitationResponse> {
        let person = PersonIdentity::of(&request)?;
        Ok(Response::new(self.accept(person, &request.into_inner()).await?))
    }

    async fn list_invitations(
        &self,
        request: Request<ListInvitationsRequest>,
    ) -> Answer<ListInvitationsResponse> {
        let person = PersonIdentity::of(&request)?;
        Ok(Response::new(self.list(person, &request.into_inner()).await?))
    }

    async fn confirm_invitation(
        &self,
        request: Request<ConfirmInvitationRequest>,
    ) -> Answer<ConfirmInvitationResponse> {
        let person = PersonIdentity::of(&request)?;
        let ConfirmInvitationRequest { request_id, invitation_id, check_number } =
            request.into_inner();
        let says = Confirmation { request_id, invitation_id, check_number };
        let grant = self.confirm(person, "ConfirmInvitation", &says, Own::Stays).await?;
        Ok(Response::new(ConfirmInvitationResponse { grant: Some(grant) }))
    }

    async fn hand_over(&self, request: Request<HandOverRequest>) -> Answer<HandOverResponse> {
        let person = PersonIdentity::of(&request)?;
        let HandOverRequest { request_id, invitation_id, check_number } = request.into_inner();
        let says = Confirmation { request_id, invitation_id, check_number };
        let grant = self.confirm(person, "HandOver", &says, Own::Ends).await?;
        Ok(Response::new(HandOverResponse { grant: Some(grant) }))
    }

    async fn withdraw_invitation(
        &self,
        request: Request<WithdrawInvitationRequest>,
    ) -> Answer<WithdrawInvitationResponse> {
        let person = PersonIdentity::of(&request)?;
        Ok(Response::new(self.withdraw(person, &request.into_inner()).await?))
    }
}

/// What two methods say alike.
struct Confirmation {
    request_id: String,
    invitation_id: String,
    check_number: String,
}

impl Invitations {
    pub(crate) fn new(
        pool: PgPool,
        clock: SharedClock,
        trail: Trail,
        codes: Codes,
        endings: Endings,
    ) -> Self {
        let changes = Changes::new(pool.clone(), clock.clone(), trail, codes.clone(), endings);
        Self { pool, clock, codes, changes }
    }

    async fn create(
        &self,
        person: SignedIn,
        request: &CreateInvitationRequest,
    ) -> Result<CreateInvitationResponse> {
        let mut fields = Fields::new();
        let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
        let code = OrganizationCode::parse(&request.organization_code);
        let code = fields.take("organization_code", code);
        let role = fields.take("role", Role::of_wire(request.role()).ok_or_else(no_role));
        let expires_at = request.expire_time.as_ref();
        let expires_at = expires_at.map(|at| from_timestamp(at).ok_or_else(no_time));
        let expires_at = fields.take("expire_time", expires_at.transpose());
        let note = fields.take("note", note(&request.note));
        let valid_days = fields.take("valid_days", days(request.valid_days));
        let (Some(request_id), Some(organization), Some(role), Some(grant_expires_at)) =
            (request_id, code, role, expires_at)
        else {
            return Err(fields.into_error().into());
        };
        let (Some(note), Some(valid_days)) = (note, valid_days) else {
            return Err(fields.into_error().into());
        };
        let to = To::Role(role);
        let new = NewInvitation { organization, to, grant_expires_at, note, valid_days };
        let says = CreateInvitationRequest {
            request_id: String::new(),
            organization_code: new.organization.as_str().to_owned(),
            note: new.note.as_ref().map(Remark::as_str).unwrap_or_default().to_owned(),
            valid_days,
            ..request.clone()
        };
        let says = says.encode_to_vec();
        let call = requests::Request::new(person.account_id, "CreateInvitation", request_id, &says);
        let (invitation, invitation_code) = self.make(&call, &new).await?;
        Ok(CreateInvitationResponse { invitation: Some(invitation), invitation_code })
    }

    async fn delegate(
        &self,
        person: SignedIn,
        request: &CreateDelegationRequest,
    ) -> Result<CreateDelegationResponse> {
        let mut fields = Fields::new();
        let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
        let grant_id = fields.take("grant_id", key(&request.grant_id).ok_or_else(no_id));
        let code = OrganizationCode::parse(&request.organization_code);
        let code = fields.take("organization_code", code);
        let expires_at = request.expire_time.as_ref().and_then(from_timestamp);
        let expires_at = fields.take("expire_time", expires_at.ok_or_else(no_time));
        let note = fields.take("note", note(&request.note));
        let valid_days = fields.take("valid_days", days(request.valid_days));
        let (Some(request_id), Some(grant_id), Some(organization), Some(expires_at)) =
            (request_id, grant_id, code, expires_at)
        else {
            return Err(fields.into_error().into());
        };
        let (Some(note), Some(valid_days)) = (note, valid_days) else {
            return Err(fields.into_error().into());
        };
        let (to, grant_expires_at) = (To::Delegation(grant_id), Some(expires_at));
        let new = NewInvitation { organization, to, grant_expires_at, note, valid_days };
        let says = CreateDelegationRequest {
            request_id: String::new(),
            grant_id: grant_id.to_string(),
            organization_code: new.organization.as_str().to_owned(),
            note: new.note.as_ref().map(Remark::as_str).unwrap_or_default().to_owned(),
            valid_days,
            ..request.clone()
        };
        let says = says.encode_to_vec();
        let call = requests::Request::new(person.account_id, "CreateDelegation", request_id, &says);
        let (invitation, invitation_code) = self.make(&call, &new).await?;
        Ok(CreateDelegationResponse { invitation: Some(invitation), invitation_code })
    }

    /// The invitation as it was when it was made, and its code.
    async fn make(
        &self,
        call: &requests::Request,
        new: &NewInvitation,
    ) -> Result<(WireInvitation, String)> {
        let answer = |made: &Invitation, now| to_wire(made, now).encode_to_vec();
        let answer = self.changes.make(call, new, answer).await?;
        let invitation: WireInvitation = decode(&answer)?;
        let id = key(&invitation.id).ok_or(BROKEN)?;
        let code = self.codes.code_of(id).as_str().to_owned();
        Ok((invitation, code))
    }

    async fn accept(
        &self,
        person: SignedIn,
        request: &AcceptInvitationRequest,
    ) -> Result<AcceptInvitationResponse> {
        let mut fields = Fields::new();
        let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
        let code = fields.take("invitation_code", Code::parse(&request.invitation_code));
        let (Some(request_id), Some(code)) = (request_id, code) else {
            return Err(fields.into_error().into());
        };
        // Under the key: who reads the table could try all codes otherwise.
        let says = self.codes.digest(&code);
        let (me, method) = (person.account_id, "AcceptInvitation");
        let call = requests::Request::new(me, method, request_id, &says);
        let answer = |accepted: &Invitation| {
            let answer = AcceptInvitationResponse {
                invitation_id: accepted.id.to_string(),
                organization_code: accepted.organization_code.clone(),
                role: WireRole::from(accepted.role).into(),
                expire_time: Some(timestamp(accepted.ends_at())),
                check_number: String::new(),
            };
            answer.encode_to_vec()
        };
        let answer = self.changes.accept(&call, &code, answer).await?;
        let answer: AcceptInvitationResponse = decode(&answer)?;
        let id = key(&answer.invitation_id).ok_or(BROKEN)?;
        let check_number = self.codes.check_number(id, me).as_str().to_owned();
        Ok(AcceptInvitationResponse { check_number, ..answer })
    }

    async fn confirm(
        &self,
        person: SignedIn,
        method: &'static str,
        says: &Confirmation,
        own: Own,
    ) -> Result<WireGrant> {
        let mut fields = Fields::new();
        let request_id = fields.take("request_id", RequestId::parse(&says.request_id));
        let id = key(&says.invitation_id).ok_or_else(no_invitation_id);
        let id = fields.take("invitation_id", id);
        let number = fields.take("check_number", CheckNumber::parse(&says.check_number));
        let (Some(request_id), Some(id), Some(number)) = (request_id, id, number) else {
            return Err(fields.into_error().into());
        };
        // Under the key, as above: there are a million numbers.
        let says = self.codes.digest_of_number(id, &number);
        let call = requests::Request::new(person.account_id, method, request_id, &says);
        let answer = |grant: &crate::authority::Grant| grant_to_wire(grant).encode_to_vec();
        decode(&self.changes.confirm(&call, (id, &number), own, answer).await?)
    }

    async fn withdraw(
        &self,
        person: SignedIn,
        request: &WithdrawInvitationRequest,
    ) -> Result<WithdrawInvitationResponse> {
        let mut fields = Fields::new();
        let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
        let id = key(&request.invitation_id).ok_or_else(no_invitation_id);
        let id = fields.take("invitation_id", id);
        let (Some(request_id), Some(id)) = (request_id, id) else {
            return Err(fields.into_error().into());
        };
        let (me, says) = (person.account_id, id.as_bytes().as_slice());
        let call = requests::Request::new(me, "WithdrawInvitation", request_id, says);
        self.changes.withdraw(&call, id).await?;
        Ok(WithdrawInvitationResponse {})
    }

    async fn list(
        &self,
        person: SignedIn,
        request: &ListInvitationsRequest,
    ) -> Result<ListInvitationsResponse> {
        let mut fields = Fields::new();
        let code = match request.organization_code.as_str() {
            "" => None,
            text => fields.take("organization_code", OrganizationCode::parse(text)),
        };
        fields.finish()?;
        let below = code.as_ref().map(OrganizationCode::as_str);
        let me = person.account_id.to_string();
        let filter = ["invitations", &me, below.unwrap_or_default()];
        let page = Page::parse(request.page_size, &request.page_token, &filter)?;
        let (after, now) = (page.after_key(key)?, self.clock.now());
        if let Some(below) = below {
            let reaching = reaching(&self.pool, person.account_id, below, now).await?;
            match decide(&reaching, Permission::Grant) {
                Verdict::Allowed(_) => {}
                Verdict::Forbidden => return Err(Error::PermissionMissing(Permission::Grant)),
                Verdict::OutOfScope => return Err(Error::OrganizationNotFound),
            }
        }
        let listed = Listed { reader: person.account_id, below, after, limit: page.fetch() };
        let found = db::list(&self.pool, listed, now).await?;
        let (found, next_page_token) = page.cut(found, |one| one.id.to_string());
        let invitations = found.iter().map(|one| to_wire(one, now)).collect();
        Ok(ListInvitationsResponse { invitations, next_page_token })
    }
}

/// An answer that was kept is none.
const BROKEN: Error = Error::Inconsistent("orgtree.request");

fn decode<T: prost::Message + Default>(answer: &[u8]) -> Result<T> {
    T::decode(answer).map_err(|_form| BROKEN)
}

fn note(text: &str) -> std::result::Result<Option<Remark>, Violation> {
    Remark::parse_optional(text).map_err(|error| violation(error.reason(), error.message()))
}

fn days(days: i32) -> std::result::Result<i32, Violation> {
    match days {
        0 => Ok(VALID_DAYS),
        1..=VALID_DAYS => Ok(days),
        _ => Err(violation("VALID_DAYS_RANGE", "邀请码的有效天数应为 1 至 20 天，请重新填写")),
    }
}

fn no_invitation_id() -> Violation {
    violation("ID_FORMAT", "邀请标识格式不正确，应为带连字符的 36 位 UUID")
}

fn to_wire(invitation: &Invitation, now: OffsetDateTime) -> WireInvitation {
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    WireInvitation {
        id: invitation.id.to_string(),
        organization_code: invitation.organization_code.clone(),
        role: WireRole::from(invitation.role).into(),
        state: InvitationState::from(invitation.standing(now)).into(),
        invited_by: invitation.invited_by.to_string(),
        create_time: Some(timestamp(invitation.created_at)),
        expire_time: Some(timestamp(invitation.ends_at())),
        grant_expire_time: invitation.grant_expires_at.map(timestamp),
        note: invitation.note.clone(),
        account_id: text(invitation.accepted.map(|accepted| accepted.account_id)),
        accept_time: invitation.accepted.map(|accepted| timestamp(accepted.at)),
        grant_id: text(invitation.grant_id),
        delegated_from: text(invitation.delegated_from),
    }
}

impl From<Standing> for InvitationState {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Open => Self::Open,
            Standing::Accepted(_) => Self::Accepted,
            Standing::Confirmed => Self::Confirmed,
            Standing::Withdrawn => Self::Withdrawn,
            Standing::Expired => Self::Expired,
        }
    }
}
