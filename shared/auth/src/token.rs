//! Access tokens: what a person who has signed in presents.

use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::clock::SharedClock;

use crate::jws::{self, ALGORITHM, Header, LONGEST, Parts, SKEW};
use crate::sessions::Sessions;

/// Who issues tokens, and whom they are for: the whole suite.
pub const ISSUER: &str = "zhiyuan";

/// The one type, so that no other token of the suite passes for one (RFC 8725, 3.11).
pub const TYPE: &str = "zhiyuan-access+jwt";

/// How long a token lives, in seconds.
pub const LIFETIME: i64 = 600;

/// A person who has signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// The account.
    pub account_id: Uuid,
    /// The session, which can be ended.
    pub session_id: Uuid,
    /// Whether the session was begun with a second factor.
    pub second_factor: bool,
}

/// The rule that a token breaks. Holds nothing of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a compact JWS with exactly the expected members, or longer than 4 KiB.
    #[error("the token is malformed")]
    Malformed,
    /// Another algorithm than `EdDSA`, such as none.
    #[error("the token names another algorithm")]
    Algorithm,
    /// Made for another purpose, such as an assertion of a service.
    #[error("the token is no access token")]
    Type,
    /// No key for access tokens has this id, or not any more.
    #[error("the token names an unknown key")]
    UnknownKey,
    /// Not signed with the named key, or altered since.
    #[error("the signature of the token does not verify")]
    Signature,
    /// Issued by somebody else, or for somebody else.
    #[error("the token was not issued by this suite for this suite")]
    Audience,
    /// Valid for longer than 10 minutes, or for no time at all.
    #[error("the token has an impermissible lifetime")]
    Lifetime,
    /// Issued more than 60 s in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Expired, for more than 60 s.
    #[error("the token has expired")]
    Expired,
    /// Its session is over.
    #[error("the session of the token is over")]
    Revoked,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    sid: String,
    /// `1`, or `2` with a second factor.
    acr: String,
    /// Seconds since 1970.
    iat: i64,
    /// Seconds since 1970.
    exp: i64,
}

/// Issues a token at a time; it ends 10 minutes later, or with its session if that ends
/// before. Both in seconds since 1970.
pub fn issue(key: &SigningKey, person: &SignedIn, now: i64, session_end: i64) -> String {
    let header = json!({ "alg": ALGORITHM, "typ": TYPE, "kid": key.key_id() });
    let claims = json!({
        "iss": ISSUER,
        "aud": ISSUER,
        "sub": person.account_id.to_string(),
        "sid": person.session_id.to_string(),
        "acr": if person.second_factor { "2" } else { "1" },
        "iat": now,
        "exp": expire_at(now, session_end),
    });
    jws::seal(key, &header.to_string(), &claims.to_string())
}

/// When a token ends that is issued at a time, in seconds since 1970.
pub fn expire_at(now: i64, session_end: i64) -> i64 {
    now.saturating_add(LIFETIME).min(session_end)
}

/// Verifies tokens, in every service by itself.
#[derive(Clone, Debug)]
pub struct TokenVerifier {
    sessions: Sessions,
    clock: SharedClock,
}

impl TokenVerifier {
    /// Verifies by what is known of keys and ended sessions.
    pub fn new(sessions: Sessions, clock: SharedClock) -> Self {
        Self { sessions, clock }
    }

    /// What is known of keys and ended sessions.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Returns who has signed in.
    ///
    /// # Errors
    /// [`TokenError`]; each leaves the caller unauthenticated.
    pub fn verify(&self, token: &str) -> Result<SignedIn, TokenError> {
        if token.len() > LONGEST {
            return Err(TokenError::Malformed);
        }
        let parts = Parts::split(token).ok_or(TokenError::Malformed)?;
        let header: Header = jws::read(parts.header).ok_or(TokenError::Malformed)?;
        if header.alg != ALGORITHM {
            return Err(TokenError::Algorithm);
        }
        if header.typ != TYPE {
            return Err(TokenError::Type);
        }
        let key = self.sessions.key(&header.kid).ok_or(TokenError::UnknownKey)?;
        let signature = jws::decode(parts.signature).ok_or(TokenError::Malformed)?;
        // Nothing of the payload is read before it is known whose it is.
        key.verify(parts.signed.as_bytes(), &signature).map_err(|_| TokenError::Signature)?;
        let claims: Claims = jws::read(parts.payload).ok_or(TokenError::Malformed)?;
        if claims.iss != ISSUER || claims.aud != ISSUER {
            return Err(TokenError::Audience);
        }
        let second_factor = match claims.acr.as_str() {
            "1" => false,
            "2" => true,
            _ => return Err(TokenError::Malformed),
        };
        let account_id = id(&claims.sub).ok_or(TokenError::Malformed)?;
        let session_id = id(&claims.sid).ok_or(TokenError::Malformed)?;
        self.check_times(&claims)?;
        if self.sessions.is_over(session_id) {
            return Err(TokenError::Revoked);
        }
        Ok(SignedIn { account_id, session_id, second_factor })
    }

    fn check_times(&self, claims: &Claims) -> Result<(), TokenError> {
        let lifetime = claims.exp.checked_sub(claims.iat).ok_or(TokenError::Lifetime)?;
        if !(1..=LIFETIME).contains(&lifetime) {
            return Err(TokenError::Lifetime);
        }
        let now = self.clock.now().unix_timestamp();
        if claims.iat > now.saturating_add(SKEW) {
            return Err(TokenError::NotYetValid);
        }
        if now >= claims.exp.saturating_add(SKEW) {
            return Err(TokenError::Expired);
        }
        Ok(())
    }
}

/// Reads an id in the one form in which it is written.
fn id(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|id| id.to_string() == text)
}

#[cfg(test)]
mod tests;
