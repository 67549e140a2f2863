//! Which claims somebody may decide: those that concern only organizations below one that they
//! administer.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::Permission;
use zhiyuan_domain::OrganizationCode;
use zhiyuan_rpc::Error as RpcError;
use zhiyuan_rpc::authority::Decision;
use zhiyuan_rpc::page::Page;

use super::identity::Standing;
use super::{Claim, Claims, Fault, db};
use crate::error::Result;

/// Claims that are looked through at once, each of three organizations at most: no more than
/// orgtree takes in one question.
const LOOK: i64 = 160;
/// How often a call looks before it answers with what it has found.
const LOOKS: usize = 20;

/// A claim, as a list shows it.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) claim: Claim,
    pub(super) standing: Standing,
}

impl Claims {
    /// The claims that concern only organizations below one, and the token of the next page.
    ///
    /// # Errors
    /// See `ClaimService.ListClaims`.
    pub(super) async fn list(
        &self,
        me: Uuid,
        above: &OrganizationCode,
        page: &Page,
    ) -> Result<(Vec<Listed>, String)> {
        let after = page.after_key(|key| Uuid::try_parse(key).ok())?;
        let lease = match self.deciders.authority.ask(me, above, Permission::Review).await? {
            Decision::Allowed(lease) => lease,
            Decision::Forbidden => {
                return Err(RpcError::permission_missing(Permission::Review).into());
            }
            Decision::OutOfScope => return Err(Fault::OrganizationNotFound.into()),
        };
        // Those of the root itself are for whom the operator made its administrators.
        let itself = lease.granted_by.is_none()
            && lease.organization_code == above.as_str()
            && self.deciders.organizations.parent(above).await?.is_none();
        let (found, seen_to) = self.look_below((above, itself), page, after).await?;
        let (found, mut next_page_token) = page.cut(found, |claim| claim.claim_id.to_string());
        if let (true, Some(seen_to)) = (next_page_token.is_empty(), seen_to) {
            next_page_token = page.go_on_after(&seen_to.to_string());
        }
        let ids: Vec<Uuid> = found.iter().map(|claim| claim.claim_id).collect();
        let mut standing: HashMap<Uuid, Standing> =
            self.sides.get(&ids, None).await?.into_iter().collect();
        // What does not go on is over this very moment.
        let listed = found.into_iter().filter_map(|claim| {
            let standing = standing.remove(&claim.claim_id).filter(Standing::goes_on)?;
            Some(Listed { claim, standing })
        });
        Ok((listed.collect(), next_page_token))
    }

    /// Looks for as many as a page fetches; also tells up to where it looked, if there is more
    /// behind.
    async fn look_below(
        &self,
        (above, itself): (&OrganizationCode, bool),
        page: &Page,
        after: Option<Uuid>,
    ) -> Result<(Vec<Claim>, Option<Uuid>)> {
        let mut after = after.unwrap_or(Uuid::nil());
        let wanted = usize::try_from(page.fetch()).unwrap_or(usize::MAX);
        let full = usize::try_from(LOOK).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        for _ in 0..LOOKS {
            let claims = db::listed(&self.pool, after, LOOK).await?;
            let Some(last) = claims.last().map(|claim| claim.claim_id) else {
                return Ok((found, None));
            };
            let more = claims.len() >= full;
            let codes: BTreeSet<OrganizationCode> =
                claims.iter().flat_map(Claim::concerned).collect();
            let codes = codes.iter().map(ToString::to_string).collect();
            let within = self.deciders.authority.within(above, codes).await?;
            found.extend(claims.into_iter().filter(|claim| {
                let is_below = |code: &OrganizationCode| {
                    (itself || code != above) && within.contains(code.as_str())
                };
                claim.concerned().iter().all(is_below)
            }));
            if !more {
                return Ok((found, None));
            }
            after = last;
            if found.len() >= wanted {
                break;
            }
        }
        Ok((found, Some(after)))
    }
}
