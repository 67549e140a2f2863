//! Walking along a chain: rules alone.

use crate::canonical::{self, GENESIS, Hash};
use crate::config::TrustedKeys;
use crate::db::{EntryRow, HeadRow};
use crate::head::Head;

/// How far a chain was found to be as it should.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk {
    schema: &'static str,
    /// The last entry that is as it should be.
    pub(crate) index: i64,
    /// Its hash.
    pub(crate) hash: Hash,
}

/// How the entry after the last good one is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// It is not there.
    Missing,
    /// There is a second one of an index that was passed.
    Twice,
    /// It goes on from the one before, and its hash is not that of its columns.
    Edited,
    /// It doesn't go on from the one before, and its hash is that of its columns.
    Unlinked,
    /// Neither: it belongs elsewhere, or is no entry of this chain at all.
    Misplaced,
}

impl Walk {
    /// Before the first entry.
    pub(crate) fn begin(schema: &'static str) -> Self {
        Self { schema, index: 0, hash: GENESIS }
    }

    /// Behind an entry that is known to be right.
    pub(crate) fn behind(schema: &'static str, head: Head) -> Self {
        Self { schema, index: head.size, hash: head.hash }
    }

    /// Takes the next entry.
    pub(crate) fn step(&mut self, entry: &EntryRow) -> Result<(), Break> {
        let expected = self.index + 1;
        if entry.index > expected {
            return Err(Break::Missing);
        }
        if entry.index < expected {
            return Err(Break::Twice);
        }
        let hash =
            canonical::entry_hash(self.schema, entry.index, &entry.previous_hash, &entry.content);
        match (hash == *entry.hash, self.hash == *entry.previous_hash) {
            (true, true) => {
                *self = Self { index: entry.index, hash, ..*self };
                Ok(())
            }
            (false, true) => Err(Break::Edited),
            (true, false) => Err(Break::Unlinked),
            (false, false) => Err(Break::Misplaced),
        }
    }
}

/// Whether an entry was once sealed under this index.
pub(crate) fn was_sealed_as(schema: &str, entry: &EntryRow, index: i64) -> bool {
    let hash = canonical::entry_hash(schema, index, &entry.previous_hash, &entry.content);
    hash == *entry.hash
}

/// Whether a head was signed with one of the keys.
pub(crate) fn is_signed(schema: &str, head: &HeadRow, keys: &TrustedKeys) -> bool {
    let message =
        canonical::head_message(schema, head.size, &head.hash, head.signed_at, head.previous_size);
    keys.get(&head.key_id).is_some_and(|key| key.verify(&message, &head.signature).is_ok())
}
