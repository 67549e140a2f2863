//! Applicants about whom the register could not tell: a person looks, and decides.
//!
//! Who may do so is for the caller to know, as nothing is known of organizations here. What
//! is known here alone is whether somebody would decide about themselves.

use std::collections::HashMap;

use time::OffsetDateTime;
use uuid::Uuid;
use zeroize::Zeroizing;
use zhiyuan_audit::{Actor, Record};
use zhiyuan_crypto::digest;
use zhiyuan_domain::{AccountId, IdNumber, Mobile, Remark};
use zhiyuan_postgres::again;

use super::db::review::{self, Decided, Viewer, Waiting};
use super::verdict::Opened;
use super::{DECIDE_WITHIN, Decision, Enrolment, Enrolments, LEASE, State};
use crate::error::{Error, Result};
use crate::keys::Column;

/// What is recorded of a look at an applicant.
pub(super) const REVEALED: &str = "identity.applicant.revealed";
/// What is recorded of a decision.
pub(super) const DECIDED: &str = "identity.enrolment.decided";

/// An applicant, as somebody who may decide is shown it.
pub(crate) struct Applicant {
    pub(crate) enrolment_id: Uuid,
    pub(crate) opened: Opened,
    /// Whether it, or the guardian, has the ID number or the phone of the viewer.
    pub(crate) own: bool,
}

/// Somebody who waits for a decision, opened.
pub(crate) struct Waiter {
    pub(crate) enrolment_id: Uuid,
    pub(crate) opened: Opened,
    /// What is said to a claim.
    pub(crate) statement: Option<Zeroizing<String>>,
    pub(crate) decide_by: OffsetDateTime,
}

impl Enrolments {
    /// Those of the enrolments that wait for a decision, in the order of the question.
    pub(crate) async fn applicants(&self, viewer: Uuid, ids: &[Uuid]) -> Result<Vec<Applicant>> {
        let viewer = review::viewer(&mut *self.pool.acquire().await?, viewer).await?;
        let waiters = self.waiters(ids, false).await?;
        let applicants = waiters.into_iter().map(|Waiter { enrolment_id, opened, .. }| {
            let guardian = opened.guardian.as_ref();
            let people: Vec<_> = std::iter::once((&opened.id_number, &opened.phone))
                .chain(guardian.map(|guardian| (&guardian.id_number, &guardian.phone)))
                .collect();
            let own = self.has_one_of(&viewer, &people);
            Applicant { enrolment_id, opened, own }
        });
        Ok(applicants.collect())
    }

    /// Those of the enrolments that wait for a decision, in the order of the question: on claims,
    /// or on what the register could not tell.
    pub(crate) async fn waiters(&self, ids: &[Uuid], claims: bool) -> Result<Vec<Waiter>> {
        let waiting = review::waiting(&mut *self.pool.acquire().await?, ids, claims).await?;
        let mut found: HashMap<Uuid, Waiting> =
            waiting.into_iter().map(|waiting| (waiting.enrolment_id, waiting)).collect();
        let mut waiters = Vec::new();
        for waiting in ids.iter().filter_map(|id| found.remove(id)) {
            let id = waiting.enrolment_id;
            let sealed = [&*waiting.name, &waiting.id_number, &waiting.phone];
            let opened = match self
                .open(id, waiting.account_id, sealed, waiting.guardian.as_deref())
                .await
            {
                Ok(opened) => opened,
                // Decided this very moment, and the key is gone.
                Err(_) if self.load(id).await?.state != State::Review => continue,
                Err(error) => return Err(error),
            };
            let statement = match &waiting.claim_statement {
                Some(sealed) => {
                    let key = self.vault.key(waiting.account_id).await?;
                    Some(self.vault.open(&key, Column::ClaimStatement, id, sealed)?)
                }
                None => None,
            };
            let decide_by = waiting.decide_by;
            waiters.push(Waiter { enrolment_id: id, opened, statement, decide_by });
        }
        Ok(waiters)
    }

    /// Whether somebody has the ID number or the phone of one of these people.
    pub(crate) async fn is_one_of(
        &self,
        viewer: Uuid,
        people: &[(&IdNumber, &Mobile)],
    ) -> Result<bool> {
        let viewer = review::viewer(&mut *self.pool.acquire().await?, viewer).await?;
        Ok(self.has_one_of(&viewer, people))
    }

    /// Under an index key that this process no longer has, nothing is equal.
    fn has_one_of(&self, viewer: &Viewer, people: &[(&IdNumber, &Mobile)]) -> bool {
        let own = |(id_number, of_phone): (&IdNumber, &Mobile)| {
            let number = viewer.numbers.iter().any(|(version, index)| {
                let theirs = self.vault.number_index(*version, id_number);
                theirs.is_ok_and(|theirs| digest::equal(&theirs, index))
            });
            let phone = viewer.phone.as_ref().is_some_and(|(version, index)| {
                let theirs = self.vault.phone_index(*version, of_phone);
                theirs.is_ok_and(|theirs| digest::equal(&theirs, index))
            });
            number || phone
        };
        people.iter().copied().any(own)
    }

