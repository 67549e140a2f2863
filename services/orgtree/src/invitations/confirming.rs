//! Giving the role to who accepted.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::OrganizationCode;
use zhiyuan_postgres::again;

use super::changes::{Changes, in_scope, still_good};
use super::codes::CheckNumber;
use super::{Fault, Invitation, Standing, WRONG_NUMBERS, db, records};
use crate::authority::giving::{self, NewGrant};
use crate::authority::records::{Right, person};
use crate::authority::{Grant, db as grants};
use crate::error::{Error, Result};
use crate::requests::{self, Request};

/// What becomes of the grant of who confirms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    /// It stays.
    Stays,
    /// It goes to who accepted.
    Ends,
}

impl Changes {
    /// Gives the role, once for each call; returns the answer, which `answer` renders. When the
    /// caller's own grant ends with it, waits until that is over everywhere.
    pub(super) async fn confirm(
        &self,
        call: &Request,
        (id, number): (Uuid, &CheckNumber),
        own: Own,
        answer: impl Fn(&Grant) -> Vec<u8>,
    ) -> Result<Vec<u8>> {
        let confirmed = again(Error::is_lost, async || {
            self.confirm_once(call, (id, number), own, &answer).await
        })
        .await;
        if let Err(error) = &confirmed {
            self.note_of(call, error, records::CONFIRMED, id).await?;
        }
        let (rendered, ended) = confirmed?;
        if let Some(ended) = ended {
            self.endings.settle(&self.pool, &self.clock, ended).await?;
        }
        Ok(rendered)
    }

    /// Returns the answer, and the grant that has ended with it and is not over yet.
    async fn confirm_once(
        &self,
        call: &Request,
        (id, number): (Uuid, &CheckNumber),
        own: Own,
        answer: impl Fn(&Grant) -> Vec<u8>,
    ) -> Result<(Vec<u8>, Option<Uuid>)> {
        let mut transaction = self.pool.begin().await?;
        giving::alone(&mut transaction).await?;
        // Not before: it may have waited.
        let now = self.clock.now();
        let before = requests::db::find_answer(&mut transaction, call).await?;
        let found = db::hold(&mut transaction, id).await?;
        if let Some(before) = before {
            let ended = found.and_then(|invitation| invitation.handed_over);
            return Ok((before, not_over(&mut transaction, ended).await?));
        }
        let invitation = found.ok_or(Error::Invitation(Fault::NotFound))?;
        let right = may_confirm(&mut transaction, call.caller, &invitation, own, now).await?;
        let accepted = match invitation.standing(now) {
            Standing::Accepted(accepted) => accepted,
            Standing::Open => return Err(Error::Invitation(Fault::NotAccepted)),
            Standing::Confirmed | Standing::Withdrawn | Standing::Expired => {
                return Err(Error::Invitation(Fault::Over));
            }
        };
        if !number.is(&self.codes.check_number(id, accepted.account_id)) {
            self.count_wrong(transaction, call.caller, &invitation, right, now).await?;
            return Err(Error::Invitation(Fault::CheckNumberWrong));
        }
        let new = to_give(&invitation, accepted.account_id)?;
        let by = Some(call.caller);
        let given = giving::insert(&mut transaction, &new, by, self.new_id(), now).await?;
        let actor = person(call.caller);
        given.record(&mut transaction, &self.trail, &actor, right).await?;
        let ended = match own {
            Own::Stays => None,
            Own::Ends => Some(self.end_own(&mut transaction, call.caller, &new, now).await?),
        };
        db::confirm(&mut transaction, id, given.made.id, ended).await?;
        let record = records::done(call.caller, records::CONFIRMED, &invitation, Some(right));
        self.trail.append(&mut transaction, &record.with("grant_id", given.made.id)).await?;
        let rendered = answer(&given.made);
        requests::db::insert(&mut transaction, call, &rendered, now).await?;
        transaction.commit().await?;
        tracing::info!(
            invitation.id = %id,
            grant.id = %given.made.id,
            caller.id = %call.caller,
            hands_over = ended.is_some(),
            "an invitation is confirmed"
        );
        Ok((rendered, ended))
    }

