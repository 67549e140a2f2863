//! Carrying a registration on: one step after the other, by whoever comes along.

use std::sync::Arc;

use sqlx::{Connection as _, PgPool};
use tokio::sync::Notify;
use zhiyuan_crypto::{KeyedDigest, digest::equal};
use zhiyuan_domain::{AgeRule, EnrolmentId, RequestId, SharedClock, VolunteerId, new_id};
use zhiyuan_feed::Outbox;

use super::digest::digest;
use super::enrolments::{Enrolments, Told};
use super::form::Form;
use super::organizations::Organizations;
use super::{Change, Heard, Refusal, Saga, Step, db, follow, schedule};
use crate::claims;
use crate::error::{Error, Result};
use crate::reviews;
use crate::volunteers::{self, NewVolunteer};

/// More steps than there are on any way to an end: a loop that does not end is a
/// defect, and the recovery task comes back anyway.
const MOST_STEPS: usize = 8;

/// What it takes to register somebody.
#[derive(Debug, Clone)]
pub(crate) struct Registrar {
    pub(crate) pool: PgPool,
    pub(crate) clock: SharedClock,
    pub(crate) enrolments: Enrolments,
    pub(crate) organizations: Organizations,
    pub(crate) digests: KeyedDigest,
    pub(crate) age_rule: AgeRule,
    pub(crate) outbox: Outbox,
    /// Rung when a registration may be due.
    pub(crate) due: Arc<Notify>,
}

impl Registrar {
    /// Registers, or goes on where an earlier call with this `request_id` was.
    ///
    /// # Errors
    /// `REQUEST_ID_REUSED`, what stands against the organization or the region, and
    /// whatever keeps another service or the database from answering.
    pub(crate) async fn register(&self, form: &Form) -> Result<Saga> {
        form.check_age(self.clock.now(), self.age_rule)?;
        let saga = match db::find(&self.pool, form.request_id).await? {
            Some(saga) => {
                self.check_same(&saga, form)?;
                self.note_call(form.request_id).await?
            }
            None => self.start(form).await?,
        };
        self.advance(saga, Some(form)).await
    }

    /// Carries a registration on until it is final or has to wait. `form` only if
    /// the client just sent it: nobody else has it.
    ///
    /// # Errors
    /// Whatever keeps another service or the database from answering; the saga
    /// stays where it is.
    pub(crate) async fn advance(&self, mut saga: Saga, form: Option<&Form>) -> Result<Saga> {
        let begins = saga.step == Step::Started;
        let mut stored = false;
        for _ in 0..MOST_STEPS {
            if saga.step.is_final() {
                break;
            }
            let heard = match self.listen(&saga, form).await {
                // What there is to tell is known already.
                Err(_) if stored => break,
                heard => heard?,
            };
            let Some(change) = follow(saga.step, &heard) else { break };
            let decided = change.step();
            saga = self.apply(&saga, change).await?;
            // Another call that noted "pending" meanwhile must not keep this one, which
            // may know more, from going on.
            if saga.step.waits() && saga.step == decided {
                // A verdict that fell before this was stored has made nothing due.
                if !begins || stored {
                    break;
                }
                stored = true;
            }
        }
        Ok(saga)
    }

    fn check_same(&self, saga: &Saga, form: &Form) -> Result<()> {
        let digest = digest(form, &self.digests, saga.digest_version)?;
        if equal(&digest, &saga.digest) { Ok(()) } else { Err(Error::RequestIdReused) }
    }

    async fn note_call(&self, request_id: RequestId) -> Result<Saga> {
        db::update_last_call(&self.pool, request_id, self.clock.now()).await?;
        db::find(&self.pool, request_id).await?.ok_or(Error::RegistrationNotFound)
    }

    /// Checks what costs the person nothing, then makes the row.
    async fn start(&self, form: &Form) -> Result<Saga> {
        let (refusal, residence) = tokio::join!(
            self.organizations.refusal(&form.organization),
            self.organizations.check_residence("region_code", form.region),
        );
        if let Some(refusal) = refusal? {
            return Err(Error::Refused(refusal));
        }
        residence?;
        let now = self.clock.now();
        let digest_version = self.digests.version();
        let new = db::NewSaga {
            request_id: form.request_id,
            digest: &digest(form, &self.digests, digest_version)?,
            digest_version,
            enrolment_id: EnrolmentId::from(new_id(self.clock.as_ref())),
            region: form.region,
            organization: &form.organization,
            league_member: form.league_member,
            via: form.via.as_deref(),
            next_step_at: now + schedule::LEASE,
        };
        db::insert(&self.pool, &new, now).await?;
        // Another call with this id may have been faster, with whatever form.
        let saga =
            db::find(&self.pool, form.request_id).await?.ok_or(Error::RegistrationNotFound)?;
        self.check_same(&saga, form)?;
        Ok(saga)
    }

