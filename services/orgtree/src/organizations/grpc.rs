//! `zhiyuan.orgtree.v1.OrganizationService`.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use tonic::{Request, Response, Status, async_trait};
use zhiyuan_contracts::orgtree::v1::organization_service_server::OrganizationService;
use zhiyuan_contracts::orgtree::v1::{
    GetOrganizationRequest, GetOrganizationResponse, ListOrganizationsRequest,
    ListOrganizationsResponse, Organization as WireOrganization, OrganizationContacts,
    OrganizationKind, OrganizationState,
};
use zhiyuan_domain::OrganizationCode;
use zhiyuan_rpc::Fields;
use zhiyuan_rpc::page::Page;

use super::db::{self, Part, dated};
use super::search::Query;
use super::{Kind, Organization, State};
use crate::error::{Error, Result};

/// `zhiyuan.orgtree.v1.OrganizationService`.
#[derive(Debug)]
pub(crate) struct Organizations {
    pool: PgPool,
}

#[async_trait]
impl OrganizationService for Organizations {
    async fn list_organizations(
        &self,
        request: Request<ListOrganizationsRequest>,
    ) -> std::result::Result<Response<ListOrganizationsResponse>, Status> {
        Ok(Response::new(self.list(&request.into_inner()).await?))
    }

    async fn get_organization(
        &self,
        request: Request<GetOrganizationRequest>,
    ) -> std::result::Result<Response<GetOrganizationResponse>, Status> {
        Ok(Response::new(self.get(&request.into_inner()).await?))
    }
}

/// What is listed.
struct Wanted {
    parent: Option<OrganizationCode>,
    query: Option<Query>,
    as_of: Option<OffsetDateTime>,
    page: Page,
}

impl Organizations {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    async fn list(&self, request: &ListOrganizationsRequest) -> Result<ListOrganizationsResponse> {
        let Wanted { parent, query, as_of, page } = parse(request)?;
        let parent = parent.as_ref().map(OrganizationCode::as_str);
        let part = Part {
            registrable_only: request.registrable_only,
            after: page.after.as_deref(),
            limit: page.fetch(),
        };
        let mut connection = self.pool.acquire().await?;
        if let Some(at) = as_of {
            refuse_future(&mut connection, at).await?;
        }
        let organizations = match (&query, as_of) {
            (Some(query), _) => db::search(&mut connection, query, parent, part).await?,
            (None, Some(at)) => dated::children(&mut connection, at, parent, part).await?,
            (None, None) => db::children(&mut connection, parent, part).await?,
        };
        // Where something lies below, the one above exists.
        if let (true, Some(parent)) = (organizations.is_empty(), parent) {
            let exists = match as_of {
                Some(at) => dated::exists(&mut connection, at, parent).await?,
                None => db::exists(&mut connection, parent).await?,
            };
            if !exists {
                return Err(Error::OrganizationNotFound);
            }
        }
        let (organizations, next_page_token) = page.cut(organizations, |one| one.code.clone());
        Ok(ListOrganizationsResponse {
            organizations: organizations.into_iter().map(to_wire).collect(),
            next_page_token,
        })
    }

    async fn get(&self, request: &GetOrganizationRequest) -> Result<GetOrganizationResponse> {
        let mut fields = Fields::new();
        let code = fields.take("code", OrganizationCode::parse(&request.code));
        let as_of = fields.take_time("as_of_time", request.as_of_time.as_ref());
        let (Some(code), Some(as_of)) = (code, as_of) else {
            return Err(fields.into_error().into());
        };
        let mut connection = self.pool.acquire().await?;
        let organization = match as_of {
            Some(at) => {
                refuse_future(&mut connection, at).await?;
                dated::find(&mut connection, at, code.as_str()).await?
            }
            None => db::find(&mut connection, code.as_str()).await?,
        };
        let organization = organization.ok_or(Error::OrganizationNotFound)?;
        Ok(GetOrganizationResponse { organization: Some(to_wire(organization)) })
    }
}

