//! Encrypts single cells of tables.

use std::sync::Arc;

use uuid::Uuid;
use zeroize::Zeroizing;

use crate::framing::frame;
use crate::keys::DataKey;
use crate::suite::Suite;

/// The layout of a ciphertext: suite id, this number, version of the data key (2 bytes,
/// big-endian), nonce, encrypted text with its tag.
const FORMAT: u8 = 1;

/// The place of a value in the database, to which its ciphertext is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell<'a> {
    /// The schema of the table.
    pub schema: &'a str,
    /// The table.
    pub table: &'a str,
    /// The column.
    pub column: &'a str,
    /// The primary key of the row.
    pub row: Uuid,
}

/// Why a field was not encrypted or decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// Altered, moved from another cell, or sealed under another key. To a caller this is
    /// `DATA_LOSS`: no retry helps.
    #[error("the ciphertext does not belong to this cell and key")]
    Corrupt,
    /// Longer than the cipher takes (64 GiB).
    #[error("the field is too long to be encrypted")]
    TooLong,
}

/// Encrypts the fields of persons, each with the person's own data key.
#[derive(Clone, Debug)]
pub struct FieldCipher {
    suite: Arc<dyn Suite>,
}

impl FieldCipher {
    /// Makes a cipher of this suite.
    pub fn new(suite: Arc<dyn Suite>) -> Self {
        Self { suite }
    }

    /// Encrypts a value for its cell; the result is 32 bytes longer (international suite).
    ///
    /// # Errors
    /// [`FieldError::TooLong`].
    pub fn seal(
        &self,
        key: &DataKey,
        cell: &Cell<'_>,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, FieldError> {
        let header = self.header(key);
        let sealed = self
            .suite
            .seal(key.key(), &bound(&header, cell), plaintext)
            .map_err(|_| FieldError::TooLong)?;
        Ok([header.as_slice(), &sealed].concat())
    }

    /// Decrypts the value of a cell.
    ///
    /// # Errors
    /// [`FieldError::Corrupt`] unless it was sealed for this very cell, under this key and suite.
    pub fn open(
        &self,
        key: &DataKey,
        cell: &Cell<'_>,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, FieldError> {
        let (header, sealed) = ciphertext.split_first_chunk().ok_or(FieldError::Corrupt)?;
        if *header != self.header(key) {
            return Err(FieldError::Corrupt);
        }
        self.suite.open(key.key(), &bound(header, cell), sealed).map_err(|_| FieldError::Corrupt)
    }

    fn header(&self, key: &DataKey) -> [u8; 4] {
        let [high, low] = key.version().to_be_bytes();
        [self.suite.id(), FORMAT, high, low]
    }
}

