//! The claim of an ID number, after a good verdict: free, or held by somebody on a roster, whose
//! place the applicant takes if the names are the same.

use sqlx::{Connection as _, PgConnection};
use time::{Date, OffsetDateTime};
use uuid::Uuid;
use zhiyuan_audit::Record;
use zhiyuan_crypto::digest;
use zhiyuan_domain::{AccountId, Mobile, PersonName, shanghai_date};
use zhiyuan_rpc::chain;

use super::db::guardians;
use super::reviewing::{DECIDED, REVEALED};
use super::verdict::Opened;
use super::{Enrolments, Refusal, State, db};
use crate::accounts::{self, Claim};
use crate::claims::{Displacing, Opening};
use crate::consents::Purpose;
use crate::error::{Error, Result};
use crate::feed;
use crate::keys::{self, Column};
use crate::notices::Notice;
use crate::rosters;
use crate::rosters::db::adoption;
use crate::sms_codes;

/// What became of one try at a claim.
enum Attempt {
    /// Decided, by this try or by another process.
    Over,
    /// The number is an account's that is active.
    TakenBy(Uuid),
    /// Somebody claimed the number whose account is not active yet, or was undone this
    /// very moment: nobody is told "already registered" on account of that. Or a roster named
    /// the number, or changed, just now.
    InTheWay,
}

/// Somebody on a roster who holds the number.
struct OnRoster {
    id: Uuid,
    /// As it was read, before the transaction.
    seen: rosters::db::Person,
    /// The name that the register knows is the roster's: the applicant is this person.
    same_name: bool,
    same_phone: bool,
}

/// How long a claim waits for another one of the same number to come to its end.
const PATIENCE: u32 = 15;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);
/// Records of an applicant that go on with the person whose place is taken.
const RECORDS: i64 = 100;

