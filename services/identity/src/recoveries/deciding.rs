//! What administrators decide, as registration tells it.

use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_audit::{Actor, Record};
use zhiyuan_domain::{AccountId, Mobile};
use zhiyuan_postgres::again;

use super::{Recoveries, Recovery, State, db};
use crate::accounts;
use crate::error::{Error, Result};
use crate::keys::Column;
use crate::notices::{self, Notice, Template};

/// A recovery that an administrator begins. Not for logs.
pub(crate) struct Beginning {
    pub(crate) recovery_id: Uuid,
    pub(crate) account_id: Uuid,
    pub(crate) new_phone: Mobile,
    pub(crate) started_by: Uuid,
}

impl Recoveries {
    /// Begins a recovery. Sent again, it is known; one that was cancelled before stays so.
    ///
    /// # Errors
    /// See `PhoneRecoveryService.BeginPhoneRecovery`.
    pub(crate) async fn begin(&self, new: &Beginning) -> Result<Recovery> {
        if new.started_by == new.account_id {
            return Err(Error::RecoveryNeedsTwo);
        }
        if let Some(known) = self.find(new.recovery_id).await? {
            return Ok(known);
        }
        let issuer = &self.credentials.sign_in.issuer;
        let mut conn = issuer.pool.acquire().await?;
        let found = accounts::db::owner_of(&mut conn, new.account_id).await?;
        drop(conn);
        // Looked for first, so that a key which is gone means an account that is.
        if found.is_none() {
            return Err(Error::AccountGone);
        }
        let key = match issuer.vault.key(new.account_id).await {
            Err(Error::KeyMissing) => return Err(Error::AccountGone),
            key => key?,
        };
        let text = new.new_phone.as_e164();
        let sealed = issuer.vault.seal(&key, Column::RecoveryPhone, new.recovery_id, text)?;
        let templates = (Template::RecoveryStarted, Template::RecoveryStartedNew);
        let ids = (new.recovery_id, new.account_id);
        let notices = self.notices(ids, Some(&new.new_phone), templates).await?;
        again(Error::is_lost, || self.try_begin(new, &sealed, &notices)).await
    }

    async fn try_begin(
        &self,
        new: &Beginning,
        sealed: &[u8],
        notices: &[Notice],
    ) -> Result<Recovery> {
        let sign_in = &self.credentials.sign_in;
        let mut tx = sign_in.issuer.pool.begin().await?;
        // By a clock that is ahead, the one that goes on would be over.
        let now = sign_in.issuer.keys.agreed.now(&mut tx).await?;
        if !accounts::db::lock_active(&mut tx, new.account_id).await? {
            return Err(Error::AccountGone);
        }
        if let Some(known) = db::find(&mut tx, new.recovery_id).await? {
            return Ok(known);
        }
        match db::open_of(&mut tx, new.account_id).await? {
            Some(open) if open.state_at(now).is_open() => return Err(Error::RecoveryOpen),
            Some(over) => db::end(&mut tx, over.recovery_id, State::Expired, now).await?,
            None => {}
        }
        let (version, index) = sign_in.owners.phone_index(&mut tx, &new.new_phone).await?;
        let row = db::New {
            recovery_id: new.recovery_id,
            account_id: new.account_id,
            started_by: new.started_by,
            new_phone: sealed,
            index_version: version,
            phone_index: &index,
            started_at: now,
            expire_at: now + self.times.open,
        };
        if db::insert(&mut tx, &row).await? {
            let record = by(new.started_by, "identity.phone_recovery.started", new.account_id);
            sign_in.issuer.trail.append(&mut tx, &record).await?;
            for notice in notices {
                notices::db::queue(&mut tx, notice, now).await?;
            }
        }
        // Cancelled that very moment, where it was not inserted.
        let stored = db::find(&mut tx, new.recovery_id).await?;
        tx.commit().await?;
        stored.ok_or(Error::Inconsistent("identity.phone_recovery"))
    }

