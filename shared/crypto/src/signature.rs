//! Ed25519 signatures (RFC 8032).

use std::fmt;

use base64::Engine as _;
use ed25519_dalek::Signer as _;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::secret::{self, BASE64, Key32};

/// A text or bytes that are not a usable key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the base64 of a 32-byte Ed25519 key")]
pub struct InvalidKey;

/// A signature that is not of this message by this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct InvalidSignature;

/// A private key: wiped when dropped, silent in `Debug`.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// Draws a new key from the operating system.
    pub fn generate() -> Self {
        Self::from_seed(&Key32::generate())
    }

    /// Derives the key from its seed of 32 bytes, the private key of RFC 8032.
    pub fn from_seed(seed: &Key32) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed.as_bytes()))
    }

    /// Reads the seed in standard base64; white space around it is ignored.
    ///
    /// # Errors
    /// [`InvalidKey`] if the text is not the base64 of 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, InvalidKey> {
        let seed = secret::decode_base64(text.trim()).ok_or(InvalidKey)?;
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// Writes the seed in standard base64 (44 characters).
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64.encode(self.0.as_bytes()))
    }

    /// Returns the public key.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key())
    }

    /// Returns the [id](VerifyingKey::key_id) of the public key.
    pub fn key_id(&self) -> String {
        self.verifying_key().key_id()
    }

    /// Signs the message.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.key_id())
    }
}

/// A public key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

impl VerifyingKey {
    /// Reads a public key of 32 bytes.
    ///
    /// # Errors
    /// [`InvalidKey`] if the bytes are no point of the curve, or one of small order, under which
    /// one signature fits many messages.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, InvalidKey> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| InvalidKey)?;
        if key.is_weak() { Err(InvalidKey) } else { Ok(Self(key)) }
    }

    /// Reads a public key in standard base64; white space around it is ignored.
    ///
    /// # Errors
    /// [`InvalidKey`], as [`from_bytes`](Self::from_bytes).
    pub fn from_base64(text: &str) -> Result<Self, InvalidKey> {
        Self::from_bytes(&*secret::decode_base64(text.trim()).ok_or(InvalidKey)?)
    }

    /// Returns the 32 bytes of the key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Writes the key in standard base64 (44 characters).
    pub fn to_base64(&self) -> String {
        BASE64.encode(self.as_bytes())
    }

    /// Names the key: the first 16 hexadecimal digits of the SHA-256 of its bytes.
    pub fn key_id(&self) -> String {
        Sha256::digest(self.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Checks a signature of 64 bytes, refusing the malleable forms that RFC 8032 leaves open.
    ///
    /// # Errors
    /// [`InvalidSignature`], also for a signature of another length.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let signature =
            ed25519_dalek::Signature::from_slice(signature).map_err(|_| InvalidSignature)?;
        self.0.verify_strict(message, &signature).map_err(|_| InvalidSignature)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.key_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::tests::hex;

    /// RFC 8032, 7.1, tests 1 to 3: seed, public key, message, signature.
    const ED25519: [[&str; 4]; 3] = [
        [
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155\
             5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ],
        [
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ],
        [
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
             18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ],
    ];

    #[test]
    fn agrees_with_the_vectors_of_rfc_8032() {
        for [seed, public, message, signature] in ED25519 {
            let key = SigningKey::from_seed(&seed.parse().unwrap());
            assert_eq!(key.verifying_key().as_bytes().as_slice(), hex(public));
            assert_eq!(key.sign(&hex(message)).as_slice(), hex(signature));
            assert_eq!(key.verifying_key().verify(&hex(message), &hex(signature)), Ok(()));
        }
    }

    #[test]
    fn refuses_another_message_key_or_signature() {
        let key = SigningKey::generate();
        let signature = key.sign(b"message");
        let public = key.verifying_key();
        assert_eq!(public.verify(b"message", &signature), Ok(()));
        assert_eq!(public.verify(b"massage", &signature), Err(InvalidSignature));
        let other = SigningKey::generate().verifying_key();
        assert_eq!(other.verify(b"message", &signature), Err(InvalidSignature));
        assert_eq!(public.verify(b"message", &signature[..63]), Err(InvalidSignature));
        for at in 0..64 {
            let mut altered = signature;
            altered[at] ^= 1;
            assert_eq!(public.verify(b"message", &altered), Err(InvalidSignature), "byte {at}");
        }
    }

    #[test]
    fn base64_forms_are_read_back() {
        let key = SigningKey::generate();
        let read = SigningKey::from_base64(&format!("{}\n", *key.to_base64())).unwrap();
        assert_eq!(read.verifying_key(), key.verifying_key());
        let public = key.verifying_key();
        assert_eq!(VerifyingKey::from_base64(&public.to_base64()), Ok(public));
    }

    #[test]
    fn refuses_keys_that_are_malformed_or_weak() {
        assert_eq!(SigningKey::from_base64("AAECAw==").unwrap_err(), InvalidKey);
        assert_eq!(VerifyingKey::from_base64("键"), Err(InvalidKey));
        // The neutral element: it accepts one signature for every message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(VerifyingKey::from_bytes(&neutral), Err(InvalidKey));
    }

    #[test]
    fn the_key_id_is_the_head_of_the_sha_256() {
        let key = SigningKey::from_seed(&ED25519[0][0].parse().unwrap());
        assert_eq!(key.key_id(), "21fe31dfa154a261");
        assert_eq!(format!("{key:?}"), "SigningKey(21fe31dfa154a261)");
    }
}
