//! `zhiyuan.orgtree.v1.AuthorityService`.

use std::collections::BTreeSet;

use prost::Message as _;
use sqlx::PgPool;
use time::Duration;
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_audit::Trail;
use zhiyuan_auth::SignedIn;
use zhiyuan_contracts::orgtree::v1::authority_service_server::AuthorityService;
use zhiyuan_contracts::orgtree::v1::{
    CheckRequest, CheckResponse, CheckVoicesRequest, CheckVoicesResponse, CreateGrantRequest,
    CreateGrantResponse, FilterScopeRequest, FilterScopeResponse, FilterWithinRequest,
    FilterWithinResponse, Grant as WireGrant, ListAccountGrantsRequest, ListAccountGrantsResponse,
    ListGrantsRequest, ListGrantsResponse, ListMyGrantsRequest, ListMyGrantsResponse,
    Permission as WirePermission, RevokeGrantRequest, RevokeGrantResponse, Role as WireRole,
    Verdict as WireVerdict,
};
use zhiyuan_domain::{AccountId, OrganizationCode, RequestId, SharedClock, Violation};
use zhiyuan_rpc::page::Page;
use zhiyuan_rpc::wire::{from_timestamp, timestamp};
use zhiyuan_rpc::{Fields, PersonIdentity};

use super::changes::Changes;
use super::db::{self, Listed};
use super::ending::Endings;
use super::giving::NewGrant;
use super::scopes::OwnTree;
use super::{Grant, Permission, Role, Verdict, decide, lease, require, voices};
use crate::error::{Error, Result};
use crate::requests;

/// Organizations of one question.
const MOST_CODES: usize = 500;
/// Organizations that a scope is made of, and those of one question about it.
const MOST_SCOPE: usize = 20;
const MOST_ASKED: usize = 1000;

/// `AuthorityService`.
#[derive(Debug)]
pub(crate) struct Authority {
    pool: PgPool,
    clock: SharedClock,
    changes: Changes,
    /// How old the grants of two are behind which the same person stands.
    common_giver: Duration,
}

#[async_trait]
impl AuthorityService for Authority {
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> std::result::Result<Response<CheckResponse>, Status> {
        Ok(Response::new(self.decide(&request.into_inner()).await?))
    }

    async fn filter_within(
        &self,
        request: Request<FilterWithinRequest>,
    ) -> std::result::Result<Response<FilterWithinResponse>, Status> {
        Ok(Response::new(self.filter(&request.into_inner()).await?))
    }

    async fn check_voices(
        &self,
        request: Request<CheckVoicesRequest>,
    ) -> std::result::Result<Response<CheckVoicesResponse>, Status> {
        Ok(Response::new(self.voices(&request.into_inner()).await?))
    }

    async fn filter_scope(
        &self,
        request: Request<FilterScopeRequest>,
    ) -> std::result::Result<Response<FilterScopeResponse>, Status> {
        Ok(Response::new(self.scope(&request.into_inner()).await?))
    }

    async fn list_my_grants(
        &self,
        request: Request<ListMyGrantsRequest>,
    ) -> std::result::Result<Response<ListMyGrantsResponse>, Status> {
        let person = PersonIdentity::of(&request)?;
        Ok(Response::new(self.list_mine(person, &request.into_inner()).await?))
    }

    async fn list_account_grants(
        &self,
        request: Request<ListAccountGrantsRequest>,
    ) -> std::result::Result<Response<ListAccountGrantsResponse>, Status> {
        Ok(Response::new(self.list_of_account(&request.into_inner()).await?))
    }

    async fn list_grants(
        &self,
        request: Request<ListGrantsRequest>,
    ) -> std::result::Result<Response<ListGrantsResponse>, Status> {
        let person = PersonIdentity::of(&request)?;
        Ok(Response::new(self.list(person, &request.into_inner()).await?))
    }

    async fn create_grant(
        &self,
        request: Request<CreateGrantRequest>,
    ) -> std::result::Result<Response<CreateGrantResponse>, Status> {
        let person = PersonIdentity::of(&request)?;
        Ok(Response::new(self.give(person, &request.into_inner()).await?))
    }

    async fn revoke_grant(
        &self,
        request: Request<RevokeGrantRequest>,
    ) -> std::result::Result<Response<RevokeGrantResponse>, Status> {
        let person = PersonIdentity::of(&request)?;
        Ok(Response::new(self.revoke(person, &request.into_inner()).await?))
    }
}

