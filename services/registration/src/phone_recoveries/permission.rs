//! Who may: administrators of the volunteer's organization, and, where the volunteer is an
//! administrator too, those who could give what the volunteer holds.

use std::time::Instant;

use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::authority_service_client::AuthorityServiceClient;
use zhiyuan_contracts::orgtree::v1::{ListAccountGrantsRequest, Permission};
use zhiyuan_domain::OrganizationCode;
use zhiyuan_rpc::authority::{Authority, Decision, Lease};
use zhiyuan_rpc::{Error as RpcError, Remote, SuiteChannel};

use crate::error::{Error, Result};

/// Asks orgtree.
#[derive(Debug, Clone)]
pub(crate) struct Administrators {
    authority: Authority,
    client: AuthorityServiceClient<SuiteChannel>,
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

/// Where nobody has to stand above.
impl From<Lease> for Allowed {
    fn from(lease: Lease) -> Self {
        Self { lease, above: Vec::new() }
    }
}

impl Administrators {
    pub(crate) fn new(orgtree: SuiteChannel) -> Self {
        let client = AuthorityServiceClient::new(orgtree.clone());
        Self { authority: Authority::new(orgtree), client }
    }

    /// Whether an administrator manages the members of an organization.
    ///
    /// # Errors
    /// `hidden` when no grant reaches it; `PERMISSION_MISSING`.
    pub(super) async fn manages(
        &self,
        administrator: Uuid,
        organization: &OrganizationCode,
        hidden: Error,
    ) -> Result<Lease> {
        let permission = Permission::ManageMembers;
        match self.authority.ask(administrator, organization, permission).await? {
            Decision::Allowed(lease) => Ok(lease),
            Decision::Forbidden => Err(RpcError::permission_missing(permission).into()),
            Decision::OutOfScope => Err(hidden),
        }
    }

    /// Whether an administrator may also act on the account of a volunteer who holds grants:
    /// who could give each of them can take nothing that is not his to give.
    ///
    /// # Errors
    /// As `manages`; `RecoveryOfAdministrator`.
    pub(super) async fn acts_on(
        &self,
        administrator: Uuid,
        (volunteer_id, organization): (Uuid, &OrganizationCode),
        hidden: Error,
    ) -> Result<Allowed> {
        let mut places = Vec::new();
        let mut request = ListAccountGrantsRequest {
            account_id: volunteer_id.to_string(),
            ..ListAccountGrantsRequest::default()
        };
        // The first question, so that the leases are young.
        self.manages(administrator, organization, hidden).await?;
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
        let mut above = Vec::new();
        for place in &places {
            let place = OrganizationCode::parse(place)
                .map_err(|_invalid| Error::Contract("a grant without an organization"))?;
            match self.authority.ask(administrator, &place, Permission::Grant).await? {
                Decision::Allowed(lease) => above.push(lease),
                Decision::Forbidden | Decision::OutOfScope => {
                    return Err(Error::RecoveryOfAdministrator);
                }
            }
        }
        let permission = Permission::ManageMembers;
        match self.authority.ask(administrator, organization, permission).await? {
            Decision::Allowed(lease) => Ok(Allowed { lease, above }),
            // Revoked between the two questions.
            Decision::Forbidden | Decision::OutOfScope => {
                Err(RpcError::permission_missing(permission).into())
            }
        }
    }
}
