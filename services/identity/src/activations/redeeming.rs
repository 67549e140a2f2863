//! Registering with a proof: who it stands for.

use sqlx::PgPool;
use uuid::Uuid;
use zhiyuan_crypto::digest;
use zhiyuan_domain::{IdNumber, Mobile, PersonName, SharedClock};

use super::{Proof, db, open};
use crate::error::{Error, Result};
use crate::keys::Vault;

/// Whom a proof stands for, as the roster says. Not for logs.
pub(crate) struct Activated {
    pub(crate) activation_id: Uuid,
    pub(crate) name: PersonName,
    pub(crate) id_number: IdNumber,
    pub(crate) phone: Mobile,
}

impl Activated {
    /// Finds whom a proof stands for; nobody if it is none, its time is over, another enrolment
    /// has used it, or the roster has changed.
    pub(crate) async fn find(
        pool: &PgPool,
        vault: &Vault,
        clock: &SharedClock,
        proof: &Proof,
        enrolment_id: Uuid,
    ) -> Result<Option<Self>> {
        let mut conn = pool.acquire().await?;
        let Some(kept) = db::activation(&mut conn, proof.activation_id).await? else {
            return Ok(None);
        };
        let right = digest::equal(&proof.mac(vault, kept.mac_version)?, &kept.proof_mac);
        // The enrolment that used it goes on with it however late.
        let good = match kept.enrolment_id {
            Some(used_by) => used_by == enrolment_id,
            None => clock.now() < kept.expire_at,
        };
        if !right || !good {
            return Ok(None);
        }
        let Some(seen) = db::find(&mut conn, kept.person_id).await? else { return Ok(None) };
        drop(conn);
        let opened = match open(vault, clock, kept.person_id, &seen).await {
            // Forgotten this very moment.
            Err(Error::KeyMissing) => return Ok(None),
            opened => opened?,
        };
        let Some(opened) = opened else { return Ok(None) };
        let phone_index = vault.phone_index(kept.index_version, &opened.phone)?;
        if !digest::equal(&phone_index, &kept.phone_index) {
            return Ok(None);
        }
        let (name, id_number, phone) = (opened.name, opened.id_number, opened.phone);
        Ok(Some(Self { activation_id: kept.activation_id, name, id_number, phone }))
    }
}