impl Enrolments {
    /// Claims the number; tells whether the check counts as failed.
    pub(super) async fn claim(
        &self,
        id: Uuid,
        pending: &db::Pending,
        opened: &Opened,
        day: Date,
    ) -> Result<bool> {
        for _ in 0..PATIENCE {
            match self.try_claim(id, pending, opened, (day, None)).await? {
                Attempt::Over => return Ok(false),
                Attempt::TakenBy(owner) => {
                    if let Some(failed) = self.taken(id, pending, opened, owner).await? {
                        return Ok(failed);
                    }
                }
                Attempt::InTheWay => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.postpone(id, pending).await?;
        Ok(false)
    }

    /// Carries a claim out against somebody: their account ends, and the number is claimed, as one
    /// that two administrators have proved. Tells whether it was done.
    pub(crate) async fn displace(
        &self,
        id: Uuid,
        pending: &db::Pending,
        opened: &Opened,
        displacing: &Displacing,
    ) -> Result<bool> {
        let how = (self.today(), Some(displacing));
        Ok(matches!(self.try_claim(id, pending, opened, how).await?, Attempt::Over))
    }

    /// Claims the number for an inactive account, in one transaction with the end of
    /// the applicant and of the code, and of the account that is displaced.
    async fn try_claim(
        &self,
        id: Uuid,
        pending: &db::Pending,
        opened: &Opened,
        (day, displacing): (Date, Option<&Displacing>),
    ) -> Result<Attempt> {
        let on_roster = match self.on_roster(opened).await {
            Ok(found) => found,
            // Forgotten this very moment.
            Err(Error::KeyMissing) => return Ok(Attempt::InTheWay),
            Err(error) => return Err(error),
        };
        let adopted = on_roster.as_ref().filter(|person| person.same_name);
        // One person is one id, from the roster on.
        let account_id = adopted.map_or(pending.account_id, |person| person.id);
        let key = match self.vault.key(account_id).await {
            Err(Error::KeyMissing) if adopted.is_some() => return Ok(Attempt::InTheWay),
            key => key?,
        };
        let seal = |column, text| self.vault.seal(&key, column, account_id, text);
        let name = seal(Column::AccountName, opened.name.as_str())?;
        let id_number = seal(Column::AccountIdNumber, opened.id_number.as_str())?;
        let phone = seal(Column::AccountPhone, opened.phone.as_e164())?;
        let guardian = match &opened.guardian {
            Some(details) => {
                Some(details.seal(&self.vault, &key, Column::GuardianConsent, account_id)?)
            }
            None => None,
        };
        let now = self.clock.now();

        let mut tx = self.pool.begin().await?;
        if !self.may_claim(&mut tx, id, displacing).await? {
            // Discarded, or decided by another process meanwhile.
            return Ok(if displacing.is_some() { Attempt::InTheWay } else { Attempt::Over });
        }
        let indexes = keys::db::lock_active_index_keys(&mut tx)
            .await?
            .into_iter()
            .map(|version| Ok((version, self.vault.number_index(version, &opened.id_number)?)))
            .collect::<Result<Vec<_>>>()?;
        if let Some(person) = &on_roster
            && !adoption::lock_as_seen(&mut tx, person.id, &person.seen).await?
        {
            return Ok(Attempt::InTheWay);
        }
        let new = accounts::db::NewAccount {
            account_id,
            enrolment_id: id,
            level: match (displacing, adopted) {
                (Some(_), _) => accounts::LEVEL_PROVEN,
                (None, Some(person)) if person.same_phone => accounts::LEVEL_ROSTER,
                (None, _) => accounts::LEVEL_REGISTER,
            },
            name: &name,
            id_number: &id_number,
            phone: &phone,
            index_version: pending.index_version,
            phone_index: &pending.phone_index,
            password_hash: &pending.applicant.password_hash,
            person_id: on_roster.as_ref().map(|person| person.id),
        };
        let mut attempt = tx.begin().await?;
        let consents = self.texts.entries(&pending.consents);
        match accounts::db::claim(&mut attempt, &new, &indexes, &consents, now).await? {
            Claim::Won => attempt.commit().await?,
            Claim::Taken { account_id } => {
                attempt.rollback().await?;
                let holder = match account_id {
                    Some(owner) => accounts::db::find(&mut tx, owner).await?,
                    None => None,
                };
                let active = holder.is_some_and(|holder| holder.active);
                return Ok(account_id
                    .filter(|_| active)
                    .map_or(Attempt::InTheWay, Attempt::TakenBy));
            }
        }
        if let Some(refusal) = spend_codes(&mut tx, pending, now).await? {
            tx.rollback().await?;
            self.refuse(id, refusal).await?;
            return Ok(Attempt::Over);
        }
        let text = pending.consents.iter().find(|given| given.purpose == Purpose::Registration);
        let kept = guardians::Kept {
            account_id,
            ground: pending.ground,
            guardian: guardian.as_deref(),
            consent_version: text.map_or("", |given| &given.version),
            consented_at: now,
        };
        guardians::insert(&mut tx, &kept).await?;
        self.give_check_back_in(&mut tx, id, opened, day).await?;
        if let Some(person) = &on_roster {
            self.take_place(&mut tx, id, pending, person).await?;
        }
        self.end(&mut tx, id, State::Claimed, None).await?;
        if let Some(person) = on_roster.as_ref().filter(|person| !person.same_name) {
            self.outbox.append(&mut tx, &[feed::roster_person_ended(person.id)]).await?;
        }
        tx.commit().await?;
        self.outbox.wake();
        if let Some(person) = &on_roster {
            let needless = if person.same_name { pending.account_id } else { person.id };
            if let Err(error) = self.vault.destroy_key(needless).await {
                // It is claimed all the same; the sweep of keys comes by.
                tracing::warn!(enrolment.id = %id, error = chain(&error), "a data key is left");
            }
        }
        Ok(Attempt::Over)
    }

    /// Locks an enrolment that claims the number now, after whom it displaces, whose account ends.
    async fn may_claim(
        &self,
        tx: &mut PgConnection,
        id: Uuid,
        displacing: Option<&Displacing>,
    ) -> Result<bool> {
        if let Some(displacing) = displacing
            && !displacing.lock(tx).await?
        {
            return Ok(false);
        }
        let expected = if displacing.is_some() { State::Review } else { State::Pending };
        let enrolment = db::lock(tx, id).await?;
        if enrolment.is_none_or(|enrolment| enrolment.state != expected) {
            return Ok(false);
        }
        match displacing {
            Some(displacing) => displacing.end(tx, self).await,
            None => Ok(true),
        }
    }

    /// Who is on a roster with the number of an applicant, and nothing else.
    async fn on_roster(&self, opened: &Opened) -> Result<Option<OnRoster>> {
        let mut conn = self.pool.acquire().await?;
        let versions = keys::db::active_index_keys(&mut conn).await?;
        let number = self.vault.number_indexes(versions, &opened.id_number)?;
        let Some((id, seen)) = adoption::of_number(&mut conn, &number).await? else {
            return Ok(None);
        };
        drop(conn);
        let key = self.vault.key(id).await?;
        let corrupt = || Error::Inconsistent("identity.roster_person");
        let name = self.vault.open(&key, Column::RosterName, id, &seen.name)?;
        let name = PersonName::parse(&name).map_err(|_invalid| corrupt())?;
        let same_phone = match &seen.phone {
            Some(sealed) => {
                let phone = self.vault.open(&key, Column::RosterPhone, id, sealed)?;
                Mobile::parse(&phone).map_err(|_invalid| corrupt())? == opened.phone
            }
            None => false,
        };
        Ok(Some(OnRoster { id, same_name: name == opened.name, same_phone, seen }))
    }

    /// The applicant takes the place of somebody on a roster, or, by another name, outlives it.
    async fn take_place(
        &self,
        tx: &mut PgConnection,
        id: Uuid,
        pending: &db::Pending,
        person: &OnRoster,
    ) -> Result<()> {
        if !person.same_name {
            return adoption::delete(tx, person.id).await;
        }
        adoption::adopt(&mut *tx, person.id, id, self.clock.now()).await?;
        db::set_account(&mut *tx, id, Some(person.id)).await?;
        if pending.decision.is_some() {
            self.carry_records(tx, pending.account_id, person.id).await?;
        }
        Ok(())
    }

    /// Who was decided about reads of it, under whichever id: once more, as records are never
    /// changed.
    async fn carry_records(&self, tx: &mut PgConnection, from: Uuid, to: Uuid) -> Result<()> {
        let from = AccountId::from(from);
        for entry in self.trail.list_by_subject(&mut *tx, from, None, RECORDS).await? {
            let Some(action) = [REVEALED, DECIDED].into_iter().find(|a| *a == entry.action) else {
                continue;
            };
            let record = Record::done(entry.actor, action)
                .about(AccountId::from(to))
                .with("recorded_at", entry.at)
                .with("recorded_about", from);
            let record = match entry.purpose {
                Some(purpose) => record.because(purpose),
                None => record,
            };
            self.trail.append(&mut *tx, &record).await?;
        }
        Ok(())
    }

    /// The number is an active account's. Who claims it waits for people to decide; everybody
    /// else is refused. The owner is told, of attempts at most once a day; the applicant learns
    /// which account it is only with the phone of that very account. Tells whether the check
    /// counts as failed: for everybody but the owner, or one could ask about others without end;
    /// nothing, if the account is gone this very moment.
    async fn taken(
        &self,
        id: Uuid,
        pending: &db::Pending,
        opened: &Opened,
        owner: Uuid,
    ) -> Result<Option<bool>> {
        let holder = accounts::db::find(&mut *self.pool.acquire().await?, owner).await?;
        let is_owner = holder.is_some_and(|holder| {
            holder.index_version == pending.index_version
                && digest::equal(&holder.phone_index, &pending.phone_index)
        });
        if is_owner {
            self.refuse_and(id, Refusal::AlreadyRegistered, Some(owner), None).await?;
            return Ok(Some(false));
        }
        let refusal = if pending.applicant.claim_statement.is_some() {
            match self.open_claim(id, pending, opened, owner).await? {
                Opening::Open => return Ok(Some(true)),
                Opening::HolderGone => return Ok(None),
                Opening::Refused(refusal) => refusal,
            }
        } else {
            Refusal::AlreadyRegistered
        };
        let now = self.clock.now();
        let clock = self.clock.as_ref();
        let notice = Notice::attempt_on_account(clock, owner, shanghai_date(now), now);
        self.refuse_and(id, refusal, None, Some(notice)).await?;
        Ok(Some(true))
    }
}

/// Marks the codes of an application as used; a refusal, if two applications shared one, and the
/// other one was first. A claim has used them up when it was opened.
pub(crate) async fn spend_codes(
    tx: &mut PgConnection,
    pending: &db::Pending,
    now: OffsetDateTime,
) -> Result<Option<Refusal>> {
    if pending.codes_used {
        return Ok(None);
    }
    if !sms_codes::db::mark_used(&mut *tx, pending.challenge_id, now).await? {
        return Ok(Some(Refusal::SmsCodeUsed));
    }
    if let guardians::Ground::Consent { challenge_id, .. } = pending.ground
        && !sms_codes::db::mark_used(tx, challenge_id, now).await?
    {
        return Ok(Some(Refusal::GuardianSmsCodeUsed));
    }
    Ok(None)
}
