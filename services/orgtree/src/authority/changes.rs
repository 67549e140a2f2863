//! Giving roles and ending grants.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_audit::{Actor, Record, Trail};
use zhiyuan_domain::{OrganizationCode, SharedClock, new_id};
use zhiyuan_postgres::again;
use zhiyuan_rpc::Fields;

use super::db::Kept;
use super::ending::Endings;
use super::holding::note_refusal;
use super::records::{self, Right};
use super::{Grant, Permission, Role, Verdict, db, decide, holds_all, stays_administered};
use crate::counts;
use crate::error::{Error, Result};
use crate::requests::{self, Request};

/// A role to be given.
#[derive(Debug, Clone)]
pub(super) struct NewGrant {
    pub(super) account_id: Uuid,
    pub(super) organization: OrganizationCode,
    pub(super) role: Role,
    pub(super) expires_at: Option<OffsetDateTime>,
}

/// Changes grants, in the name of people who have signed in.
#[derive(Debug, Clone)]
pub(super) struct Changes {
    pool: PgPool,
    clock: SharedClock,
    trail: Trail,
    endings: Endings,
}

impl Changes {
    pub(super) fn new(pool: PgPool, clock: SharedClock, trail: Trail) -> Self {
        Self { pool, clock, trail, endings: Endings::default() }
    }

    /// Gives a role, once for each call; returns the answer, which `answer` renders.
    pub(super) async fn give(
        &self,
        call: &Request,
        new: &NewGrant,
        answer: impl Fn(&Grant) -> Vec<u8>,
    ) -> Result<Vec<u8>> {
        let given = again(Error::is_lost, async || {
            let now = self.clock.now();
            let mut transaction = self.pool.begin().await?;
            alone(&mut transaction).await?;
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
            self.note(call, reason, &record).await?;
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
            self.note(call, reason, &record).await?;
        }
        let settled = revoked?;
        if !settled {
            self.endings.wait(id).await?;
            db::settle(&self.pool, id, self.clock.now()).await?;
            self.endings.forget(id);
        }
        Ok(())
    }

    /// Tells whether it has taken effect everywhere already.
    async fn revoke_once(&self, call: &Request, id: Uuid) -> Result<bool> {
        let now = self.clock.now();
        let mut transaction = self.pool.begin().await?;
        alone(&mut transaction).await?;
        let before = requests::db::find_answer(&mut transaction, call).await?;
        let kept = db::find(&mut transaction, id).await?.ok_or(Error::GrantNotFound)?;
        if before.is_some() {
            return Ok(kept.settled);
        }
        let right = if kept.grant.account_id == call.caller {
            Right::Own
        } else {
            let code = &kept.grant.organization_code;
            match require(&mut transaction, call.caller, code, now).await {
                Err(Error::OrganizationNotFound) => return Err(Error::GrantNotFound),
                other => other?.right,
            }
        };
        if !kept.revoked {
            end(&mut transaction, &kept, call.caller, now).await?;
            let record = records::revoked(records::person(call.caller), &kept.grant, right);
            self.trail.append(&mut transaction, &record).await?;
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
        let held = require(transaction, caller, new.organization.as_str(), now).await?;
        if new.account_id == caller {
            return Err(Error::GrantToSelf);
        }
        if !holds_all(&held.reaching, new.role) {
            return Err(Error::RoleAboveOwn);
        }
        // Whose own right ends gives none that lasts longer.
        let lasts = |until: &Grant| match (until.expires_at, new.expires_at) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(end), Some(wanted)) => wanted <= end,
        };
        let lasting: Vec<Grant> =
            held.reaching.iter().filter(|held| lasts(held)).cloned().collect();
        let may_give = matches!(decide(&lasting, Permission::Grant), Verdict::Allowed(_));
        if !may_give || !holds_all(&lasting, new.role) {
            return Err(Error::RoleAboveOwn);
        }
        // Not before: a call that is sent again later has the answer that it had.
        if new.expires_at.is_some_and(|end| end <= now) {
            let mut fields = Fields::new();
            let message = "授权截止时间应在当前时间之后，请重新填写";
            fields.refuse("expire_time", "TIME_PAST", message);
            return Err(fields.into_error().into());
        }
        let given = insert(transaction, new, Some(caller), id, now).await?;
        given.record(transaction, &self.trail, &records::person(caller), held.right).await?;
        Ok(given.made)
    }

    /// Records that a change was refused to somebody who may not make it.
    async fn note(&self, call: &Request, reason: &'static str, record: &Record) -> Result<()> {
        note_refusal(&self.pool, &self.clock, &self.trail, (call, reason), record).await
    }
}

/// Alone with the grants, on a tree that stays as it is.
pub(super) async fn alone(transaction: &mut PgConnection) -> Result<()> {
    counts::db::keep_tree(transaction).await?;
    db::lock(transaction).await
}

/// What somebody who may give roles at an organization holds there.
struct Held {
    reaching: Vec<Grant>,
    /// By which of them.
    right: Right,
}

/// Who may not give roles here is told so if it administers the organization, and otherwise
/// that there is none. What the caller holds there is kept until the end of the transaction.
async fn require(
    transaction: &mut PgConnection,
    caller: Uuid,
    code: &str,
    now: OffsetDateTime,
) -> Result<Held> {
    let reaching = db::hold(transaction, caller, code, now).await?;
    match decide(&reaching, Permission::Grant) {
        Verdict::Allowed(grant) => Ok(Held { right: Right::Grant(grant.id), reaching }),
        Verdict::Forbidden => Err(Error::PermissionMissing(Permission::Grant)),
        Verdict::OutOfScope => Err(Error::OrganizationNotFound),
    }
}

/// A grant that was made.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) made: Grant,
    /// The one that it prolongs, which ended with it.
    replaced: Option<Grant>,
}

impl Given {
    /// Records what was done, by which right.
    pub(super) async fn record(
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
        Ok(trail.append(transaction, &records::given(actor.clone(), &self.made, right)).await?)
    }
}

/// Inserts a grant, unless its account or organization is closed. One of the same role there
/// is replaced if it would end sooner.
pub(super) async fn insert(
    transaction: &mut PgConnection,
    new: &NewGrant,
    granted_by: Option<Uuid>,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<Given> {
    let code = new.organization.as_str();
    let place = db::find_place(transaction, code).await?.ok_or(Error::OrganizationNotFound)?;
    if !place.open {
        return Err(Error::OrganizationClosed { successor: place.successor_code });
    }
    if db::is_closed(transaction, new.account_id).await? {
        return Err(Error::AccountClosed);
    }
    let grant = Grant {
        id,
        account_id: new.account_id,
        organization_code: code.to_owned(),
        role: new.role,
        created_at: now,
        expires_at: new.expires_at,
        granted_by,
    };
    let there = db::at(transaction, code, new.role, now).await?;
    let replaced = there.into_iter().find(|same| same.account_id == new.account_id);
    if let Some(same) = &replaced {
        if same.outlasts(&grant) {
            return Err(Error::GrantExists { id: same.id });
        }
        db::revoke(transaction, same.id, granted_by, now).await?;
    }
    Ok(Given { made: db::insert(transaction, &grant).await?, replaced })
}

/// Ends a grant.
async fn end(
    transaction: &mut PgConnection,
    kept: &Kept,
    by: Uuid,
    now: OffsetDateTime,
) -> Result<()> {
    if kept.at_root {
        keep_administered(transaction, &kept.grant, now).await?;
    }
    db::revoke(transaction, kept.grant.id, Some(by), now).await
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