    /// The applicant, if a person may look and decide.
    async fn applicant(&self, viewer: Uuid, id: Uuid) -> Result<Applicant> {
        match self.applicants(viewer, &[id]).await?.pop() {
            Some(applicant) if applicant.own => Err(Error::EnrolmentOwn),
            Some(applicant) => Ok(applicant),
            None => self.load(id).await.and(Err(Error::EnrolmentNotInReview)),
        }
    }

    /// Shows an applicant to somebody who says why. Recorded before it is answered: what
    /// can't be recorded is not shown.
    ///
    /// # Errors
    /// `EnrolmentNotFound`, `EnrolmentNotInReview`, `EnrolmentOwn`.
    pub(crate) async fn reveal(&self, viewer: Uuid, id: Uuid, purpose: &Remark) -> Result<Opened> {
        let applicant = self.applicant(viewer, id).await?;
        again(Error::is_lost, || async {
            let mut tx = self.pool.begin().await?;
            let locked = super::db::lock(&mut tx, id).await?.ok_or(Error::EnrolmentNotFound)?;
            if locked.state != State::Review {
                return Err(Error::EnrolmentNotInReview);
            }
            let subject = locked.account_id.ok_or(Error::Inconsistent("identity.enrolment"))?;
            let record = by_reviewer(viewer, REVEALED, subject).because(purpose.as_str());
            self.trail.append(&mut tx, &record).await?;
            Ok(tx.commit().await?)
        })
        .await?;
        Ok(applicant.opened)
    }

    /// Decides, and does what follows. The same decision again finds it done.
    ///
    /// # Errors
    /// `EnrolmentNotFound`, `EnrolmentNotInReview`, `EnrolmentOwn`; `EnrolmentDecided` when
    /// it was decided otherwise.
    pub(crate) async fn decide(&self, id: Uuid, decision: Decision, by: Uuid) -> Result<Enrolment> {
        let mut conn = self.pool.acquire().await?;
        let known = review::lock_decision(&mut conn, id).await?;
        drop(conn);
        if may_be_decided(known, decision)? {
            self.applicant(by, id).await?;
            if again(Error::is_lost, || self.note(id, decision, by)).await? {
                again(Error::is_lost, || self.check(id)).await?;
            }
        }
        self.load(id).await
    }

    /// Stores a decision with its record; `false` if the same one is stored already.
    async fn note(&self, id: Uuid, decision: Decision, by: Uuid) -> Result<bool> {
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        let known = review::lock_decision(&mut tx, id).await?;
        if !may_be_decided(known, decision)? {
            return Ok(false);
        }
        // From here on it is done however long that takes: the seven days were a person's.
        let times = (now + LEASE, now + DECIDE_WITHIN);
        let subject = review::decide(&mut tx, id, (decision, by), times, now).await?;
        let record = by_reviewer(by, DECIDED, subject).with("decision", decision.as_column());
        self.trail.append(&mut tx, &record).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// Whether there is anything to decide; not, if it was decided like this before.
fn may_be_decided(known: Option<Decided>, decision: Decision) -> Result<bool> {
    match known {
        None => Err(Error::EnrolmentNotFound),
        // It was accepted, and is a claim now: two decide on that.
        Some(Decided { claim: true, decision: Some(before), .. }) if before == decision => {
            Ok(false)
        }
        Some(Decided { claim: true, .. }) => Err(Error::EnrolmentNotInReview),
        // A binary of before asked the register again, and put it back.
        Some(Decided { state: State::Review, decision: Some(before), .. })
            if before == decision =>
        {
            Ok(true)
        }
        Some(Decided { decision: Some(before), .. }) if before == decision => Ok(false),
        Some(Decided { decision: Some(_), .. }) => Err(Error::EnrolmentDecided),
        Some(Decided { state: State::Review, .. }) => Ok(true),
        Some(_) => Err(Error::EnrolmentNotInReview),
    }
}

/// A person did something about an applicant, who can read it once there is an account.
fn by_reviewer(by: Uuid, action: &'static str, subject: Uuid) -> Record {
    let actor = Actor::Person(AccountId::from(by));
    Record::done(actor, action).about(AccountId::from(subject))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_decided_once_and_the_same_decision_is_no_fault() {
        let decided = |state, decision| Some(Decided { state, decision, claim: false });
        let accept = Decision::Accept;
        assert!(may_be_decided(decided(State::Review, None), accept).unwrap());
        for state in [State::Pending, State::Claimed, State::Active, State::Refused] {
            assert!(!may_be_decided(decided(state, Some(accept)), accept).unwrap());
            let other = may_be_decided(decided(state, Some(Decision::NameMismatch)), accept);
            assert!(matches!(other, Err(Error::EnrolmentDecided)), "{state:?}");
            let never = may_be_decided(decided(state, None), accept);
            assert!(matches!(never, Err(Error::EnrolmentNotInReview)), "{state:?}");
        }
        assert!(may_be_decided(decided(State::Review, Some(accept)), accept).unwrap());
        assert!(matches!(may_be_decided(None, accept), Err(Error::EnrolmentNotFound)));
        let claim = |decision| Some(Decided { state: State::Review, decision, claim: true });
        let one_alone = may_be_decided(claim(None), accept);
        assert!(matches!(one_alone, Err(Error::EnrolmentNotInReview)), "two decide on a claim");
        assert!(!may_be_decided(claim(Some(accept)), accept).unwrap());
    }
}
