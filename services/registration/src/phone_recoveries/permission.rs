//! Who may: administrators of the volunteer's organization, and, where the volunteer is an
//! administrator too, those who could give what the volunteer holds. Of the two who are needed,
//! neither is one by the grace of the other, nor since yesterday.

use std::time::Instant;

use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::authority_service_client::AuthorityServiceClient;
use zhiyuan_contracts::orgtree::v1::{ListAccountGrantsRequest, Permission};
use zhiyuan_domain::OrganizationCode;
use zhiyuan_rpc::authority::{Authority, Decision, Lease};
use zhiyuan_rpc::{Error as RpcError, Remote, SuiteChannel};

use super::Fault;
use crate::error::{Error, Result};

/// Asks orgtree.
#[derive(Debug, Clone)]
pub(crate) struct Administrators {
    authority: Authority,
    client: AuthorityServiceClient<SuiteChannel>,
}

/// What a grant has to be, to act on somebody's account by it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ground {
    /// The other one of the two administrators, who has not given it.
    pub(crate) other: Option<Uuid>,
    /// It was given by then.
    pub(crate) given_by: Option<OffsetDateTime>,
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
    /// The grant is too young.
    Young,
    /// The other one has given it.
    OfOther,
}

impl Unfit {
    /// What the administrator is told, who is told of nothing that is out of scope.
    pub(super) fn into_error(self, hidden: Fault) -> Error {
        match self {
            Self::OutOfScope => hidden.into(),
            Self::Missing => RpcError::permission_missing(Permission::ManageMembers).into(),
            Self::Below => Fault::OfAdministrator.into(),
            Self::Young => Fault::GrantTooNew.into(),
            Self::OfOther => Fault::NeedsAnother.into(),
        }
    }
}

impl Ground {
    /// Why the grant of a lease is none to act by.
    pub(crate) fn refuses(self, lease: &Lease) -> Option<Unfit> {
        self.refuses_grant(lease.granted_by, lease.granted_at)
    }

    fn refuses_grant(
        self,
        granted_by: Option<Uuid>,
        granted_at: Option<OffsetDateTime>,
    ) -> Option<Unfit> {
        // What the operator gave, nobody gave to have a second voice.
        let giver = granted_by?;
        if self.other == Some(giver) {
            return Some(Unfit::OfOther);
        }
        let young = |by: &OffsetDateTime| granted_at.is_none_or(|at| at > *by);
        self.given_by.filter(young).map(|_by| Unfit::Young)
    }
}

/// What an administrator was allowed, for as long as it may be relied on.
#[derive(Debug)]
pub(super) struct Allowed {
    /// At the volunteer's organization.
    pub(super) lease: Lease,
    /// Where the volunteer is an administrator.
    above: Vec<Lease>,
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
        Self { lease, above: Vec::new() }
    }
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
        ground: Ground,
    ) -> Result<std::result::Result<Allowed, Unfit>> {
        let members = Permission::ManageMembers;
        // The first question, so that the leases are young.
        match self.authority.ask(administrator, organization, members).await? {
            Decision::Allowed(_lease) => {}
            Decision::Forbidden => return Ok(Err(Unfit::Missing)),
            Decision::OutOfScope => return Ok(Err(Unfit::OutOfScope)),
        }
        let mut above = Vec::new();
        for place in self.places_of(volunteer_id).await? {
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
        let unfit = above.iter().chain([&lease]).find_map(|lease| ground.refuses(lease));
        Ok(unfit.map_or(Ok(Allowed { lease, above }), Err))
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

#[cfg(test)]
mod tests {
    use time::Duration;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_grant_counts_once_it_is_old_and_not_of_the_other() {
        let (other, third) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let before = datetime!(2026-11-25 12:00 UTC);
        let of_two = Ground { other: Some(other), given_by: Some(before) };
        let alone = Ground { other: None, ..of_two };
        let later = Ground { given_by: None, ..of_two };
        let (old, young) = (Some(before), Some(before + Duration::SECOND));
        for (ground, granted_by, granted_at, expected) in [
            (of_two, Some(third), old, None),
            (of_two, Some(third), young, Some(Unfit::Young)),
            (of_two, Some(third), None, Some(Unfit::Young)),
            (of_two, Some(other), old, Some(Unfit::OfOther)),
            (of_two, Some(other), young, Some(Unfit::OfOther)),
            // Of the operator.
            (of_two, None, young, None),
            (alone, Some(other), old, None),
            (alone, Some(other), young, Some(Unfit::Young)),
            (later, Some(third), young, None),
            (later, Some(other), young, Some(Unfit::OfOther)),
        ] {
            let told = ground.refuses_grant(granted_by, granted_at);
            assert_eq!(told, expected, "{ground:?} {granted_by:?} {granted_at:?}");
        }
    }
}
