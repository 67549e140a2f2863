//! How long a chain is and how it ends.

use std::fmt;
use std::str::FromStr;

use crate::canonical::Hash;

/// The length of a chain and the hash of its last entry, as the log tells them when they
/// are signed: `SIZE:HASH`, the hash in 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// How many entries there are.
    pub size: i64,
    /// The hash of the last one.
    pub hash: Hash,
}

/// A text that is no head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a head is SIZE:HASH, a number and 64 hexadecimal digits")]
pub struct InvalidHead;

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.size)?;
        self.hash.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Head {
    type Err = InvalidHead;

    fn from_str(text: &str) -> Result<Self, InvalidHead> {
        let (size, digits) = text.trim().split_once(':').ok_or(InvalidHead)?;
        let size = size.parse().ok().filter(|size| *size > 0).ok_or(InvalidHead)?;
        let hash = zhiyuan_crypto::digest::from_hex(digits).ok_or(InvalidHead)?;
        Ok(Self { size, hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_is_written() {
        let mut hash = [0; 32];
        hash[0] = 0xa7;
        hash[31] = 1;
        let head = Head { size: 12, hash };
        assert_eq!(head.to_string(), format!("12:a7{}01", "0".repeat(60)));
        assert_eq!(head.to_string().parse(), Ok(head));
        assert_eq!(format!(" {}\n", head.to_string().replace('a', "A")).parse(), Ok(head));
    }

    #[test]
    fn refuses_what_is_none() {
        let hash = "0".repeat(64);
        let (short, foreign) = ("0".repeat(63), "+f".repeat(32));
        for text in [
            String::new(),
            hash.clone(),
            format!("0:{hash}"),
            format!("-1:{hash}"),
            format!("x:{hash}"),
            format!("1:{short}"),
            format!("1:{foreign}"),
            format!("1:{}", "é".repeat(32)),
        ] {
            assert_eq!(text.parse::<Head>(), Err(InvalidHead), "{text}");
        }
    }
}
