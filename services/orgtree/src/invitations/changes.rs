//! What all changes of invitations share.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_audit::{Record, Trail};
use zhiyuan_domain::{SharedClock, new_id};
use zhiyuan_postgres::again;

use super::{Codes, Fault, Invitation, Standing, db, records};
use crate::authority::ending::Endings;
use crate::authority::giving::{self, Place};
use crate::authority::records::Right;
use crate::authority::refusals::Refusals;
use crate::authority::{Grant, db as grants};
use crate::error::{Error, Result};
use crate::requests::{self, Request};

/// Changes invitations, in the name of people who have signed in. All changes of grants and of
/// invitations that may be good come one after the other (`giving::alone`).
#[derive(Debug, Clone)]
pub(super) struct Changes {
    pub(super) pool: PgPool,
    pub(super) clock: SharedClock,
    pub(super) trail: Trail,
    pub(super) codes: Codes,
    pub(super) endings: Endings,
    refusals: Refusals,
}

impl Changes {
    pub(super) fn new(
        pool: PgPool,
        clock: SharedClock,
        trail: Trail,
        codes: Codes,
        endings: Endings,
    ) -> Self {
        let refusals = Refusals::new(pool.clone(), clock.clone(), trail.clone());
        Self { pool, clock, trail, codes, endings, refusals }
    }

    pub(super) fn new_id(&self) -> Uuid {
        new_id(self.clock.as_ref())
    }

    /// Records what was refused to somebody who may not, as `record` says for the reason.
    pub(super) async fn note(
        &self,
        call: &Request,
        error: &Error,
        record: impl FnOnce(&'static str) -> Record,
    ) -> Result<()> {
        match error.refusal() {
            Some(reason) => self.refusals.note(call, reason, &record(reason)).await,
            None => Ok(()),
        }
    }

    /// The same, of an invitation that there may be.
    pub(super) async fn note_of(
        &self,
        call: &Request,
        error: &Error,
        action: &'static str,
        id: Uuid,
    ) -> Result<()> {
        if error.refusal().is_none() {
            return Ok(());
        }
        let found = db::find(&self.pool, id).await?;
        let record = |reason| records::refused(call.caller, action, found.as_ref(), reason);
        self.note(call, error, record).await
    }

    /// Takes an invitation back.
    pub(super) async fn withdraw(&self, call: &Request, id: Uuid) -> Result<()> {
        let withdrawn = again(Error::is_lost, async || {
            let mut transaction = self.pool.begin().await?;
            giving::alone(&mut transaction).await?;
            // Not before: it may have waited.
            let now = self.clock.now();
            if requests::db::find_answer(&mut transaction, call).await?.is_some() {
                return Ok(());
            }
            let found = db::hold(&mut transaction, id).await?;
            let invitation = found.ok_or(Error::Invitation(Fault::NotFound))?;
            let right = if invitation.invited_by == call.caller {
                Right::Own
            } else {
                in_scope(&mut transaction, call.caller, &invitation, now).await?
            };
            match invitation.standing(now) {
                Standing::Confirmed => return Err(Error::Invitation(Fault::Over)),
                Standing::Open | Standing::Accepted(_) => {
                    db::withdraw(&mut transaction, id, now).await?;
                    let action = records::WITHDRAWN;
                    let record = records::done(call.caller, action, &invitation, Some(right));
                    self.trail.append(&mut transaction, &record).await?;
                }
                Standing::Withdrawn | Standing::Expired => {}
            }
            requests::db::insert(&mut transaction, call, &[], now).await?;
            transaction.commit().await?;
            tracing::info!(invitation.id = %id, caller.id = %call.caller, "an invitation is withdrawn");
            Ok(())
        })
        .await;
        if let Err(error) = &withdrawn {
            self.note_of(call, error, records::WITHDRAWN, id).await?;
        }
        withdrawn
    }
}

/// By which right somebody who did not make an invitation may decide about it. Where it is out
/// of sight, there is none.
pub(super) async fn in_scope(
    transaction: &mut PgConnection,
    caller: Uuid,
    invitation: &Invitation,
    now: OffsetDateTime,
) -> Result<Right> {
    match giving::require(transaction, caller, &invitation.organization_code, now).await {
        Ok(held) => Ok(held.right),
        Err(Error::OrganizationNotFound) => Err(Error::Invitation(Fault::NotFound)),
        Err(error) => Err(error),
    }
}

/// The grant of somebody that can be delegated at an organization until a time. Who ends it
/// waits for the transaction, which is alone with the grants.
pub(super) async fn delegable(
    transaction: &mut PgConnection,
    holder: Uuid,
    grant_id: Uuid,
    code: &str,
    until: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> Result<Grant> {
    let kept = grants::find(transaction, grant_id).await?;
    let counts = |kept: &grants::Kept| {
        let ended = kept.revoked || kept.grant.expires_at.is_some_and(|end| end <= now);
        kept.grant.account_id == holder && !ended
    };
    let grant = kept.filter(counts).ok_or(Error::GrantNotFound)?.grant;
    if grant.delegated_from.is_some() {
        return Err(Error::GrantDelegated);
    }
    let codes = [code.to_owned()];
    if grants::within(&mut *transaction, &grant.organization_code, &codes).await?.is_empty() {
        return Err(Error::OrganizationNotFound);
    }
    if !grant.lasts_until(until) {
        return Err(Error::RoleAboveOwn);
    }
    Ok(grant)
}

/// By which right an invitation is good: that of who made it, as it is now.
pub(super) async fn still_good(
    transaction: &mut PgConnection,
    invitation: &Invitation,
    to: Uuid,
    now: OffsetDateTime,
) -> Result<Right> {
    let (inviter, place) = (invitation.invited_by, invitation.place());
    let Place { code, expires_at, .. } = place;
    giving::require_open(transaction, code).await?;
    match invitation.delegated_from {
        Some(from) => {
            delegable(transaction, inviter, from, code, expires_at, now).await?;
            Ok(Right::Grant(from))
        }
        None => Ok(giving::may_give(transaction, inviter, Some(to), place, now).await?.right),
    }
}
