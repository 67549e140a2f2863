//! Who may: administrators who manage the members of the organization.

use zhiyuan_audit::{Actor, Record};
use zhiyuan_contracts::orgtree::v1::Permission;
use zhiyuan_domain::{AccountId, OrganizationCode};
use zhiyuan_rpc::Error as RpcError;
use zhiyuan_rpc::authority::{Lease, Refused};

use super::{Fault, Rosters};
use crate::error::Result;

const MANAGE: &[Permission] = &[Permission::ManageMembers];
const SHOW: &[Permission] = &[Permission::ManageMembers, Permission::Reveal];

/// What somebody does about a roster.
#[derive(Debug, Clone, Copy)]
pub(super) struct Act {
    pub(super) me: AccountId,
    /// As it is recorded; what only looks at what is not personal is not.
    name: Option<&'static str>,
    /// What it needs, the first one first.
    needs: &'static [Permission],
    /// What whoever reaches nothing is told.
    hidden: Fault,
}

impl Act {
    /// Looks at imports or members.
    pub(super) fn look(me: AccountId, hidden: Fault) -> Self {
        Self { me, name: None, needs: MANAGE, hidden }
    }

    /// Changes something.
    pub(super) fn change(me: AccountId, name: &'static str, hidden: Fault) -> Self {
        Self { me, name: Some(name), needs: MANAGE, hidden }
    }

    /// Is shown rows of a file.
    pub(super) fn show(me: AccountId) -> Self {
        let (name, hidden) =
            (Some("registration.roster.rejected_rows_shown"), Fault::ImportNotFound);
        Self { me, name, needs: SHOW, hidden }
    }

    /// The record of an act that was done.
    pub(super) fn done(self, organization: &OrganizationCode) -> Record {
        let name = self.name.unwrap_or("registration.roster.seen");
        Record::done(Actor::Person(self.me), name).within(organization.as_str())
    }
}

impl Rosters {
    /// Whether an act may be done at an organization: the lease that ends first. Who may not
    /// change anything is recorded.
    ///
    /// # Errors
    /// What hides the organization; `PERMISSION_MISSING`.
    pub(super) async fn allowed(&self, act: Act, organization: &OrganizationCode) -> Result<Lease> {
        let asked = self.authority.ask_all(act.me.as_uuid(), organization, act.needs).await?;
        let refused = match asked {
            Ok(lease) => return Ok(lease),
            Err(refused) => refused,
        };
        if let Some(name) = act.name {
            let record = Record::refused(Actor::Person(act.me), name);
            let mut transaction = self.pool.begin().await?;
            self.trail.append(&mut transaction, &record.within(organization.as_str())).await?;
            transaction.commit().await?;
        }
        Err(match refused {
            Refused::Missing(permission) => RpcError::permission_missing(permission).into(),
            Refused::OutOfScope => act.hidden.into(),
        })
    }
}
