//! What an operator can set.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use zhiyuan_crypto::{SigningKey, VerifyingKey};
use zhiyuan_settings::Secret;

/// The `audit` section of a service's configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditConfig {
    /// The Ed25519 seed in base64 that heads are signed with.
    pub signing_key: Secret,
    /// Public keys, in base64, of signing keys from before, whose heads are still there.
    pub public_keys: Vec<String>,
    /// How often to look for what was committed, in milliseconds.
    pub poll_ms: u64,
    /// Entries sealed in one transaction, at most.
    pub batch: i64,
    /// A chain that grows is signed so often at most, in milliseconds.
    pub head_ms: u64,
}

/// What is wrong with the keys; never holds one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// The signing key has the wrong form.
    #[error("audit.signing_key: expected 32 bytes in base64")]
    SigningKey,
    /// A public key has the wrong form.
    #[error("audit.public_keys: number {0} is not an Ed25519 public key in base64")]
    PublicKey(usize),
}

impl AuditConfig {
    /// The key that heads are signed with.
    ///
    /// # Errors
    /// When it has the wrong form.
    pub fn key(&self) -> Result<SigningKey, InvalidKeys> {
        SigningKey::from_base64(self.signing_key.expose()).map_err(|_form| InvalidKeys::SigningKey)
    }

    /// The keys whose heads are believed: that of the signing key, and those from before.
    ///
    /// # Errors
    /// When one has the wrong form.
    pub fn trusted(&self) -> Result<TrustedKeys, InvalidKeys> {
        let mut keys = vec![self.key()?.verifying_key()];
        for (number, text) in (1..).zip(&self.public_keys) {
            let key =
                VerifyingKey::from_base64(text).map_err(|_form| InvalidKeys::PublicKey(number))?;
            keys.push(key);
        }
        Ok(TrustedKeys::new(keys))
    }

    pub(crate) fn batch(&self) -> i64 {
        self.batch.max(1)
    }

    pub(crate) fn head(&self) -> Duration {
        Duration::from_millis(self.head_ms)
    }

    pub(crate) fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms.max(10))
    }
}

/// The public keys whose heads are believed.
#[derive(Debug, Clone)]
pub struct TrustedKeys(BTreeMap<String, VerifyingKey>);

impl TrustedKeys {
    /// Takes the keys.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = VerifyingKey>) -> Self {
        Self(keys.into_iter().map(|key| (key.key_id(), key)).collect())
    }

    pub(crate) fn get(&self, key_id: &str) -> Option<&VerifyingKey> {
        self.0.get(key_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(signing_key: &str, public_keys: &[&str]) -> AuditConfig {
        AuditConfig {
            signing_key: Secret::new(signing_key),
            public_keys: public_keys.iter().map(|&key| key.to_owned()).collect(),
            poll_ms: 250,
            batch: 1000,
            head_ms: 60_000,
        }
    }

    #[test]
    fn believes_its_own_key_and_those_from_before() {
        let (now, before) = (SigningKey::generate(), SigningKey::generate());
        let config = config(&now.to_base64(), &[&before.verifying_key().to_base64()]);
        let trusted = config.trusted().unwrap();
        for key in [now, before] {
            assert_eq!(trusted.get(&key.key_id()), Some(&key.verifying_key()));
        }
        assert_eq!(trusted.get(&SigningKey::generate().key_id()), None);
    }

    #[test]
    fn names_the_key_that_is_wrong_and_never_its_value() {
        let key = SigningKey::generate().to_base64();
        let error = config("hunter2", &[]).trusted().unwrap_err();
        assert_eq!(error.to_string(), "audit.signing_key: expected 32 bytes in base64");
        let error = config(&key, &[&key, "hunter2"]).trusted();
        // Any 32 bytes may be a point of the curve, or not.
        let told = error.unwrap_err().to_string();
        assert!(told.starts_with("audit.public_keys: number"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}
