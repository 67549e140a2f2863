//! Asking the register, and what follows from its answer, or from that of a person where it
//! could not tell: only a good verdict leads to a claim, and nothing holds an ID number before.

use time::{Date, OffsetDateTime};
use uuid::Uuid;
use zeroize::Zeroizing;
use zhiyuan_crypto::keys::KeyStoreError;
use zhiyuan_domain::{IdNumber, Mobile, PersonName};
use zhiyuan_rpc::chain;

use super::begin::Rules;
use super::guardian::Details;
use super::{Decision, Enrolments, Refusal, State, db, wait_after};
use crate::error::{Error, Result};
use crate::feed;
use crate::keys::Column;
use crate::notices::{self, Notice};
use crate::vendors::Verdict;

/// An applicant, opened.
pub(crate) struct Opened {
    pub(crate) name: PersonName,
    pub(crate) id_number: IdNumber,
    pub(crate) phone: Mobile,
    pub(crate) guardian: Option<Details>,
}

/// What the register says of an applicant and of the guardian.
enum Answer {
    Match,
    No(Refusal),
    CannotTell,
    Unavailable,
}

impl Enrolments {
    /// Asks the register about an enrolment on which the caller holds the lease, unless a
    /// person has decided, and stores what follows. Nothing if there is a verdict already.
    pub(crate) async fn check(&self, id: Uuid) -> Result<()> {
        let Some(pending) =
            db::pending(&mut *self.pool.acquire().await?, id, State::Pending).await?
        else {
            return Ok(());
        };
        if pending.decide_by <= self.clock.now() {
            return self.refuse(id, Refusal::IdCheckExpired).await;
        }
        let day = self.today();
        match pending.decision {
            None => {}
            // The check that led to it stays counted as failed.
            Some(Decision::NameMismatch) => return self.refuse(id, Refusal::IdNameMismatch).await,
            Some(Decision::NumberNotFound) => return self.refuse(id, Refusal::IdNotFound).await,
            Some(Decision::Accept) => return self.accepted(id, &pending, day).await,
        }
        let opened = self.open_pending(id, &pending).await?;
        if !self.reserve_check(id, &opened, day).await? {
            return self.refuse(id, Refusal::IdCheckLimit).await;
        }
        let failed = match self.ask(&opened).await {
            Answer::Match => self.claim(id, &pending, &opened, day).await?,
            Answer::No(refusal) => {
                self.refuse(id, refusal).await?;
                true
            }
            Answer::CannotTell => {
                self.send_to_review(id).await?;
                // Nobody looks for free how the register answers to rare names, or fills the
                // list of those who decide: given back with the claim, on the same day.
                true
            }
            Answer::Unavailable => {
                self.postpone(id, &pending).await?;
                false
            }
        };
        if failed { Ok(()) } else { self.give_check_back(id, &opened, day).await }
    }

    /// A person has accepted: what the register can tell of a guardian still counts.
    async fn accepted(&self, id: Uuid, pending: &db::Pending, day: Date) -> Result<()> {
        let opened = self.open_pending(id, pending).await?;
        match self.ask_about_guardian(&opened).await {
            Answer::Match | Answer::CannotTell => {
                self.claim(id, pending, &opened, day).await.map(|_failed| ())
            }
            Answer::No(refusal) => self.refuse(id, refusal).await,
            Answer::Unavailable => self.postpone(id, pending).await,
        }
    }

    /// Asks the register about the applicant, and if that is well about the guardian.
    async fn ask(&self, opened: &Opened) -> Answer {
        match self.register.check(&opened.name, &opened.id_number).await {
            Verdict::Match => {}
            Verdict::Mismatch => return Answer::No(Refusal::IdNameMismatch),
            Verdict::NotFound => return Answer::No(Refusal::IdNotFound),
            Verdict::CannotTell => return Answer::CannotTell,
            Verdict::Unavailable => return Answer::Unavailable,
        }
        self.ask_about_guardian(opened).await
    }

