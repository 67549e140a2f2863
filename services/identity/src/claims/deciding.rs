//! What administrators see of claims, and what they decide, as registration tells it.

use std::collections::HashMap;

use time::OffsetDateTime;
use uuid::Uuid;
use zeroize::Zeroizing;
use zhiyuan_audit::{Actor, Record};
use zhiyuan_domain::{AccountId, IdNumber, Mobile, Remark};
use zhiyuan_postgres::again;

use super::{Claim, Claims, Fault, State, db};
use crate::enrolments::guardian::Details;
use crate::enrolments::{self, DECIDE_WITHIN, Enrolment, Opened, Refusal, Waiter, guardians};
use crate::error::{Error, Result};
use crate::keys::Column;
use crate::notices::{self, Notice, Template};

/// How a claim stands, as somebody is shown it.
#[derive(Debug)]
pub(crate) struct Status {
    pub(crate) claim: Claim,
    /// While it goes on.
    pub(crate) masked_name: Option<String>,
    /// Whether the viewer is a side of it, or a guardian of one.
    pub(crate) own: bool,
    pub(crate) expires_at: Option<OffsetDateTime>,
}

/// Both sides of a claim, opened.
pub(crate) struct Sides {
    pub(crate) opened: Opened,
    pub(crate) statement: Zeroizing<String>,
    pub(crate) holder_phone: Mobile,
    pub(crate) holder_since: OffsetDateTime,
    pub(crate) holder_statement: Option<Zeroizing<String>>,
    holder_guardian: Option<Details>,
}

impl Sides {
    /// Those who neither look nor decide.
    fn people(&self) -> Vec<(&IdNumber, &Mobile)> {
        let guardians = self.opened.guardian.iter().chain(&self.holder_guardian);
        guardians
            .map(|guardian| (&guardian.id_number, &guardian.phone))
            .chain([
                (&self.opened.id_number, &self.opened.phone),
                (&self.opened.id_number, &self.holder_phone),
            ])
            .collect()
    }
}

impl Claims {
    /// How those of the claims stand that are known.
    pub(crate) async fn statuses(&self, ids: &[Uuid], viewer: Option<Uuid>) -> Result<Vec<Status>> {
        let claims = db::by_ids(&mut *self.enrolments.pool.acquire().await?, ids).await?;
        let open: Vec<Uuid> =
            claims.iter().filter(|one| one.state.is_open()).map(|one| one.claim_id).collect();
        let waiters = self.enrolments.waiters(&open, true).await?;
        let mut waiters: HashMap<Uuid, Waiter> =
            waiters.into_iter().map(|one| (one.enrolment_id, one)).collect();
        let mut statuses = Vec::with_capacity(claims.len());
        for claim in claims {
            let waiter = waiters.remove(&claim.claim_id);
            statuses.push(self.status(claim, waiter, viewer).await?);
        }
        Ok(statuses)
    }

    async fn status(
        &self,
        claim: Claim,
        waiter: Option<Waiter>,
        viewer: Option<Uuid>,
    ) -> Result<Status> {
        let Some(waiter) = waiter else {
            return Ok(Status { claim, masked_name: None, own: false, expires_at: None });
        };
        let masked_name = Some(waiter.opened.name.masked());
        let expires_at = Some(waiter.decide_by);
        let own = match (viewer, self.sides(&claim, waiter).await?) {
            (Some(viewer), Some(sides)) => self.is_side(&claim, &sides, viewer).await?,
            _ => false,
        };
        Ok(Status { claim, masked_name, own, expires_at })
    }

    /// One claim, as it stands; to nobody.
    pub(crate) async fn one(&self, claim: Claim) -> Result<Status> {
        let found = self.statuses(&[claim.claim_id], None).await?.pop();
        Ok(found.ok_or(Fault::NotFound)?)
    }

    async fn is_side(&self, claim: &Claim, sides: &Sides, viewer: Uuid) -> Result<bool> {
        let people = sides.people();
        Ok(viewer == claim.holder_id || self.enrolments.is_one_of(viewer, &people).await?)
    }

