//! The proof of an activation: the id that its row is found by, and a secret.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;
use zeroize::Zeroizing;
use zhiyuan_crypto::secret::random_bytes;

use crate::error::Result;
use crate::keys::Vault;

const SECRET: usize = 32;
/// Characters of a proof on the wire.
const CHARACTERS: usize = ((16 + SECRET) * 4).div_ceil(3);

/// The proof of an activation. Not for logs: who has it can register as the person.
#[derive(Clone)]
pub(crate) struct Proof {
    pub(crate) activation_id: Uuid,
    secret: Zeroizing<[u8; SECRET]>,
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proof").finish_non_exhaustive()
    }
}

impl Proof {
    /// Draws a proof.
    pub(crate) fn generate(activation_id: Uuid) -> Self {
        Self { activation_id, secret: Zeroizing::new(random_bytes()) }
    }

    /// Reads what stands on the wire.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() != CHARACTERS {
            return None;
        }
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        let (id, secret) = bytes.split_first_chunk::<16>()?;
        let secret = Zeroizing::new(secret.try_into().ok()?);
        Some(Self { activation_id: Uuid::from_bytes(*id), secret })
    }

    /// As it goes on the wire.
    pub(crate) fn expose(&self) -> Zeroizing<String> {
        let bytes = [self.activation_id.as_bytes().as_slice(), self.secret.as_slice()].concat();
        Zeroizing::new(URL_SAFE_NO_PAD.encode(Zeroizing::new(bytes).as_slice()))
    }

    /// What is stored of it.
    pub(crate) fn mac(&self, vault: &Vault, version: i16) -> Result<[u8; 32]> {
        vault.activation_mac(version, self.activation_id, self.secret.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_survives_the_wire_and_shows_nothing() {
        let proof = Proof::generate(Uuid::from_u128(7));
        let text = proof.expose();
        assert_eq!(text.len(), 64);
        let read = Proof::parse(&text).unwrap();
        assert_eq!((read.activation_id, &read.secret), (proof.activation_id, &proof.secret));
        assert_eq!(format!("{proof:?}"), "Proof { .. }");
        for text in ["", "AAAA", text.get(1..).unwrap(), &"团".repeat(21), &" ".repeat(64)] {
            assert!(Proof::parse(text).is_none(), "{text}");
        }
    }
}
