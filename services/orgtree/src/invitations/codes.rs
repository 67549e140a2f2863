//! What is secret about an invitation: the code, and the number that is heard. Both are made
//! from its id under a key, each time that they are asked for, and kept nowhere.

use std::fmt;

use unicode_normalization::UnicodeNormalization as _;
use uuid::Uuid;
use zhiyuan_crypto::framing::frame;
use zhiyuan_crypto::{International, Key32, Suite as _, digest};
use zhiyuan_domain::Violation;

/// What nobody takes for another one, written or read out: without 0 and O, 1, I and L.
const ALPHABET: &[u8; 31] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";
/// Characters of a code. With this alphabet 39.6 bits.
const LENGTH: usize = 8;
/// Digits of a number.
const DIGITS: usize = 6;
/// Bytes of a text that is looked at: no spelling of a code takes more.
const LONGEST: usize = 64;

/// A code that is well formed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Code(String);

/// A number that is well formed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct CheckNumber(String);

/// Makes codes and numbers, the same for the same invitation in every process that has the key.
#[derive(Debug, Clone)]
pub(crate) struct Codes(Key32);

impl Codes {
    /// Under a key that is made from the one by which the service proves who it is. When that
    /// one changes, codes from before are good no more.
    pub(crate) fn new(signing_seed: &Key32) -> Self {
        let key = International.mac(signing_seed, &frame(&[b"zhiyuan.orgtree.invitations"]));
        Self(Key32::from_bytes(key))
    }

    fn mac(&self, purpose: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        let parts = [&[purpose][..], parts].concat();
        International.mac(&self.0, &frame(&parts))
    }

    /// The code of an invitation.
    pub(super) fn code_of(&self, invitation_id: Uuid) -> Code {
        let mut rest = number(&self.mac(b"code", &[invitation_id.as_bytes()]));
        let base = ALPHABET.len() as u64;
        let mut letters = String::with_capacity(LENGTH);
        for _ in 0..LENGTH {
            let place = usize::try_from(rest % base).unwrap_or_default();
            letters.extend(ALPHABET.get(place).map(|letter| char::from(*letter)));
            rest /= base;
        }
        Code(letters)
    }

    /// What an invitation is found by.
    pub(super) fn digest(&self, code: &Code) -> [u8; 32] {
        self.mac(b"digest", &[code.0.as_bytes()])
    }

    /// What is kept of a number that was typed.
    pub(super) fn digest_of_number(&self, invitation_id: Uuid, typed: &CheckNumber) -> [u8; 32] {
        let parts = [invitation_id.as_bytes().as_slice(), typed.0.as_bytes()];
        self.mac(b"check-number-digest", &parts)
    }

    /// The number that who accepted is shown.
    pub(super) fn check_number(&self, invitation_id: Uuid, account_id: Uuid) -> CheckNumber {
        let parts = [invitation_id.as_bytes().as_slice(), account_id.as_bytes()];
        let number = number(&self.mac(b"check-number", &parts)) % 1_000_000;
        CheckNumber(format!("{number:0DIGITS$}"))
    }
}

