//! What administrators decide, and how identity hears of it.
//!
//! Each command is looked for first; then orgtree and identity are asked, with no transaction
//! open; then it is decided in one, under the lease; then identity is told.

use sqlx::{Connection as _, PgConnection, PgPool};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use zhiyuan_audit::{Actor, Record, Trail};
use zhiyuan_contracts::identity::v1::PhoneRecoveryState;
use zhiyuan_contracts::orgtree::v1::Voices;
use zhiyuan_crypto::KeyedDigest;
use zhiyuan_domain::{
    AccountId, Mobile, OrganizationCode, RequestId, SharedClock, VolunteerId, new_id,
};
use zhiyuan_postgres::again;
use zhiyuan_rpc::Error as RpcError;

use super::permission::Allowed;
use super::{
    Accounts, Administrators, Fault, LOOK_AGAIN, Limits, PHONE_AWAITED, Reason, Recovery, Refusal,
    Step, TRY_AGAIN, VOLUNTEER_WINDOW, WINDOW, db,
};
use crate::error::{Error, Result};
use crate::requests::Command;
use crate::volunteers::{self, State, Volunteer};

/// Decides on recoveries.
#[derive(Debug, Clone)]
pub(crate) struct Recoveries {
    pub(crate) pool: PgPool,
    pub(crate) clock: SharedClock,
    pub(crate) digests: KeyedDigest,
    pub(crate) trail: Trail,
    pub(crate) accounts: Accounts,
    pub(crate) administrators: Administrators,
    pub(crate) limits: Limits,
}

/// What starts a recovery. Not for logs.
pub(crate) struct Start {
    pub(crate) request_id: RequestId,
    pub(crate) volunteer_id: VolunteerId,
    pub(crate) new_phone: Mobile,
    pub(crate) reason: Reason,
}

/// What is decided on a recovery that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decided {
    Approve,
    Cancel,
}

impl Decided {
    fn method(self) -> &'static str {
        match self {
            Self::Approve => "registration.ApprovePhoneRecovery",
            Self::Cancel => "registration.CancelPhoneRecovery",
        }
    }

    fn action(self) -> &'static str {
        match self {
            Self::Approve => "registration.phone_recovery.approved",
            Self::Cancel => "registration.phone_recovery.cancelled",
        }
    }
}

impl Recoveries {
    /// Starts a recovery. Sent again, it goes on where it stopped.
    ///
    /// # Errors
    /// See `PhoneRecoveryService.StartPhoneRecovery`.
    pub(crate) async fn start(&self, me: Uuid, start: &Start) -> Result<Recovery> {
        let command = Command {
            caller: AccountId::from(me),
            method: "registration.StartPhoneRecovery",
            request_id: start.request_id,
            says: vec![
                ("volunteer_id", start.volunteer_id.as_uuid().as_bytes().to_vec()),
                ("new_phone", start.new_phone.as_e164().as_bytes().to_vec()),
                ("reason", start.reason.as_str().as_bytes().to_vec()),
            ],
        };
        let known = command.is_done(&mut *self.pool.acquire().await?, &self.digests).await?;
        if !known {
            let volunteer = self.volunteer(start.volunteer_id, Fault::VolunteerNotFound);
            let volunteer = volunteer.await?;
            let (id, organization) = (volunteer.id.as_uuid(), &volunteer.organization);
            if id == me {
                return Err(Fault::OfSelf.into());
            }
            let hidden = Fault::VolunteerNotFound;
            let allowed = self.administrators.acts_on(me, (id, organization)).await?;
            let allowed = allowed.map_err(|unfit| unfit.into_error(hidden))?;
            self.check_voices(me, None, &allowed).await?;
            self.check_objections(id).await?;
            let work = || self.try_start(me, start, &command, (&volunteer, &allowed));
            again(Error::is_lost, work).await?;
        }
        let found = db::find_started(&self.pool, me, start.request_id.as_uuid()).await?;
        let started = found.ok_or(Error::RequestIdReused)?;
        if started.step == Step::Starting {
            self.begin(&started, &start.new_phone).await?;
        }
        let started = self.find(started.recovery_id).await?;
        match started.refusal {
            Some(Refusal::Open) => Err(Fault::Open.into()),
            Some(Refusal::Gone) => Err(Fault::VolunteerNotFound.into()),
            None => Ok(started),
        }
    }

