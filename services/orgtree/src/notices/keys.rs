//! The key that notices are signed with.

use std::sync::Arc;

use zhiyuan_crypto::{SigningKey, VerifyingKey};

use crate::config::NoticesConfig;

/// What stands before what is signed: no signature of a notice is one of anything else.
const PREFIX: &[u8] = b"zhiyuan-notice-v1\n";

/// The signing key has the wrong form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("notices.signing_key: expected 32 bytes in base64")]
pub struct InvalidKey;

/// Signs the files of notices.
#[derive(Debug, Clone)]
pub(crate) struct Keys(Arc<SigningKey>);

impl Keys {
    /// # Errors
    /// When the key has the wrong form.
    pub(crate) fn new(config: &NoticesConfig) -> Result<Self, InvalidKey> {
        let key =
            SigningKey::from_base64(config.signing_key.expose()).map_err(|_form| InvalidKey)?;
        Ok(Self(Arc::new(key)))
    }

    pub(super) fn public(&self) -> VerifyingKey {
        self.0.verifying_key()
    }

    pub(super) fn sign(&self, content: &[u8]) -> [u8; 64] {
        self.0.sign(&[PREFIX, content].concat())
    }
}
