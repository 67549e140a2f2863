use sqlx::PgPool;
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

use super::db::{self, Part};
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
    page: Page,
}

impl Organizations {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    async fn list(&self, request: &ListOrganizationsRequest) -> Result<ListOrganizationsResponse> {
        let Wanted { parent, query, page } = parse(request)?;
        let parent = parent.as_ref().map(OrganizationCode::as_str);
        let part = Part {
            registrable_only: request.registrable_only,
            after: page.after.as_deref(),
            limit: page.fetch(),
        };
        let mut connection = self.pool.acquire().await?;
        let organizations = match &query {
            Some(query) => db::search(&mut connection, query, parent, part).await?,
            None => db::children(&mut connection, parent, part).await?,
        };
        // Where something lies below, the one above exists.
        if let (true, Some(parent)) = (organizations.is_empty(), parent)
            && !db::exists(&mut connection, parent).await?
        {
            return Err(Error::OrganizationNotFound);
        }
        let (organizations, next_page_token) = page.cut(organizations, |one| one.code.clone());
        Ok(ListOrganizationsResponse {
            organizations: organizations.into_iter().map(to_wire).collect(),
            next_page_token,
        })
    }

    async fn get(&self, request: &GetOrganizationRequest) -> Result<GetOrganizationResponse> {
        let mut fields = Fields::new();
        let Some(code) = fields.take("code", OrganizationCode::parse(&request.code)) else {
            return Err(fields.into_error().into());
        };
        let mut connection = self.pool.acquire().await?;
        let organization = db::find(&mut connection, code.as_str()).await?;
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
    fields.finish()?;
    let filter = [
        "organizations",
        parent.as_ref().map(OrganizationCode::as_str).unwrap_or_default(),
        query.as_ref().map(Query::folded).unwrap_or_default(),
        if request.registrable_only { "registrable" } else { "" },
    ];
    let page = Page::parse(request.page_size, &request.page_token, &filter)?;
    // Anybody can make a token: what is in it reaches the database as a code or not
    // at all.
    if page.after.as_deref().is_some_and(|after| OrganizationCode::parse(after).is_err()) {
        return Err(Error::PageToken);
    }
    Ok(Wanted { parent, query, page })
}

fn to_wire(organization: Organization) -> WireOrganization {
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
