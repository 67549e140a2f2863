//! What is looked at again: whether the volunteer has objected lately, and whether both
//! administrators of a recovery that is approved still stand behind it.

use sqlx::Connection as _;
use uuid::Uuid;
use zhiyuan_audit::{Actor, Record};
use zhiyuan_contracts::identity::v1::PhoneRecoveryState;
use zhiyuan_contracts::orgtree::v1::Voices;
use zhiyuan_domain::{AccountId, VolunteerId};
use zhiyuan_postgres::again;
use zhiyuan_rpc::wire::from_timestamp;

use super::{Fault, LOOK_AGAIN, Recoveries, Recovery, Step, TRY_AGAIN, db};
use crate::error::{Error, Result};

/// Recoveries of one volunteer that are asked for at once.
const MOST: i64 = 100;

impl Recoveries {
    /// Whoever has objected is left in peace for a while.
    ///
    /// # Errors
    /// `RecoveriesOfVolunteerExhausted`.
    pub(super) async fn check_objections(&self, volunteer_id: Uuid) -> Result<()> {
        let now = self.clock.now();
        let lately = db::lately_of(&self.pool, volunteer_id, now, MOST).await?;
        let told = self.accounts.get(&lately).await?;
        let objected = told.iter().filter(|one| one.state() == PhoneRecoveryState::Objected);
        let last = objected.filter_map(|one| one.end_time.as_ref().and_then(from_timestamp)).max();
        match last.map(|at| at + self.limits.objection_pause - now) {
            Some(wait) if wait.is_positive() => {
                let wait = wait.try_into().unwrap_or_default();
                Err(Fault::TooManyOfVolunteer { wait }.into())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Looks at one that is approved: if the right of one of the two has ended, or the
    /// volunteer has come to hold what they could not give, it is cancelled.
    pub(super) async fn look_again(&self, recovery: &Recovery) -> Result<()> {
        let id = recovery.recovery_id;
        let told = self.accounts.get(&[id]).await?;
        let goes_on = told.iter().any(|told| told.state() == PhoneRecoveryState::Approved);
        if goes_on && !self.is_stood_behind(recovery).await? {
            again(Error::is_lost, || self.try_give_up(id)).await?;
            return self.tell(&self.find(id).await?).await;
        }
        let next = goes_on.then(|| self.clock.now() + LOOK_AGAIN);
        db::told(&self.pool, id, Step::Approved, (Step::Approved, next), None).await
    }

    async fn is_stood_behind(&self, recovery: &Recovery) -> Result<bool> {
        let approver = recovery.approved_by.ok_or(Error::Inconsistent("phone_recovery"))?;
        let id = VolunteerId::from(recovery.volunteer_id);
        let volunteer = match self.volunteer(id, Fault::NotFound).await {
            Err(Error::PhoneRecovery(Fault::NotFound)) => return Ok(false),
            volunteer => volunteer?,
        };
        let whom = (recovery.volunteer_id, &volunteer.organization);
        if self.administrators.acts_on(recovery.started_by, whom).await?.is_err() {
            return Ok(false);
        }
        let Ok(allowed) = self.administrators.acts_on(approver, whom).await? else {
            return Ok(false);
        };
        // How old the grants are was looked at before; one may be given anew for longer.
        let (other, rights) = (Some(recovery.started_by), &allowed.rights);
        let voices = self.administrators.voices(approver, other, rights, None).await?;
        Ok(voices == Voices::Independent)
    }

    async fn try_give_up(&self, id: Uuid) -> Result<()> {
        let now = self.clock.now();
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        let locked = db::lock(&mut transaction, id).await?.ok_or(Fault::NotFound)?;
        if locked.step != Step::Approved {
            return Ok(());
        }
        db::cancel(&mut transaction, id, None, now, now + TRY_AGAIN).await?;
        let actor = Actor::Service(crate::run::NAME.to_owned());
        let record = Record::done(actor, "registration.phone_recovery.cancelled")
            .about(AccountId::from(locked.volunteer_id))
            .with("recovery_id", id);
        self.trail.append(&mut transaction, &record).await?;
        Ok(transaction.commit().await?)
    }
}
