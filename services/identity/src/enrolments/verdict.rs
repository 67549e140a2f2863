//! Asking the register, and what follows from its answer: only a good verdict leads
//! to a claim, and nothing holds an ID number before.

use sqlx::Connection as _;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_crypto::digest;
use zhiyuan_domain::{IdNumber, Mobile, PersonName, shanghai_date};

use super::{Enrolments, Refusal, State, db, wait_after};
use crate::accounts::{self, Claim};
use crate::error::{Error, Result};
use crate::keys::Column;
use crate::notices::{self, Notice};
use crate::sms_codes;
use crate::vendors::Verdict;

/// An applicant, opened.
struct Opened {
    name: PersonName,
    id_number: IdNumber,
    phone: Mobile,
}

impl Enrolments {
    /// Asks the register about an enrolment on which the caller holds the lease, and
    /// stores what follows. Nothing if there is a verdict already.
    pub(crate) async fn check(&self, id: Uuid) -> Result<()> {
        let Some(pending) = db::pending(&mut *self.pool.acquire().await?, id).await? else {
            return Ok(());
        };
        if pending.decide_by <= self.clock.now() {
            return self.refuse(id, Refusal::IdCheckExpired).await;
        }
        let opened = self.open(id, &pending).await?;
        if self.too_many_failures(&opened).await? {
            return self.refuse(id, Refusal::IdCheckLimit).await;
        }
        match self.register.check(&opened.name, &opened.id_number).await {
            Verdict::Match => self.claim(id, &pending, &opened).await,
            Verdict::Mismatch => self.refuse_failed(id, &opened, Refusal::IdNameMismatch).await,
            Verdict::NotFound => self.refuse_failed(id, &opened, Refusal::IdNotFound).await,
            Verdict::CannotTell => {
                let now = self.clock.now();
                db::send_to_review(&mut *self.pool.acquire().await?, id, now).await
            }
            Verdict::Unavailable => {
                let now = self.clock.now();
                let next = (now + wait_after(pending.attempts)).min(pending.decide_by);
                db::postpone(&mut *self.pool.acquire().await?, id, next, now).await
            }
        }
    }

    async fn open(&self, id: Uuid, pending: &db::Pending) -> Result<Opened> {
        let key = self.vault.key(pending.account_id).await?;
        let sealed = &pending.applicant;
        let name = self.vault.open(&key, Column::EnrolmentName, id, &sealed.name)?;
        let number = self.vault.open(&key, Column::EnrolmentIdNumber, id, &sealed.id_number)?;
        let phone = self.vault.open(&key, Column::EnrolmentPhone, id, &sealed.phone)?;
        let inconsistent = || Error::Inconsistent("identity.enrolment");
        Ok(Opened {
            name: PersonName::parse(&name).map_err(|_invalid| inconsistent())?,
            id_number: IdNumber::parse(&number, self.today()).map_err(|_invalid| inconsistent())?,
            phone: Mobile::parse(&phone).map_err(|_invalid| inconsistent())?,
        })
    }

    async fn too_many_failures(&self, opened: &Opened) -> Result<bool> {
        let mut conn = self.pool.acquire().await?;
        let version = crate::keys::db::newest_index_key(&mut conn).await?;
        let day = self.today();
        let phone = self.vault.check_index(version, opened.phone.as_e164())?;
        let number = self.vault.check_index(version, opened.id_number.as_str())?;
        Ok(db::failed_checks(&mut conn, &phone, day).await? >= self.rules.failed_checks_per_phone
            || db::failed_checks(&mut conn, &number, day).await?
                >= self.rules.failed_checks_per_number)
    }

    async fn refuse_failed(&self, id: Uuid, opened: &Opened, refusal: Refusal) -> Result<()> {
        let mut tx = self.pool.begin().await?;
        let version = crate::keys::db::newest_index_key(&mut tx).await?;
        let day = self.today();
        // Always in the same order: the phone, then the number.
        for subject in [opened.phone.as_e164(), opened.id_number.as_str()] {
            let index = self.vault.check_index(version, subject)?;
            db::add_failed_check(&mut tx, &index, day).await?;
        }
        tx.commit().await?;
        self.refuse(id, refusal).await
    }

    /// Refuses for good and deletes the applicant; who waited is told.
    pub(crate) async fn refuse(&self, id: Uuid, refusal: Refusal) -> Result<()> {
        self.refuse_and(id, refusal, None, None).await
    }