    /// Both sides of a claim; `None` if the holder has closed the account this very moment.
    async fn sides(&self, claim: &Claim, waiter: Waiter) -> Result<Option<Sides>> {
        let id = claim.holder_id;
        let mut conn = self.enrolments.pool.acquire().await?;
        let holder = db::holder(&mut conn, id).await?;
        let consent = guardians::find(&mut conn, id).await?;
        drop(conn);
        let Some(holder) = holder else { return Ok(None) };
        let vault = &self.enrolments.vault;
        let key = match vault.key(id).await {
            Err(Error::KeyMissing) => return Ok(None),
            key => key?,
        };
        let phone = vault.open(&key, Column::AccountPhone, id, &holder.phone)?;
        let now = self.enrolments.clock.now();
        let guardian = consent
            .map(|consent| Details::of_account(vault, &key, id, &consent, now))
            .transpose()?;
        let answer = claim.answer.as_ref();
        let answer =
            answer.map(|answer| vault.open(&key, Column::ClaimAnswer, claim.claim_id, answer));
        Ok(Some(Sides {
            opened: waiter.opened,
            statement: waiter.statement.unwrap_or_default(),
            holder_phone: Mobile::parse(&phone)
                .map_err(|_invalid| Error::Inconsistent("identity.account"))?,
            holder_since: holder.since,
            holder_statement: answer.transpose()?,
            holder_guardian: guardian,
        }))
    }

    /// Both sides of a claim that goes on, for somebody who is neither.
    ///
    /// # Errors
    /// `NotFound`; `Over`; `Own`.
    async fn for_other(&self, viewer: Uuid, id: Uuid) -> Result<(Claim, Sides)> {
        let claim = self.find(id).await?;
        let waiter = if claim.state.is_open() {
            self.enrolments.waiters(&[id], true).await?.pop()
        } else {
            None
        };
        let waiter = waiter.ok_or(Fault::Over)?;
        let sides = self.sides(&claim, waiter).await?.ok_or(Fault::Over)?;
        if self.is_side(&claim, &sides, viewer).await? {
            return Err(Fault::Own.into());
        }
        Ok((claim, sides))
    }

    /// Shows a claim to somebody who says why. Recorded before it is answered, for both sides to
    /// read.
    ///
    /// # Errors
    /// `NotFound`; `Over`; `Own`.
    pub(crate) async fn show(&self, viewer: Uuid, id: Uuid, purpose: &Remark) -> Result<Sides> {
        let (claim, sides) = self.for_other(viewer, id).await?;
        again(Error::is_lost, || async {
            let mut tx = self.enrolments.pool.begin().await?;
            let Some((enrolment, _claim)) = self.lock(&mut tx, id).await? else {
                return Err(Fault::Over.into());
            };
            for record in records(person(viewer), REVEALED, (&claim, &enrolment)) {
                let record = record.because(purpose.as_str());
                self.enrolments.trail.append(&mut tx, &record).await?;
            }
            Ok(tx.commit().await?)
        })
        .await?;
        Ok(sides)
    }

    /// Accepts a claim: from now on the delay passes. One that is accepted, or over, is told as it
    /// is.
    ///
    /// # Errors
    /// `NotFound`; `NeedsTwo`; `Own`; `Over` when it is against another holder by now.
    pub(crate) async fn accept(
        &self,
        (id, holder): (Uuid, Option<Uuid>),
        by: [Uuid; 2],
    ) -> Result<Claim> {
        let [first, second] = by;
        if first == second {
            return Err(Fault::NeedsTwo.into());
        }
        let found = self.find(id).await?;
        found.is_against(holder)?;
        if found.state != State::Open {
            return Ok(found);
        }
        let (claim, sides) = match self.for_other(first, id).await {
            Err(Error::Claim(Fault::Over)) => return self.find(id).await,
            seen => seen?,
        };
        claim.is_against(holder)?;
        if self.is_side(&claim, &sides, second).await? {
            return Err(Fault::Own.into());
        }
        let (vault, clock) = (&self.enrolments.vault, self.enrolments.clock.as_ref());
        let phone = sides.opened.phone.as_e164();
        let notices = [
            Notice::claim_to_account(clock, Template::ClaimAccepted, id, claim.holder_id),
            Notice::claim_to_phone(vault, clock, id, phone).await?,
        ];
        again(Error::is_lost, || self.try_accept(&claim, by, &notices)).await?;
        self.find(id).await
    }

