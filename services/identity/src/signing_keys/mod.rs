//! Keys that sign access tokens: when each comes, signs, and goes.
//!
//! A key is published before it signs, so that every service knows it by then, and after
//! it signed last for as long as its tokens live. Who deletes a row ends all tokens of that
//! key within seconds: people's sessions go on with the next refresh.

pub(crate) mod db;
pub(crate) mod job;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use sqlx::PgPool;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use zhiyuan_auth::Sessions;
use zhiyuan_auth::token::LIFETIME;
use zhiyuan_crypto::{SigningKey, VerifyingKey};
use zhiyuan_domain::{SharedClock, new_id};

use crate::clock::AgreedClock;
use crate::error::{Error, Result};
use crate::keys::{Column, Vault};

/// Published for so long before it signs. Services ask every second, and others who keep
/// a copy of the JWKS for a minute.
const AHEAD: Duration = Duration::minutes(10);
/// Published for so long after it signed last: a token's life, and clocks that are wrong.
const BEHIND: Duration = Duration::seconds(LIFETIME + 300);

/// When a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) use_at: OffsetDateTime,
    pub(crate) retire_at: OffsetDateTime,
}

impl Term {
    /// Its tokens count until then.
    pub(crate) fn expire_at(&self) -> OffsetDateTime {
        self.retire_at + BEHIND
    }

    fn signs(&self, now: OffsetDateTime) -> bool {
        self.use_at <= now && now < self.retire_at
    }
}

/// The term of a key that is to be made now, if one is, beside those there are: one that
/// begins where they leave a gap. A key of a far-off term, made by a clock that was ahead,
/// keeps nobody from signing until then.
pub(crate) fn next_term(
    terms: impl IntoIterator<Item = Term>,
    now: OffsetDateTime,
    life: Duration,
) -> Option<Term> {
    let mut terms: Vec<Term> = terms.into_iter().collect();
    terms.sort_by_key(|term| term.use_at);
    let signed_until = terms.iter().filter(|term| term.retire_at > now).fold(now, |until, term| {
        if term.use_at <= until { until.max(term.retire_at) } else { until }
    });
    // As early as can be, in case it is late already.
    (signed_until <= now + AHEAD)
        .then(|| Term { use_at: signed_until, retire_at: signed_until + life })
}

/// A key as it is stored.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) id: Uuid,
    pub(crate) public_key: Vec<u8>,
    pub(crate) seed: Vec<u8>,
    pub(crate) term: Term,
}

impl Stored {
    pub(crate) fn verifying_key(&self) -> Result<VerifyingKey> {
        let bytes = <&[u8; 32]>::try_from(self.public_key.as_slice()).ok();
        bytes
            .and_then(|bytes| VerifyingKey::from_bytes(bytes).ok())
            .ok_or(Error::Inconsistent("identity.signing_key"))
    }
}

/// The keys of this process, opened.
#[derive(Debug, Clone)]
pub(crate) struct SigningKeys {
    pub(crate) pool: PgPool,
    pub(crate) vault: Vault,
    pub(crate) clock: SharedClock,
    pub(crate) agreed: AgreedClock,
    /// How long a key signs.
    pub(crate) life: Duration,
    /// What this process verifies tokens by.
    known: Sessions,
    open: Arc<RwLock<Vec<(Uuid, Term, SigningKey)>>>,
    /// The clock was not agreed on when it was looked at last: a token of it would count
    /// for too long.
    off: Arc<AtomicBool>,
}

impl SigningKeys {
    pub(crate) fn new(
        pool: PgPool,
        vault: Vault,
        (clock, agreed): (SharedClock, AgreedClock),
        life: Duration,
        known: Sessions,
    ) -> Self {
        let (open, off) = (Arc::default(), Arc::default());
        Self { pool, vault, clock, agreed, life, known, open, off }
    }

    /// The key that signs now.
    ///
    /// # Errors
    /// `NoSigningKey`.
    pub(crate) fn current(&self) -> Result<SigningKey> {
        if self.off.load(Ordering::Relaxed) {
            return Err(Error::NoSigningKey);
        }
        let now = self.clock.now();
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        // The newest of several: after a row was deleted by hand, terms may overlap.
        let signing = open.iter().rev().find(|(_, term, _)| term.signs(now));
        signing.map(|(_, _, key)| key.clone()).ok_or(Error::NoSigningKey)
    }

