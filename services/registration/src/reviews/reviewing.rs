//! Looking at who waits, and deciding.
//!
//! Whoever does either is asked about twice: before anything else, so that nobody learns of
//! what they don't administer, and right before the transaction that records it, since the
//! answer is good for 3 s and identity is asked in between.

use std::sync::Arc;
use std::time::Instant;

use sqlx::{Connection as _, PgPool};
use tokio::sync::Notify;
use zhiyuan_audit::{Actor, Record, Trail};
use zhiyuan_contracts::identity::v1::RevealApplicantResponse;
use zhiyuan_contracts::orgtree::v1::Permission;
use zhiyuan_crypto::KeyedDigest;
use zhiyuan_domain::{AccountId, EnrolmentId, Remark, RequestId, SharedClock};
use zhiyuan_postgres::again;
use zhiyuan_rpc::Error as RpcError;
use zhiyuan_rpc::authority::{Authority, Lease, Refused};

use super::applicants::Applicants;
use super::{Decision, Review, db};
use crate::error::{Error, Result};
use crate::requests::Command;

/// What it takes to review registrations.
#[derive(Debug, Clone)]
pub(crate) struct Reviews {
    pub(crate) pool: PgPool,
    pub(crate) clock: SharedClock,
    pub(crate) applicants: Applicants,
    pub(crate) authority: Authority,
    pub(crate) digests: KeyedDigest,
    pub(crate) trail: Trail,
    /// Rung when a registration may be due.
    pub(crate) due: Arc<Notify>,
}

/// What an administrator does about a review.
#[derive(Debug, Clone, Copy)]
struct Act {
    me: AccountId,
    /// As it is recorded.
    name: &'static str,
    /// What it needs, the first one first.
    needs: &'static [Permission],
}

impl Act {
    fn reveal(me: AccountId) -> Self {
        let needs = &[Permission::Review, Permission::Reveal];
        Self { me, name: "registration.review.revealed", needs }
    }

    fn decide(me: AccountId) -> Self {
        Self { me, name: "registration.review.decided", needs: &[Permission::Review] }
    }

    fn done(self, review: &Review) -> Record {
        Self::of(Record::done(Actor::Person(self.me), self.name), review)
    }

    fn refused(self, review: &Review) -> Record {
        Self::of(Record::refused(Actor::Person(self.me), self.name), review)
    }

    fn of(record: Record, review: &Review) -> Record {
        record.within(review.organization.as_str()).with("review", review.id)
    }
}

/// What is decided, and under which id of the client.
#[derive(Debug)]
pub(super) struct Deciding {
    pub(super) request_id: RequestId,
    pub(super) review: EnrolmentId,
    pub(super) decision: Decision,
    pub(super) note: Option<Remark>,
}

impl Deciding {
    fn command(&self, me: AccountId) -> Command {
        let note = self.note.as_ref().map_or("", Remark::as_str);
        Command {
            caller: me,
            method: "registration.DecideReview",
            request_id: self.request_id,
            says: vec![
                ("review_id", self.review.as_uuid().as_bytes().to_vec()),
                ("decision", self.decision.as_column().as_bytes().to_vec()),
                ("note", note.as_bytes().to_vec()),
            ],
        }
    }
}

impl Reviews {
    /// Shows who waits.
    ///
    /// # Errors
    /// See `ReviewService.RevealReview`.
    pub(super) async fn reveal(
        &self,
        me: AccountId,
        id: EnrolmentId,
        purpose: &Remark,
    ) -> Result<RevealApplicantResponse> {
        let act = Act::reveal(me);
        let review = self.open(act, id).await?;
        let lease = again(Error::is_lost, || self.note_look(act, &review, purpose)).await?;
        let shown = self.applicants.reveal(me, id, purpose).await?;
        // Whose right ended while identity was asked is not shown what was recorded.
        lease.check(Instant::now())?;
        Ok(shown)
    }

    /// Records a look before there is one.
    async fn note_look(&self, act: Act, review: &Review, purpose: &Remark) -> Result<Lease> {
        let lease = self.allowed(act, review).await?;
        let mut transaction = self.pool.begin().await?;
        db::see(&mut transaction, review.id, act.me).await?;
        let record = act.done(review).because(purpose.as_str());
        self.trail.append_under(&mut transaction, record, &lease).await?;
        lease.check(Instant::now())?;
        transaction.commit().await?;
        Ok(lease)
    }

    /// Decides. Sent again, it is known.
    ///
    /// # Errors
    /// See `ReviewService.DecideReview`.
    pub(super) async fn decide(&self, me: AccountId, deciding: &Deciding) -> Result<()> {
        let command = deciding.command(me);
        if command.is_done(&mut *self.pool.acquire().await?, &self.digests).await? {
            return Ok(());
        }
        let act = Act::decide(me);
        let review = self.open(act, deciding.review).await?;
        again(Error::is_lost, || self.try_decide(act, &review, deciding, &command)).await?;
        // The decision is stored: whoever carries the registration on delivers it.
        self.due.notify_one();
        Ok(())
    }

    async fn try_decide(
        &self,
        act: Act,
        review: &Review,
        deciding: &Deciding,
        command: &Command,
    ) -> Result<()> {
        let lease = self.allowed(act, review).await?;
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        let locked = db::lock(&mut transaction, review.id).await?.ok_or(Error::ReviewNotFound)?;
        if command.is_done(&mut transaction, &self.digests).await? {
            return Ok(());
        }
        locked.check_waits()?;
        if !locked.seen_by.contains(&act.me) {
            return Err(Error::ReviewNotSeen);
        }
        let now = self.clock.now();
        command.note(&mut transaction, &self.digests, now).await?;
        db::decide(&mut transaction, locked.request_id, deciding.decision, act.me, now).await?;
        let record = act.done(&locked).with("decision", deciding.decision.as_column());
        let record = match &deciding.note {
            Some(note) => record.because(note.as_str()),
            None => record,
        };
        self.trail.append_under(&mut transaction, record, &lease).await?;
        lease.check(Instant::now())?;
        Ok(transaction.commit().await?)
    }

    /// A review that waits, if the act may be done about it.
    async fn open(&self, act: Act, id: EnrolmentId) -> Result<Review> {
        let review = db::find(&self.pool, id).await?.ok_or(Error::ReviewNotFound)?;
        self.allowed(act, &review).await?;
        review.check_waits()?;
        match self.applicants.get(act.me, std::iter::once(id)).await?.get(&id) {
            // Over or decided at identity, of which its feed is about to tell.
            None => Err(Error::ReviewNotFound),
            Some(applicant) if applicant.own => {
                self.record(&act.refused(&review)).await?;
                Err(Error::ReviewOfOneself)
            }
            Some(_) => Ok(review),
        }
    }

    /// Whether the act may be done at the organization of the review: the lease that ends
    /// first. Who may not is recorded.
    async fn allowed(&self, act: Act, review: &Review) -> Result<Lease> {
        let (account, organization) = (act.me.as_uuid(), &review.organization);
        let refused = match self.authority.ask_all(account, organization, act.needs).await? {
            Ok(lease) => return Ok(lease),
            Err(refused) => refused,
        };
        self.record(&act.refused(review)).await?;
        Err(match refused {
            Refused::Missing(permission) => RpcError::permission_missing(permission).into(),
            Refused::OutOfScope => Error::ReviewNotFound,
        })
    }

    async fn record(&self, record: &Record) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        self.trail.append(&mut transaction, record).await?;
        Ok(transaction.commit().await?)
    }
}
