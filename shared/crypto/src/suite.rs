//! The one door to ciphers and message authentication codes.

use std::fmt::Debug;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead as _, Payload};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::secret::{Key32, random_bytes};

/// Length of the nonce that precedes every sealed text, in bytes.
const NONCE: usize = 12;

/// Why a text could not be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AeadError {
    /// The plaintext exceeds what the cipher takes under one nonce (64 GiB for GCM).
    #[error("the plaintext is too long for the cipher")]
    TooLong,
    /// Key, associated data or sealed text are not those of the sealing.
    #[error("the sealed text does not authenticate")]
    Unauthentic,
}

/// A family of algorithms, all of the same national standard.
///
/// Used as `Arc<dyn Suite>`, so that the choice is made once, at start, and a hardware module can
/// stand behind it. A suite whose cipher takes shorter keys derives them from the 32 bytes.
pub trait Suite: Send + Sync + Debug {
    /// Returns the number that stands in everything this suite has sealed. Numbers are never
    /// reused: 1 is [`International`], 2 is reserved for 国密 (SM4-GCM, HMAC-SM3).
    fn id(&self) -> u8;

    /// Encrypts and authenticates: a random nonce of 96 bits, the ciphertext, the tag.
    ///
    /// Random nonces allow 2³² texts under one key (NIST SP 800-38D, 8.3); a data key serves one
    /// person and stays far below.
    ///
    /// # Errors
    /// [`AeadError::TooLong`].
    fn seal(&self, key: &Key32, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, AeadError>;

    /// Opens what [`seal`](Self::seal) returned, under the same key and associated data.
    ///
    /// # Errors
    /// [`AeadError::Unauthentic`] if any of the three differs.
    fn open(&self, key: &Key32, aad: &[u8], sealed: &[u8])
    -> Result<Zeroizing<Vec<u8>>, AeadError>;

    /// Computes a message authentication code of 256 bits.
    fn mac(&self, key: &Key32, message: &[u8]) -> [u8; 32];
}

/// AES-256-GCM (NIST SP 800-38D) and HMAC-SHA-256 (RFC 2104).
#[derive(Clone, Copy, Debug, Default)]
pub struct International;

impl International {
    /// Seals under a nonce of the caller's; a nonce used twice under a key breaks GCM.
    fn seal_with(
        key: &Key32,
        nonce: [u8; NONCE],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, AeadError> {
        let ciphertext = Aes256Gcm::new(key.as_bytes().into())
            .encrypt(&nonce.into(), Payload { msg: plaintext, aad })
            .map_err(|_| AeadError::TooLong)?;
        Ok([nonce.as_slice(), &ciphertext].concat())
    }
}

impl Suite for International {
    fn id(&self) -> u8 {
        1
    }

    fn seal(&self, key: &Key32, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, AeadError> {
        Self::seal_with(key, random_bytes(), aad, plaintext)
    }

    fn open(
        &self,
        key: &Key32,
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, AeadError> {
        let (nonce, ciphertext) =
            sealed.split_first_chunk::<NONCE>().ok_or(AeadError::Unauthentic)?;
        Aes256Gcm::new(key.as_bytes().into())
            .decrypt(nonce.into(), Payload { msg: ciphertext, aad })
            .map(Zeroizing::new)
            .map_err(|_| AeadError::Unauthentic)
    }

    fn mac(&self, key: &Key32, message: &[u8]) -> [u8; 32] {
        // HMAC fills a short key with zeros up to the block of 64 bytes (RFC 2104, 2); done here,
        // because the constructor that takes any length is fallible.
        let mut block = Zeroizing::new([0; 64]);
        for (to, from) in block.iter_mut().zip(key.as_bytes()) {
            *to = *from;
        }
        let block: &[u8; 64] = &block;
        Hmac::<Sha256>::new(block.into()).chain_update(message).finalize().into_bytes().into()
    }
}

#[cfg(test)]
pub(crate) mod tests;