    /// Counts a wrong number; with the last that may be wrong, the invitation is withdrawn.
    async fn count_wrong(
        &self,
        mut transaction: sqlx::Transaction<'static, sqlx::Postgres>,
        caller: Uuid,
        invitation: &Invitation,
        right: Right,
        now: OffsetDateTime,
    ) -> Result<()> {
        let wrong = db::count_wrong(&mut transaction, invitation.id).await?;
        if wrong >= WRONG_NUMBERS {
            db::withdraw(&mut transaction, invitation.id, now).await?;
            let record = records::done(caller, records::WITHDRAWN, invitation, Some(right));
            let record = record.with("wrong_numbers", wrong);
            self.trail.append(&mut transaction, &record).await?;
            tracing::warn!(
                invitation.id = %invitation.id,
                caller.id = %caller,
                "an invitation is withdrawn: its check number is being tried out"
            );
        }
        Ok(transaction.commit().await?)
    }

    /// Ends the grant of the same role at the same organization that somebody holds.
    async fn end_own(
        &self,
        transaction: &mut PgConnection,
        holder: Uuid,
        given: &NewGrant,
        now: OffsetDateTime,
    ) -> Result<Uuid> {
        let code = given.organization.as_str();
        let there = grants::at(transaction, code, given.role, now).await?;
        let own = there.into_iter().find(|grant| grant.account_id == holder);
        let own = own.ok_or(Error::GrantNotFound)?.id;
        let kept = grants::find(transaction, own).await?.ok_or(Error::GrantNotFound)?;
        giving::end(transaction, &self.trail, &kept, holder, Right::Own, now).await?;
        Ok(own)
    }
}

/// By which right somebody gives the role of an invitation, as for a grant without one.
async fn may_confirm(
    transaction: &mut PgConnection,
    caller: Uuid,
    invitation: &Invitation,
    own: Own,
    now: OffsetDateTime,
) -> Result<Right> {
    let mine = invitation.invited_by == caller;
    if !mine {
        in_scope(transaction, caller, invitation, now).await?;
    }
    let to = invitation.accepted.map(|accepted| accepted.account_id);
    match (invitation.delegated_from, own) {
        (Some(_), Own::Ends) => Err(Error::GrantDelegated),
        (Some(_), Own::Stays) | (None, Own::Ends) if !mine => {
            Err(Error::Invitation(Fault::OfAnother))
        }
        (Some(_), Own::Stays) => {
            // It makes no difference whether somebody has accepted.
            still_good(transaction, invitation, to.unwrap_or_default(), now).await
        }
        (None, _) => {
            match giving::may_give(transaction, caller, to, invitation.place(), now).await {
                Err(Error::OrganizationNotFound) => Err(Error::Invitation(Fault::NotFound)),
                other => Ok(other?.right),
            }
        }
    }
}

/// The grant of an invitation.
fn to_give(invitation: &Invitation, account_id: Uuid) -> Result<NewGrant> {
    let organization = OrganizationCode::parse(&invitation.organization_code)
        .map_err(|_form| Error::Inconsistent("orgtree.invitation"))?;
    Ok(NewGrant {
        account_id,
        organization,
        role: invitation.role,
        expires_at: invitation.grant_expires_at,
        delegated_from: invitation.delegated_from,
        invited_by: Some(invitation.invited_by),
    })
}

/// A grant that has ended, if something that was allowed by it may still take effect.
async fn not_over(transaction: &mut PgConnection, ended: Option<Uuid>) -> Result<Option<Uuid>> {
    let Some(ended) = ended else { return Ok(None) };
    let kept = grants::find(transaction, ended).await?;
    Ok(kept.filter(|kept| !kept.settled).map(|_| ended))
}