    async fn try_start(
        &self,
        me: Uuid,
        start: &Start,
        command: &Command,
        (volunteer, allowed): (&Volunteer, &Allowed),
    ) -> Result<()> {
        let now = self.clock.now();
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        let organization = &volunteer.organization;
        self.hold(&mut transaction, volunteer.id, organization).await?;
        if command.is_done(&mut transaction, &self.digests).await? {
            return Ok(());
        }
        let started = db::started_by(&mut transaction, me, now).await?;
        if let Some(wait) = wait_for(&started, self.limits.per_administrator, WINDOW, now) {
            return Err(Fault::TooMany { wait }.into());
        }
        let of_volunteer = db::started_of(&mut transaction, volunteer.id.as_uuid(), now).await?;
        let most = self.limits.per_volunteer;
        if let Some(wait) = wait_for(&of_volunteer, most, VOLUNTEER_WINDOW, now) {
            return Err(Fault::TooManyOfVolunteer { wait }.into());
        }
        command.note(&mut transaction, &self.digests, now).await?;
        let recovery_id = new_id(self.clock.as_ref());
        let new = db::New {
            recovery_id,
            volunteer_id: volunteer.id.as_uuid(),
            reason: &start.reason,
            request_id: start.request_id.as_uuid(),
            started_by: me,
            started_at: now,
            next_step_at: now + PHONE_AWAITED,
        };
        if !db::insert(&mut transaction, new).await? {
            return Err(Error::RequestIdReused);
        }
        let record = by(me, "registration.phone_recovery.started", volunteer.id.as_uuid())
            .within(organization.as_str())
            .because(start.reason.as_str())
            .with("recovery_id", recovery_id);
        self.trail.append_under(&mut transaction, record, &allowed.lease).await?;
        allowed.check()?;
        Ok(transaction.commit().await?)
    }

    /// Approves or cancels a recovery. Sent again, it goes on where it stopped.
    ///
    /// # Errors
    /// See `PhoneRecoveryService.ApprovePhoneRecovery` and `CancelPhoneRecovery`.
    pub(crate) async fn decide(
        &self,
        me: Uuid,
        (request_id, id): (RequestId, Uuid),
        decided: Decided,
    ) -> Result<Recovery> {
        let command = Command {
            caller: AccountId::from(me),
            method: decided.method(),
            request_id,
            says: vec![("recovery_id", id.as_bytes().to_vec())],
        };
        let known = command.is_done(&mut *self.pool.acquire().await?, &self.digests).await?;
        if !known {
            let found = self.find(id).await?;
            if decided == Decided::Approve && found.volunteer_id == me {
                return Err(Fault::OfSelf.into());
            }
            let volunteer_id = VolunteerId::from(found.volunteer_id);
            let volunteer = self.volunteer(volunteer_id, Fault::NotFound).await?;
            let allowed = self.allowed(me, (&found, &volunteer), decided).await?;
            self.may_be(me, &found, decided).await?;
            let work = || self.try_decide(me, id, (decided, &command), (&volunteer, &allowed));
            again(Error::is_lost, work).await?;
        }
        let stored = self.find(id).await?;
        if stored.step.is_to_be_told() {
            self.tell(&stored).await?;
        }
        if decided == Decided::Cancel {
            self.check_ended_without_effect(id).await?;
        }
        self.find(id).await
    }

    async fn allowed(
        &self,
        me: Uuid,
        (found, volunteer): (&Recovery, &Volunteer),
        decided: Decided,
    ) -> Result<Allowed> {
        let (starter, organization) = (found.started_by, &volunteer.organization);
        let hidden = Fault::NotFound;
        match decided {
            Decided::Approve if starter == me => {
                self.administrators.manages(me, organization, hidden).await?;
                Err(Fault::NeedsAnother.into())
            }
            Decided::Approve => {
                let whom = (volunteer.id.as_uuid(), organization);
                let mine = self.administrators.acts_on(me, whom).await?;
                let mine = mine.map_err(|unfit| unfit.into_error(hidden))?;
                // Whoever started it stands behind it still.
                let theirs = self.administrators.acts_on(starter, whom).await?;
                let theirs = theirs.map_err(|_unfit| Fault::NeedsAnother)?;
                self.check_voices(me, Some(starter), &mine).await?;
                Ok(mine.and(theirs))
            }
            // To keep things as they are, nobody has to stand above.
            Decided::Cancel => {
                self.administrators.manages(me, organization, hidden).await.map(Into::into)
            }
        }
    }

