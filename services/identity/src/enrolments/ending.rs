//! The second half: activation, and the way back.

use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use zhiyuan_domain::Mobile;

use super::guardian::Details;
use super::{Enrolment, Enrolments, State, db};
use crate::accounts::{self, db::Holder};
use crate::consents;
use crate::error::{Error, Result};
use crate::feed;
use crate::keys::{self, Column, Indexes};
use crate::notices::{self, Notice};
use crate::rosters::db::adoption;
use crate::sign_in::Owners;
use crate::sms_codes;

/// Who had to wait longer than this for the end of a registration is told by text
/// message that it came.
const TELL_AFTER: Duration = Duration::seconds(30);

impl Enrolments {
    /// Activates the account of a claimed enrolment.
    ///
    /// # Errors
    /// `EnrolmentNotClaimed` in any other state but ACTIVE.
    pub(crate) async fn activate(&self, id: Uuid) -> Result<Enrolment> {
        let now = self.clock.now();
        let (to_guardian, to_roster, phone) = match self.claimed(id).await? {
            Some((account_id, holder)) => (
                self.notice_to_guardian(id, account_id, now).await?,
                self.notice_to_roster(id, account_id, &holder, now).await?,
                Some(self.phone_of(account_id, holder).await?),
            ),
            None => (None, None, None),
        };
        let mut tx = self.pool.begin().await?;
        let enrolment = db::lock(&mut tx, id).await?.ok_or(Error::EnrolmentNotFound)?;
        match enrolment.state {
            State::Active => return Ok(enrolment),
            State::Claimed => {}
            State::Accepted
            | State::Pending
            | State::Review
            | State::Refused
            | State::Discarded => return Err(Error::EnrolmentNotClaimed),
        }
        let account_id = enrolment.account_id.ok_or(Error::Inconsistent("identity.enrolment"))?;
        if let Some((revision, level)) = accounts::db::activate(&mut tx, account_id, now).await? {
            adoption::delete(&mut tx, account_id).await?;
            if let Some(notice) = to_roster.as_ref().filter(|_| level < accounts::LEVEL_ROSTER) {
                notices::db::queue(&mut tx, notice, now).await?;
            }
            if let Some(phone) = &phone {
                Owners::take_phone(&mut tx, phone, account_id, now).await?;
            }
            let changed = feed::account_changed(account_id, revision, level);
            self.outbox.append(&mut tx, &[changed]).await?;
            consents::tell(&mut tx, &self.outbox, account_id).await?;
        }
        self.end(&mut tx, id, State::Active, None).await?;
        if enrolment.waited || enrolment.created_at + TELL_AFTER < now {
            let notice = Notice::registered(self.clock.as_ref(), id, account_id, now);
            notices::db::queue(&mut tx, &notice, now).await?;
        }
        if let Some(notice) = &to_guardian {
            notices::db::queue(&mut tx, notice, now).await?;
        }
        tx.commit().await?;
        self.outbox.wake();
        self.load(id).await
    }

    /// The account of a claimed enrolment; `None` of any other, and of one whose account is
    /// closed.
    async fn claimed(&self, id: Uuid) -> Result<Option<(Uuid, Holder)>> {
        let mut conn = self.pool.acquire().await?;
        let claimed = db::find(&mut conn, id).await?.filter(|e| e.state == State::Claimed);
        let Some(account_id) = claimed.and_then(|enrolment| enrolment.account_id) else {
            return Ok(None);
        };
        let holder = accounts::db::find(&mut conn, account_id).await?;
        Ok(holder.map(|holder| (account_id, holder)))
    }

    /// What a guardian is told when the registration is complete that he consented to.
    async fn notice_to_guardian(
        &self,
        id: Uuid,
        account_id: Uuid,
        now: OffsetDateTime,
    ) -> Result<Option<Notice>> {
        let consent = db::guardians::find(&mut *self.pool.acquire().await?, account_id).await?;
        let Some(consent) = consent else { return Ok(None) };
        let key = self.vault.key(account_id).await?;
        let guardian = Details::of_account(&self.vault, &key, account_id, &consent, now)?;
        let clock = self.clock.as_ref();
        let notice = Notice::guardian(&self.vault, clock, id, guardian.phone.as_e164(), now);
        Ok(Some(notice.await?))
    }

