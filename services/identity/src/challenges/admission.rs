//! Who is let in: nobody who has to work and has not.

use std::sync::Arc;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_crypto::digest;

use super::text::{self, Terms, Work};
use super::{LIFE, Need, Rules, Solution, db};
use crate::error::{Error, Result};
use crate::keys::Vault;
use crate::vendors::{CaptchaOutcome, CaptchaVendor};

/// What a challenge is given for; a solution is good for nothing else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    /// The method, such as `SendSmsCode`.
    pub(crate) method: &'static str,
    /// What the method is asked for: the purpose of a code, or the way to sign in.
    pub(crate) purpose: i16,
    /// The blind index of the identifier, under the newest index key.
    pub(crate) subject_index: &'a [u8],
}

/// Why a solution was not taken. Tells about the solution, and about nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The work was not done, or the challenge is not ours, or was given for something else.
    Wrong,
    /// Its time is over.
    Expired,
    /// It asked for less work than is needed now.
    TooEasy,
    /// It was used.
    Spent,
    /// The ticket of a captcha can't be verified just now.
    CaptchaUnavailable,
}

impl Fault {
    /// As in the metadata of the refusal.
    pub(crate) fn as_metadata(self) -> &'static str {
        match self {
            Self::Wrong => "WRONG",
            Self::Expired => "EXPIRED",
            Self::TooEasy => "TOO_EASY",
            Self::Spent => "SPENT",
            Self::CaptchaUnavailable => "CAPTCHA_UNAVAILABLE",
        }
    }
}

/// A challenge whose solution was spent.
#[must_use]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Solved {
    pub(crate) challenge_id: Uuid,
    pub(crate) expire_at: OffsetDateTime,
}

/// Gives and takes challenges.
#[derive(Debug, Clone)]
pub(crate) struct Challenges {
    pub(crate) rules: Rules,
    pub(crate) vault: Vault,
    /// Where captchas are taken as well.
    pub(crate) captcha: Option<Arc<CaptchaVendor>>,
}

impl Challenges {
    /// Whether a captcha was solved, so that no work is needed. The vendor is asked only if
    /// there is a need, since it takes a ticket once; so no transaction may be open.
    ///
    /// # Errors
    /// `ChallengeRequired`, if a ticket is no good.
    pub(crate) async fn is_cleared(
        &self,
        scope: &Scope<'_>,
        need: Option<Need>,
        solution: Option<&Solution>,
        now: OffsetDateTime,
    ) -> Result<bool> {
        let (Some(need), Some(Solution::Captcha(ticket))) = (need, solution) else {
            return Ok(false);
        };
        let outcome = match &self.captcha {
            Some(vendor) => vendor.verify(ticket).await,
            None => CaptchaOutcome::Failed,
        };
        let fault = match outcome {
            CaptchaOutcome::Passed => return Ok(true),
            CaptchaOutcome::Failed => Fault::Wrong,
            CaptchaOutcome::Unavailable => Fault::CaptchaUnavailable,
        };
        Err(self.refusal(scope, need, Some(fault), now)?)
    }

    /// Lets a call in that needs no work or brings it, as far as can be told without the
    /// database: whether the solution was spent is decided by [`Self::admit`].
    ///
    /// # Errors
    /// `ChallengeRequired`, with a new challenge.
    pub(crate) fn judge(
        &self,
        scope: &Scope<'_>,
        need: Option<Need>,
        solution: Option<&Solution>,
        now: OffsetDateTime,
    ) -> Result<Option<Solved>> {
        let Some(need) = need else { return Ok(None) };
        // A ticket that cleared the call leaves no need; one that nobody asked about yet is
        // still good when the caller comes again.
        let Some(Solution::Work(work)) = solution else {
            return Err(self.refusal(scope, need, None, now)?);
        };
        match self.fault(scope, need, work, now) {
            Some(fault) => Err(self.refusal(scope, need, Some(fault), now)?),
            None => Ok(Some(solved(&work.terms)?)),
        }
    }

    /// Lets a call in, and spends its solution if it needs one: in the transaction of what
    /// it is given for.
    ///
    /// # Errors
    /// As [`Self::judge`]; the transaction is to be rolled back then.
    pub(crate) async fn admit(
        &self,
        tx: &mut PgConnection,
        scope: &Scope<'_>,
        need: Option<Need>,
        solution: Option<&Solution>,
        now: OffsetDateTime,
    ) -> Result<Option<Solved>> {
        let (Some(need), Some(solved)) = (need, self.judge(scope, need, solution, now)?) else {
            return Ok(None);
        };
        if db::spend(tx, &solved).await? {
            Ok(Some(solved))
        } else {
            Err(self.refusal(scope, need, Some(Fault::Spent), now)?)
        }
    }

    fn fault(
        &self,
        scope: &Scope<'_>,
        need: Need,
        work: &Work,
        now: OffsetDateTime,
    ) -> Option<Fault> {
        let ours = self.mac(scope, &work.terms).is_ok_and(|mac| digest::equal(&mac, &work.mac));
        if !ours || !work.is_solved() {
            Some(Fault::Wrong)
        } else if work.terms.is_over(now) {
            Some(Fault::Expired)
        } else if !need.is_met_by(work.terms.bits) {
            Some(Fault::TooEasy)
        } else {
            None
        }
    }

    /// A refusal with a new challenge.
    fn refusal(
        &self,
        scope: &Scope<'_>,
        need: Need,
        fault: Option<Fault>,
        now: OffsetDateTime,
    ) -> Result<Error> {
        let terms = Terms {
            key_version: self.vault.code_version(),
            expire_at: (now + LIFE).unix_timestamp(),
            bits: need.bits,
            challenge_id: Uuid::new_v4(),
        };
        let challenge = text::write(&terms, &self.mac(scope, &terms)?);
        let captcha = self.captcha.is_some();
        Ok(Error::ChallengeRequired { challenge, bits: need.bits, captcha, fault })
    }

    fn mac(&self, scope: &Scope<'_>, terms: &Terms) -> Result<[u8; 32]> {
        self.vault.challenge_mac(
            terms.key_version,
            [
                ("terms", &terms.bytes()),
                ("method", scope.method.as_bytes()),
                ("purpose", &scope.purpose.to_be_bytes()),
                ("subject", scope.subject_index),
            ],
        )
    }
}

fn solved(terms: &Terms) -> Result<Solved> {
    let expire_at = OffsetDateTime::from_unix_timestamp(terms.expire_at)
        .map_err(|_range| Error::Inconsistent("a challenge of ours"))?;
    Ok(Solved { challenge_id: terms.challenge_id, expire_at })
}

#[cfg(test)]
mod tests;