/// The first 64 bits: of so many that what is divided off has no weight to be seen.
fn number(mac: &[u8; 32]) -> u64 {
    mac.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// In narrow capitals, without what people put between characters.
fn folded(text: &str) -> Option<String> {
    let kept = |c: &char| !c.is_whitespace() && *c != '-';
    (text.len() <= LONGEST).then(|| text.nfkc().filter(kept).collect::<String>().to_uppercase())
}

impl Code {
    pub(super) fn parse(text: &str) -> Result<Self, Violation> {
        let known = |code: &String| {
            code.len() == LENGTH && code.bytes().all(|byte| ALPHABET.contains(&byte))
        };
        let refused = || Violation {
            reason: "INVITATION_CODE_FORMAT",
            message: "邀请码应为 8 位字母和数字，不含 0、1、I、L、O，请核对后重新填写".to_owned(),
        };
        folded(text).filter(known).map(Self).ok_or_else(refused)
    }

    /// For who is to hand it over.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl CheckNumber {
    pub(super) fn parse(text: &str) -> Result<Self, Violation> {
        let digits = |number: &String| {
            number.len() == DIGITS && number.bytes().all(|byte| byte.is_ascii_digit())
        };
        let refused = || Violation {
            reason: "CHECK_NUMBER_FORMAT",
            message: "核对码应为 6 位数字，请向接受邀请的人核对后重新填写".to_owned(),
        };
        folded(text).filter(digits).map(Self).ok_or_else(refused)
    }

    /// Whether it is the one that was shown.
    pub(super) fn is(&self, shown: &Self) -> bool {
        digest::equal(self.0.as_bytes(), shown.0.as_bytes())
    }

    /// For who accepted.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(***)")
    }
}

impl fmt::Debug for CheckNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CheckNumber(***)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn codes(byte: u8) -> Codes {
        Codes::new(&Key32::from_bytes([byte; 32]))
    }

    #[test]
    fn codes_are_of_39_bits_and_of_letters_that_nobody_takes_for_others() {
        assert!((ALPHABET.len() as f64).powi(8).log2() > 39.0);
        let distinct: HashSet<&u8> = ALPHABET.iter().collect();
        assert_eq!(distinct.len(), ALPHABET.len());
        assert!(b"01ILO".iter().all(|byte| !ALPHABET.contains(byte)));
        let (mut seen, mut used) = (HashSet::new(), HashSet::new());
        for n in 0..2_000 {
            let code = codes(1).code_of(Uuid::from_u128(n));
            assert_eq!(Code::parse(code.as_str()).as_ref(), Ok(&code));
            used.extend(code.as_str().bytes());
            seen.insert(code.as_str().to_owned());
        }
        assert_eq!((seen.len(), used.len()), (2_000, ALPHABET.len()));
    }

    #[test]
    fn they_are_the_same_under_the_same_key_and_tell_nothing_of_each_other() {
        let (id, account) = (Uuid::from_u128(7), Uuid::from_u128(8));
        let code = codes(1).code_of(id);
        assert_eq!(codes(1).code_of(id), code);
        assert_eq!(codes(1).digest(&code), codes(1).digest(&code));
        assert_ne!(codes(2).code_of(id), code);
        assert_ne!(codes(2).digest(&code), codes(1).digest(&code));
        let number = codes(1).check_number(id, account);
        assert!(number.is(&codes(1).check_number(id, account)));
        assert!(!number.is(&codes(1).check_number(id, Uuid::from_u128(9))));
        assert!(!number.is(&codes(1).check_number(Uuid::from_u128(9), account)));
        assert_eq!(format!("{code:?} {number:?}"), "Code(***) CheckNumber(***)");
    }

    #[test]
    fn spellings_are_one_code_and_what_is_none_is_refused() {
        for text in ["ABCD2345", " abcd-2345 ", "ABCD 2345", "ＡＢＣＤ２３４５", "a b c d 2 3 4 5"]
        {
            assert_eq!(Code::parse(text).unwrap().as_str(), "ABCD2345", "{text}");
        }
        for text in
            ["", "ABCD234", "ABCD23456", "ABCD2340", "ABCD234O", "ABCD234团", &"A".repeat(65)]
        {
            assert_eq!(Code::parse(text).unwrap_err().reason, "INVITATION_CODE_FORMAT", "{text}");
        }
        assert_eq!(CheckNumber::parse(" 012 345 ").unwrap().as_str(), "012345");
        for text in ["", "12345", "1234567", "12345a", "١٢٣٤٥٦"] {
            let refused = CheckNumber::parse(text).unwrap_err();
            assert_eq!(refused.reason, "CHECK_NUMBER_FORMAT", "{text}");
        }
    }
}
