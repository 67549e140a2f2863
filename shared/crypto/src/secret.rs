//! Keys that do not show themselves, and randomness.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

/// Standard base64 for keys in configuration: written with padding, read with or without it.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key text that is neither 64 hexadecimal digits nor the base64 of 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key must be 32 bytes, in base64 or as 64 hexadecimal digits")]
pub struct InvalidKey;

/// A secret of 32 bytes: wiped when dropped, compared in constant time, silent in `Debug`.
#[derive(Clone)]
pub struct Key32([u8; 32]);

impl Key32 {
    /// Draws a new key from the operating system.
    pub fn generate() -> Self {
        Self(random_bytes())
    }

    /// Takes over the bytes of a key.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the secret itself.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Writes the secret in standard base64 (44 characters), the form that [`FromStr`] reads.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64.encode(self.0))
    }
}

impl FromStr for Key32 {
    type Err = InvalidKey;

    /// Reads 64 hexadecimal digits or standard base64 (`openssl rand -hex 32`, `-base64 32`).
    /// White space around it is ignored, as files of secrets tend to end with a line break.
    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let text = text.trim();
        // 64 characters would be 48 bytes of base64: the two forms can't be confused.
        let bytes = if text.len() == 64 { decode_hex(text) } else { decode_base64(text) };
        bytes.map(|bytes| Self(*bytes)).ok_or(InvalidKey)
    }
}

impl TryFrom<&[u8]> for Key32 {
    type Error = InvalidKey;

    fn try_from(bytes: &[u8]) -> Result<Self, InvalidKey> {
        bytes.try_into().map(Self).map_err(|_| InvalidKey)
    }
}

impl PartialEq for Key32 {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Key32 {}

impl fmt::Debug for Key32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key32(***)")
    }
}

impl Drop for Key32 {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for Key32 {}

/// Decodes 32 bytes of standard base64.
pub(crate) fn decode_base64(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let bytes = Zeroizing::new(BASE64.decode(text).ok()?);
    bytes.as_slice().try_into().ok().map(Zeroizing::new)
}

fn decode_hex(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut bytes = Zeroizing::new([0; 32]);
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        for digit in digits {
            *byte = (*byte << 4) | u8::try_from(char::from(*digit).to_digit(16)?).ok()?;
        }
    }
    Some(bytes)
}

/// Draws random bytes from the operating system.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// Draws `count` decimal digits, each as likely as the others.
///
/// Bytes from 250 upwards are drawn again: taken modulo 10 they would make 0–5 more frequent, and
/// an SMS code easier to guess.
pub fn random_digits(count: usize) -> String {
    let mut digits = String::with_capacity(count);
    while digits.len() < count {
        let drawn = Zeroizing::new(random_bytes::<16>());
        let fair = drawn.iter().filter(|byte| **byte < 250);
        digits.extend(fair.take(count - digits.len()).map(|byte| char::from(b'0' + byte % 10)));
    }
    digits
}

#[expect(
    clippy::expect_used,
    reason = "nothing safe can be done without randomness, and Linux fails only where the system \
              call is missing"
)]
fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system has no randomness");
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";

    #[test]
    fn hexadecimal_and_base64_give_the_same_key() {
        let key: Key32 = HEX.parse().unwrap();
        assert_eq!(key.as_bytes()[31], 31);
        let text = key.to_base64();
        assert_eq!(text.len(), 44);
        assert_eq!(text.parse(), Ok(key.clone()));
        assert_eq!(text.trim_end_matches('=').parse(), Ok(key.clone()));
        assert_eq!(format!("{}\n", *text).parse(), Ok(key));
    }

    #[test]
    fn refuses_a_text_of_another_length_or_alphabet() {
        let short = &HEX[..62];
        let foreign = HEX.replace('0', "g");
        let wide = "０".repeat(22);
        let sixty_four_bytes = "é".repeat(32);
        for text in ["", "secret", short, &foreign, &wide, &sixty_four_bytes, "AAECAw=="] {
            assert_eq!(text.parse::<Key32>(), Err(InvalidKey));
        }
    }

    #[test]
    fn a_key_is_silent_in_debug_output() {
        assert_eq!(format!("{:?}", HEX.parse::<Key32>().unwrap()), "Key32(***)");
    }

    #[test]
    fn generated_keys_differ() {
        assert_ne!(Key32::generate(), Key32::generate());
        assert_ne!(random_bytes::<32>(), [0; 32]);
    }

    #[test]
    fn digits_have_the_wanted_length() {
        for count in [0, 1, 6, 16, 17, 100] {
            let digits = random_digits(count);
            assert_eq!(digits.len(), count);
            assert!(digits.bytes().all(|digit| digit.is_ascii_digit()));
        }
    }

    /// Chi-squared with 9 degrees of freedom exceeds 60 once in a billion runs; bytes modulo 10
    /// would give about 115 here.
    #[test]
    fn digits_are_uniform() {
        let count = 200_000;
        let mut seen = [0_u32; 10];
        for digit in random_digits(count).bytes() {
            seen[usize::from(digit - b'0')] += 1;
        }
        let expected = count as f64 / 10.0;
        let chi: f64 = seen.iter().map(|n| (f64::from(*n) - expected).powi(2) / expected).sum();
        assert!(chi < 60.0, "chi-squared is {chi}: {seen:?}");
    }
}
