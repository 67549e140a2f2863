//! Making invitations.

use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use zhiyuan_domain::{OrganizationCode, Remark};
use zhiyuan_postgres::again;
use zhiyuan_rpc::Fields;

use super::changes::{Changes, delegable};
use super::{DELEGATED_FOR, Fault, Invitation, MOST_OPEN, db, records};
use crate::authority::Role;
use crate::authority::giving::{self, Place};
use crate::authority::records::Right;
use crate::error::{Error, Result};
use crate::requests::{self, Request};

/// An invitation to be made.
#[derive(Debug, Clone)]
pub(super) struct NewInvitation {
    pub(super) organization: OrganizationCode,
    pub(super) to: To,
    pub(super) grant_expires_at: Option<OffsetDateTime>,
    pub(super) note: Option<Remark>,
    pub(super) valid_days: i32,
}

/// What somebody is invited to.
#[derive(Debug, Clone, Copy)]
pub(super) enum To {
    /// A role that stands by itself.
    Role(Role),
    /// That of this grant, for who holds it.
    Delegation(Uuid),
}

impl Changes {
    /// Makes an invitation, once for each call; returns the answer, which `answer` renders and
    /// which holds no code.
    pub(super) async fn make(
        &self,
        call: &Request,
        new: &NewInvitation,
        answer: impl Fn(&Invitation, OffsetDateTime) -> Vec<u8>,
    ) -> Result<Vec<u8>> {
        let made = again(Error::is_lost, async || {
            let mut transaction = self.pool.begin().await?;
            giving::alone(&mut transaction).await?;
            // Not before: it may have waited.
            let now = self.clock.now();
            if let Some(before) = requests::db::find_answer(&mut transaction, call).await? {
                return Ok(before);
            }
            let made = self.check_and_insert(&mut transaction, call.caller, new, now).await?;
            let rendered = answer(&made, now);
            requests::db::insert(&mut transaction, call, &rendered, now).await?;
            transaction.commit().await?;
            tracing::info!(
                invitation.id = %made.id,
                organization.code = made.organization_code,
                role = made.role.name(),
                caller.id = %call.caller,
                "an invitation is made"
            );
            Ok(rendered)
        })
        .await;
        if let Err(error) = &made {
            let code = new.organization.as_str();
            self.note(call, error, |reason| records::not_made(call.caller, code, reason)).await?;
        }
        made
    }

    async fn check_and_insert(
        &self,
        transaction: &mut PgConnection,
        caller: Uuid,
        new: &NewInvitation,
        now: OffsetDateTime,
    ) -> Result<Invitation> {
        let (code, expires_at) = (new.organization.as_str(), new.grant_expires_at);
        let (role, right, delegated_from) = match new.to {
            To::Role(role) => {
                let place = Place { code, role, expires_at };
                let held = giving::may_give(transaction, caller, None, place, now).await?;
                (role, held.right, None)
            }
            To::Delegation(id) => {
                let grant = delegable(transaction, caller, id, code, expires_at, now).await?;
                (grant.role, Right::Grant(id), Some(id))
            }
        };
        giving::require_open(transaction, code).await?;
        // Not before: a call that is sent again later has the answer that it had.
        check_end(expires_at, delegated_from.is_some(), now)?;
        if db::count_open(transaction, caller, now).await? >= MOST_OPEN {
            return Err(Error::Invitation(Fault::TooMany));
        }
        let made = Invitation {
            id: self.new_id(),
            organization_code: code.to_owned(),
            role,
            invited_by: caller,
            delegated_from,
            note: new.note.as_ref().map(Remark::as_str).unwrap_or_default().to_owned(),
            created_at: now,
            expires_at: now + Duration::days(new.valid_days.into()),
            grant_expires_at: expires_at,
            accepted: None,
            grant_id: None,
            handed_over: None,
            withdrawn: false,
        };
        let made = self.insert(transaction, made).await?;
        let record = records::done(caller, records::MADE, &made, Some(right));
        self.trail.append(transaction, &record).await?;
        Ok(made)
    }

    /// Inserts it under an id whose code no other one has.
    async fn insert(
        &self,
        transaction: &mut PgConnection,
        mut new: Invitation,
    ) -> Result<Invitation> {
        const TRIES: usize = 4;
        for _ in 0..TRIES {
            let digest = self.codes.digest(&self.codes.code_of(new.id));
            if db::insert(transaction, &new, &digest).await? {
                return Ok(new);
            }
            new.id = self.new_id();
        }
        Err(Error::Inconsistent("orgtree.invitation"))
    }
}

/// The role has not ended before it is given, and what is delegated ends soon.
fn check_end(end: Option<OffsetDateTime>, delegated: bool, now: OffsetDateTime) -> Result<()> {
    let mut fields = Fields::new();
    if end.is_some_and(|end| end <= now) {
        let message = "授权截止时间应在当前时间之后，请重新填写";
        fields.refuse("expire_time", "TIME_PAST", message);
    }
    if delegated && end.is_none_or(|end| end > now + DELEGATED_FOR) {
        let message = "委托最长 30 天，请填写 30 天以内的截止时间";
        fields.refuse("expire_time", "DELEGATION_TOO_LONG", message);
    }
    Ok(fields.finish()?)
}
