//! Giving roles and ending grants.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_audit::Trail;
use zhiyuan_domain::{SharedClock, new_id};
use zhiyuan_postgres::again;
use zhiyuan_rpc::Fields;

use super::ending::Endings;
use super::giving::{self, NewGrant};
use super::records::{self, Right};
use super::refusals::Refusals;
use super::{Grant, db};
use crate::error::{Error, Result};
use crate::requests::{self, Request};

/// Changes grants, in the name of people who have signed in.
#[derive(Debug, Clone)]
pub(super) struct Changes {
    pool: PgPool,
    clock: SharedClock,
    trail: Trail,
    endings: Endings,
    refusals: Refusals,
}

impl Changes {
    pub(super) fn new(pool: PgPool, clock: SharedClock, trail: Trail, endings: Endings) -> Self {
        let refusals = Refusals::new(pool.clone(), clock.clone(), trail.clone());
        Self { pool, clock, trail, endings, refusals }
    }

    /// Gives a role, once for each call; returns the answer, which `answer` renders.
    pub(super) async fn give(
        &self,
        call: &Request,
        new: &NewGrant,
        answer: impl Fn(&Grant) -> Vec<u8>,
    ) -> Result<Vec<u8>> {
        let given = again(Error::is_lost, async || {
            let mut transaction = self.pool.begin().await?;
            giving::alone(&mut transaction).await?;
            // Not before: it may have waited.
            let now = self.clock.now();
            if let Some(before) = requests::db::find_answer(&mut transaction, call).await? {
                return Ok(before);
            }
            let id = new_id(self.clock.as_ref());
            let made = self.check_and_insert(&mut transaction, call.caller, new, id, now).await?;
            let rendered = answer(&made);
            requests::db::insert(&mut transaction, call, &rendered, now).await?;
            transaction.commit().await?;
            tracing::info!(
                grant.id = %made.id,
                account.id = %made.account_id,
                organization.code = made.organization_code,
                role = made.role.name(),
                caller.id = %call.caller,
                "a role is given"
            );
            Ok(rendered)
        })
        .await;
        if let Some(reason) = given.as_ref().err().and_then(Error::refusal) {
            let (actor, code) = (records::person(call.caller), new.organization.as_str());
            let record = records::not_given(actor, new.account_id, code, new.role, reason);
            self.refusals.note(call, reason, &record).await?;
        }
        given
    }

    /// Ends a grant, and returns when that has taken effect everywhere.
    pub(super) async fn revoke(&self, call: &Request, id: Uuid) -> Result<()> {
        let revoked = again(Error::is_lost, async || self.revoke_once(call, id).await).await;
        if let Some(reason) = revoked.as_ref().err().and_then(Error::refusal) {
            let grant = db::find(&mut *self.pool.acquire().await?, id).await?;
            let (actor, grant) = (records::person(call.caller), grant.map(|kept| kept.grant));
            let record = records::not_revoked(actor, id, grant.as_ref(), reason);
            self.refusals.note(call, reason, &record).await?;
        }
        if !revoked? {
            self.endings.settle(&self.pool, &self.clock, id).await?;
        }
        Ok(())
    }

    /// Tells whether it has taken effect everywhere already.
    async fn revoke_once(&self, call: &Request, id: Uuid) -> Result<bool> {
        let mut transaction = self.pool.begin().await?;
        giving::alone(&mut transaction).await?;
        // Not before: it may have waited.
        let now = self.clock.now();
        let before = requests::db::find_answer(&mut transaction, call).await?;
        let kept = db::find(&mut transaction, id).await?.ok_or(Error::GrantNotFound)?;
        if before.is_some() {
            return Ok(kept.settled);
        }
        let right = if kept.grant.account_id == call.caller {
            Right::Own
        } else if let (Some(by), Some(from)) = (kept.delegated_by, kept.grant.delegated_from)
            && by == call.caller
        {
            Right::Grant(from)
        } else {
            let code = &kept.grant.organization_code;
            match giving::require(&mut transaction, call.caller, code, now).await {
                Err(Error::OrganizationNotFound) => return Err(Error::GrantNotFound),
                other => other?.right,
            }
        };
        if !kept.revoked {
            giving::end(&mut transaction, &self.trail, &kept, call.caller, right, now).await?;
        }
        requests::db::insert(&mut transaction, call, &[], now).await?;
        transaction.commit().await?;
        tracing::info!(grant.id = %id, caller.id = %call.caller, "a grant is revoked");
        Ok(kept.settled)
    }

    async fn check_and_insert(
        &self,
        transaction: &mut PgConnection,
        caller: Uuid,
        new: &NewGrant,
        id: Uuid,
        now: OffsetDateTime,
    ) -> Result<Grant> {
        let (to, place) = (Some(new.account_id), new.place());
        let held = giving::may_give(transaction, caller, to, place, now).await?;
        // Not before: a call that is sent again later has the answer that it had.
        if new.expires_at.is_some_and(|end| end <= now) {
            let mut fields = Fields::new();
            let message = "授权截止时间应在当前时间之后，请重新填写";
            fields.refuse("expire_time", "TIME_PAST", message);
            return Err(fields.into_error().into());
        }
        let given = giving::insert(transaction, new, Some(caller), id, now).await?;
        given.record(transaction, &self.trail, &records::person(caller), held.right).await?;
        Ok(given.made)
    }
}