fn parse(request: &ListOrganizationsRequest) -> Result<Wanted> {
    let mut fields = Fields::new();
    let parent = match request.parent_code.as_str() {
        "" => None,
        text => fields.take("parent_code", OrganizationCode::parse(text)),
    };
    let query = fields.take("query", Query::parse(&request.query)).flatten();
    let as_of = fields.take_time("as_of_time", request.as_of_time.as_ref());
    if let (Some(Some(_)), Some(_)) = (as_of, &query) {
        let message = "不能在过去的组织树中按名称查询，请去掉查询内容或时间";
        fields.refuse("as_of_time", "TIME_WITH_QUERY", message);
    }
    let Some(as_of) = as_of else { return Err(fields.into_error().into()) };
    fields.finish()?;
    let moment = as_of.map(|at| at.unix_timestamp_nanos().to_string()).unwrap_or_default();
    let mut filter = vec![
        "organizations",
        parent.as_ref().map(OrganizationCode::as_str).unwrap_or_default(),
        query.as_ref().map(Query::folded).unwrap_or_default(),
        if request.registrable_only { "registrable" } else { "" },
    ];
    if !moment.is_empty() {
        filter.push(&moment);
    }
    let page = Page::parse(request.page_size, &request.page_token, &filter)?;
    // Anybody can make a token: what is in it reaches the database as a code or not
    // at all.
    if page.after.as_deref().is_some_and(|after| OrganizationCode::parse(after).is_err()) {
        return Err(Error::PageToken);
    }
    Ok(Wanted { parent, query, as_of, page })
}

/// What will have been is not known.
async fn refuse_future(connection: &mut PgConnection, at: OffsetDateTime) -> Result<()> {
    if dated::is_past(connection, at).await? {
        return Ok(());
    }
    let mut fields = Fields::new();
    fields.refuse("as_of_time", "TIME_FUTURE", "只能查询过去某一时刻的组织，请填写已过去的时间");
    Err(fields.into_error().into())
}

/// An organization as everybody may read it.
pub(crate) fn to_wire(organization: Organization) -> WireOrganization {
    let takes_registrations = organization.takes_registrations();
    WireOrganization {
        code: organization.code,
        name: organization.name,
        kind: kind_to_wire(organization.kind).into(),
        parent_code: organization.parent_code.unwrap_or_default(),
        region_code: organization.region_code.unwrap_or_default(),
        state: state_to_wire(organization.state).into(),
        successor_code: organization.successor_code.unwrap_or_default(),
        takes_registrations,
        leaf: organization.leaf,
        contacts: Some(OrganizationContacts {
            phone: organization.contacts.phone,
            group_number: organization.contacts.group_number,
            note: organization.contacts.note,
        }),
        ancestor_names: organization.ancestor_names,
        etag: organization.revision.map(|revision| revision.to_string()).unwrap_or_default(),
        credit_code: organization.credit_code.unwrap_or_default(),
    }
}

fn kind_to_wire(kind: Kind) -> OrganizationKind {
    match kind {
        Kind::Provincial => OrganizationKind::Provincial,
        Kind::Municipal => OrganizationKind::Municipal,
        Kind::County => OrganizationKind::County,
        Kind::DirectCounty => OrganizationKind::DirectCounty,
        Kind::Township => OrganizationKind::Township,
        Kind::University => OrganizationKind::University,
        Kind::Enterprise => OrganizationKind::Enterprise,
        Kind::WorkCommittee => OrganizationKind::WorkCommittee,
        Kind::VolunteerGroup => OrganizationKind::VolunteerGroup,
    }
}

fn state_to_wire(state: State) -> OrganizationState {
    match state {
        State::Active => OrganizationState::Active,
        State::Closed => OrganizationState::Closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_and_names_are_those_of_the_contract() {
        for kind in Kind::ALL {
            let wire = kind_to_wire(kind);
            assert_eq!(wire as i32, i32::from(kind.number()));
            assert_eq!(wire.as_str_name(), format!("ORGANIZATION_KIND_{}", kind.name()));
        }
        for state in State::ALL {
            let wire = state_to_wire(state);
            assert_eq!(wire as i32, i32::from(state.number()));
            assert_eq!(wire.as_str_name(), format!("ORGANIZATION_STATE_{}", state.name()));
        }
    }
}
