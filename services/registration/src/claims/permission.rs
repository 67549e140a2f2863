//! Who may: administrators above each of the organizations concerned, who hold no grant at one of
//! them. Above a root there is nobody: about one decide those whom the operator made its
//! administrators.

use std::collections::BTreeSet;

use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::{Permission, Voices};
use zhiyuan_domain::OrganizationCode;
use zhiyuan_rpc::Error as RpcError;
use zhiyuan_rpc::authority::{Authority, Lease, Refused};

use super::Fault;
use crate::error::{Error, Result};
use crate::phone_recoveries::{Administrators, right};
use crate::registering::organizations::Organizations;

/// Asks orgtree.
#[derive(Debug, Clone)]
pub(crate) struct Deciders {
    pub(crate) authority: Authority,
    pub(crate) organizations: Organizations,
    pub(crate) administrators: Administrators,
}

/// Where who decides has to be.
struct Above {
    places: BTreeSet<OrganizationCode>,
    /// Those of them that are concerned themselves, as nothing is above them.
    roots: BTreeSet<OrganizationCode>,
}

/// Why somebody does not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Some organization above is not in reach, or there is none above.
    OutOfScope,
    /// All are, without the permission.
    Missing(Permission),
    /// There is a grant at an organization that is concerned; at a root, one that the operator
    /// did not give.
    Inside,
}

impl Unfit {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::OutOfScope => Fault::NotFound.into(),
            Self::Missing(permission) => RpcError::permission_missing(permission).into(),
            Self::Inside => Fault::NeedsAnother.into(),
        }
    }
}

impl Deciders {
    /// Whether somebody may decide, by these permissions: the lease that ends first.
    ///
    /// # Errors
    /// Those of orgtree; who may not is told in the answer.
    pub(super) async fn allowed(
        &self,
        account: Uuid,
        concerned: &BTreeSet<OrganizationCode>,
        needs: &[Permission],
    ) -> Result<std::result::Result<Lease, Unfit>> {
        let Above { places: above, roots } = self.above(concerned).await?;
        let places = self.administrators.places_of(account).await?;
        // Last, so that the leases are young.
        let (mut leases, mut unfit, mut chosen) = (Vec::new(), None, false);
        for parent in &above {
            for need in needs {
                match self.authority.ask_all(account, parent, &[*need]).await? {
                    Ok(lease) => {
                        // Whom the operator made nobody there has chosen.
                        chosen |= roots.contains(parent) && lease.granted_by.is_some();
                        leases.push(lease);
                    }
                    Err(Refused::OutOfScope) => return Ok(Err(Unfit::OutOfScope)),
                    Err(Refused::Missing(permission)) => unfit = Some(Unfit::Missing(permission)),
                }
            }
        }
        let is_inside = |place| concerned.contains(place) && !roots.contains(place);
        let inside = places.iter().any(is_inside);
        if let Some(unfit) = unfit.or((inside || chosen).then_some(Unfit::Inside)) {
            return Ok(Err(unfit));
        }
        Ok(leases.into_iter().reduce(Lease::or_sooner).ok_or(Unfit::OutOfScope))
    }

    /// Whether somebody has a voice about some organizations, and is independent of somebody else;
    /// asked after [`Self::allowed`].
    ///
    /// # Errors
    /// Those of orgtree.
    pub(super) async fn voices(
        &self,
        account: Uuid,
        other: Option<Uuid>,
        concerned: &BTreeSet<OrganizationCode>,
        given_by: Option<OffsetDateTime>,
    ) -> Result<Voices> {
        let above = self.above(concerned).await?.places;
        let rights: Vec<_> = above.iter().map(|place| right(place, Permission::Review)).collect();
        self.administrators.voices(account, other, &rights, given_by).await
    }

    /// The organizations above; a root has none but itself.
    async fn above(&self, concerned: &BTreeSet<OrganizationCode>) -> Result<Above> {
        let (mut places, mut roots) = (BTreeSet::new(), BTreeSet::new());
        for code in concerned {
            let parent = self.organizations.parent(code).await?;
            if parent.is_none() {
                roots.insert(code.clone());
            }
            places.insert(parent.unwrap_or_else(|| code.clone()));
        }
        Ok(Above { places, roots })
    }
}
