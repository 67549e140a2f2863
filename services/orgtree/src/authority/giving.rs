//! What every way to a role does: who may give it, how it is made, and how one ends.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_audit::{Actor, Trail};
use zhiyuan_domain::OrganizationCode;

use super::db::{self, Kept};
use super::holding::allowed;
use super::records::{self, Right};
use super::{Grant, Permission, Role, Verdict, decide, holds_all, stays_administered};
use crate::counts;
use crate::error::{Error, Result};

/// A role to be given.
#[derive(Debug, Clone)]
pub(crate) struct NewGrant {
    pub(crate) account_id: Uuid,
    pub(crate) organization: OrganizationCode,
    pub(crate) role: Role,
    pub(crate) expires_at: Option<OffsetDateTime>,
    /// The grant of whoever gives it, if that one is delegated.
    pub(crate) delegated_from: Option<Uuid>,
    /// Who invited, if it comes by an invitation; whoever gives it.
    pub(crate) invited_by: Option<Uuid>,
}

/// What is given, to whomever.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) code: &'a str,
    pub(crate) role: Role,
    pub(crate) expires_at: Option<OffsetDateTime>,
}

impl NewGrant {
    /// What is given.
    pub(crate) fn place(&self) -> Place<'_> {
        let code = self.organization.as_str();
        Place { code, role: self.role, expires_at: self.expires_at }
    }
}

/// Alone with the grants, on a tree that stays as it is.
pub(crate) async fn alone(transaction: &mut PgConnection) -> Result<()> {
    counts::db::keep_tree(transaction).await?;
    db::lock(transaction).await
}

/// Alone with the grants, for who is alone with the tree already.
pub(crate) async fn alone_on_own_tree(transaction: &mut PgConnection) -> Result<()> {
    db::lock(transaction).await
}

/// What somebody who may give roles at an organization holds there.
#[derive(Debug)]
pub(crate) struct Held {
    reaching: Vec<Grant>,
    /// By which of them.
    pub(crate) right: Right,
}

/// Who may not give roles here is told so if it administers the organization, and otherwise
/// that there is none. What the caller holds there is kept until the end of the transaction.
pub(crate) async fn require(
    transaction: &mut PgConnection,
    caller: Uuid,
    code: &str,
    now: OffsetDateTime,
) -> Result<Held> {
    let reaching = db::hold(transaction, caller, code, now).await?;
    let right = Right::Grant(allowed(&reaching, Permission::Grant)?.id);
    Ok(Held { reaching, right })
}

/// The same, for who may give this very role, for as long; to nobody oneself, if it is known
/// who gets it.
pub(crate) async fn may_give(
    transaction: &mut PgConnection,
    caller: Uuid,
    to: Option<Uuid>,
    place: Place<'_>,
    now: OffsetDateTime,
) -> Result<Held> {
    let held = require(transaction, caller, place.code, now).await?;
    if to == Some(caller) {
        return Err(Error::GrantToSelf);
    }
    if !holds_all(&held.reaching, place.role) {
        return Err(Error::RoleAboveOwn);
    }
    // Whose own right ends gives none that lasts longer.
    let lasting = |held: &&Grant| held.lasts_until(place.expires_at);
    let lasting: Vec<Grant> = held.reaching.iter().filter(lasting).cloned().collect();
    let may_give = matches!(decide(&lasting, Permission::Grant), Verdict::Allowed(_));
    if !may_give || !holds_all(&lasting, place.role) {
        return Err(Error::RoleAboveOwn);
    }
    Ok(held)
}

/// A grant that was made.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) made: Grant,
    /// The one that it prolongs, which ended with it.
    replaced: Option<Grant>,
    /// What was delegated from that one.
    ended: Vec<Grant>,
}