    /// Refuses, and in the same transaction names the account that the applicant turned
    /// out to be, or queues what its owner is told.
    async fn refuse_and(
        &self,
        id: Uuid,
        refusal: Refusal,
        account_id: Option<Uuid>,
        to_owner: Option<Notice>,
    ) -> Result<()> {
        let now = self.clock.now();
        let waiting = db::find(&mut *self.pool.acquire().await?, id).await?;
        let notice = match waiting {
            Some(enrolment) if enrolment.waited => self.refusal_notice(id, now).await?,
            _ => None,
        };
        let mut tx = self.pool.begin().await?;
        let Some(enrolment) = db::lock(&mut tx, id).await? else { return Ok(()) };
        if !matches!(enrolment.state, State::Pending | State::Review) {
            return Ok(());
        }
        db::end(&mut tx, id, State::Refused, Some(refusal), now).await?;
        db::set_account(&mut tx, id, account_id).await?;
        for notice in notice.iter().chain(&to_owner) {
            notices::db::queue(&mut tx, notice, now).await?;
        }
        tx.commit().await?;
        match enrolment.account_id {
            Some(subject) => self.vault.destroy_key(subject).await,
            None => Ok(()),
        }
    }

    /// A notice with the phone under a key of its own, since the applicant's goes.
    async fn refusal_notice(&self, id: Uuid, now: OffsetDateTime) -> Result<Option<Notice>> {
        let sealed = db::phone_of(&mut *self.pool.acquire().await?, id).await?;
        let Some((subject, sealed)) = sealed else { return Ok(None) };
        let key = self.vault.key(subject).await?;
        let phone = self.vault.open(&key, Column::EnrolmentPhone, id, &sealed)?;
        Ok(Some(Notice::refused(&self.vault, self.clock.as_ref(), id, &phone, now).await?))
    }

    /// Claims the number for an inactive account, in one transaction with the end of
    /// the applicant and of the code.
    async fn claim(&self, id: Uuid, pending: &db::Pending, opened: &Opened) -> Result<()> {
        let account_id = pending.account_id;
        let key = self.vault.key(account_id).await?;
        let seal = |column, text| self.vault.seal(&key, column, account_id, text);
        let name = seal(Column::AccountName, opened.name.as_str())?;
        let id_number = seal(Column::AccountIdNumber, opened.id_number.as_str())?;
        let phone = seal(Column::AccountPhone, opened.phone.as_e164())?;
        let now = self.clock.now();

        let mut tx = self.pool.begin().await?;
        let Some(enrolment) = db::lock(&mut tx, id).await? else { return Ok(()) };
        if enrolment.state != State::Pending {
            // Discarded, or decided by another process meanwhile.
            return Ok(());
        }
        let indexes = crate::keys::db::lock_active_index_keys(&mut tx)
            .await?
            .into_iter()
            .map(|version| Ok((version, self.vault.number_index(version, &opened.id_number)?)))
            .collect::<Result<Vec<_>>>()?;
        let new = accounts::db::NewAccount {
            account_id,
            enrolment_id: id,
            level: accounts::LEVEL_REGISTER,
            name: &name,
            id_number: &id_number,
            phone: &phone,
            index_version: pending.index_version,
            phone_index: &pending.phone_index,
            password_hash: &pending.applicant.password_hash,
        };
        let mut attempt = tx.begin().await?;
        match accounts::db::claim(&mut attempt, &new, &indexes, &pending.consents, now).await? {
            Claim::Won => attempt.commit().await?,
            Claim::Taken { account_id } => {
                attempt.rollback().await?;
                tx.rollback().await?;
                return self.already_registered(id, pending, account_id).await;
            }
        }
        if !sms_codes::db::mark_used(&mut tx, pending.challenge_id, now).await? {
            // Two applications shared one code, and the other one was first.
            tx.rollback().await?;
            return self.refuse(id, Refusal::SmsCodeUsed).await;
        }
        db::end(&mut tx, id, State::Claimed, None, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The number is somebody's. The owner is told, at most once a day; the applicant
    /// learns which account it is only with the phone of that very account, and only
    /// if it is active.
    async fn already_registered(&self, id: Uuid, pending: &db::Pending, owner: Uuid) -> Result<()> {
        let refusal = Refusal::AlreadyRegistered;
        let holder = accounts::db::find(&mut *self.pool.acquire().await?, owner).await?;
        let Some(holder) = holder.filter(|holder| holder.active) else {
            return self.refuse(id, refusal).await;
        };
        let is_owner = holder.index_version == pending.index_version
            && digest::equal(&holder.phone_index, &pending.phone_index);
        if is_owner {
            return self.refuse_and(id, refusal, Some(owner), None).await;
        }
        let now = self.clock.now();
        let clock = self.clock.as_ref();
        let notice = Notice::attempt_on_account(clock, owner, shanghai_date(now), now);
        self.refuse_and(id, refusal, None, Some(notice)).await
    }
}
