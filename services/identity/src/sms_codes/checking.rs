//! Whether a code is right.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::SmsPurpose;
use zhiyuan_crypto::digest;
use zhiyuan_domain::Mobile;

use super::{Outcome, db, purpose_column};
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

/// Evaluates a try in the caller's transaction, which is to be committed whatever the
/// outcome: the try counts.
pub(crate) async fn evaluate(
    tx: &mut PgConnection,
    vault: &Vault,
    code: &Code,
    (phone, purpose): (&Mobile, SmsPurpose),
    now: OffsetDateTime,
) -> Result<Outcome> {
    let id = code.challenge_id;
    let Some(mut challenge) = db::lock_challenge(tx, id).await? else {
        return Ok(Outcome::Wrong);
    };
    let phone_index = vault.phone_index(challenge.index_version, phone)?;
    let of_this_phone = digest::equal(&phone_index, &challenge.phone_index);
    if !of_this_phone || challenge.purpose != purpose_column(purpose) {
        return Ok(Outcome::Wrong);
    }
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
