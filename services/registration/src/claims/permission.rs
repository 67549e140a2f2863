//! Who may: administrators above each of the organizations concerned, who hold no grant at one of
//! them.

use std::collections::BTreeSet;

use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::Permission;
use zhiyuan_domain::OrganizationCode;
use zhiyuan_rpc::Error as RpcError;
use zhiyuan_rpc::authority::{Authority, Lease, Refused};

use super::Fault;
use crate::error::{Error, Result};
use crate::phone_recoveries::{Administrators, Ground, Unfit as UnfitGrant};
use crate::registering::organizations::Organizations;

/// Asks orgtree.
#[derive(Debug, Clone)]
pub(crate) struct Deciders {
    pub(crate) authority: Authority,
    pub(crate) organizations: Organizations,
    pub(crate) administrators: Administrators,
}

/// Why somebody does not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Some organization above is not in reach, or there is none above.
    OutOfScope,
    /// All are, without the permission.
    Missing(Permission),
    /// There is a grant at an organization that is concerned.
    Inside,
    /// A grant is none to decide by.
    Grant(UnfitGrant),
}

impl Unfit {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::OutOfScope => Fault::NotFound.into(),
            Self::Missing(permission) => RpcError::permission_missing(permission).into(),
            Self::Grant(UnfitGrant::Young) => Fault::GrantTooNew.into(),
            Self::Inside | Self::Grant(_) => Fault::NeedsAnother.into(),
        }
    }
}

impl Deciders {
    /// Whether somebody may decide, by these permissions and such grants: the lease that ends
    /// first.
    ///
    /// # Errors
    /// Those of orgtree; who may not is told in the answer.
    pub(super) async fn allowed(
        &self,
        account: Uuid,
        concerned: &BTreeSet<OrganizationCode>,
        needs: &[Permission],
        ground: Ground,
    ) -> Result<std::result::Result<Lease, Unfit>> {
        let mut above = BTreeSet::new();
        for code in concerned {
            match self.organizations.parent(code).await? {
                Some(parent) => above.insert(parent),
                // A root, whose own administrators don't decide.
                None => return Ok(Err(Unfit::OutOfScope)),
            };
        }
        let places = self.administrators.places_of(account).await?;
        // Last, so that the leases are young.
        let (mut leases, mut unfit) = (Vec::new(), None);
        for parent in &above {
            for need in needs {
                match self.authority.ask_all(account, parent, &[*need]).await? {
                    Ok(lease) => leases.push(lease),
                    Err(Refused::OutOfScope) => return Ok(Err(Unfit::OutOfScope)),
                    Err(Refused::Missing(permission)) => unfit = Some(Unfit::Missing(permission)),
                }
            }
        }
        let inside = places.iter().any(|place| concerned.contains(place));
        let unfit = unfit
            .or(inside.then_some(Unfit::Inside))
            .or_else(|| leases.iter().find_map(|lease| ground.refuses(lease)).map(Unfit::Grant));
        if let Some(unfit) = unfit {
            return Ok(Err(unfit));
        }
        Ok(leases.into_iter().reduce(Lease::or_sooner).ok_or(Unfit::OutOfScope))
    }
}
