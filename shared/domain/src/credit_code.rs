//! Unified social credit codes.

use crate::width;

/// GB 32100-2015: digits and capital letters without those that look like digits.
const ALPHABET: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";
/// What each of the first 17 characters counts: 3 to the power of its place, modulo 31.
const WEIGHTS: [u32; 17] = [1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28];
/// GB 11714: the same of the organization's code within it.
const BODY_WEIGHTS: [u32; 8] = [3, 7, 9, 10, 5, 8, 4, 2];

/// Why a code was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCreditCode {
    /// Not 18 characters.
    #[error("credit code does not have 18 characters")]
    Length,
    /// Characters that no code has, or letters where the region stands.
    #[error("credit code has characters that do not belong there")]
    Characters,
    /// The 17th character does not follow from those before it, from the 9th on.
    #[error("the organization's code within the credit code has a wrong check character")]
    Body,
    /// The last character does not follow from the others.
    #[error("credit code has a wrong check character")]
    Checksum,
}

impl InvalidCreditCode {
    /// Returns the stable name of the broken rule.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Length => "CREDIT_CODE_LENGTH",
            Self::Characters => "CREDIT_CODE_CHARACTERS",
            Self::Body => "CREDIT_CODE_BODY",
            Self::Checksum => "CREDIT_CODE_CHECKSUM",
        }
    }

    /// Returns what to do about it, in zh-CN.
    pub fn message(self) -> &'static str {
        match self {
            Self::Length => "统一社会信用代码应为 18 位，请按登记证书填写；没有的可不填",
            Self::Characters => {
                "统一社会信用代码只有数字和大写字母（不含 I、O、S、V、Z），第 3 至 8 位为数字"
            }
            Self::Body => "统一社会信用代码第 9 至 17 位校验未通过，请对照登记证书逐位检查",
            Self::Checksum => "统一社会信用代码校验未通过，请对照登记证书逐位检查",
        }
    }
}

/// A unified social credit code (统一社会信用代码, GB 32100-2015) of 18 characters: who registered
/// the organization (1), what it is (1), where (6 digits), its own code by GB 11714 (8 and a check
/// character), and a check character. The first two and the region are not looked up: which there
/// are changes. That every code that is in use also has a right check character inside is taken
/// from the standard; it was seen on those that the tests have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CreditCode(String);

impl CreditCode {
    /// Parses a code as people type it; white space, full-width and small letters are accepted.
    ///
    /// # Errors
    /// Another length, other characters, or a wrong check character.
    pub fn parse(input: &str) -> Result<Self, InvalidCreditCode> {
        let code = width::compact(input).to_ascii_uppercase();
        if code.chars().count() != 18 {
            return Err(InvalidCreditCode::Length);
        }
        let values: Option<Vec<u32>> = code.chars().map(value).collect();
        let values = values.ok_or(InvalidCreditCode::Characters)?;
        let (region, body) = (code.get(2..8), code.get(8..17));
        let (Some(region), Some((body, check))) =
            (region, body.and_then(|b| b.split_at_checked(8)))
        else {
            return Err(InvalidCreditCode::Characters);
        };
        if !region.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidCreditCode::Characters);
        }
        if !body_check(body).is_some_and(|right| check.starts_with(right)) {
            return Err(InvalidCreditCode::Body);
        }
        let sum: u32 = values.iter().zip(WEIGHTS).map(|(value, weight)| value * weight).sum();
        if values.last() != Some(&((31 - sum % 31) % 31)) {
            return Err(InvalidCreditCode::Checksum);
        }
        Ok(Self(code))
    }

    /// Returns the 18 characters, in upper case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for CreditCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a character stands for; none if no code has it.
fn value(c: char) -> Option<u32> {
    let place = ALPHABET.iter().position(|known| char::from(*known) == c)?;
    u32::try_from(place).ok()
}

