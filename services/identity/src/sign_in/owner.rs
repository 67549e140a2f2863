//! Which account somebody means, and whether it is theirs.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_crypto::digest;
use zhiyuan_crypto::keys::DataKey;
use zhiyuan_domain::{IdNumber, Mobile, PersonName};

use super::{MOST_OF_PHONE, RECYCLED_AFTER, code_is_enough};
use crate::accounts::{self, db::Owner};
use crate::devices;
use crate::error::{Error, Result};
use crate::keys::{self, Column, Indexes, Vault};

/// Name and the end of the ID number, for where a code alone is not enough.
pub(crate) struct SecondProof {
    pub(crate) name: PersonName,
    /// 6 characters.
    pub(crate) tail: String,
}

/// Finds accounts.
#[derive(Debug, Clone)]
pub(crate) struct Owners {
    pub(crate) pool: PgPool,
    pub(crate) vault: Vault,
}

impl Owners {
    /// The accounts that a phone is attached to.
    pub(crate) async fn of_phone(&self, phone: &Mobile) -> Result<Vec<Owner>> {
        let mut conn = self.pool.acquire().await?;
        let indexes = self.phone_indexes(&mut conn, phone).await?;
        accounts::db::of_phone(&mut conn, &indexes, MOST_OF_PHONE).await
    }

    /// The account that an ID number belongs to.
    pub(crate) async fn of_number(&self, number: &IdNumber) -> Result<Option<Owner>> {
        let mut conn = self.pool.acquire().await?;
        let versions = keys::db::active_index_keys(&mut conn).await?;
        let indexes = self.vault.number_indexes(versions, number)?;
        accounts::db::of_number(&mut conn, &indexes).await
    }

    /// A phone under the newest index key.
    pub(crate) async fn phone_index(
        &self,
        conn: &mut PgConnection,
        phone: &Mobile,
    ) -> Result<(i16, [u8; 32])> {
        let version = keys::db::newest_index_key(conn).await?;
        Ok((version, self.vault.phone_index(version, phone)?))
    }

    /// A phone under each index key that is active.
    pub(crate) async fn phone_indexes(
        &self,
        conn: &mut PgConnection,
        phone: &Mobile,
    ) -> Result<Indexes> {
        let versions = keys::db::active_index_keys(conn).await?;
        self.vault.phone_indexes(versions, phone)
    }

    /// Which of the accounts of a phone is meant by somebody who has proved the phone.
    ///
    /// # Errors
    /// `AccountNotFound`; `SecondProofRequired` when name and number are needed;
    /// `SignInRefused` when they fit none.
    pub(crate) async fn proved_by_code(
        &self,
        owners: Vec<Owner>,
        proof: Option<&SecondProof>,
        known_device: Option<Uuid>,
        now: OffsetDateTime,
    ) -> Result<Owner> {
        let alone = owners.len() == 1;
        if owners.is_empty() {
            return Err(Error::AccountNotFound);
        }
        if let Some(proof) = proof {
            for owner in owners {
                if self.fits(&owner, proof).await? {
                    return Ok(owner);
                }
            }
            return Err(Error::SignInRefused);
        }
        let enough = |owner: &Owner| {
            let known = known_device == Some(owner.account_id);
            code_is_enough(owner.phone_proven_at, known, alone, now)
        };
        owners.into_iter().find(enough).ok_or(Error::SecondProofRequired)
    }

    /// Detaches a phone that was proved for an account just now from those whose owners have
    /// not proved it for long, and forgets it for their devices; under whichever of the index
    /// keys.
    pub(crate) async fn take_phone(
        tx: &mut PgConnection,
        phone: &Indexes,
        owner: Uuid,
        now: OffsetDateTime,
    ) -> Result<()> {
        let not_since = now - RECYCLED_AFTER;
        let detached = accounts::db::detach_phone(tx, phone, owner, not_since).await?;
        for account in detached {
            tracing::info!(account.id = %account, "a phone has another owner");
            devices::db::forget_phone(tx, account, phone).await?;
        }
        Ok(())
    }

    /// The data key of an account that was there a moment ago.
    ///
    /// # Errors
    /// `SignInRefused` when it was closed since.
    pub(crate) async fn key(&self, account_id: Uuid) -> Result<DataKey> {
        let key = self.vault.key(account_id).await;
        if matches!(key, Err(Error::KeyMissing)) {
            let mut conn = self.pool.acquire().await?;
            if accounts::db::find(&mut conn, account_id).await?.is_none() {
                return Err(Error::SignInRefused);
            }
        }
        key
    }

    async fn fits(&self, owner: &Owner, proof: &SecondProof) -> Result<bool> {
        let key = match self.key(owner.account_id).await {
            // Nobody's any more; of those who share a phone, another may be meant.
            Err(Error::SignInRefused) => return Ok(false),
            key => key?,
        };
        let id = owner.account_id;
        let name = self.vault.open(&key, Column::AccountName, id, &owner.name)?;
        let Some(sealed) = &owner.id_number else { return Ok(false) };
        let number = self.vault.open(&key, Column::AccountIdNumber, id, sealed)?;
        let tail = number.get(number.len().saturating_sub(6)..).unwrap_or_default();
        let same = |left: &str, right: &str| digest::equal(left.as_bytes(), right.as_bytes());
        // Both are compared, whichever is wrong.
        Ok(same(&name, proof.name.as_str()) & same(tail, &proof.tail))
    }
}
