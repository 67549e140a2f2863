//! Whether a code is right.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::SmsPurpose;
use zhiyuan_crypto::digest;
use zhiyuan_domain::Mobile;

use super::{Challenge, Outcome, db, purpose_column};
use crate::error::{Error, Result};
use crate::keys::Vault;

/// A code that somebody was sent. Not for logs.
#[derive(Clone)]
pub(crate) struct Code {
    pub(crate) challenge_id: Uuid,
    pub(crate) digits: String,
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Code").field("challenge_id", &self.challenge_id).finish_non_exhaustive()
    }
}

/// Locks the challenge that a code was sent with, if it was sent to this phone for this
/// purpose. A code with any other challenge is wrong, and costs no try of anybody.
pub(crate) async fn challenge_of(
    tx: &mut PgConnection,
    vault: &Vault,
    code: &Code,
    (phone, purpose): (&Mobile, SmsPurpose),
) -> Result<Option<Challenge>> {
    let Some(challenge) = db::lock_challenge(tx, code.challenge_id).await? else {
        return Ok(None);
    };
    let phone_index = vault.phone_index(challenge.index_version, phone)?;
    let of_this_phone = digest::equal(&phone_index, &challenge.phone_index);
    let of_this_purpose = challenge.purpose == purpose_column(purpose);
    Ok(Some(challenge).filter(|_| of_this_phone && of_this_purpose))
}

/// Evaluates a try in the transaction that locked its challenge, which is to be committed
/// whatever the outcome: the try counts.
pub(crate) async fn evaluate(
    tx: &mut PgConnection,
    vault: &Vault,
    code: &Code,
    mut challenge: Challenge,
    now: OffsetDateTime,
) -> Result<Outcome> {
    let id = code.challenge_id;
    let mac = vault.code_mac(challenge.mac_version, id, &code.digits)?;
    let expected = challenge.code_mac.clone();
    let outcome = challenge.evaluate(now, || digest::equal(&mac, &expected));
    db::update_challenge(tx, id, &challenge).await?;
    Ok(outcome)
}

impl Outcome {
    /// What who gave the code is told.
    ///
    /// # Errors
    /// For every outcome but a right one.
    pub(crate) fn accepted(self) -> Result<()> {
        match self {
            Self::Right => Ok(()),
            Self::Wrong => Err(Error::SmsCodeWrong),
            Self::Expired => Err(Error::SmsCodeExpired),
            Self::Used => Err(Error::SmsCodeUsed),
            Self::Exhausted => Err(Error::SmsCodeTriesExhausted),
        }
    }
}
