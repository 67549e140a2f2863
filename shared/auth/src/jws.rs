//! The form of an assertion: compact JWS, of which exactly one shape is written and read.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use zhiyuan_crypto::SigningKey;

/// The one algorithm: Ed25519 (RFC 8037, 3.1).
pub(crate) const ALGORITHM: &str = "EdDSA";

/// The one type, so that a token made for another purpose is never taken for an assertion
/// (RFC 8725, 3.11).
pub(crate) const TYPE: &str = "zhiyuan-service+jwt";

/// How long an assertion lives, in seconds.
pub(crate) const LIFETIME: i64 = 60;

/// By how much the clocks of who signs and who verifies may differ, in seconds.
pub(crate) const SKEW: i64 = 60;

/// The longest token that is looked at, in bytes; ours have about 350.
pub(crate) const LONGEST: usize = 4096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    pub(crate) alg: String,
    pub(crate) typ: String,
    pub(crate) kid: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) aud: String,
    /// Seconds since 1970.
    pub(crate) iat: i64,
    /// Seconds since 1970.
    pub(crate) exp: i64,
    /// Tells apart assertions in audit records; not remembered, so no protection against replay.
    #[expect(dead_code, reason = "must be there, is not read")]
    pub(crate) jti: String,
}

/// The three parts of a token.
pub(crate) struct Parts<'a> {
    pub(crate) header: &'a str,
    pub(crate) payload: &'a str,
    pub(crate) signature: &'a str,
    /// Header and payload as they were signed.
    pub(crate) signed: &'a str,
}

impl<'a> Parts<'a> {
    pub(crate) fn split(token: &'a str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        // A further dot falls into the payload, where base64url has none.
        Some(Self { header, payload, signature, signed })
    }
}

/// Decodes base64url without padding and without stray bits at the end.
pub(crate) fn decode(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}

/// Reads a JSON object without unknown or repeated members.
pub(crate) fn read<T: DeserializeOwned>(part: &str) -> Option<T> {
    let json = decode(part)?;
    // Derived readers would take an array of the values as well.
    if json.first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(&json).ok()
}

/// Writes and signs a token.
pub(crate) fn sign(key: &SigningKey, caller: &str, audience: &str, now: i64, id: &[u8]) -> String {
    let header = json!({ "alg": ALGORITHM, "typ": TYPE, "kid": key.key_id() });
    let claims = json!({
        "iss": caller,
        "aud": audience,
        "iat": now,
        "exp": now.saturating_add(LIFETIME),
        "jti": URL_SAFE_NO_PAD.encode(id),
    });
    seal(key, &header.to_string(), &claims.to_string())
}

/// Signs any header and claims, sensible or not.
pub(crate) fn seal(key: &SigningKey, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}
