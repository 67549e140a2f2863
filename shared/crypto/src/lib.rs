#![doc = include_str!("../README.md")]

pub mod blind_index;
pub mod digest;
pub mod field;
pub mod framing;
pub mod keys;
pub mod password;
pub mod secret;
pub mod signature;
pub mod suite;

pub use blind_index::BlindIndexKeys;
pub use digest::KeyedDigest;
pub use field::{Cell, FieldCipher, FieldError};
pub use keys::{DataKey, KeyRing, KeyStore, KeyStoreError, UnknownVersion, WrappedKey};
pub use password::{PasswordError, PasswordHasher};
pub use secret::Key32;
pub use signature::{SigningKey, VerifyingKey};
pub use suite::{International, Suite};
pub use zeroize::Zeroizing;