impl Authority {
    pub(crate) fn new(
        pool: PgPool,
        clock: SharedClock,
        trail: Trail,
        endings: Endings,
        common_giver: Duration,
    ) -> Self {
        let changes = Changes::new(pool.clone(), clock.clone(), trail, endings);
        Self { changes, pool, clock, common_giver }
    }

    async fn decide(&self, request: &CheckRequest) -> Result<CheckResponse> {
        let mut fields = Fields::new();
        let account = fields.take("account_id", AccountId::parse(&request.account_id));
        let code = OrganizationCode::parse(&request.organization_code);
        let code = fields.take("organization_code", code);
        let permission = Permission::of_wire(request.permission()).ok_or_else(no_permission);
        let permission = fields.take("permission", permission);
        let (Some(account), Some(code), Some(permission)) = (account, code, permission) else {
            return Err(fields.into_error().into());
        };
        let now = self.clock.now();
        let reaching = db::reaching(&self.pool, account.as_uuid(), code.as_str(), now).await?;
        let (verdict, grant) = match decide(&reaching, permission) {
            Verdict::Allowed(grant) => (WireVerdict::Allowed, Some(grant)),
            Verdict::Forbidden => (WireVerdict::Forbidden, None),
            Verdict::OutOfScope => (WireVerdict::OutOfScope, None),
        };
        let lease_ms = grant.map_or(0, |grant| lease(grant, now).as_millis());
        Ok(CheckResponse {
            verdict: verdict.into(),
            grant: grant.map(to_wire),
            lease_ms: i64::try_from(lease_ms).unwrap_or_default(),
        })
    }

    async fn voices(&self, request: &CheckVoicesRequest) -> Result<CheckVoicesResponse> {
        let mut connection = self.pool.acquire().await.map_err(Error::from)?;
        voices::grpc::check(&mut connection, request, self.clock.now(), self.common_giver).await
    }

    async fn filter(&self, request: &FilterWithinRequest) -> Result<FilterWithinResponse> {
        let mut fields = Fields::new();
        let above = OrganizationCode::parse(&request.organization_code);
        let above = fields.take("organization_code", above);
        if !(1..=MOST_CODES).contains(&request.organization_codes.len()) {
            let message = "请提供 1 至 500 个组织代码";
            fields.refuse("organization_codes", "ORGANIZATION_CODES_COUNT", message);
            return Err(fields.into_error().into());
        }
        let codes: Vec<String> = request
            .organization_codes
            .iter()
            .enumerate()
            .filter_map(|(index, code)| {
                let code = OrganizationCode::parse(code);
                fields.take(&format!("organization_codes[{index}]"), code)
            })
            .map(|code| code.as_str().to_owned())
            .collect();
        let Some(above) = above else { return Err(fields.into_error().into()) };
        fields.finish()?;
        let organization_codes = db::within(&self.pool, above.as_str(), &codes).await?;
        Ok(FilterWithinResponse { organization_codes })
    }

    async fn scope(&self, request: &FilterScopeRequest) -> Result<FilterScopeResponse> {
        let mut fields = Fields::new();
        if !(1..=MOST_SCOPE).contains(&request.scope_codes.len()) {
            let message = "请提供 1 至 20 个组织代码作为范围";
            fields.refuse("scope_codes", "SCOPE_CODES_COUNT", message);
        }
        if request.organization_codes.len() > MOST_ASKED {
            let message = "一次最多查询 1000 个组织代码";
            fields.refuse("organization_codes", "ORGANIZATION_CODES_COUNT", message);
        }
        fields.finish()?;
        let mut fields = Fields::new();
        let mut parsed = |name: &str, codes: &[String]| -> BTreeSet<String> {
            let codes = codes.iter().enumerate().filter_map(|(index, code)| {
                fields.take(&format!("{name}[{index}]"), OrganizationCode::parse(code))
            });
            codes.map(|code| code.as_str().to_owned()).collect()
        };
        let scope = parsed("scope_codes", &request.scope_codes);
        let codes = parsed("organization_codes", &request.organization_codes);
        fields.finish()?;
        let (organization_codes, scope_version) =
            OwnTree(self.pool.clone()).look(&scope, &codes).await?;
        Ok(FilterScopeResponse { organization_codes, scope_version })
    }