    /// Whether an administrator has a voice, and another one than somebody else's.
    async fn check_voices(&self, me: Uuid, other: Option<Uuid>, allowed: &Allowed) -> Result<()> {
        let given_by = Some(self.settled());
        let voices = self.administrators.voices(me, other, &allowed.rights, given_by).await?;
        match voices {
            Voices::Independent => Ok(()),
            Voices::None => Err(Fault::GrantTooNew.into()),
            Voices::NoneOfOther | Voices::Dependent | Voices::Unspecified => {
                Err(Fault::NeedsAnother.into())
            }
        }
    }

    /// Whether a recovery can be decided on, by this administrator, as it stands here and at
    /// identity.
    async fn may_be(&self, me: Uuid, found: &Recovery, decided: Decided) -> Result<()> {
        may_decide(me, found, decided)?;
        let told = self.accounts.get(&[found.recovery_id]).await?;
        let state = told.first().map_or(PhoneRecoveryState::Unspecified, |told| told.state());
        match (decided, state) {
            (Decided::Approve, PhoneRecoveryState::Started)
            | (
                Decided::Cancel,
                PhoneRecoveryState::Started
                | PhoneRecoveryState::Approved
                // Not told of it yet.
                | PhoneRecoveryState::Unspecified,
            ) => Ok(()),
            (Decided::Approve, _) => Err(Fault::NotWaiting.into()),
            (Decided::Cancel, _) => Err(Fault::Over.into()),
        }
    }

    async fn try_decide(
        &self,
        me: Uuid,
        id: Uuid,
        (decided, command): (Decided, &Command),
        (volunteer, allowed): (&Volunteer, &Allowed),
    ) -> Result<()> {
        let now = self.clock.now();
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        self.hold(&mut transaction, volunteer.id, &volunteer.organization).await?;
        if command.is_done(&mut transaction, &self.digests).await? {
            return Ok(());
        }
        let locked = db::lock(&mut transaction, id).await?.ok_or(Fault::NotFound)?;
        may_decide(me, &locked, decided)?;
        command.note(&mut transaction, &self.digests, now).await?;
        let next = now + TRY_AGAIN;
        match decided {
            Decided::Approve => db::approve(&mut transaction, id, me, now, next).await?,
            Decided::Cancel => db::cancel(&mut transaction, id, Some(me), now, next).await?,
        }
        let record = by(me, decided.action(), volunteer.id.as_uuid())
            .within(volunteer.organization.as_str())
            .with("recovery_id", id);
        self.trail.append_under(&mut transaction, record, &allowed.lease).await?;
        allowed.check()?;
        Ok(transaction.commit().await?)
    }

    /// Whether one that was cancelled took no effect before identity heard of it.
    async fn check_ended_without_effect(&self, id: Uuid) -> Result<()> {
        let told = self.accounts.get(&[id]).await?;
        let completed = told.iter().any(|told| told.state() == PhoneRecoveryState::Completed);
        if completed { Err(Fault::Over.into()) } else { Ok(()) }
    }

    /// Lets identity begin a recovery, and stores what it made of it.
    async fn begin(&self, recovery: &Recovery, new_phone: &Mobile) -> Result<()> {
        let (next, refusal) = match self.accounts.begin(recovery, new_phone).await? {
            Ok(_begun) => (Step::Started, None),
            Err(refusal) => (Step::Refused, Some(refusal)),
        };
        db::told(&self.pool, recovery.recovery_id, recovery.step, (next, None), refusal).await
    }