    async fn ask_about_guardian(&self, opened: &Opened) -> Answer {
        let Some(guardian) = &opened.guardian else { return Answer::Match };
        match self.register.check(&guardian.name, &guardian.id_number).await {
            Verdict::Match => Answer::Match,
            Verdict::Mismatch | Verdict::NotFound => Answer::No(Refusal::GuardianIdMismatch),
            Verdict::CannotTell => Answer::CannotTell,
            Verdict::Unavailable => Answer::Unavailable,
        }
    }

    async fn send_to_review(&self, id: Uuid) -> Result<()> {
        let mut tx = self.pool.begin().await?;
        if let Some(revision) = db::send_to_review(&mut tx, id, None, self.clock.now()).await? {
            let changed = feed::enrolment_changed(id, revision, State::Review);
            self.outbox.append(&mut tx, &[changed]).await?;
        }
        tx.commit().await?;
        self.outbox.wake();
        Ok(())
    }

    pub(super) async fn postpone(&self, id: Uuid, pending: &db::Pending) -> Result<()> {
        let now = self.clock.now();
        let next = (now + wait_after(pending.attempts)).min(pending.decide_by);
        db::postpone(&mut *self.pool.acquire().await?, id, next, now).await
    }

    /// Reserves a failed check of the phone and of the number before the register is
    /// asked, so that the limits hold however many ask at once. A check that is cut off
    /// leaves it reserved for the next one of the same enrolment.
    async fn reserve_check(&self, id: Uuid, opened: &Opened, day: Date) -> Result<bool> {
        let mut tx = self.pool.begin().await?;
        if !db::checks::set_reserved(&mut tx, id, day).await? {
            return Ok(true);
        }
        for (index, limit) in self.check_indexes(&mut tx, opened).await? {
            if !db::checks::reserve_check(&mut tx, &index, day, limit).await? {
                return Ok(false);
            }
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn give_check_back(&self, id: Uuid, opened: &Opened, day: Date) -> Result<()> {
        let mut tx = self.pool.begin().await?;
        self.give_check_back_in(&mut tx, id, opened, day).await?;
        Ok(tx.commit().await?)
    }

    /// Gives a reserved check back, unless it was. Who ends an enrolment well does it in
    /// that transaction: nobody comes to it again whose call is cut off right after.
    pub(super) async fn give_check_back_in(
        &self,
        tx: &mut sqlx::PgConnection,
        id: Uuid,
        opened: &Opened,
        day: Date,
    ) -> Result<()> {
        if !db::checks::clear_reserved(&mut *tx, id, day).await? {
            return Ok(());
        }
        for (index, _limit) in self.check_indexes(&mut *tx, opened).await? {
            db::checks::give_check_back(&mut *tx, &index, day).await?;
        }
        Ok(())
    }

    /// What failed checks are counted under, and how many there may be: the phone, the
    /// number, and the guardian's number. Always in the order of the indexes, since one's
    /// own number may be another one's guardian's.
    async fn check_indexes(
        &self,
        tx: &mut sqlx::PgConnection,
        opened: &Opened,
    ) -> Result<Vec<([u8; 32], i32)>> {
        let version = crate::keys::db::newest_index_key(tx).await?;
        let Rules { failed_checks_per_phone, failed_checks_per_number, .. } = self.rules;
        let guardian = opened.guardian.as_ref();
        let mut indexes = std::iter::once((opened.phone.as_e164(), failed_checks_per_phone))
            .chain(std::iter::once((opened.id_number.as_str(), failed_checks_per_number)))
            .chain(guardian.map(|guardian| (guardian.id_number.as_str(), failed_checks_per_number)))
            .map(|(subject, limit)| Ok((self.vault.check_index(version, subject)?, limit)))
            .collect::<Result<Vec<_>>>()?;
        indexes.sort_unstable();
        Ok(indexes)
    }

    pub(crate) async fn open_pending(&self, id: Uuid, pending: &db::Pending) -> Result<Opened> {
        let sealed = &pending.applicant;
        let applicant = [&*sealed.name, &sealed.id_number, &sealed.phone];
        self.open(id, pending.account_id, applicant, sealed.guardian.as_deref()).await
    }

    /// Opens name, ID number and phone of an applicant, and the guardian.
    pub(super) async fn open(
        &self,
        id: Uuid,
        subject: Uuid,
        [name, number, phone]: [&[u8]; 3],
        guardian: Option<&[u8]>,
    ) -> Result<Opened> {
        let key = self.vault.key(subject).await?;
        let name = self.vault.open(&key, Column::EnrolmentName, id, name)?;
        let number = self.vault.open(&key, Column::EnrolmentIdNumber, id, number)?;
        let phone = self.vault.open(&key, Column::EnrolmentPhone, id, phone)?;
        let guardian = match guardian {
            Some(sealed) => {
                let cell = (Column::EnrolmentGuardian, id);
                Some(Details::open(&self.vault, &key, cell, sealed, self.today())?)
            }
            None => None,
        };
        let inconsistent = || Error::Inconsistent("identity.enrolment");
        Ok(Opened {
            guardian,
            name: PersonName::parse(&name).map_err(|_invalid| inconsistent())?,
            id_number: IdNumber::parse(&number, self.today()).map_err(|_invalid| inconsistent())?,
            phone: Mobile::parse(&phone).map_err(|_invalid| inconsistent())?,
        })
    }

    /// Refuses for good and deletes the applicant; who waited is told.
    pub(crate) async fn refuse(&self, id: Uuid, refusal: Refusal) -> Result<()> {
        self.refuse_and(id, refusal, None, None).await
    }

    /// Refuses, and in the same transaction names the account that the applicant turned
    /// out to be, or queues what its owner is told.
    pub(super) async fn refuse_and(
        &self,
        id: Uuid,
        refusal: Refusal,
        account_id: Option<Uuid>,
        to_owner: Option<Notice>,
    ) -> Result<()> {
        let now = self.clock.now();
        let waiting = db::find(&mut *self.pool.acquire().await?, id).await?;
        let notice = match waiting {
            Some(enrolment) if enrolment.waited => self.notice_to_applicant(id, now).await?,
            _ => None,
        };
        let mut tx = self.pool.begin().await?;
        let Some(enrolment) = db::lock(&mut tx, id).await? else { return Ok(()) };
        if !matches!(enrolment.state, State::Pending | State::Review) {
            return Ok(());
        }
        self.end(&mut tx, id, State::Refused, Some(refusal)).await?;
        db::set_account(&mut tx, id, account_id).await?;
        for notice in notice.iter().chain(&to_owner) {
            notices::db::queue(&mut tx, notice, now).await?;
        }
        tx.commit().await?;
        self.outbox.wake();
        match enrolment.account_id {
            Some(subject) => self.vault.destroy_key(subject).await,
            None => Ok(()),
        }
    }

    /// What an applicant is told whose registration came to nothing, with the phone
    /// under a key of its own, since the applicant's goes. `None` if the phone can't be
    /// read any more: that must not keep the registration from ending.
    pub(crate) async fn notice_to_applicant(
        &self,
        id: Uuid,
        now: OffsetDateTime,
    ) -> Result<Option<Notice>> {
        match self.phone_of_applicant(id).await {
            Ok(None) => Ok(None),
            Ok(Some(phone)) => {
                Ok(Some(Notice::refused(&self.vault, self.clock.as_ref(), id, &phone, now).await?))
            }
            Err(
                error @ (Error::KeyMissing
                | Error::Sealed(_)
                | Error::KeyStore(KeyStoreError::Unwrap(_))),
            ) => {
                tracing::error!(enrolment.id = %id, error = chain(&error), "nobody can be told");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn phone_of_applicant(&self, id: Uuid) -> Result<Option<Zeroizing<String>>> {
        let mut conn = self.pool.acquire().await?;
        let Some((subject, sealed)) = db::phone_of(&mut conn, id).await? else { return Ok(None) };
        drop(conn);
        let key = self.vault.key(subject).await?;
        Ok(Some(match sealed {
            db::SealedPhone::Applicant(sealed) => {
                self.vault.open(&key, Column::EnrolmentPhone, id, &sealed)?
            }
            db::SealedPhone::Account(sealed) => {
                self.vault.open(&key, Column::AccountPhone, subject, &sealed)?
            }
        }))
    }
}