    /// Approves a recovery: from now on the delay passes. One that is approved, or over, is
    /// told as it is.
    ///
    /// # Errors
    /// See `PhoneRecoveryService.ApprovePhoneRecovery`.
    pub(crate) async fn approve(&self, recovery_id: Uuid, approver: Uuid) -> Result<Recovery> {
        let found = self.find(recovery_id).await?.ok_or(Error::RecoveryNotFound)?;
        if found.state.is_open() && !found.is_of_two(approver) {
            return Err(Error::RecoveryNeedsTwo);
        }
        let now = self.agreed_now().await?;
        let (State::Started, Some(account_id)) = (found.state_at(now), found.account_id) else {
            return Ok(found);
        };
        let new_phone = self.new_phone(&found).await?;
        let templates = (Template::RecoveryApproved, Template::RecoveryApprovedNew);
        let notices =
            self.notices((recovery_id, account_id), new_phone.as_ref(), templates).await?;
        let work = || self.try_approve((recovery_id, account_id), approver, &notices);
        again(Error::is_lost, work).await
    }

    async fn try_approve(
        &self,
        (recovery_id, account_id): (Uuid, Uuid),
        approver: Uuid,
        notices: &[Notice],
    ) -> Result<Recovery> {
        let sign_in = &self.credentials.sign_in;
        let mut tx = sign_in.issuer.pool.begin().await?;
        // By a clock that is behind, the delay would be shorter.
        let now = sign_in.issuer.keys.agreed.now(&mut tx).await?;
        let locked = db::lock(&mut tx, recovery_id).await?.ok_or(Error::RecoveryNotFound)?;
        if locked.state_at(now) != State::Started {
            return Ok(locked);
        }
        let after = now + self.times.delay;
        let until = after + self.times.open;
        db::approve(&mut tx, recovery_id, approver, now, after, until).await?;
        let record = by(approver, "identity.phone_recovery.approved", account_id);
        sign_in.issuer.trail.append(&mut tx, &record).await?;
        for notice in notices {
            notices::db::queue(&mut tx, notice, now).await?;
        }
        let stored = db::find(&mut tx, recovery_id).await?;
        tx.commit().await?;
        stored.ok_or(Error::Inconsistent("identity.phone_recovery"))
    }

    /// Cancels a recovery, unless it is over; one that nobody knows will never begin.
    ///
    /// # Errors
    /// Those of the database and the key store.
    pub(crate) async fn cancel(&self, recovery_id: Uuid) -> Result<Recovery> {
        match self.find(recovery_id).await? {
            Some(found) => {
                self.end_by(&found, State::Cancelled, Actor::Service("registration".to_owned()))
                    .await
            }
            None => again(Error::is_lost, || self.try_prevent(recovery_id)).await,
        }
    }

    async fn try_prevent(&self, recovery_id: Uuid) -> Result<Recovery> {
        let sign_in = &self.credentials.sign_in;
        let mut tx = sign_in.issuer.pool.begin().await?;
        db::insert_cancelled(&mut tx, recovery_id, sign_in.clock.now()).await?;
        let stored = db::find(&mut tx, recovery_id).await?;
        tx.commit().await?;
        match stored {
            // It was begun that very moment.
            Some(stored) if stored.state.is_open() => {
                let actor = Actor::Service("registration".to_owned());
                self.end_by(&stored, State::Cancelled, actor).await
            }
            Some(stored) => Ok(stored),
            None => Err(Error::Inconsistent("identity.phone_recovery")),
        }
    }

    /// Recoveries as they stand.
    pub(crate) async fn by_ids(&self, ids: &[Uuid]) -> Result<Vec<Recovery>> {
        let mut conn = self.credentials.sign_in.issuer.pool.acquire().await?;
        db::by_ids(&mut conn, ids).await
    }

    /// The time, as far as the clocks agree.
    pub(super) async fn agreed_now(&self) -> Result<OffsetDateTime> {
        let issuer = &self.credentials.sign_in.issuer;
        let mut conn = issuer.pool.acquire().await?;
        issuer.keys.agreed.now(&mut conn).await
    }

    pub(super) async fn find(&self, recovery_id: Uuid) -> Result<Option<Recovery>> {
        let mut conn = self.credentials.sign_in.issuer.pool.acquire().await?;
        db::find(&mut conn, recovery_id).await
    }
}

/// An administrator did something to somebody's account.
fn by(administrator: Uuid, action: &'static str, account_id: Uuid) -> Record {
    let actor = Actor::Person(AccountId::from(administrator));
    Record::done(actor, action).about(AccountId::from(account_id))
}