    /// Tells identity what was decided, and stores that it knows. What identity never began is
    /// prevented: nobody but who started it has the phone.
    pub(super) async fn tell(&self, recovery: &Recovery) -> Result<()> {
        let id = recovery.recovery_id;
        let next = match (recovery.step, recovery.approved_by) {
            (Step::Starting, _) => match self.accounts.get(&[id]).await?.first() {
                Some(_begun) => Step::Started,
                None => self.accounts.cancel(id).await.map(|_prevented| Step::Cancelled)?,
            },
            (Step::Approving, Some(by)) => match self.accounts.approve(id, by).await? {
                Some(_approved) => Step::Approved,
                None => Step::Cancelled,
            },
            (Step::Approving, None) => return Err(Error::Inconsistent("phone_recovery")),
            (Step::Cancelling, _) => {
                self.accounts.cancel(id).await?;
                Step::Cancelled
            }
            (Step::Started | Step::Approved | Step::Cancelled | Step::Refused, _) => return Ok(()),
        };
        let look = (next == Step::Approved).then(|| self.clock.now() + LOOK_AGAIN);
        db::told(&self.pool, id, recovery.step, (next, look), None).await
    }

    /// A recovery.
    ///
    /// # Errors
    /// `RecoveryNotFound`.
    pub(super) async fn find(&self, id: Uuid) -> Result<Recovery> {
        db::find(&self.pool, id).await?.ok_or(Fault::NotFound.into())
    }

    /// A volunteer who is shown, and whose account is not closed.
    pub(super) async fn volunteer(&self, id: VolunteerId, hidden: Fault) -> Result<Volunteer> {
        let found = volunteers::db::find(&self.pool, id).await?;
        found.filter(|one| one.state == State::Active && !one.closed).ok_or(hidden.into())
    }

    /// Keeps a volunteer with the organization that was asked about until the transaction
    /// ends.
    async fn hold(
        &self,
        transaction: &mut PgConnection,
        id: VolunteerId,
        organization: &OrganizationCode,
    ) -> Result<()> {
        volunteers::db::lock(transaction, &[id.as_uuid()]).await?;
        let found = volunteers::db::find(&mut *transaction, id).await?;
        if found.is_some_and(|one| one.organization == *organization && !one.closed) {
            return Ok(());
        }
        Err(RpcError::conflict("the volunteer went to another organization").into())
    }

    /// When a grant was given that counts now.
    fn settled(&self) -> OffsetDateTime {
        self.clock.now() - self.limits.grant_age
    }

    /// The time by which what could not be told is tried again.
    pub(super) fn later(&self) -> OffsetDateTime {
        self.clock.now() + TRY_AGAIN
    }
}

/// How long to wait until one more may be started, after these of a window; the oldest first.
fn wait_for(
    started: &[OffsetDateTime],
    most: u32,
    window: Duration,
    now: OffsetDateTime,
) -> Option<std::time::Duration> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let over = started.len().checked_sub(most)?;
    let first = started.get(over).copied().unwrap_or(now);
    Some((first + window - now).try_into().unwrap_or_default())
}

/// Whether an administrator may decide on a recovery as it stands here.
fn may_decide(me: Uuid, found: &Recovery, decided: Decided) -> Result<()> {
    match (decided, found.step) {
        (Decided::Cancel, Step::Cancelling | Step::Cancelled | Step::Refused) => {
            Err(Fault::Over.into())
        }
        (Decided::Cancel, Step::Starting | Step::Started | Step::Approving | Step::Approved) => {
            Ok(())
        }
        (Decided::Approve, _) if found.started_by == me => Err(Fault::NeedsAnother.into()),
        (Decided::Approve, Step::Started) => Ok(()),
        (
            Decided::Approve,
            Step::Starting
            | Step::Approving
            | Step::Approved
            | Step::Cancelling
            | Step::Cancelled
            | Step::Refused,
        ) => Err(Fault::NotWaiting.into()),
    }
}

/// An administrator did something to the account of a volunteer.
fn by(administrator: Uuid, action: &'static str, volunteer_id: Uuid) -> Record {
    let actor = Actor::Person(AccountId::from(administrator));
    Record::done(actor, action).about(AccountId::from(volunteer_id))
}