    async fn list_mine(
        &self,
        person: SignedIn,
        request: &ListMyGrantsRequest,
    ) -> Result<ListMyGrantsResponse> {
        let me = person.account_id.to_string();
        let page = Page::parse(request.page_size, &request.page_token, &["my_grants", &me])?;
        let (after, now) = (page.after_key(key)?, self.clock.now());
        let limit = page.fetch();
        let grants = db::of_account(&self.pool, person.account_id, now, after, limit).await?;
        let (grants, next_page_token) = page.cut(grants, |grant| grant.id.to_string());
        Ok(ListMyGrantsResponse { grants: grants.iter().map(to_wire).collect(), next_page_token })
    }

    async fn list_of_account(
        &self,
        request: &ListAccountGrantsRequest,
    ) -> Result<ListAccountGrantsResponse> {
        let mut fields = Fields::new();
        let account = fields.take("account_id", AccountId::parse(&request.account_id));
        let Some(account) = account else { return Err(fields.into_error().into()) };
        let filter = ["account_grants", &account.to_string()];
        let page = Page::parse(request.page_size, &request.page_token, &filter)?;
        let (after, now) = (page.after_key(key)?, self.clock.now());
        let limit = page.fetch();
        let grants = db::of_account(&self.pool, account.as_uuid(), now, after, limit).await?;
        let (grants, next_page_token) = page.cut(grants, |grant| grant.id.to_string());
        let grants = grants.iter().map(to_wire).collect();
        Ok(ListAccountGrantsResponse { grants, next_page_token })
    }

    async fn list(
        &self,
        person: SignedIn,
        request: &ListGrantsRequest,
    ) -> Result<ListGrantsResponse> {
        let mut fields = Fields::new();
        let code = match request.organization_code.as_str() {
            "" => None,
            text => fields.take("organization_code", OrganizationCode::parse(text)),
        };
        fields.finish()?;
        let below = code.as_ref().map(OrganizationCode::as_str);
        let me = person.account_id.to_string();
        let filter = ["grants", &me, below.unwrap_or_default()];
        let page = Page::parse(request.page_size, &request.page_token, &filter)?;
        let (after, now) = (page.after_key(key)?, self.clock.now());
        if let Some(below) = below {
            require(&self.pool, person.account_id, below, Permission::Audit, now).await?;
        }
        let listed = Listed { reader: person.account_id, below, after, limit: page.fetch() };
        let grants = db::list(&self.pool, listed, now).await?;
        let (grants, next_page_token) = page.cut(grants, |grant| grant.id.to_string());
        Ok(ListGrantsResponse { grants: grants.iter().map(to_wire).collect(), next_page_token })
    }

    async fn give(
        &self,
        person: SignedIn,
        request: &CreateGrantRequest,
    ) -> Result<CreateGrantResponse> {
        let (request_id, new) = parse(request)?;
        let says = CreateGrantRequest {
            request_id: String::new(),
            account_id: new.account_id.to_string(),
            organization_code: new.organization.as_str().to_owned(),
            ..request.clone()
        };
        let says = says.encode_to_vec();
        let call = requests::Request::new(person.account_id, "CreateGrant", request_id, &says);
        let answer =
            |grant: &Grant| CreateGrantResponse { grant: Some(to_wire(grant)) }.encode_to_vec();
        let answer = self.changes.give(&call, &new, answer).await?;
        CreateGrantResponse::decode(answer.as_slice())
            .map_err(|_| Error::Inconsistent("orgtree.request"))
    }

    async fn revoke(
        &self,
        person: SignedIn,
        request: &RevokeGrantRequest,
    ) -> Result<RevokeGrantResponse> {
        let mut fields = Fields::new();
        let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
        let id = fields.take("grant_id", key(&request.grant_id).ok_or_else(no_id));
        let (Some(request_id), Some(id)) = (request_id, id) else {
            return Err(fields.into_error().into());
        };
        let (me, says) = (person.account_id, id.as_bytes().as_slice());
        let call = requests::Request::new(me, "RevokeGrant", request_id, says);
        self.changes.revoke(&call, id).await?;
        Ok(RevokeGrantResponse {})
    }
}

