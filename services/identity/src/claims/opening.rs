//! How a claim is opened, and how it ends by itself when the number is free.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_audit::{Actor, Record};
use zhiyuan_domain::AccountId;
use zhiyuan_feed::Outbox;

use super::{Limits, MOST_OPEN, State, db};
use crate::accounts;
use crate::audit;
use crate::enrolments::{self, DECIDE_WITHIN, Enrolments, Opened, Refusal, spend_codes};
use crate::error::Result;
use crate::feed;
use crate::keys;
use crate::notices::{self, Notice, Template};

/// What became of opening a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// It is open, or the enrolment was decided by another process.
    Open,
    /// It is refused.
    Refused(Refusal),
    /// The holder is no account any more, this very moment.
    HolderGone,
}

/// Why there can't be one more claim, of how many `going_on` on the number and of the phone there
/// are.
fn refusal(
    level: i16,
    (going_on, of_phone): (i64, i64),
    (number, phone): (i64, i64),
    limits: Limits,
) -> Option<Refusal> {
    if level >= accounts::LEVEL_PROVEN {
        Some(Refusal::ClaimAgainstProven)
    } else if of_phone > 0 || going_on >= MOST_OPEN {
        Some(Refusal::ClaimOpen)
    } else if number >= limits.per_number || phone >= limits.per_phone {
        Some(Refusal::ClaimsExhausted)
    } else {
        None
    }
}

impl Enrolments {
    /// Opens a claim on the number of an account, for an applicant who has matched the register.
    pub(crate) async fn open_claim(
        &self,
        id: Uuid,
        pending: &enrolments::Pending,
        opened: &Opened,
        holder_id: Uuid,
    ) -> Result<Opening> {
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        let Some(enrolment) = enrolments::db::lock(&mut tx, id).await? else {
            return Ok(Opening::Open);
        };
        if enrolment.state != enrolments::State::Pending {
            return Ok(Opening::Open);
        }
        // Locked until the claim is there, so that who closes the account finds it.
        let Some(level) = accounts::db::lock_level(&mut tx, holder_id).await? else {
            return Ok(Opening::HolderGone);
        };
        let versions = keys::db::active_index_keys(&mut tx).await?;
        let number = self.vault.number_indexes(versions.clone(), &opened.id_number)?;
        let phone = self.vault.phone_indexes(versions, &opened.phone)?;
        let going_on = db::going_on(&mut tx, holder_id, &phone).await?;
        let counts = db::counts(&mut tx, &number, &phone, now).await?;
        if let Some(refusal) = refusal(level, going_on, counts, self.rules.claims) {
            return Ok(Opening::Refused(refusal));
        }
        // Now: the codes are forgotten before a claim has to be decided.
        if let Some(refusal) = spend_codes(&mut tx, pending, now).await? {
            return Ok(Opening::Refused(refusal));
        }
        let new = db::New {
            claim_id: id,
            holder_id,
            index_version: number.versions.last().copied().unwrap_or_default(),
            number_index: number.indexes.last().map(Vec::as_slice).unwrap_or_default(),
            phone_index: phone.indexes.last().map(Vec::as_slice).unwrap_or_default(),
            opened_at: now,
        };
        db::open(&mut tx, &new).await?;
        let by = now + DECIDE_WITHIN;
        if let Some(revision) = enrolments::db::send_to_review(&mut tx, id, Some(by), now).await? {
            let changed = feed::enrolment_changed(id, revision, enrolments::State::Review);
            self.outbox.append(&mut tx, &[changed]).await?;
        }
        let clock = self.clock.as_ref();
        let notice = Notice::claim_to_account(clock, Template::ClaimOpened, id, holder_id);
        notices::db::queue(&mut tx, &notice, now).await?;
        let about_holder = audit::by_identity(holder_id, OPENED).with("claim_id", id);
        self.trail.append(&mut tx, &about_holder).await?;
        let claimant = AccountId::from(pending.account_id);
        let by_claimant = Record::done(Actor::Person(claimant), OPENED).about(claimant);
        self.trail.append(&mut tx, &by_claimant.with("claim_id", id)).await?;
        tx.commit().await?;
        self.outbox.wake();
        Ok(Opening::Open)
    }
}

const OPENED: &str = "identity.claim.opened";

/// Lets the registrations go on whose claims were on the number of an account that is closed now,
/// and whose row is locked.
pub(crate) async fn release(
    tx: &mut PgConnection,
    outbox: &Outbox,
    holder_id: Uuid,
    now: OffsetDateTime,
) -> Result<()> {
    for claim in db::open_of(tx, holder_id).await? {
        let id = claim.claim_id;
        // First, as everybody does.
        enrolments::db::lock(tx, id).await?;
        if db::end(tx, id, State::Ended, now).await?.is_none() {
            continue;
        }
        if let Some(revision) = db::go_on(tx, id, now, now + DECIDE_WITHIN).await? {
            let changed = feed::enrolment_changed(id, revision, enrolments::State::Pending);
            outbox.append(tx, &[changed]).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_phone_three_at_a_time_and_in_a_month_and_none_against_who_is_proven() {
        let limits = Limits { per_number: 3, per_phone: 3 };
        for (level, going_on, counts, expected) in [
            (1, (0, 0), (0, 0), None),
            (2, (2, 0), (2, 2), None),
            (2, (1, 1), (0, 0), Some(Refusal::ClaimOpen)),
            (2, (3, 0), (0, 0), Some(Refusal::ClaimOpen)),
            (1, (0, 0), (3, 0), Some(Refusal::ClaimsExhausted)),
            (1, (0, 0), (0, 3), Some(Refusal::ClaimsExhausted)),
            (3, (3, 1), (3, 3), Some(Refusal::ClaimAgainstProven)),
        ] {
            assert_eq!(refusal(level, going_on, counts, limits), expected);
        }
    }
}
