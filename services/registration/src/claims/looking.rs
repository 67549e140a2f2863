//! Looking at a claim; and what is looked at again once it is accepted: whether both
//! administrators still stand behind it, and whether its time has come.

use std::time::Instant;

use sqlx::Connection as _;
use uuid::Uuid;
use zhiyuan_audit::{Actor, Record};
use zhiyuan_contracts::identity::v1::{ClaimState, ShowClaimResponse};
use zhiyuan_contracts::orgtree::v1::{Permission, Voices};
use zhiyuan_domain::{AccountId, Remark};
use zhiyuan_postgres::again;
use zhiyuan_rpc::authority::Lease;

use super::deciding::Act;
use super::{Claim, Claims, Decision, Fault, LOOK_AGAIN, Step, TRY_AGAIN, db};
use crate::error::{Error, Result};

impl Claims {
    /// Shows both sides of a claim.
    ///
    /// # Errors
    /// See `ClaimService.RevealClaim`.
    pub(super) async fn reveal(
        &self,
        me: Uuid,
        id: Uuid,
        purpose: &Remark,
    ) -> Result<ShowClaimResponse> {
        let act = Act::reveal(me);
        let claim = self.open(act, id).await?;
        claim.may_be_decided(me, Decision::Reject)?;
        self.check_outside(act, &claim).await?;
        let lease = again(Error::is_lost, || self.note_look(act, me, id, purpose)).await?;
        let shown = self.sides.show(me, id, purpose).await?;
        // Whose right ended while identity was asked is not shown what was recorded.
        lease.check(Instant::now())?;
        Ok(shown)
    }

    /// Records a look before there is one.
    async fn note_look(&self, act: Act, me: Uuid, id: Uuid, purpose: &Remark) -> Result<Lease> {
        let claim = self.find(id).await?;
        let lease = self.allowed(act, &claim).await?;
        let mut transaction = self.pool.begin().await?;
        db::see(&mut transaction, id, me).await?;
        let record = act.done(&claim).because(purpose.as_str());
        self.trail.append_under(&mut transaction, record, &lease).await?;
        lease.check(Instant::now())?;
        transaction.commit().await?;
        Ok(lease)
    }

    /// Tells identity what was decided, and stores that it knows.
    pub(super) async fn tell(&self, claim: &Claim) -> Result<()> {
        let id = claim.claim_id;
        match (claim.step, claim.first_by, claim.second_by) {
            (Step::Accepting, Some(first), Some(second)) => {
                match self.sides.accept((id, claim.holder_id), [first, second]).await {
                    // One of them has become a side of it since.
                    Err(Error::ReviewOfOneself) => return self.give_up(claim).await,
                    told => told.map(|_standing| ())?,
                }
                let next = Some(self.clock.now() + LOOK_AGAIN);
                db::told(&self.pool, id, (Step::Accepting, Step::Accepted), next).await
            }
            (Step::Accepting, ..) => Err(Error::Inconsistent("claim")),
            (Step::Rejecting, ..) => self.tell_of_the_end(claim).await,
            (Step::Open | Step::Accepted | Step::Rejected | Step::Over, ..) => Ok(()),
        }
    }

    async fn tell_of_the_end(&self, claim: &Claim) -> Result<()> {
        let about = (claim.claim_id, claim.holder_id);
        let told = match self.sides.reject(about, claim.rejected_by).await {
            // Whoever rejected it became a side of it since: it was decided all the same.
            Err(Error::ReviewOfOneself) => self.sides.reject(about, None).await,
            told => told,
        };
        match told {
            // It is gone there.
            Err(Error::Claim(Fault::NotFound)) => {}
            told => told.map(|_standing| ())?,
        }
        let steps = (Step::Rejecting, Step::Rejected);
        db::told(&self.pool, claim.claim_id, steps, None).await?;
        self.due.notify_one();
        Ok(())
    }

    /// Looks at one that is accepted: if the right of one of the two has ended, or the claimant's
    /// organization takes nobody any more, it comes to nothing; if its time has come, it is
    /// carried out.
    pub(super) async fn look_again(&self, claim: &Claim) -> Result<()> {
        let id = claim.claim_id;
        let standing = self.sides.get(&[id], None).await?;
        let accepted = standing.first().filter(|(_id, one)| one.state == ClaimState::Accepted);
        let accepted =
            (Step::Accepted, Step::Accepted, accepted.and_then(|(_, one)| one.carry_out_after));
        let (seen, next, Some(after)) = accepted else {
            // It is over there: the registration hears of it.
            return db::told(&self.pool, id, (Step::Accepted, Step::Accepted), None).await;
        };
        if !self.is_stood_behind(claim).await? {
            return self.give_up(claim).await;
        }
        let now = self.clock.now();
        let look = if now < after {
            Some((now + LOOK_AGAIN).min(after))
        } else {
            // `None`: by identity's clock it is too early still.
            let done = self.sides.carry_out(id).await?;
            self.due.notify_one();
            done.is_none_or(|standing| standing.goes_on()).then(|| self.later())
        };
        db::told(&self.pool, id, (seen, next), look).await
    }

    async fn is_stood_behind(&self, claim: &Claim) -> Result<bool> {
        let (Some(first), Some(second)) = (claim.first_by, claim.second_by) else {
            return Err(Error::Inconsistent("claim"));
        };
        let concerned = claim.concerned();
        for one in [first, second] {
            if self.deciders.allowed(one, &concerned, &[Permission::Review]).await?.is_err() {
                return Ok(false);
            }
        }
        // How old the grants are was looked at before; one may be given anew for longer.
        let voices = self.deciders.voices(first, Some(second), &concerned, None).await?;
        if voices != Voices::Independent {
            return Ok(false);
        }
        // Or the holder's account would end for nobody.
        Ok(self.deciders.organizations.refusal(&claim.organization).await?.is_none())
    }

    /// Ends a claim that two have accepted, as nobody stands behind it any more.
    async fn give_up(&self, claim: &Claim) -> Result<()> {
        let id = claim.claim_id;
        again(Error::is_lost, || self.try_give_up(id)).await?;
        let stored = self.find(id).await?;
        match stored.step {
            Step::Rejecting => self.tell_of_the_end(&stored).await,
            Step::Open | Step::Accepting | Step::Accepted | Step::Rejected | Step::Over => Ok(()),
        }
    }

    async fn try_give_up(&self, id: Uuid) -> Result<()> {
        let now = self.clock.now();
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        let locked = db::lock(&mut transaction, id).await?.ok_or(Fault::NotFound)?;
        if !matches!(locked.step, Step::Accepting | Step::Accepted) {
            return Ok(());
        }
        db::reject(&mut transaction, id, None, now, now + TRY_AGAIN).await?;
        let actor = Actor::Service(crate::run::NAME.to_owned());
        let record = Record::done(actor, "registration.claim.cancelled")
            .about(AccountId::from(locked.holder_id))
            .with("claim_id", id);
        self.trail.append(&mut transaction, &record).await?;
        Ok(transaction.commit().await?)
    }
}