impl Given {
    /// Records what was done, by which right.
    pub(crate) async fn record(
        &self,
        transaction: &mut PgConnection,
        trail: &Trail,
        actor: &Actor,
        right: Right,
    ) -> Result<()> {
        if let Some(replaced) = &self.replaced {
            let ended = records::replaced(actor.clone(), replaced, right, self.made.id);
            trail.append(transaction, &ended).await?;
        }
        for ended in &self.ended {
            let ended = records::revoked(actor.clone(), ended, right);
            trail.append(transaction, &ended).await?;
        }
        Ok(trail.append(transaction, &records::given(actor.clone(), &self.made, right)).await?)
    }
}

/// Inserts a grant, unless its account or organization is closed. One of the same role there
/// is replaced if it would end sooner.
pub(crate) async fn insert(
    transaction: &mut PgConnection,
    new: &NewGrant,
    granted_by: Option<Uuid>,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<Given> {
    let code = new.organization.as_str();
    require_open(transaction, code).await?;
    if db::is_closed(transaction, new.account_id).await? {
        return Err(Error::AccountClosed);
    }
    if let (Some(_), Some(holder)) = (new.delegated_from, granted_by) {
        // One person is one voice, where two have to decide: also through others.
        let both = (holder, new.account_id);
        let other = db::find_other_delegate(transaction, both, code, now).await?;
        other.map_or(Ok(()), |id| Err(Error::DelegationExists { id }))?;
    }
    let grant = Grant {
        id,
        account_id: new.account_id,
        organization_code: code.to_owned(),
        role: new.role,
        created_at: now,
        expires_at: new.expires_at,
        granted_by,
        delegated_from: new.delegated_from,
    };
    let there = match new.delegated_from {
        None => db::at(transaction, code, new.role, now).await?,
        Some(from) => db::delegated(transaction, from, code, now).await?,
    };
    let replaced = there.into_iter().find(|same| same.account_id == new.account_id);
    let mut ended = Vec::new();
    if let Some(same) = &replaced {
        if same.outlasts(&grant) {
            return Err(Error::GrantExists { id: same.id });
        }
        db::revoke(transaction, same.id, granted_by, now).await?;
        ended = db::end_delegated(transaction, same.id, granted_by, now).await?;
    }
    let made = db::insert(transaction, &grant, new.invited_by).await?;
    Ok(Given { made, replaced, ended })
}

/// Tells who followed, if an organization is closed.
pub(crate) async fn require_open(transaction: &mut PgConnection, code: &str) -> Result<()> {
    let place = db::find_place(transaction, code).await?.ok_or(Error::OrganizationNotFound)?;
    if !place.open {
        return Err(Error::OrganizationClosed { successor: place.successor_code });
    }
    Ok(())
}

/// Ends a grant and what is delegated from it, and records each.
pub(crate) async fn end(
    transaction: &mut PgConnection,
    trail: &Trail,
    kept: &Kept,
    by: Uuid,
    right: Right,
    now: OffsetDateTime,
) -> Result<()> {
    if kept.at_root {
        keep_administered(transaction, &kept.grant, now).await?;
    }
    db::revoke(transaction, kept.grant.id, Some(by), now).await?;
    let delegated = db::end_delegated(transaction, kept.grant.id, Some(by), now).await?;
    for ended in std::iter::once(&kept.grant).chain(&delegated) {
        let record = records::revoked(records::person(by), ended, right);
        trail.append(transaction, &record).await?;
    }
    Ok(())
}

/// The root never loses its last administrator by a call.
async fn keep_administered(
    transaction: &mut PgConnection,
    without: &Grant,
    now: OffsetDateTime,
) -> Result<()> {
    let role = Role::Administrator;
    let (mut others, code) = (Vec::new(), without.organization_code.as_str());
    let mut counts = false;
    for grant in db::at(transaction, code, role, now).await? {
        if grant.id == without.id { counts = true } else { others.push(grant) }
    }
    if counts && !stays_administered(without, &others) {
        return Err(Error::LastAdministrator);
    }
    Ok(())
}