    /// Makes the next key when its time has come, and deletes those that are over.
    ///
    /// # Errors
    /// `ClockOff`: nothing is made, deleted or signed until the clocks agree.
    pub(crate) async fn rotate(&self) -> Result<()> {
        let id = new_id(self.clock.as_ref());
        let agreed = self.agreed.now(&mut *self.pool.acquire().await?).await;
        match &agreed {
            Ok(_) => self.off.store(false, Ordering::Relaxed),
            Err(Error::ClockOff { .. }) => self.off.store(true, Ordering::Relaxed),
            // Nothing was learned.
            Err(_) => {}
        }
        let now = agreed?;
        let stored = db::list(&mut *self.pool.acquire().await?, now).await?;
        if next_term(terms(&stored), now, self.life).is_some() {
            // Committed before what is sealed with it, and swept if another process is first.
            let data_key = self.vault.make_key(id).await?;
            let key = SigningKey::generate();
            let sealed = self.vault.seal(&data_key, Column::SigningSeed, id, &key.to_base64())?;
            let mut tx = self.pool.begin().await?;
            db::lock(&mut tx).await?;
            let mut stored = db::list(&mut tx, now).await?;
            if let Some(term) = next_term(terms(&stored), now, self.life) {
                let public_key = key.verifying_key().as_bytes().to_vec();
                let new = Stored { id, public_key, seed: sealed, term };
                db::insert(&mut tx, &new, now).await?;
                tracing::info!(key.id = key.key_id(), use_at = %term.use_at, "a signing key was made");
                stored.push(new);
            }
            tx.commit().await?;
            self.adopt(&stored).await?;
        }
        for gone in db::delete_expired(&mut *self.pool.acquire().await?, now).await? {
            self.vault.destroy_key(gone).await?;
        }
        Ok(())
    }

    /// Takes over which keys there are, and opens those that are new here.
    pub(crate) async fn adopt(&self, stored: &[Stored]) -> Result<()> {
        let known: Vec<(Uuid, Term, SigningKey)> = {
            let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
            open.iter().filter(|(id, ..)| stored.iter().any(|key| key.id == *id)).cloned().collect()
        };
        let mut keys = known;
        for key in stored {
            if !keys.iter().any(|(id, ..)| *id == key.id) {
                let data_key = self.vault.key(key.id).await?;
                let seed = self.vault.open(&data_key, Column::SigningSeed, key.id, &key.seed)?;
                let opened = SigningKey::from_base64(&seed)
                    .map_err(|_invalid| Error::Inconsistent("identity.signing_key"))?;
                // A seed that was swapped would sign what nobody can verify.
                if opened.verifying_key() != key.verifying_key()? {
                    return Err(Error::Inconsistent("identity.signing_key"));
                }
                keys.push((key.id, key.term, opened));
            }
        }
        keys.sort_by_key(|(_, term, _)| term.use_at);
        // Verified here before anything is signed.
        self.known.trust(keys.iter().map(|(_, _, key)| key.verifying_key()));
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }
}

fn terms(stored: &[Stored]) -> impl Iterator<Item = Term> {
    stored.iter().map(|key| key.term)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOON: OffsetDateTime = datetime!(2026-11-25 12:00 UTC);
    const LIFE: Duration = Duration::days(30);

    #[test]
    fn the_first_key_signs_at_once() {
        let term = next_term(None, NOON, LIFE).unwrap();
        assert_eq!(term, Term { use_at: NOON, retire_at: NOON + LIFE });
        assert!(term.signs(NOON) && !term.signs(NOON + LIFE));
    }

    #[test]
    fn the_next_key_is_published_before_it_signs_and_follows_without_a_gap() {
        let first = next_term(None, NOON, LIFE);
        assert_eq!(next_term(first, NOON + LIFE - AHEAD - Duration::SECOND, LIFE), None);
        let next = next_term(first, NOON + LIFE - AHEAD, LIFE).unwrap();
        assert_eq!(next.use_at, NOON + LIFE);
        // Tokens of the first are good for as long as they live.
        let last_token = NOON + LIFE - Duration::SECOND + Duration::seconds(LIFETIME);
        assert!(first.unwrap().expire_at() > last_token + Duration::minutes(2));
    }

    #[test]
    fn after_a_long_stop_a_key_signs_at_once() {
        let first = next_term(None, NOON, LIFE);
        let late = NOON + LIFE + Duration::days(3);
        assert_eq!(next_term(first, late, LIFE).unwrap().use_at, late);
    }

    #[test]
    fn a_key_of_a_far_off_term_keeps_nobody_from_signing() {
        let far = Term { use_at: NOON + LIFE * 5, retire_at: NOON + LIFE * 6 };
        let first = next_term([far], NOON, LIFE).unwrap();
        assert_eq!(first, Term { use_at: NOON, retire_at: NOON + LIFE });
        let next = next_term([far, first], NOON + LIFE - AHEAD, LIFE).unwrap();
        assert_eq!(next.use_at, NOON + LIFE);
        // And one whose time has come is followed as any other.
        let late = far.use_at + Duration::DAY;
        assert_eq!(next_term([far], late, LIFE), None);
        let after = next_term([far], far.retire_at - AHEAD, LIFE).unwrap();
        assert_eq!(after.use_at, far.retire_at);
    }

    #[test]
    fn over_years_there_is_always_exactly_one_that_signs() {
        let mut terms: Vec<Term> = Vec::new();
        let mut now = NOON;
        for _ in 0..20_000 {
            if let Some(term) = next_term(terms.iter().copied(), now, LIFE) {
                assert!(terms.is_empty() || term.use_at >= now + AHEAD - Duration::minutes(3));
                terms.push(term);
            }
            assert_eq!(terms.iter().filter(|term| term.signs(now)).count(), 1);
            now += Duration::minutes(3);
        }
        assert!(terms.len() > 1);
    }
}