fn parse(request: &CreateGrantRequest) -> Result<(RequestId, NewGrant)> {
    let mut fields = Fields::new();
    let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
    let account = fields.take("account_id", AccountId::parse(&request.account_id));
    let code = OrganizationCode::parse(&request.organization_code);
    let code = fields.take("organization_code", code);
    let role = fields.take("role", Role::of_wire(request.role()).ok_or_else(no_role));
    let expires_at = request.expire_time.as_ref().map(|at| from_timestamp(at).ok_or_else(no_time));
    let expires_at = fields.take("expire_time", expires_at.transpose());
    let (Some(request_id), Some(account), Some(organization), Some(role), Some(expires_at)) =
        (request_id, account, code, role, expires_at)
    else {
        return Err(fields.into_error().into());
    };
    let account_id = account.as_uuid();
    let new = NewGrant {
        account_id,
        organization,
        role,
        expires_at,
        delegated_from: None,
        invited_by: None,
    };
    Ok((request_id, new))
}

/// The key of a list, and the id of a grant: one spelling, but for its case.
pub(crate) fn key(text: &str) -> Option<Uuid> {
    text.parse::<uuid::fmt::Hyphenated>().ok().map(Uuid::from)
}

pub(crate) fn violation(reason: &'static str, message: &str) -> Violation {
    Violation { reason, message: message.to_owned() }
}

pub(crate) fn no_id() -> Violation {
    violation("ID_FORMAT", "授权标识格式不正确，应为带连字符的 36 位 UUID")
}

pub(crate) fn no_role() -> Violation {
    violation("ROLE_UNKNOWN", "请选择要授予的角色")
}

pub(super) fn no_permission() -> Violation {
    violation("PERMISSION_UNKNOWN", "请指明要确认的权限")
}

pub(crate) fn no_time() -> Violation {
    violation("TIME_FORMAT", "授权截止时间不正确，请重新填写")
}

pub(crate) fn to_wire(grant: &Grant) -> WireGrant {
    WireGrant {
        id: grant.id.to_string(),
        account_id: grant.account_id.to_string(),
        organization_code: grant.organization_code.clone(),
        role: WireRole::from(grant.role).into(),
        create_time: Some(timestamp(grant.created_at)),
        expire_time: grant.expires_at.map(timestamp),
        granted_by: grant.granted_by.map(|id| id.to_string()).unwrap_or_default(),
        delegated_from: grant.delegated_from.map(|id| id.to_string()).unwrap_or_default(),
    }
}

impl From<Role> for WireRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Administrator => Self::Administrator,
            Role::Manager => Self::Manager,
            Role::Viewer => Self::Viewer,
            Role::Auditor => Self::Auditor,
        }
    }
}

impl Role {
    pub(crate) fn of_wire(role: WireRole) -> Option<Self> {
        match role {
            WireRole::Unspecified => None,
            WireRole::Administrator => Some(Self::Administrator),
            WireRole::Manager => Some(Self::Manager),
            WireRole::Viewer => Some(Self::Viewer),
            WireRole::Auditor => Some(Self::Auditor),
        }
    }
}

impl From<Permission> for WirePermission {
    fn from(permission: Permission) -> Self {
        match permission {
            Permission::Grant => Self::Grant,
            Permission::ManageOrganization => Self::ManageOrganization,
            Permission::ManageMembers => Self::ManageMembers,
            Permission::Review => Self::Review,
            Permission::Reveal => Self::Reveal,
            Permission::View => Self::View,
            Permission::Audit => Self::Audit,
        }
    }
}

impl Permission {
    pub(super) fn of_wire(permission: WirePermission) -> Option<Self> {
        Self::ALL.into_iter().find(|ours| WirePermission::from(*ours) == permission)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_contract() {
        for role in Role::ALL {
            let wire = WireRole::from(role);
            assert_eq!(wire as i32, i32::from(role.number()));
            assert_eq!(wire.as_str_name().to_lowercase(), format!("role_{}", role.name()));
            assert_eq!(Role::of_wire(wire), Some(role));
        }
        for permission in Permission::ALL {
            let wire = WirePermission::from(permission);
            assert_eq!(
                (wire as i32, Permission::of_wire(wire)),
                (permission as i32, Some(permission))
            );
        }
        assert_eq!(Role::of_wire(WireRole::Unspecified), None);
        assert_eq!(Permission::of_wire(WirePermission::Unspecified), None);
    }
}