    /// What the phone is told that a roster lists for whoever has registered with another one.
    async fn notice_to_roster(
        &self,
        id: Uuid,
        account_id: Uuid,
        holder: &Holder,
        now: OffsetDateTime,
    ) -> Result<Option<Notice>> {
        let person = adoption::find(&mut *self.pool.acquire().await?, account_id).await?;
        let Some(sealed) = person.and_then(|person| person.phone) else { return Ok(None) };
        let key = self.vault.key(account_id).await?;
        let listed = self.vault.open(&key, Column::RosterPhone, account_id, &sealed)?;
        let own = self.vault.open(&key, Column::AccountPhone, account_id, &holder.phone)?;
        if listed == own {
            return Ok(None);
        }
        let clock = self.clock.as_ref();
        Ok(Some(Notice::on_roster(&self.vault, clock, id, &listed, now).await?))
    }

    /// The phone of an account, under each index key that is active.
    async fn phone_of(&self, account_id: Uuid, holder: Holder) -> Result<Indexes> {
        let versions = keys::db::active_index_keys(&mut *self.pool.acquire().await?).await?;
        if versions == [holder.index_version] {
            return Ok(Indexes { versions, indexes: vec![holder.phone_index] });
        }
        let key = self.vault.key(account_id).await?;
        let phone = self.vault.open(&key, Column::AccountPhone, account_id, &holder.phone)?;
        let phone =
            Mobile::parse(&phone).map_err(|_invalid| Error::Inconsistent("identity.account"))?;
        self.vault.phone_indexes(versions, &phone)
    }

    /// Undoes an enrolment for good, known or not.
    ///
    /// # Errors
    /// `EnrolmentActive` when its account is active.
    pub(crate) async fn discard(&self, id: Uuid) -> Result<Enrolment> {
        let now = self.clock.now();
        let known = db::find(&mut *self.pool.acquire().await?, id).await?;
        let notice = match known {
            Some(enrolment) if enrolment.waited => self.notice_to_applicant(id, now).await?,
            _ => None,
        };
        let mut tx = self.pool.begin().await?;
        db::bury(&mut tx, id, now).await?;
        let enrolment = db::lock(&mut tx, id).await?.ok_or(Error::EnrolmentNotFound)?;
        let (undone, subject) = match enrolment.state {
            State::Refused | State::Discarded => (false, None),
            State::Active => return Err(Error::EnrolmentActive),
            State::Accepted | State::Pending | State::Review => {
                self.end(&mut tx, id, State::Discarded, None).await?;
                (true, enrolment.account_id)
            }
            State::Claimed => {
                let account_id =
                    enrolment.account_id.ok_or(Error::Inconsistent("identity.enrolment"))?;
                // First, as an import does: it may be putting the account on a roster.
                accounts::db::lock_active(&mut tx, account_id).await?;
                // Who is on a roster is that again, with the number and the key.
                let restored = adoption::restore(&mut tx, account_id, now).await?;
                accounts::db::delete_inactive(&mut tx, account_id).await?;
                for challenge_id in db::challenges_of(&mut tx, id).await? {
                    sms_codes::db::release(&mut tx, challenge_id).await?;
                }
                self.end(&mut tx, id, State::Discarded, None).await?;
                (true, enrolment.account_id.filter(|_| !restored))
            }
        };
        if let (true, Some(notice)) = (undone, &notice) {
            notices::db::queue(&mut tx, notice, now).await?;
        }
        tx.commit().await?;
        self.outbox.wake();
        if let Some(subject) = subject {
            self.vault.destroy_key(subject).await?;
        }
        self.load(id).await
    }

    /// The name of an account with all but its first character hidden.
    pub(crate) async fn masked_name(&self, account_id: Uuid) -> Result<String> {
        let found = accounts::db::find(&mut *self.pool.acquire().await?, account_id).await?;
        // Closed since: nobody knows any more.
        let Some(holder) = found else { return Ok(String::new()) };
        let key = self.vault.key(account_id).await?;
        let name = self.vault.open(&key, Column::AccountName, account_id, &holder.name)?;
        zhiyuan_domain::PersonName::parse(&name)
            .map(|name| name.masked())
            .map_err(|_invalid| Error::Inconsistent("identity.account"))
    }
}