/// The check character of an organization's code: modulo 11, over digits and all letters.
fn body_check(body: &str) -> Option<char> {
    let values: Option<Vec<u32>> = body.chars().map(|c| c.to_digit(36)).collect();
    let sum: u32 = values?.iter().zip(BODY_WEIGHTS).map(|(value, weight)| value * weight).sum();
    match 11 - sum % 11 {
        10 => Some('X'),
        11 => Some('0'),
        digit => char::from_digit(digit, 10),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Of real organizations, as they publish them.
    const REAL: [&str; 3] = ["91350100M000100Y43", "91110000600037341L", "12100000400010275N"];
    /// Made for these tests: one of each kind that joins or registers groups.
    const MADE: [&str; 6] = [
        "13340000MB0X000197",
        "12340000MB0000019F",
        "51340000MJ0000034F",
        "52340100MJ0000042C",
        "53340000MJ0000050Y",
        "91340100MA00000669",
    ];

    #[test]
    fn accepts_real_codes_and_those_made_by_the_rules() {
        for text in REAL.iter().chain(&MADE) {
            assert_eq!(CreditCode::parse(text).unwrap().to_string(), *text);
        }
    }

    #[test]
    fn spelling_does_not_matter() {
        let code = CreditCode::parse("51340000MJ0000034F").unwrap();
        for text in [
            " 51340000mj0000034f\n",
            "５１３４００００ＭＪ０００００３４Ｆ",
            "5134 0000 MJ00 0003 4F",
            "\u{202d}51340000MJ0000034F\u{202c}",
        ] {
            assert_eq!(CreditCode::parse(text), Ok(code.clone()), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_code() {
        use InvalidCreditCode::*;
        for (text, error) in [
            ("", Length),
            ("51340000MJ0000034", Length),
            ("51340000MJ0000034F0", Length),
            ("51340000MJ00000３4FFF", Length),
            ("5134000OMJ0000034F", Characters),
            ("51340000MJ000003IF", Characters),
            ("51340000MJ000003团F", Characters),
            ("5134000AMJ0000034F", Characters),
            ("51340000MJ0000035F", Body),
            ("51340000MJ0000034G", Checksum),
            ("51340001MJ0000034F", Checksum),
            ("52340000MJ0000034F", Checksum),
        ] {
            assert_eq!(CreditCode::parse(text), Err(error), "{text}");
            assert!(error.reason().starts_with("CREDIT_CODE_"));
            assert!(!error.message().is_ascii());
        }
    }

    /// The rules once more, by powers and by looking for the one character that fits.
    mod oracle {
        const ALL: &str = "0123456789ABCDEFGHJKLMNPQRTUWXY";

        fn place(c: char) -> usize {
            ALL.find(c).unwrap()
        }

        pub(super) fn body(first8: &str) -> String {
            let weights = [3, 7, 9, 10, 5, 8, 4, 2];
            let value = |c: char| match c {
                '0'..='9' => c as usize - '0' as usize,
                letter => letter as usize - 'A' as usize + 10,
            };
            let sum: usize = first8.chars().zip(weights).map(|(c, w)| value(c) * w).sum();
            // With its own weight of 1 the check makes the sum a multiple of 11; X is 10.
            let check = (0..11).find(|check| (sum + check).is_multiple_of(11)).unwrap();
            let check = if check == 10 { "X".to_owned() } else { check.to_string() };
            format!("{first8}{check}")
        }

        pub(super) fn whole(first17: &str) -> String {
            let mut power = 1;
            let mut sum = 0;
            for c in first17.chars() {
                sum += place(c) * power;
                power = power * 3 % 31;
            }
            let fits = |c: &char| (sum + place(*c)).is_multiple_of(31);
            format!("{first17}{}", ALL.chars().find(fits).unwrap())
        }
    }

    #[test]
    fn the_oracle_makes_the_real_codes() {
        for text in REAL {
            assert_eq!(oracle::body(&text[8..16]), text[8..17]);
            assert_eq!(oracle::whole(&text[..17]), text);
        }
    }

    proptest! {
        #[test]
        fn takes_what_the_oracle_makes_and_no_other_character(
            head in "[1-9ANY][1-9][0-9]{6}",
            body in "[0-9A-HJ-NPQRTUWXY]{8}",
            place in 0..18_usize,
            other in "[0-9A-HJ-NPQRTUWXY]",
        ) {
            let code = oracle::whole(&format!("{head}{}", oracle::body(&body)));
            let parsed = CreditCode::parse(&code).unwrap();
            prop_assert_eq!(parsed.as_str(), &code);
            // Every single wrong character is found.
            let mut wrong = code.clone();
            wrong.replace_range(place..=place, &other);
            prop_assert_eq!(CreditCode::parse(&wrong).is_ok(), wrong == code);
        }

        #[test]
        fn two_neighbours_that_changed_places_are_found(
            head in "[1-9ANY][1-9][0-9]{6}",
            body in "[0-9A-HJ-NPQRTUWXY]{8}",
            place in 0..17_usize,
        ) {
            let code = oracle::whole(&format!("{head}{}", oracle::body(&body)));
            let mut swapped: Vec<char> = code.chars().collect();
            swapped.swap(place, place + 1);
            let swapped: String = swapped.into_iter().collect();
            prop_assert_eq!(CreditCode::parse(&swapped).is_ok(), swapped == code);
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = CreditCode::parse(&text);
        }
    }
}
