//! What administrators decide.
//!
//! Whoever does is asked about twice, as in reviews: before anything else, so that nobody learns of
//! what is out of reach, and right before the transaction, since identity is asked in between.

use std::sync::Arc;
use std::time::Instant;

use sqlx::{Connection as _, PgConnection, PgPool};
use time::{Duration, OffsetDateTime};
use tokio::sync::Notify;
use uuid::Uuid;
use zhiyuan_audit::{Actor, Record, Trail};
use zhiyuan_contracts::orgtree::v1::{Permission, Voices};
use zhiyuan_crypto::KeyedDigest;
use zhiyuan_domain::{AccountId, Remark, RequestId, SharedClock};
use zhiyuan_postgres::again;
use zhiyuan_rpc::Error as RpcError;
use zhiyuan_rpc::authority::Lease;

use super::{Claim, Deciders, Decision, Fault, Sides, Step, TRY_AGAIN, db};
use crate::error::{Error, Result};
use crate::requests::Command;

/// Decides on claims.
#[derive(Debug, Clone)]
pub(crate) struct Claims {
    pub(crate) pool: PgPool,
    pub(crate) clock: SharedClock,
    pub(crate) sides: Sides,
    pub(crate) deciders: Deciders,
    pub(crate) digests: KeyedDigest,
    pub(crate) trail: Trail,
    /// How old the grants are by which a claim is accepted.
    pub(crate) grant_age: Duration,
    /// Rung when a registration may be due.
    pub(crate) due: Arc<Notify>,
}

/// What an administrator does about a claim.
#[derive(Debug, Clone, Copy)]
pub(super) struct Act {
    me: Uuid,
    /// As it is recorded.
    name: &'static str,
    needs: &'static [Permission],
}

impl Act {
    pub(super) fn reveal(me: Uuid) -> Self {
        let needs = &[Permission::Review, Permission::Reveal];
        Self { me, name: "registration.claim.revealed", needs }
    }

    fn decide(me: Uuid) -> Self {
        Self { me, name: "registration.claim.decided", needs: &[Permission::Review] }
    }

    pub(super) fn done(self, claim: &Claim) -> Record {
        Self::of(Record::done(self.actor(), self.name), claim)
    }

    fn refused(self, claim: &Claim) -> Record {
        Self::of(Record::refused(self.actor(), self.name), claim)
    }

    fn actor(self) -> Actor {
        Actor::Person(AccountId::from(self.me))
    }

    fn of(record: Record, claim: &Claim) -> Record {
        record
            .about(AccountId::from(claim.holder_id))
            .within(claim.organization.as_str())
            .with("claim_id", claim.claim_id)
    }
}

/// What is decided, and under which id of the client.
#[derive(Debug)]
pub(super) struct Deciding {
    pub(super) request_id: RequestId,
    pub(super) claim: Uuid,
    pub(super) decision: Decision,
    pub(super) note: Option<Remark>,
}

impl Deciding {
    fn command(&self, me: Uuid) -> Command {
        let note = self.note.as_ref().map_or("", Remark::as_str);
        Command {
            caller: AccountId::from(me),
            method: "registration.DecideClaim",
            request_id: self.request_id,
            says: vec![
                ("claim_id", self.claim.as_bytes().to_vec()),
                ("decision", self.decision.name().as_bytes().to_vec()),
                ("note", note.as_bytes().to_vec()),
            ],
        }
    }
}

/// What a decision is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Voice {
    /// The first acceptance, in place of one that counts no more.
    First,
    Second,
    Rejection,
}

impl Claims {
    /// Decides. Sent again, it is known.
    ///
    /// # Errors
    /// See `ClaimService.DecideClaim`.
    pub(super) async fn decide(&self, me: Uuid, deciding: &Deciding) -> Result<()> {
        let command = deciding.command(me);
        let known = command.is_done(&mut *self.pool.acquire().await?, &self.digests).await?;
        if !known {
            let act = Act::decide(me);
            let claim = self.open(act, deciding.claim).await?;
            claim.may_be_decided(me, deciding.decision)?;
            self.check_outside(act, &claim).await?;
            again(Error::is_lost, || self.try_decide(act, deciding, &command)).await?;
        }
        let stored = self.find(deciding.claim).await?;
        if matches!(stored.step, Step::Accepting | Step::Rejecting) {
            self.tell(&stored).await?;
        }
        Ok(())
    }

