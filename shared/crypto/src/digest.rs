//! Digests, and comparison in constant time.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::framing::frame;
use crate::keys::UnknownVersion;
use crate::secret::Key32;
use crate::suite::Suite;

/// Compares two byte strings in a time that depends on their lengths only.
pub fn equal(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// Hashes a message without a key (SHA-256), for what everybody may recompute, such as a chain of
/// records. Never for a phone or an ID number: who tries them all finds which it was.
pub fn unkeyed(message: &[u8]) -> [u8; 32] {
    Sha256::digest(message).into()
}

/// Reads a digest that is written as 64 hexadecimal digits, of either case.
pub fn from_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut digest = [0; 32];
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(digest)
}

/// Digests of what must be recognised but not kept, such as the body of a request.
///
/// Keyed, because a plain hash of a phone or an ID number can be reversed by trying them all. The
/// version is stored beside the digest: a later comparison recomputes it under the same key.
#[derive(Clone, Debug)]
pub struct KeyedDigest {
    suite: Arc<dyn Suite>,
    version: i16,
    keys: BTreeMap<i16, Key32>,
}

impl KeyedDigest {
    /// Takes the keys by version; new digests are made under `version`.
    ///
    /// # Errors
    /// [`UnknownVersion`] if `keys` lacks it.
    pub fn new(
        suite: Arc<dyn Suite>,
        version: i16,
        keys: BTreeMap<i16, Key32>,
    ) -> Result<Self, UnknownVersion> {
        if !keys.contains_key(&version) {
            return Err(UnknownVersion(version));
        }
        Ok(Self { suite, version, keys })
    }

    /// Returns the version of new digests.
    pub const fn version(&self) -> i16 {
        self.version
    }

    /// Returns the versions that there are keys of, the newest first.
    pub fn versions(&self) -> impl Iterator<Item = i16> {
        self.keys.keys().rev().copied()
    }

    /// Begins a digest under the key of `version`, for one purpose, such as the name of the method.
    ///
    /// # Errors
    /// [`UnknownVersion`] if there is no such key; never for [`version`](Self::version).
    pub fn begin(&self, version: i16, purpose: &str) -> Result<Builder<'_>, UnknownVersion> {
        let key = self.keys.get(&version).ok_or(UnknownVersion(version))?;
        let message = frame(&[b"zhiyuan.digest", purpose.as_bytes()]);
        Ok(Builder { suite: self.suite.as_ref(), key, message })
    }
}

/// A digest under construction.
#[must_use = "a digest is made by `finish`"]
pub struct Builder<'a> {
    suite: &'a dyn Suite,
    key: &'a Key32,
    message: Zeroizing<Vec<u8>>,
}

impl Builder<'_> {
    /// Adds a field. The order matters: the caller keeps it fixed.
    pub fn field(mut self, name: &str, value: &[u8]) -> Self {
        // Joined anew instead of extended, as a growing vector leaves unwiped copies behind.
        let field = frame(&[name.as_bytes(), value]);
        self.message = Zeroizing::new([self.message.as_slice(), &field].concat());
        self
    }

    /// Returns the digest.
    pub fn finish(self) -> [u8; 32] {
        self.suite.mac(self.key, &self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::International;

    fn digests(version: i16) -> KeyedDigest {
        let keys = [(1, Key32::from_bytes([1; 32])), (2, Key32::from_bytes([2; 32]))];
        KeyedDigest::new(Arc::new(International), version, keys.into()).unwrap()
    }

    fn of(version: i16, purpose: &str, fields: &[(&str, &[u8])]) -> [u8; 32] {
        let digests = digests(1);
        let begun = digests.begin(version, purpose).unwrap();
        fields.iter().fold(begun, |digest, (name, value)| digest.field(name, value)).finish()
    }

    #[test]
    fn the_same_fields_give_the_same_digest_after_a_rotation() {
        let old = digests(1).begin(1, "Register").unwrap().field("name", b"a").finish();
        let new = digests(2);
        assert_eq!(new.begin(1, "Register").unwrap().field("name", b"a").finish(), old);
        assert_eq!(new.version(), 2);
    }

    #[test]
    fn every_part_matters() {
        let digest = of(1, "Register", &[("name", b"ab"), ("phone", b"c")]);
        let others = [
            of(2, "Register", &[("name", b"ab"), ("phone", b"c")]),
            of(1, "Registe", &[("rname", b"ab"), ("phone", b"c")]),
            of(1, "Register", &[("name", b"a"), ("phone", b"bc")]),
            of(1, "Register", &[("names", b"ab"), ("phone", b"c")]),
            of(1, "Register", &[("phone", b"c"), ("name", b"ab")]),
            of(1, "Register", &[("name", b"ab"), ("phone", b"c"), ("", b"")]),
            of(1, "Register", &[("name", b"ab")]),
            of(1, "Register", &[]),
        ];
        for (at, other) in others.iter().enumerate() {
            assert!(!equal(&digest, other), "variant {at}");
        }
    }

    #[test]
    fn an_unknown_version_is_refused() {
        assert_eq!(digests(1).begin(3, "Register").err(), Some(UnknownVersion(3)));
        let none = KeyedDigest::new(Arc::new(International), 1, BTreeMap::new());
        assert_eq!(none.unwrap_err(), UnknownVersion(1));
    }

    /// FIPS 180-2, appendix B.1.
    #[test]
    fn an_unkeyed_digest_is_the_sha_256() {
        let text: String = unkeyed(b"abc").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn equality_is_that_of_the_bytes() {
        assert!(equal(b"", b""));
        assert!(equal(b"abc", b"abc"));
        assert!(!equal(b"abc", b"abd"));
        assert!(!equal(b"abc", b"ab"));
    }
}
