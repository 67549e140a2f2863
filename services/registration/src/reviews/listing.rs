//! Which reviews somebody administers.
//!
//! The tree is orgtree's: of the organizations at which reviews wait, it tells which lie below
//! the one that is asked about. So a list costs by how many reviews wait, not by how large the
//! tree is, and follows it at once when a subtree moves.

use std::collections::BTreeSet;

use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::Permission;
use zhiyuan_domain::{AccountId, EnrolmentId, OrganizationCode};
use zhiyuan_rpc::Error as RpcError;
use zhiyuan_rpc::authority::Decision;
use zhiyuan_rpc::page::Page;

use super::{Reviews, Waiting, db};
use crate::error::{Error, Result};
use crate::registering::Refusal;

/// Reviews that are looked through at once: no more organizations than orgtree takes in one
/// question.
const LOOK: i64 = 500;
/// How often a call looks before it answers with what it has found.
const LOOKS: usize = 20;

/// A review, as a list shows it.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) waiting: Waiting,
    pub(super) masked_name: String,
}

impl Reviews {
    /// The reviews that wait at an organization and below it, and the token of the next page.
    ///
    /// # Errors
    /// See `ReviewService.ListReviews`.
    pub(super) async fn list(
        &self,
        me: AccountId,
        above: &OrganizationCode,
        page: &Page,
    ) -> Result<(Vec<Listed>, String)> {
        let after = page.after_key(|key| EnrolmentId::parse(key).ok())?;
        match self.authority.ask(me.as_uuid(), above, Permission::Review).await? {
            Decision::Allowed(_) => {}
            Decision::Forbidden => {
                return Err(RpcError::permission_missing(Permission::Review).into());
            }
            Decision::OutOfScope => return Err(Error::Refused(Refusal::OrganizationNotFound)),
        }
        let (found, seen_to) = self.look_below(above, page, after).await?;
        let (found, mut next_page_token) = page.cut(found, |waiting| waiting.id.to_string());
        if let (true, Some(seen_to)) = (next_page_token.is_empty(), seen_to) {
            next_page_token = page.go_on_after(&seen_to.to_string());
        }
        let ids = found.iter().map(|waiting| waiting.id);
        let mut applicants = self.applicants.get(me, ids).await?;
        // Who is not there any more was decided, or is over, this very moment.
        let listed = found.into_iter().filter_map(|waiting| {
            let masked_name = applicants.remove(&waiting.id)?.masked_name;
            Some(Listed { waiting, masked_name })
        });
        Ok((listed.collect(), next_page_token))
    }

    /// Looks for as many as a page fetches; also tells up to where it looked, if there is
    /// more behind.
    async fn look_below(
        &self,
        above: &OrganizationCode,
        page: &Page,
        after: Option<EnrolmentId>,
    ) -> Result<(Vec<Waiting>, Option<EnrolmentId>)> {
        let mut after = after.unwrap_or_else(|| EnrolmentId::from(Uuid::nil()));
        let wanted = usize::try_from(page.fetch()).unwrap_or(usize::MAX);
        let full = usize::try_from(LOOK).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        for _ in 0..LOOKS {
            let waiting = db::waiting(&self.pool, after, LOOK).await?;
            let Some(last) = waiting.last().map(|waiting| waiting.id) else {
                return Ok((found, None));
            };
            let more = waiting.len() >= full;
            let codes: BTreeSet<&String> =
                waiting.iter().map(|waiting| &waiting.organization).collect();
            let codes = codes.into_iter().cloned().collect();
            let within = self.authority.within(above, codes).await?;
            found.extend(waiting.into_iter().filter(|it| within.contains(&it.organization)));
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