    async fn try_decide(&self, act: Act, deciding: &Deciding, command: &Command) -> Result<()> {
        let seen = self.find(deciding.claim).await?;
        let (voice, lease) = self.voice(act, &seen, deciding.decision).await?;
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        let locked = self.lock(&mut transaction, &seen).await?;
        if command.is_done(&mut transaction, &self.digests).await? {
            return Ok(());
        }
        locked.may_be_decided(act.me, deciding.decision)?;
        if !locked.seen_by.contains(&act.me) {
            return Err(Error::ReviewNotSeen);
        }
        let (id, now) = (locked.claim_id, self.clock.now());
        command.note(&mut transaction, &self.digests, now).await?;
        let next = now + TRY_AGAIN;
        match voice {
            Voice::First => db::accept_first(&mut transaction, id, act.me, now).await?,
            Voice::Second => db::accept_second(&mut transaction, id, act.me, now, next).await?,
            Voice::Rejection => {
                db::reject(&mut transaction, id, Some(act.me), now, next).await?;
            }
        }
        let record = act.done(&locked).with("decision", deciding.decision.name());
        let record = match &deciding.note {
            Some(note) => record.because(note.as_str()),
            None => record,
        };
        self.trail.append_under(&mut transaction, record, &lease).await?;
        lease.check(Instant::now())?;
        Ok(transaction.commit().await?)
    }

    /// What a decision is, and under which lease: of two that accept, whichever ends first.
    async fn voice(&self, act: Act, claim: &Claim, decision: Decision) -> Result<(Voice, Lease)> {
        let mine = self.allowed(act, claim).await?;
        // To keep things as they are, no grant is too young.
        if decision == Decision::Reject {
            return Ok((Voice::Rejection, mine));
        }
        let concerned = claim.concerned();
        let theirs = match claim.first_by {
            Some(first) => {
                let theirs = self.deciders.allowed(first, &concerned, act.needs).await?;
                // Or their acceptance counts no more.
                theirs.ok().map(|theirs| (first, theirs))
            }
            None => None,
        };
        let (other, given_by) =
            (theirs.as_ref().map(|(first, _)| *first), self.clock.now() - self.grant_age);
        let voices = self.deciders.voices(act.me, other, &concerned, Some(given_by)).await?;
        let unfit = match (voices, theirs) {
            (Voices::Independent, Some((_first, theirs))) => {
                return Ok((Voice::Second, mine.or_sooner(theirs)));
            }
            (Voices::Independent, None) | (Voices::NoneOfOther, _) => {
                return Ok((Voice::First, mine));
            }
            (Voices::None, _) => Fault::GrantTooNew,
            (Voices::Dependent | Voices::Unspecified, _) => Fault::NeedsAnother,
        };
        self.record(&act.refused(claim)).await?;
        Err(unfit.into())
    }

    /// A claim, if the act may be done about it.
    pub(super) async fn open(&self, act: Act, id: Uuid) -> Result<Claim> {
        let claim = self.find(id).await?;
        self.allowed(act, &claim).await?;
        Ok(claim)
    }

    /// Whether the act may be done about a claim. Who may not is recorded.
    pub(super) async fn allowed(&self, act: Act, claim: &Claim) -> Result<Lease> {
        let concerned = claim.concerned();
        match self.deciders.allowed(act.me, &concerned, act.needs).await? {
            Ok(lease) => Ok(lease),
            Err(unfit) => {
                self.record(&act.refused(claim)).await?;
                Err(unfit.into_error())
            }
        }
    }

    /// Checks that a claim goes on at identity, and that whoever looks or decides is no side of it.
    pub(super) async fn check_outside(&self, act: Act, claim: &Claim) -> Result<()> {
        let standing = self.sides.get(&[claim.claim_id], Some(act.me)).await?;
        match standing.first() {
            Some((_id, standing)) if standing.own => {
                self.record(&act.refused(claim)).await?;
                Err(Error::ReviewOfOneself)
            }
            Some((_id, standing)) if standing.goes_on() => Ok(()),
            // Of which its feed is about to tell.
            Some(_) | None => Err(Fault::Over.into()),
        }
    }

    /// Locks a claim, as the one that was asked about.
    pub(super) async fn lock(&self, transaction: &mut PgConnection, seen: &Claim) -> Result<Claim> {
        let locked = db::lock(transaction, seen.claim_id).await?.ok_or(Fault::NotFound)?;
        let same = locked.concerned() == seen.concerned() && locked.first_by == seen.first_by;
        if !same {
            return Err(RpcError::conflict("the claim concerns others by now").into());
        }
        Ok(locked)
    }

    /// A claim.
    ///
    /// # Errors
    /// `NotFound`.
    pub(super) async fn find(&self, id: Uuid) -> Result<Claim> {
        Ok(db::find(&self.pool, id).await?.ok_or(Fault::NotFound)?)
    }

    async fn record(&self, record: &Record) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        self.trail.append(&mut transaction, record).await?;
        Ok(transaction.commit().await?)
    }

    /// The time by which what could not be told is tried again.
    pub(super) fn later(&self) -> OffsetDateTime {
        self.clock.now() + TRY_AGAIN
    }
}
