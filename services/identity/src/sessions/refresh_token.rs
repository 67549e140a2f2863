//! The form of a refresh token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Session;
use crate::error::Result;
use crate::keys::Vault;

/// Version of the key, account, session, generation, code.
const LENGTH: usize = 2 + 16 + 16 + 8 + 32;

/// A refresh token, which a session is found by. Says nothing until it is verified
/// against the row: the code is made with a key of this service and the row's nonce, so
/// that neither of them alone makes tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    key_version: i16,
    pub(crate) account_id: Uuid,
    pub(crate) session_id: Uuid,
    pub(crate) generation: i64,
    code: [u8; 32],
}

/// Silent about the code: who has it has the session.
impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RefreshToken")
            .field("session_id", &self.session_id)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

impl RefreshToken {
    /// The token that is good for a session now.
    pub(crate) fn of(session: &Session, vault: &Vault) -> Result<Self> {
        let key_version = vault.code_version();
        Ok(Self {
            key_version,
            account_id: session.account_id,
            session_id: session.session_id,
            generation: session.generation,
            code: code(vault, key_version, session, session.generation)?,
        })
    }

    /// Whether this service made it for the session, once.
    pub(crate) fn is_of(&self, session: &Session, vault: &Vault) -> bool {
        // A key version that is not configured any more makes it nobody's.
        code(vault, self.key_version, session, self.generation)
            .is_ok_and(|code| zhiyuan_crypto::digest::equal(&code, &self.code))
            && self.generation <= session.generation
    }

    /// Reads a token; `None` if it has not this form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        if bytes.len() != LENGTH {
            return None;
        }
        let (version, rest) = bytes.split_first_chunk::<2>()?;
        let (account, rest) = rest.split_first_chunk::<16>()?;
        let (session, rest) = rest.split_first_chunk::<16>()?;
        let (generation, rest) = rest.split_first_chunk::<8>()?;
        Some(Self {
            key_version: i16::from_be_bytes(*version),
            account_id: Uuid::from_bytes(*account),
            session_id: Uuid::from_bytes(*session),
            generation: i64::from_be_bytes(*generation),
            code: rest.try_into().ok()?,
        })
    }

    /// Writes it.
    pub(crate) fn render(&self) -> String {
        let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH));
        bytes.extend_from_slice(&self.key_version.to_be_bytes());
        bytes.extend_from_slice(self.account_id.as_bytes());
        bytes.extend_from_slice(self.session_id.as_bytes());
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        bytes.extend_from_slice(&self.code);
        URL_SAFE_NO_PAD.encode(&*bytes)
    }
}

fn code(vault: &Vault, key_version: i16, session: &Session, generation: i64) -> Result<[u8; 32]> {
    vault.refresh_code(
        key_version,
        [
            ("account", session.account_id.as_bytes()),
            ("session", session.session_id.as_bytes()),
            ("generation", &generation.to_be_bytes()),
            ("nonce", &session.nonce),
        ],
    )
}
