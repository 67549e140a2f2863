//! What whoever holds a number sees of the claims on it, and says to them.

use uuid::Uuid;
use zeroize::Zeroizing;
use zhiyuan_domain::Statement;
use zhiyuan_postgres::again;

use super::{Claim, Claims, Fault, db};
use crate::audit;
use crate::error::{Error, Result};
use crate::keys::Column;

impl Claims {
    /// The claims on the number of an account, the latest first.
    pub(crate) async fn of_holder(
        &self,
        account_id: Uuid,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Claim>> {
        let mut conn = self.enrolments.pool.acquire().await?;
        db::of_holder(&mut conn, account_id, before, limit).await
    }

    /// What the holder says to a claim.
    pub(crate) async fn answer_of(&self, claim: &Claim) -> Result<Option<Zeroizing<String>>> {
        let Some(sealed) = &claim.answer else { return Ok(None) };
        let vault = &self.enrolments.vault;
        let key = vault.key(claim.holder_id).await?;
        Ok(Some(vault.open(&key, Column::ClaimAnswer, claim.claim_id, sealed)?))
    }

    /// Keeps what the holder says to a claim that goes on, in place of what was said before. Sent
    /// again, it is known.
    ///
    /// # Errors
    /// `NotFound`; `Over`.
    pub(crate) async fn respond(
        &self,
        account_id: Uuid,
        claim_id: Uuid,
        statement: &Statement,
    ) -> Result<()> {
        let claim = self.find(claim_id).await?;
        if claim.holder_id != account_id {
            return Err(Fault::NotFound.into());
        }
        if !claim.state.is_open() {
            return Err(Fault::Over.into());
        }
        let said = self.answer_of(&claim).await?;
        if said.is_some_and(|said| said.as_str() == statement.as_str()) {
            return Ok(());
        }
        let vault = &self.enrolments.vault;
        let key = vault.key(account_id).await?;
        let sealed = vault.seal(&key, Column::ClaimAnswer, claim_id, statement.as_str())?;
        again(Error::is_lost, || async {
            let mut tx = self.enrolments.pool.begin().await?;
            if !db::answer(&mut tx, (claim_id, account_id), &sealed).await? {
                return Err(Fault::Over.into());
            }
            let record = audit::by_owner(account_id, "identity.claim.answered");
            self.enrolments.trail.append(&mut tx, &record.with("claim_id", claim_id)).await?;
            Ok(tx.commit().await?)
        })
        .await
    }
}
