//! Joins several parts into one message, of which each part can be told from its neighbours.

use zeroize::Zeroizing;

/// Writes each part behind its length (8 bytes, big-endian).
///
/// Without the lengths `("ab", "c")` and `("a", "bc")` would authenticate each other. The buffer is
/// allocated once and wiped, as parts may be personal.
pub fn frame(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let length = parts.iter().map(|part| part.len().saturating_add(8)).sum();
    let mut message = Zeroizing::new(Vec::with_capacity(length));
    for part in parts {
        message.extend_from_slice(&(part.len() as u64).to_be_bytes());
        message.extend_from_slice(part);
    }
    message
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_part_is_preceded_by_its_length() {
        assert_eq!(frame(&[b"ab", b""])[..], *b"\0\0\0\0\0\0\0\x02ab\0\0\0\0\0\0\0\0");
    }

    proptest! {
        #[test]
        fn different_parts_never_give_the_same_message(
            left in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..4), 0..4),
            right in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..4), 0..4),
        ) {
            let framed = |parts: &[Vec<u8>]| {
                frame(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
            };
            prop_assert_eq!(framed(&left) == framed(&right), left == right);
        }
    }
}
