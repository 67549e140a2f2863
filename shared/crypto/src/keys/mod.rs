//! Envelope encryption: a data key per person, wrapped by key-encryption keys.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use crate::framing::frame;
use crate::secret::Key32;
use crate::suite::Suite;

pub mod memory;

/// The layout of [`WrappedKey::bytes`]: suite id, this number, version of the data key (2 bytes,
/// big-endian), sealed key.
const FORMAT: u8 = 1;

/// A key of this version was not handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no key of version {0}")]
pub struct UnknownVersion(pub i16);

/// The plaintext data key of one subject. Wiped when dropped; never stored as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataKey {
    version: i16,
    key: Key32,
}

impl DataKey {
    /// Draws a new data key of this version; a subject's first key has version 1.
    pub fn generate(version: i16) -> Self {
        Self { version, key: Key32::generate() }
    }

    /// Returns the version, which stands in every ciphertext under this key.
    pub const fn version(&self) -> i16 {
        self.version
    }

    pub(crate) const fn key(&self) -> &Key32 {
        &self.key
    }

    /// A key that is the same in every run.
    #[cfg(test)]
    pub(crate) fn fixed(version: i16, byte: u8) -> Self {
        Self { version, key: Key32::from_bytes([byte; 32]) }
    }
}

/// A data key as it is stored: it carries its own version and the id of its suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    /// The version of the key-encryption key that opens it.
    pub version: i16,
    /// 64 bytes in the international suite.
    pub bytes: Vec<u8>,
}

/// Why a wrapped key does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnwrapError {
    /// The key-encryption key is not in the ring.
    #[error(transparent)]
    UnknownVersion(#[from] UnknownVersion),
    /// Altered, or of another subject.
    #[error("the wrapped key does not authenticate")]
    Corrupt,
}

/// The key-encryption keys by version; one of them wraps, all unwrap.
#[derive(Clone, Debug)]
pub struct KeyRing {
    suite: Arc<dyn Suite>,
    active: i16,
    keys: BTreeMap<i16, Key32>,
}

impl KeyRing {
    /// Makes a ring in which the key of version `active` wraps.
    ///
    /// # Errors
    /// [`UnknownVersion`] if `keys` lacks the active one.
    pub fn new(
        suite: Arc<dyn Suite>,
        active: i16,
        keys: BTreeMap<i16, Key32>,
    ) -> Result<Self, UnknownVersion> {
        if !keys.contains_key(&active) {
            return Err(UnknownVersion(active));
        }
        Ok(Self { suite, active, keys })
    }

    /// Returns the version that wraps. What another version has wrapped awaits re-wrapping: unwrap
    /// it and wrap it again.
    pub const fn active(&self) -> i16 {
        self.active
    }

    /// Wraps a data key under the active key, for this subject alone.
    ///
    /// # Errors
    /// [`UnwrapError::UnknownVersion`] never occurs for a ring that [`new`](Self::new) accepted;
    /// [`UnwrapError::Corrupt`] if the suite refuses 32 bytes, as a hardware module might.
    pub fn wrap(&self, subject: Uuid, data_key: &DataKey) -> Result<WrappedKey, UnwrapError> {
        let header = self.header(data_key.version);
        let sealed = self
            .suite
            .seal(
                self.key(self.active)?,
                &bound(&header, self.active, subject),
                data_key.key.as_bytes(),
            )
            .map_err(|_| UnwrapError::Corrupt)?;
        Ok(WrappedKey { version: self.active, bytes: [header.as_slice(), &sealed].concat() })
    }

    /// Unwraps a data key of this subject.
    ///
    /// # Errors
    /// [`UnwrapError`].
    pub fn unwrap(&self, subject: Uuid, wrapped: &WrappedKey) -> Result<DataKey, UnwrapError> {
        let kek = self.key(wrapped.version)?;
        let (header, sealed) = wrapped.bytes.split_first_chunk().ok_or(UnwrapError::Corrupt)?;
        let [_, _, high, low] = *header;
        let version = i16::from_be_bytes([high, low]);
        if *header != self.header(version) {
            return Err(UnwrapError::Corrupt);
        }
        let key = self
            .suite
            .open(kek, &bound(header, wrapped.version, subject), sealed)
            .map_err(|_| UnwrapError::Corrupt)?;
        let key = Key32::try_from(key.as_slice()).map_err(|_| UnwrapError::Corrupt)?;
        Ok(DataKey { version, key })
    }

    fn key(&self, version: i16) -> Result<&Key32, UnknownVersion> {
        self.keys.get(&version).ok_or(UnknownVersion(version))
    }

    fn header(&self, version: i16) -> [u8; 4] {
        let [high, low] = version.to_be_bytes();
        [self.suite.id(), FORMAT, high, low]
    }
}

/// What a wrapped key authenticates besides itself.
fn bound(header: &[u8; 4], kek: i16, subject: Uuid) -> Vec<u8> {
    frame(&[b"zhiyuan.wrapped-key", header, &kek.to_be_bytes(), subject.as_bytes()]).to_vec()
}

/// Why a key store did not answer.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// The subject was erased, and never has a key again.
    #[error("the subject's key has been destroyed")]
    Destroyed,
    /// The stored key does not open.
    #[error("the stored key can't be unwrapped")]
    Unwrap(#[from] UnwrapError),
    /// The store can't be reached, or failed.
    #[error("the key store is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

/// Keeps the data keys, apart from what they encrypt.
///
/// A key is created, and committed, before the person that it belongs to: a person without a key
/// could not be read, a key without a person harms nobody.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// Returns the subject's key, drawing one if there is none yet; concurrent callers get the
    /// same.
    ///
    /// # Errors
    /// [`KeyStoreError::Destroyed`] for an erased subject, and the others.
    async fn create(&self, subject: Uuid) -> Result<DataKey, KeyStoreError>;

    /// Returns the subject's key; `None` if it was never created or has been destroyed.
    ///
    /// # Errors
    /// [`KeyStoreError::Unwrap`], [`KeyStoreError::Unavailable`].
    async fn get(&self, subject: Uuid) -> Result<Option<DataKey>, KeyStoreError> {
        Ok(self.get_many(&[subject]).await?.remove(&subject))
    }

    /// Destroys the subject's key, if any, and remembers it: the subject never gets one again.
    ///
    /// # Errors
    /// [`KeyStoreError::Unavailable`].
    async fn destroy(&self, subject: Uuid) -> Result<(), KeyStoreError>;

    /// Draws keys for subjects whose ids were made just now, all or none, in their order.
    ///
    /// # Errors
    /// [`KeyStoreError::Destroyed`] if one of them was there before, and the others.
    async fn create_many(&self, subjects: &[Uuid]) -> Result<Vec<DataKey>, KeyStoreError>;

    /// Returns the keys of those of the subjects that have one.
    ///
    /// # Errors
    /// [`KeyStoreError::Unwrap`], [`KeyStoreError::Unavailable`].
    async fn get_many(&self, subjects: &[Uuid]) -> Result<HashMap<Uuid, DataKey>, KeyStoreError>;

    /// Destroys the keys of subjects of whom nobody makes one at the same time.
    ///
    /// # Errors
    /// [`KeyStoreError::Unavailable`].
    async fn destroy_many(&self, subjects: &[Uuid]) -> Result<(), KeyStoreError>;
}

#[cfg(test)]
mod tests;
