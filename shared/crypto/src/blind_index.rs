//! Finds encrypted values again: a keyed digest that stands beside the ciphertext.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::framing::frame;
use crate::keys::UnknownVersion;
use crate::secret::Key32;
use crate::suite::Suite;

/// The index keys by version.
///
/// Which of them are active is not decided here: that is a table, read in the transaction that
/// writes, so that two replicas never index one value under different keys alone.
#[derive(Clone, Debug)]
pub struct BlindIndexKeys {
    suite: Arc<dyn Suite>,
    keys: BTreeMap<i16, Key32>,
}

impl BlindIndexKeys {
    /// Takes the index keys by version.
    pub fn new(suite: Arc<dyn Suite>, keys: BTreeMap<i16, Key32>) -> Self {
        Self { suite, keys }
    }

    /// Returns the versions that can be computed, lowest first.
    pub fn versions(&self) -> impl Iterator<Item = i16> {
        self.keys.keys().copied()
    }

    /// Computes the index of a value: 256 bits, none cut off, so that a unique index over it means
    /// a unique value.
    ///
    /// `domain` tells apart values of different kinds ("identity.number"): a phone never matches an
    /// ID number of the same digits. `normalized` is the one canonical form of the value.
    ///
    /// # Errors
    /// [`UnknownVersion`] if there is no key of this version.
    pub fn compute(
        &self,
        version: i16,
        domain: &str,
        normalized: &[u8],
    ) -> Result<[u8; 32], UnknownVersion> {
        let key = self.keys.get(&version).ok_or(UnknownVersion(version))?;
        let message = frame(&[b"zhiyuan.blind-index", domain.as_bytes(), normalized]);
        Ok(self.suite.mac(key, &message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::International;

    fn keys() -> BlindIndexKeys {
        let keys = [(1, Key32::from_bytes([1; 32])), (2, Key32::from_bytes([2; 32]))];
        BlindIndexKeys::new(Arc::new(International), keys.into())
    }

    #[test]
    fn the_same_value_has_the_same_index_in_every_process() {
        let index = keys().compute(1, "identity.phone", b"13800000000").unwrap();
        assert_eq!(keys().compute(1, "identity.phone", b"13800000000"), Ok(index));
        // Fixed for ever: another value would make every stored index unfindable.
        let text: String = index.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text, PINNED);
    }

    /// HMAC-SHA-256 over the framed parts, computed with Python's `hmac`.
    const PINNED: &str = "907198e23f3d5d3f891590f3c80595581aa4a681c3345fda7cb126170618b99a";

    #[test]
    fn value_domain_and_version_all_matter() {
        let index = keys().compute(1, "ab", b"cd");
        assert_ne!(keys().compute(1, "ab", b"ce"), index);
        assert_ne!(keys().compute(1, "abc", b"d"), index);
        assert_ne!(keys().compute(2, "ab", b"cd"), index);
    }

    #[test]
    fn an_unknown_version_is_refused() {
        assert_eq!(keys().compute(3, "ab", b"cd"), Err(UnknownVersion(3)));
        assert_eq!(keys().versions().collect::<Vec<_>>(), [1, 2]);
    }
}