    /// Does the work of a step and tells what came of it. No transaction is open
    /// meanwhile.
    async fn listen(&self, saga: &Saga, form: Option<&Form>) -> Result<Heard> {
        let id = saga.enrolment_id;
        match (saga.step, form) {
            (Step::Started, Some(form)) => {
                self.interpret(self.enrolments.begin(id, form).await?).await
            }
            (Step::Started, None) => {
                let heard = self.interpret(self.enrolments.get(id).await?).await?;
                let not_kept = matches!(heard, Heard::Unknown | Heard::Accepted);
                let abandoned = saga.last_call_at + schedule::ABANDONED_AFTER <= self.clock.now();
                Ok(if not_kept && abandoned { Heard::Abandoned } else { heard })
            }
            (Step::Pending, _) => self.interpret(self.enrolments.get(id).await?).await,
            (Step::Review, _) => {
                let told = match reviews::db::decision(&self.pool, saga.request_id).await? {
                    Some((decision, by)) => self.enrolments.decide(id, decision, by).await?,
                    None => self.enrolments.get(id).await?,
                };
                self.interpret(told).await
            }
            (Step::Claimed, _) => {
                Ok(match self.organizations.refusal(&saga.organization).await? {
                    Some(refusal) => Heard::OrganizationGone { refusal },
                    None => Heard::OrganizationStands,
                })
            }
            (Step::Registered, _) => match (saga.adopted, saga.account_id) {
                (true, Some(account)) => Ok(Heard::Active { account }),
                _ => Ok(self.enrolments.activate(id).await?.heard),
            },
            (Step::Undoing, _) => self.enrolments.discard(id).await,
            (Step::Done | Step::Refused, _) => Err(Error::Inconsistent("registration")),
        }
    }

    /// Whether `ALREADY_REGISTERED` is a refusal, or the way back to a volunteer that
    /// was lost when a service was restored to an older state.
    async fn interpret(&self, told: Told) -> Result<Heard> {
        let Some(account) = told.owned else { return Ok(told.heard) };
        let volunteer = VolunteerId::from(account.as_uuid());
        match volunteers::db::find(&self.pool, volunteer).await? {
            Some(_) => Ok(told.heard),
            None => Ok(Heard::Adoptable { account }),
        }
    }

    /// Applies a change under the lock of the row, unless somebody else was faster.
    /// Returns the saga as it stands then.
    async fn apply(&self, seen: &Saga, change: Change) -> Result<Saga> {
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        let locked = db::lock(&mut transaction, seen.request_id).await?;
        // Later than whatever made it due while the lock was waited for.
        let now = self.clock.now();
        let called_again = seen.step == Step::Started
            && matches!(change, Change::Undoing { .. })
            && locked.last_call_at != seen.last_call_at;
        if locked.step != seen.step || called_again {
            return Ok(locked);
        }
        let change = self.effect(&mut transaction, &locked, change).await?;
        self.keep_claim(&mut transaction, &locked, &change, now).await?;
        let next_step_at = schedule::after(&change, now);
        db::update_step(&mut transaction, seen.request_id, &change, next_step_at, now).await?;
        let saga = db::lock(&mut transaction, seen.request_id).await?;
        transaction.commit().await?;
        self.outbox.wake();
        if saga.next_step_at.is_some_and(|at| at <= now) {
            // The bell rang while the row was locked, and whoever came passed it over.
            self.due.notify_one();
        }
        if saga.step != seen.step {
            tracing::info!(
                enrolment.id = %saga.enrolment_id,
                from = seen.step.as_column(),
                to = saga.step.as_column(),
                refusal = saga.refusal.as_ref().map(Refusal::as_column),
                "registration went on"
            );
        }
        Ok(saga)
    }

    /// What a change does to the claim that a registration may be, in its transaction.
    async fn keep_claim(
        &self,
        transaction: &mut sqlx::PgConnection,
        saga: &Saga,
        change: &Change,
        now: time::OffsetDateTime,
    ) -> Result<()> {
        let id = saga.enrolment_id;
        match change {
            Change::Review { claim: Some(holder), .. } => {
                let whom = (&saga.organization, holder.as_uuid());
                claims::db::open(transaction, id, whom, now).await
            }
            _ if saga.step == Step::Review => claims::db::close(transaction, id).await,
            _ => Ok(()),
        }
    }

    /// What a change does to the volunteer, in its transaction. Returns the change
    /// that holds then.
    async fn effect(
        &self,
        transaction: &mut sqlx::PgConnection,
        saga: &Saga,
        change: Change,
    ) -> Result<Change> {
        let Some(account) = saga.account_id else { return Ok(change) };
        let id = VolunteerId::from(account.as_uuid());
        match change {
            Change::Registered => {
                let new = NewVolunteer {
                    id,
                    region: saga.region,
                    organization: saga.organization.clone(),
                    league_member: saga.league_member,
                    registered_at: self.clock.now(),
                };
                let inserted = volunteers::db::insert(transaction, &new).await?;
                // Of two that adopt one account, one registers.
                if saga.adopted && !inserted {
                    return Ok(Change::Refused { refusal: Refusal::AlreadyRegistered });
                }
            }
            Change::Done => {
                let told = volunteers::db::activate(transaction, id).await?;
                let told: Vec<_> = told.iter().map(volunteers::feed::changed).collect();
                self.outbox.append(transaction, &told).await?;
            }
            Change::Undoing { .. } if saga.step == Step::Registered => {
                volunteers::db::void(transaction, id).await?;
            }
            _ => {}
        }
        Ok(change)
    }
}
