//! How a claim is carried out: the holder's account ends, and the number is the claimant's, in one
//! transaction.

use sqlx::PgConnection;
use uuid::Uuid;
use zhiyuan_postgres::again;
use zhiyuan_rpc::chain;

use super::{Claim, Claims, Fault, State, db, release};
use crate::accounts;
use crate::audit;
use crate::closing;
use crate::enrolments::{self, Enrolments};
use crate::error::{Error, Result};
use crate::keys::Column;
use crate::notices::{self, Notice};

/// Whose account ends when a claim is carried out; made before the transaction.
#[derive(Debug)]
pub(crate) struct Displacing {
    claim_id: Uuid,
    holder_id: Uuid,
    /// To the phone that the account had.
    notice: Notice,
}

impl Displacing {
    /// Locks the holder, before anything else is locked, as whoever closes an account does;
    /// `false` if it is no account any more.
    pub(crate) async fn lock(&self, tx: &mut PgConnection) -> Result<bool> {
        accounts::db::lock_active(tx, self.holder_id).await
    }

    /// Ends the holder's account, which is locked as the enrolment is; `false` if the claim is not
    /// one to be carried out any more.
    pub(crate) async fn end(&self, tx: &mut PgConnection, enrolments: &Enrolments) -> Result<bool> {
        let now = enrolments.clock.now();
        let claim = db::lock(tx, self.claim_id).await?;
        let stands = claim.is_some_and(|claim| {
            claim.state == State::Accepted && claim.holder_id == self.holder_id
        });
        if !stands {
            return Ok(false);
        }
        db::end(tx, self.claim_id, State::CarriedOut, now).await?;
        let record = audit::by_identity(self.holder_id, "identity.account.displaced")
            .with("claim_id", self.claim_id);
        // Every process hears of the sessions within a second.
        closing::end_account(
            tx,
            self.holder_id,
            now,
            (&enrolments.outbox, &enrolments.trail),
            &record,
        )
        .await?;
        // Those of other phones come to the number as it is now.
        release(tx, &enrolments.outbox, self.holder_id, now).await?;
        notices::db::queue(tx, &self.notice, now).await?;
        Ok(true)
    }
}

impl Claims {
    /// Carries a claim out, unless it is over; as it stands then.
    ///
    /// # Errors
    /// `NotFound`; `TooEarly`.
    pub(crate) async fn carry_out(&self, id: Uuid) -> Result<Claim> {
        let mut conn = self.enrolments.pool.acquire().await?;
        let claim = db::find(&mut conn, id).await?.ok_or(Fault::NotFound)?;
        if !claim.state.is_open() {
            return Ok(claim);
        }
        // By a clock that is ahead, nobody would have had the time to reject it.
        let now = self.agreed.now(&mut conn).await?;
        claim.may_be_carried_out(self.delay, now)?;
        let in_review = enrolments::State::Review;
        let pending = enrolments::db::pending(&mut conn, id, in_review).await?;
        let holder = db::holder(&mut conn, claim.holder_id).await?;
        drop(conn);
        let (Some(pending), Some(holder)) = (pending, holder) else { return self.find(id).await };
        let opened = match self.enrolments.open_pending(id, &pending).await {
            Err(Error::KeyMissing) => return self.find(id).await,
            opened => opened?,
        };
        let vault = &self.enrolments.vault;
        let key = match vault.key(claim.holder_id).await {
            // Closed this very moment.
            Err(Error::KeyMissing) => return self.find(id).await,
            key => key?,
        };
        let phone = vault.open(&key, Column::AccountPhone, claim.holder_id, &holder.phone)?;
        let clock = self.enrolments.clock.as_ref();
        let notice = Notice::displaced(vault, clock, id, &phone).await?;
        let displacing = Displacing { claim_id: id, holder_id: claim.holder_id, notice };
        let work = || self.enrolments.displace(id, &pending, &opened, &displacing);
        let done = again(Error::is_lost, work).await?;
        if done && let Err(error) = vault.destroy_key(claim.holder_id).await {
            // It is ended all the same; the sweep of keys comes by.
            tracing::warn!(claim.id = %id, error = chain(&error), "a data key is left");
        }
        self.find(id).await
    }

    /// A claim as it stands.
    ///
    /// # Errors
    /// `NotFound`.
    pub(super) async fn find(&self, id: Uuid) -> Result<Claim> {
        let mut conn = self.enrolments.pool.acquire().await?;
        Ok(db::find(&mut conn, id).await?.ok_or(Fault::NotFound)?)
    }
}