    async fn try_accept(&self, seen: &Claim, by: [Uuid; 2], notices: &[Notice]) -> Result<()> {
        let id = seen.claim_id;
        let mut tx = self.enrolments.pool.begin().await?;
        // By a clock that is behind, the delay would be shorter.
        let now = self.agreed.now(&mut tx).await?;
        let Some((enrolment, claim)) = self.lock(&mut tx, id).await? else { return Ok(()) };
        claim.is_against(Some(seen.holder_id))?;
        if claim.state != State::Open || enrolment.decide_by.is_none_or(|by| by <= now) {
            return Ok(());
        }
        let after = now + self.delay;
        db::accept(&mut tx, id, by, now, (after, after + DECIDE_WITHIN)).await?;
        for administrator in by {
            for record in records(person(administrator), ACCEPTED, (&claim, &enrolment)) {
                self.enrolments.trail.append(&mut tx, &record).await?;
            }
        }
        for notice in notices {
            notices::db::queue(&mut tx, notice, now).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Ends a claim that goes on, and so its enrolment: as somebody rejects it, or as nobody stands
    /// behind it any more.
    ///
    /// # Errors
    /// `NotFound`; `Own`; `Over` when it is against another holder by now.
    pub(crate) async fn reject(
        &self,
        (id, holder): (Uuid, Option<Uuid>),
        by: Option<Uuid>,
    ) -> Result<Claim> {
        let claim = self.find(id).await?;
        claim.is_against(holder)?;
        if !claim.state.is_open() {
            return Ok(claim);
        }
        if let Some(by) = by {
            match self.for_other(by, id).await {
                Err(Error::Claim(Fault::Over)) => return self.find(id).await,
                seen => seen.map(|_sides| ())?,
            }
        }
        let now = self.enrolments.clock.now();
        let notice = self.enrolments.notice_to_applicant(id, now).await?;
        let work = || self.try_reject(&claim, by, notice.as_ref());
        if let Some(subject) = again(Error::is_lost, work).await? {
            self.enrolments.outbox.wake();
            self.enrolments.vault.destroy_key(subject).await?;
        }
        self.find(id).await
    }

    /// Whose key is needed no more, if it was ended.
    async fn try_reject(
        &self,
        seen: &Claim,
        by: Option<Uuid>,
        notice: Option<&Notice>,
    ) -> Result<Option<Uuid>> {
        let (id, now) = (seen.claim_id, self.enrolments.clock.now());
        let mut tx = self.enrolments.pool.begin().await?;
        let Some((enrolment, claim)) = self.lock(&mut tx, id).await? else { return Ok(None) };
        claim.is_against(Some(seen.holder_id))?;
        let (refusal, actor, action) = match by {
            Some(by) => (Refusal::ClaimRejected, person(by), "identity.claim.rejected"),
            None => {
                let actor = Actor::Service("registration".to_owned());
                (Refusal::ClaimExpired, actor, "identity.claim.cancelled")
            }
        };
        let refused = enrolments::State::Refused;
        self.enrolments.end(&mut tx, id, refused, Some(refusal)).await?;
        for record in records(actor, action, (&claim, &enrolment)) {
            self.enrolments.trail.append(&mut tx, &record).await?;
        }
        if let Some(notice) = notice {
            notices::db::queue(&mut tx, notice, now).await?;
        }
        tx.commit().await?;
        Ok(enrolment.account_id)
    }

    /// Locks a claim that goes on, with its enrolment.
    async fn lock(
        &self,
        tx: &mut sqlx::PgConnection,
        id: Uuid,
    ) -> Result<Option<(Enrolment, Claim)>> {
        let enrolment = enrolments::db::lock(tx, id).await?;
        let Some(enrolment) = enrolment.filter(|one| one.state == enrolments::State::Review) else {
            return Ok(None);
        };
        let claim = db::lock(tx, id).await?.filter(|claim| claim.state.is_open());
        Ok(claim.map(|claim| (enrolment, claim)))
    }
}

const REVEALED: &str = "identity.claim.revealed";
const ACCEPTED: &str = "identity.claim.accepted";

fn person(account_id: Uuid) -> Actor {
    Actor::Person(AccountId::from(account_id))
}

/// What is recorded of both sides, each of whom can read it: of the claimant once there is an
/// account.
fn records(
    actor: Actor,
    action: &'static str,
    (claim, enrolment): (&Claim, &Enrolment),
) -> Vec<Record> {
    std::iter::once(claim.holder_id)
        .chain(enrolment.account_id)
        .map(|subject| {
            Record::done(actor.clone(), action)
                .about(AccountId::from(subject))
                .with("claim_id", claim.claim_id)
        })
        .collect()
}