/// What a ciphertext authenticates besides itself; the header holds the key version.
fn bound(header: &[u8; 4], cell: &Cell<'_>) -> Zeroizing<Vec<u8>> {
    frame(&[
        b"zhiyuan.field",
        header,
        cell.schema.as_bytes(),
        cell.table.as_bytes(),
        cell.column.as_bytes(),
        cell.row.as_bytes(),
    ])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::secret::Key32;
    use crate::suite::{AeadError, International};

    const CELL: Cell<'static> = Cell {
        schema: "identity",
        table: "person",
        column: "id_number",
        row: Uuid::from_u128(0x0193_5f00_0000_7000_8000_0000_0000_0001),
    };

    fn cipher() -> FieldCipher {
        FieldCipher::new(Arc::new(International))
    }

    #[test]
    fn a_ciphertext_names_suite_format_and_key_version() {
        let sealed = cipher().seal(&DataKey::generate(0x0102), &CELL, b"value").unwrap();
        assert_eq!(sealed[..4], [1, 1, 1, 2]);
        assert_eq!(sealed.len(), 4 + 12 + 5 + 16);
    }

    /// What is stored must open for ever; sealed with Python's `cryptography`.
    #[test]
    fn opens_what_another_implementation_sealed() {
        let text = "01010003000102030405060708090a0baccfeadc2b196d44e09ee77cc3128aa3b7a292a808";
        let sealed = crate::suite::tests::hex(text);
        let opened = cipher().open(&DataKey::fixed(3, 5), &CELL, &sealed);
        assert_eq!(opened.unwrap().as_slice(), b"value");
    }

    #[test]
    fn a_ciphertext_opens_in_no_other_cell() {
        let key = DataKey::generate(1);
        let sealed = cipher().seal(&key, &CELL, b"value").unwrap();
        let moved = [
            Cell { schema: "registration", ..CELL },
            Cell { table: "claim", ..CELL },
            Cell { column: "name", ..CELL },
            Cell { row: Uuid::from_u128(2), ..CELL },
            // The same letters, cut elsewhere.
            Cell { schema: "identityp", table: "erson", ..CELL },
            Cell { table: "personid_", column: "number", ..CELL },
            Cell { schema: "person", table: "identity", ..CELL },
        ];
        for cell in moved {
            assert_eq!(cipher().open(&key, &cell, &sealed), Err(FieldError::Corrupt), "{cell:?}");
        }
        assert_eq!(cipher().open(&key, &CELL, &sealed).unwrap().as_slice(), b"value");
    }

    #[test]
    fn two_cells_cannot_be_swapped() {
        let (key, other) = (DataKey::generate(1), Cell { column: "name", ..CELL });
        let left = cipher().seal(&key, &CELL, b"left").unwrap();
        let right = cipher().seal(&key, &other, b"right").unwrap();
        assert_eq!(cipher().open(&key, &CELL, &right), Err(FieldError::Corrupt));
        assert_eq!(cipher().open(&key, &other, &left), Err(FieldError::Corrupt));
    }

    #[test]
    fn key_versions_are_not_mixed_up() {
        let first = DataKey::fixed(1, 5);
        let mut sealed = cipher().seal(&first, &CELL, b"value").unwrap();
        assert_eq!(cipher().open(&DataKey::generate(1), &CELL, &sealed), Err(FieldError::Corrupt));
        assert_eq!(cipher().open(&DataKey::generate(2), &CELL, &sealed), Err(FieldError::Corrupt));
        // The same secret filed under another version, and the ciphertext relabelled to match.
        let second = DataKey::fixed(2, 5);
        assert_eq!(cipher().open(&second, &CELL, &sealed), Err(FieldError::Corrupt));
        sealed[3] = 2;
        assert_eq!(cipher().open(&first, &CELL, &sealed), Err(FieldError::Corrupt));
        assert_eq!(cipher().open(&second, &CELL, &sealed), Err(FieldError::Corrupt));
    }

    /// Stands for the suite to come: the same cipher under another id.
    #[derive(Debug)]
    struct Other;

    impl Suite for Other {
        fn id(&self) -> u8 {
            2
        }
        fn seal(&self, key: &Key32, aad: &[u8], text: &[u8]) -> Result<Vec<u8>, AeadError> {
            International.seal(key, aad, text)
        }
        fn open(
            &self,
            key: &Key32,
            aad: &[u8],
            text: &[u8],
        ) -> Result<Zeroizing<Vec<u8>>, AeadError> {
            International.open(key, aad, text)
        }
        fn mac(&self, key: &Key32, message: &[u8]) -> [u8; 32] {
            International.mac(key, message)
        }
    }

    #[test]
    fn a_ciphertext_of_another_suite_does_not_open() {
        let key = DataKey::generate(1);
        let other = FieldCipher::new(Arc::new(Other));
        let mut sealed = other.seal(&key, &CELL, b"value").unwrap();
        assert_eq!(cipher().open(&key, &CELL, &sealed), Err(FieldError::Corrupt));
        sealed[0] = International.id();
        assert_eq!(cipher().open(&key, &CELL, &sealed), Err(FieldError::Corrupt));
    }

    proptest! {
        #[test]
        fn opens_what_it_sealed_unless_a_bit_has_changed(
            value: Vec<u8>, version: i16, schema: String, table: String, column: String,
            row: u128, at: proptest::sample::Index, bit in 0..8_u8,
        ) {
            let (schema, table, column) = (schema.as_str(), table.as_str(), column.as_str());
            let cell = Cell { schema, table, column, row: Uuid::from_u128(row) };
            let key = DataKey::generate(version);
            let mut sealed = cipher().seal(&key, &cell, &value).unwrap();
            prop_assert_eq!(&*cipher().open(&key, &cell, &sealed).unwrap(), &value);

            let at = at.index(sealed.len());
            let cut = cipher().open(&key, &cell, &sealed[..at]);
            prop_assert_eq!(cut, Err(FieldError::Corrupt));
            sealed[at] ^= 1 << bit;
            prop_assert_eq!(cipher().open(&key, &cell, &sealed), Err(FieldError::Corrupt));
        }
    }
}
