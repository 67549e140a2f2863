//! Registering with a proof: who it stands for.

use sqlx::PgPool;
use uuid::Uuid;
use zhiyuan_crypto::digest;
use zhiyuan_domain::SharedClock;

use super::{Opened, Proof, db, known};
use crate::error::Result;
use crate::keys::Vault;

/// Whom a proof stands for, as the roster says. Not for logs.
pub(crate) struct Activated {
    pub(crate) activation_id: Uuid,
    pub(crate) person: Opened,
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
        drop(conn);
        let listed = (kept.index_version, kept.phone_index.as_slice());
        let known = known(pool, vault, clock, kept.person_id, listed).await?;
        let activation_id = kept.activation_id;
        Ok(known.map(|(_seen, person)| Self { activation_id, person }))
    }
}
