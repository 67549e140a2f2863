//! Who may: administrators of the volunteer's organization, and, where the volunteer is an
//! administrator too, those who could give what the volunteer holds. Whether the two who are needed
//! are two, orgtree tells.

use std::time::Instant;

use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::authority_service_client::AuthorityServiceClient;
use zhiyuan_contracts::orgtree::v1::{
    CheckVoicesRequest, ListAccountGrantsRequest, Permission, Right, Voices,
};
use zhiyuan_domain::OrganizationCode;
use zhiyuan_rpc::authority::{Authority, Decision, Lease};
use zhiyuan_rpc::wire::timestamp;
use zhiyuan_rpc::{Error as RpcError, Remote, SuiteChannel};

use super::Fault;
use crate::error::{Error, Result};

/// Rights that orgtree is asked about at once.
const MOST_RIGHTS: usize = 500;

/// Asks orgtree.
#[derive(Debug, Clone)]
pub(crate) struct Administrators {
    authority: Authority,
    client: AuthorityServiceClient<SuiteChannel>,
}

/// Why an administrator does not act on somebody's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// No grant reaches the volunteer.
    OutOfScope,
    /// One does, without the permission.
    Missing,
    /// The volunteer holds what this administrator may not give.
    Below,
}

impl Unfit {
    /// What the administrator is told, who is told of nothing that is out of scope.
    pub(super) fn into_error(self, hidden: Fault) -> Error {
        match self {
            Self::OutOfScope => hidden.into(),
            Self::Missing => RpcError::permission_missing(Permission::ManageMembers).into(),
            Self::Below => Fault::OfAdministrator.into(),
        }
    }
}

/// What an administrator was allowed, for as long as it may be relied on.
#[derive(Debug)]
pub(super) struct Allowed {
    /// At the volunteer's organization.
    pub(super) lease: Lease,
    /// Where the volunteer is an administrator.
    above: Vec<Lease>,
    /// What was asked, of the administrator and of any other one.
    pub(super) rights: Vec<Right>,
}

impl Allowed {
    /// The last thing before a commit.
    ///
    /// # Errors
    /// `UNAVAILABLE` when one of the leases is over.
    pub(super) fn check(&self) -> Result<()> {
        let now = Instant::now();
        for lease in self.above.iter().chain([&self.lease]) {
            lease.check(now)?;
        }
        Ok(())
    }
}

impl Allowed {
    /// This, and what another administrator was allowed.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.above.extend(other.above);
        self.above.push(other.lease);
        self
    }
}

/// Where nobody has to stand above.
impl From<Lease> for Allowed {
    fn from(lease: Lease) -> Self {
        Self { lease, above: Vec::new(), rights: Vec::new() }
    }
}

/// Something that is to be done somewhere.
pub(crate) fn right(organization: &OrganizationCode, permission: Permission) -> Right {
    let organization_code = organization.as_str().to_owned();
    Right { organization_code, permission: permission.into() }
}

impl Administrators {
    pub(crate) fn new(authority: Authority, orgtree: SuiteChannel) -> Self {
        Self { authority, client: AuthorityServiceClient::new(orgtree) }
    }

    /// Whether an administrator manages the members of an organization.
    ///
    /// # Errors
    /// `hidden` when no grant reaches it; `PERMISSION_MISSING`.
    pub(super) async fn manages(
        &self,
        administrator: Uuid,
        organization: &OrganizationCode,
        hidden: Fault,
    ) -> Result<Lease> {
        let permission = Permission::ManageMembers;
        match self.authority.ask(administrator, organization, permission).await? {
            Decision::Allowed(lease) => Ok(lease),
            Decision::Forbidden => Err(RpcError::permission_missing(permission).into()),
            Decision::OutOfScope => Err(hidden.into()),
        }
    }

    /// Whether an administrator may also act on the account of a volunteer who holds grants:
    /// who could give each of them can take nothing that is not his to give. The grants that
    /// allow it are those that orgtree names: the nearest ones.
    ///
    /// # Errors
    /// Those of orgtree; who may not is told in the answer.
    pub(super) async fn acts_on(
        &self,
        administrator: Uuid,
        (volunteer_id, organization): (Uuid, &OrganizationCode),
    ) -> Result<std::result::Result<Allowed, Unfit>> {
        let members = Permission::ManageMembers;
        // The first question, so that the leases are young.
        match self.authority.ask(administrator, organization, members).await? {
            Decision::Allowed(_lease) => {}
            Decision::Forbidden => return Ok(Err(Unfit::Missing)),
            Decision::OutOfScope => return Ok(Err(Unfit::OutOfScope)),
        }
        let places = self.places_of(volunteer_id).await?;
        // As many as one question has room for, with the volunteer's own.
        if places.len() >= MOST_RIGHTS {
            return Ok(Err(Unfit::Below));
        }
        let mut rights = vec![right(organization, members)];
        rights.extend(places.iter().map(|place| right(place, Permission::Grant)));
        let mut above = Vec::new();
        for place in places {
            match self.authority.ask(administrator, &place, Permission::Grant).await? {
                Decision::Allowed(lease) => above.push(lease),
                Decision::Forbidden | Decision::OutOfScope => return Ok(Err(Unfit::Below)),
            }
        }
        let lease = match self.authority.ask(administrator, organization, members).await? {
            Decision::Allowed(lease) => lease,
            // Revoked between the two questions.
            Decision::Forbidden | Decision::OutOfScope => return Ok(Err(Unfit::Missing)),
        };
        Ok(Ok(Allowed { lease, above, rights }))
    }

    /// Whether an administrator has a voice where a decision takes these rights, and is independent
    /// of another one. Asked after what allows it, whose leases are then no older.
    ///
    /// # Errors
    /// Those of orgtree.
    pub(crate) async fn voices(
        &self,
        administrator: Uuid,
        other: Option<Uuid>,
        rights: &[Right],
        given_by: Option<OffsetDateTime>,
    ) -> Result<Voices> {
        let request = CheckVoicesRequest {
            account_id: administrator.to_string(),
            other_account_id: other.map(|id| id.to_string()).unwrap_or_default(),
            rights: rights.to_vec(),
            given_by_time: given_by.map(timestamp),
        };
        let answer = self.client.clone().check_voices(request).await.map_err(Remote::from)?;
        match answer.into_inner().voices() {
            Voices::Unspecified => Err(Error::Contract("voices of no known worth")),
            voices => Ok(voices),
        }
    }

    /// Where an account holds grants.
    pub(crate) async fn places_of(&self, account_id: Uuid) -> Result<Vec<OrganizationCode>> {
        let mut places = Vec::new();
        let mut request = ListAccountGrantsRequest {
            account_id: account_id.to_string(),
            ..ListAccountGrantsRequest::default()
        };
        loop {
            let answer = self.client.clone().list_account_grants(request.clone()).await;
            let page = answer.map_err(Remote::from)?.into_inner();
            places.extend(page.grants.into_iter().map(|grant| grant.organization_code));
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        places.sort_unstable();
        places.dedup();
        let parse = |place: &String| {
            OrganizationCode::parse(place)
                .map_err(|_invalid| Error::Contract("a grant without an organization"))
        };
        places.iter().map(parse).collect()
    }
}
