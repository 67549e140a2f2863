//! How a recovery ends without effect: its person objects, or an administrator cancels it.

use uuid::Uuid;
use zeroize::Zeroizing;
use zhiyuan_audit::{Actor, Record};
use zhiyuan_contracts::identity::v1::SmsPurpose;
use zhiyuan_crypto::digest;
use zhiyuan_domain::{AccountId, Mobile};
use zhiyuan_postgres::again;

use super::{Recoveries, Recovery, State, db};
use crate::error::{Error, Result};
use crate::notices::{self, Notice, Template};
use crate::sms_codes::{self, Code};

impl Recoveries {
    /// The recoveries of an account, the latest first.
    pub(crate) async fn of_account(
        &self,
        account_id: Uuid,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Recovery>> {
        let mut conn = self.credentials.sign_in.issuer.pool.acquire().await?;
        db::of_account(&mut conn, account_id, before, limit).await
    }

    /// Ends a recovery of who is signed in. Sent again, it is known.
    ///
    /// # Errors
    /// `RecoveryNotFound`; `RecoveryOver`.
    pub(crate) async fn object(&self, account_id: Uuid, recovery_id: Uuid) -> Result<()> {
        let found = self.find(recovery_id).await?;
        let mine = found.filter(|recovery| recovery.account_id == Some(account_id));
        let found = mine.ok_or(Error::RecoveryNotFound)?;
        let actor = Actor::Person(AccountId::from(account_id));
        let ended = self.end_by(&found, State::Objected, actor).await?;
        match ended.state {
            State::Objected => Ok(()),
            State::Started
            | State::Approved
            | State::Completed
            | State::Cancelled
            | State::Expired => Err(Error::RecoveryOver),
        }
    }

    /// Ends what goes on of the accounts that a phone is attached to. Whoever proves the phone
    /// may, and nothing else is asked for: to keep things as they are is safe.
    ///
    /// # Errors
    /// When the code isn't right; `RecoveryNotFound`; `RecoveryOver` if it took effect that
    /// very moment.
    pub(crate) async fn object_by_code(&self, phone: &Mobile, code: &Code) -> Result<()> {
        let sign_in = &self.credentials.sign_in;
        sign_in.check_code(code, (phone, SmsPurpose::ObjectToRecovery)).await?;
        let owners = sign_in.owners.of_phone(phone).await?;
        let mut open = Vec::new();
        let mut conn = sign_in.issuer.pool.acquire().await?;
        let now = sign_in.issuer.keys.agreed.now(&mut conn).await?;
        for owner in owners {
            let found = db::open_of(&mut conn, owner.account_id).await?;
            open.extend(found.filter(|recovery| recovery.state_at(now).is_open()));
        }
        drop(conn);
        if open.is_empty() {
            return Err(Error::RecoveryNotFound);
        }
        let mut objected = false;
        for recovery in open {
            let Some(account_id) = recovery.account_id else { continue };
            let actor = Actor::Person(AccountId::from(account_id));
            objected |=
                self.end_by(&recovery, State::Objected, actor).await?.state == State::Objected;
        }
        if !objected {
            return Err(Error::RecoveryOver);
        }
        // Last, so that who was cut off before can send it again.
        let mut conn = sign_in.issuer.pool.acquire().await?;
        sms_codes::db::mark_used(&mut conn, code.challenge_id, sign_in.clock.now()).await?;
        Ok(())
    }

    /// Ends the recovery whose notice brought this code to the phone of the account. Nothing
    /// counts the tries: there are too many codes, and a right one keeps things as they are.
    ///
    /// # Errors
    /// `RecoveryNotFound`, also for another code.
    pub(crate) async fn object_by_notice(&self, phone: &Mobile, code: &str) -> Result<()> {
        let sign_in = &self.credentials.sign_in;
        for owner in sign_in.owners.of_phone(phone).await? {
            let mut conn = sign_in.issuer.pool.acquire().await?;
            let latest = db::of_account(&mut conn, owner.account_id, None, 1).await?;
            drop(conn);
            let Some(recovery) = latest.first() else { continue };
            let codes = sign_in.issuer.vault.objection_codes(recovery.recovery_id)?;
            let is_right =
                |right: &Zeroizing<String>| digest::equal(right.as_bytes(), code.as_bytes());
            if !codes.iter().any(is_right) {
                continue;
            }
            return self.object(owner.account_id, recovery.recovery_id).await;
        }
        Err(Error::RecoveryNotFound)
    }

    /// Ends a recovery that goes on, and tells both phones; as it is stored then.
    pub(super) async fn end_by(
        &self,
        found: &Recovery,
        state: State,
        actor: Actor,
    ) -> Result<Recovery> {
        let now = self.agreed_now().await?;
        let Some(account_id) = found.account_id.filter(|_| found.state_at(now).is_open()) else {
            return Ok(found.clone());
        };
        let new_phone = self.new_phone(found).await?;
        let templates = (Template::RecoveryEnded, Template::RecoveryEnded);
        let ids = (found.recovery_id, account_id);
        let notices = self.notices(ids, new_phone.as_ref(), templates).await?;
        let action = match state {
            State::Objected => "identity.phone_recovery.objected",
            State::Started
            | State::Approved
            | State::Completed
            | State::Cancelled
            | State::Expired => "identity.phone_recovery.cancelled",
        };
        let record = Record::done(actor, action).about(AccountId::from(account_id));
        let work = || self.try_end(found.recovery_id, state, &record, &notices);
        again(Error::is_lost, work).await
    }

    async fn try_end(
        &self,
        recovery_id: Uuid,
        state: State,
        record: &Record,
        notices: &[Notice],
    ) -> Result<Recovery> {
        let sign_in = &self.credentials.sign_in;
        let mut tx = sign_in.issuer.pool.begin().await?;
        // By a clock that is ahead, its time would be over, and nobody could end it.
        let now = sign_in.issuer.keys.agreed.now(&mut tx).await?;
        let locked = db::lock(&mut tx, recovery_id).await?.ok_or(Error::RecoveryNotFound)?;
        if !locked.state_at(now).is_open() {
            return Ok(locked);
        }
        db::end(&mut tx, recovery_id, state, now).await?;
        sign_in.issuer.trail.append(&mut tx, record).await?;
        for notice in notices {
            notices::db::queue(&mut tx, notice, now).await?;
        }
        let stored = db::find(&mut tx, recovery_id).await?;
        tx.commit().await?;
        stored.ok_or(Error::Inconsistent("identity.phone_recovery"))
    }
}
