//! Members who go off a roster: an administrator takes them off, or identity tells that they
//! are somebody else, or nobody any more.

use std::time::Instant;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_audit::{Actor, Record};
use zhiyuan_domain::AccountId;
use zhiyuan_feed::NewEvent;
use zhiyuan_postgres::again;

use super::db::Left;
use super::form::Removal;
use super::permission::Act;
use super::{Fault, Rosters, db, feed};
use crate::error::{Error, Result};
use crate::requests::Command;

const REMOVED: &str = "registration.roster.members_removed";

impl Rosters {
    /// Takes members off; tells how many were on the roster.
    ///
    /// # Errors
    /// See `RosterService.RemoveRosterMembers`.
    pub(super) async fn remove(&self, me: AccountId, removal: &Removal) -> Result<i32> {
        let command = removal.command(me);
        if !command.is_done(&mut *self.pool.acquire().await?, &self.digests).await? {
            let act = Act::change(me, REMOVED, Fault::OrganizationNotFound);
            again(Error::is_lost, || self.try_remove(act, removal, &command)).await?;
            self.outbox.wake();
            self.due.notify_one();
        }
        let removed = db::left_by_request(&self.pool, me, removal.request_id).await?;
        i32::try_from(removed).map_err(|_many| Error::Inconsistent("roster_leaving"))
    }

    async fn try_remove(&self, act: Act, removal: &Removal, command: &Command) -> Result<()> {
        let lease = self.allowed(act, &removal.organization).await?;
        let now = self.clock.now();
        let mut transaction = self.pool.begin().await?;
        command.note(&mut transaction, &self.digests, now).await?;
        db::lock_members(&mut transaction, &removal.people).await?;
        let left = Left { reason: removal.reason, by: Some((act.me, removal.request_id)), at: now };
        let organization = Some(&removal.organization);
        let off = db::take_off(&mut transaction, organization, &removal.people, left).await?;
        let record = act.done(&removal.organization).with("members", off.len());
        let record = record.with("reason", removal.reason);
        self.trail.append_under(&mut transaction, record, &lease).await?;
        let events: Vec<NewEvent> = off.iter().map(feed::changed).collect();
        self.outbox.append(&mut transaction, &events).await?;
        lease.check(Instant::now())?;
        Ok(transaction.commit().await?)
    }
}

/// Takes those off whose names turned out to be other ones: identity has let go of them, also
/// of those who were on no roster yet.
pub(crate) async fn ended(
    transaction: &mut PgConnection,
    ids: &[Uuid],
    now: OffsetDateTime,
) -> Result<Vec<NewEvent>> {
    db::hold(transaction, ids).await?;
    db::let_go(transaction, ids).await?;
    let left = Left { reason: "NAME_DIFFERS", by: None, at: now };
    let off = db::take_off(transaction, None, ids, left).await?;
    Ok(off.iter().map(feed::changed).collect())
}

/// Takes those off who closed their accounts, and forgets where they were; with what is to be
/// recorded of it.
pub(crate) async fn closed(
    transaction: &mut PgConnection,
    ids: &[Uuid],
) -> Result<(Vec<NewEvent>, Vec<Record>)> {
    // Also of those who are on no roster: an import may have heard of them just before.
    db::hold(transaction, ids).await?;
    db::let_go(transaction, ids).await?;
    let off = db::erase(transaction, ids).await?;
    let record = |member: &db::Member| {
        let service = Actor::Service("registration".to_owned());
        let act = Record::done(service, "registration.roster.member_closed");
        act.about(AccountId::from(member.person_id))
    };
    Ok((off.iter().map(feed::changed).collect(), off.iter().map(record).collect()))
}
