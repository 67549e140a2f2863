//! Admits assertions.

use zhiyuan_crypto::VerifyingKey;
use zhiyuan_domain::clock::SharedClock;

use crate::accounts::Accounts;
use crate::callers::{Caller, TrustedCallers};
use crate::jws::{self, ALGORITHM, Claims, Header, LIFETIME, LONGEST, Parts, SKEW, TYPE};

/// The rule that an assertion breaks. Holds nothing of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    /// Longer than 4 KiB.
    #[error("the assertion is too long")]
    TooLong,
    /// Not a compact JWS with exactly the expected members.
    #[error("the assertion is malformed")]
    Malformed,
    /// Another algorithm than `EdDSA`, such as none.
    #[error("the assertion names another algorithm")]
    Algorithm,
    /// A token that was made for another purpose.
    #[error("the token is not a service assertion")]
    Type,
    /// No trusted caller has this key.
    #[error("the assertion names an unknown key")]
    UnknownKey,
    /// Not signed with the named key, or altered since.
    #[error("the signature of the assertion does not verify")]
    Signature,
    /// Issued in the name of somebody whose key it is not.
    #[error("the assertion was issued in another caller's name")]
    Issuer,
    /// Made for another service.
    #[error("the assertion was made for another service")]
    Audience,
    /// Valid for longer than 60 s, or for no time at all.
    #[error("the assertion has an impermissible lifetime")]
    Lifetime,
    /// Issued more than 60 s in the future.
    #[error("the assertion is not valid yet")]
    NotYetValid,
    /// Expired, for more than 60 s.
    #[error("the assertion has expired")]
    Expired,
}

impl AssertionError {
    /// Returns the stable name of the broken rule.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TooLong => "ASSERTION_TOO_LONG",
            Self::Malformed => "ASSERTION_MALFORMED",
            Self::Algorithm => "ASSERTION_ALGORITHM",
            Self::Type => "ASSERTION_TYPE",
            Self::UnknownKey => "ASSERTION_UNKNOWN_KEY",
            Self::Signature => "ASSERTION_SIGNATURE",
            Self::Issuer => "ASSERTION_ISSUER",
            Self::Audience => "ASSERTION_AUDIENCE",
            Self::Lifetime => "ASSERTION_LIFETIME",
            Self::NotYetValid => "ASSERTION_NOT_YET_VALID",
            Self::Expired => "ASSERTION_EXPIRED",
        }
    }
}

/// Verifies the assertions that callers present to one service.
#[derive(Clone, Debug)]
pub struct AssertionVerifier {
    audience: String,
    callers: TrustedCallers,
    accounts: Accounts,
    clock: SharedClock,
}

impl AssertionVerifier {
    /// Verifies for the service `audience`, which trusts these callers by configuration, and
    /// besides them the service accounts that it hears of.
    pub fn new(
        audience: &str,
        callers: TrustedCallers,
        accounts: Accounts,
        clock: SharedClock,
    ) -> Self {
        Self { audience: audience.to_owned(), callers, accounts, clock }
    }

    /// Returns who made the assertion, and what that caller may do here.
    ///
    /// # Errors
    /// [`AssertionError`]; each leaves the caller unauthenticated.
    pub fn verify(&self, token: &str) -> Result<Caller, AssertionError> {
        if token.len() > LONGEST {
            return Err(AssertionError::TooLong);
        }
        let parts = Parts::split(token).ok_or(AssertionError::Malformed)?;
        let header: Header = jws::read(parts.header).ok_or(AssertionError::Malformed)?;
        if header.alg != ALGORITHM {
            return Err(AssertionError::Algorithm);
        }
        if header.typ != TYPE {
            return Err(AssertionError::Type);
        }
        let (key, caller) = self.find(&header.kid).ok_or(AssertionError::UnknownKey)?;
        let signature = jws::decode(parts.signature).ok_or(AssertionError::Malformed)?;
        // Nothing of the payload is read before it is known whose it is.
        key.verify(parts.signed.as_bytes(), &signature).map_err(|_| AssertionError::Signature)?;
        let claims: Claims = jws::read(parts.payload).ok_or(AssertionError::Malformed)?;
        if claims.iss != *caller.name {
            return Err(AssertionError::Issuer);
        }
        if claims.aud != self.audience {
            return Err(AssertionError::Audience);
        }
        self.check_times(&claims)?;
        Ok(caller)
    }

    /// The configuration goes first: no account takes the key or the name of a service.
    fn find(&self, key_id: &str) -> Option<(VerifyingKey, Caller)> {
        if let Some(configured) = self.callers.find(key_id) {
            return Some(configured.clone());
        }
        let found = self.accounts.find(key_id, self.clock.now().unix_timestamp());
        found.filter(|(_, caller)| !self.callers.has_name(&caller.name))
    }

    fn check_times(&self, claims: &Claims) -> Result<(), AssertionError> {
        let lifetime = claims.exp.checked_sub(claims.iat).ok_or(AssertionError::Lifetime)?;
        if !(1..=LIFETIME).contains(&lifetime) {
            return Err(AssertionError::Lifetime);
        }
        let now = self.clock.now().unix_timestamp();
        if claims.iat > now.saturating_add(SKEW) {
            return Err(AssertionError::NotYetValid);
        }
        if now >= claims.exp.saturating_add(SKEW) {
            return Err(AssertionError::Expired);
        }
        Ok(())
    }
}
