//! Passwords that people choose.

use std::sync::LazyLock;

use zeroize::Zeroizing;

use crate::{IdNumber, Mobile, turns_direction, width};

/// Passwords that many people choose, lower-case, ascending.
static COMMON: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| include_str!("../data/common_passwords.txt").lines().collect());

/// This many characters in a row of something personal give a password away.
const PERSONAL_RUN: usize = 6;

/// Why a password was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    /// Not 6 to 16 characters.
    #[error("password does not have 6 to 16 characters")]
    Length,
    /// Nothing but digits.
    #[error("password has nothing but digits")]
    DigitsOnly,
    /// Has control characters.
    #[error("password has control characters")]
    Characters,
    /// Begins or ends with white space.
    #[error("password begins or ends with white space")]
    Padding,
    /// Has six characters in a row of the ID number, the phone number or the date of birth.
    #[error("password has a part of the id number, the mobile number or the date of birth")]
    Personal,
    /// One of those that everybody tries first.
    #[error("password is one of the most common ones")]
    Common,
}

impl InvalidPassword {
    /// Returns the stable name of the broken rule.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Length => "PASSWORD_LENGTH",
            Self::DigitsOnly => "PASSWORD_DIGITS_ONLY",
            Self::Characters => "PASSWORD_CHARACTERS",
            Self::Padding => "PASSWORD_PADDING",
            Self::Personal => "PASSWORD_PERSONAL",
            Self::Common => "PASSWORD_COMMON",
        }
    }

    /// Returns what to do about it, in zh-CN.
    pub fn message(self) -> &'static str {
        match self {
            Self::Length => "密码长度应为 6 至 16 位",
            Self::DigitsOnly => "密码不能为纯数字，请加入字母或符号",
            Self::Characters => "密码包含无法使用的控制字符，请重新输入",
            Self::Padding => "密码的开头和结尾不能是空格，请重新输入",
            Self::Personal => "密码不能包含证件号码、手机号码或出生日期中的连续 6 位，请更换",
            Self::Common => "该密码过于常见，容易被猜到，请更换",
        }
    }
}

/// What a password must not be made of.
#[derive(Clone, Copy, Debug)]
pub struct PersonalDetails<'a> {
    /// The ID number, whose date of birth counts as well.
    pub id_number: &'a IdNumber,
    /// The phone number.
    pub mobile: &'a Mobile,
}

/// A password that may be set, exactly as typed. Wiped from memory when dropped, never printed.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Fewest characters.
    const MIN: usize = 6;
    /// Most characters.
    const MAX: usize = 16;

    /// Parses a new password. Characters are those of Unicode, not bytes; nothing is normalised
    /// or cut off, because the hash is taken of what was typed.
    ///
    /// # Errors
    /// Not 6 to 16 characters, digits only (full-width ones count as digits), control characters
    /// and such as turn the direction of text, white space at an end, six characters in a row of the personal details in either case
    /// and width, or one of the most common passwords.
    pub fn parse(input: &str, context: &PersonalDetails<'_>) -> Result<Self, InvalidPassword> {
        // Counting stops early: the input may be as long as a request.
        if !(Self::MIN..=Self::MAX).contains(&input.chars().take(Self::MAX + 1).count()) {
            return Err(InvalidPassword::Length);
        }
        if input.chars().any(|c| c.is_control() || turns_direction(c)) {
            return Err(InvalidPassword::Characters);
        }
        if input.trim() != input {
            return Err(InvalidPassword::Padding);
        }
        // Room for the longest, so that no shorter copy of the secret is left behind.
        let mut folded = Zeroizing::new(String::with_capacity(Self::MAX * 4));
        folded.extend(input.chars().map(|c| width::half(c).to_ascii_lowercase()));
        if folded.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidPassword::DigitsOnly);
        }
        if context.appears_in(&folded) {
            return Err(InvalidPassword::Personal);
        }
        if COMMON.binary_search(&folded.as_str()).is_ok() {
            return Err(InvalidPassword::Common);
        }
        Ok(Self(Zeroizing::new(input.to_owned())))
    }

    /// Returns the password; for hashing alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(***)")
    }
}

impl PersonalDetails<'_> {
    /// The date of birth, as yyyymmdd and as yymmdd, is a part of the ID number.
    fn appears_in(&self, folded: &str) -> bool {
        let number = self.id_number.as_str().to_ascii_lowercase();
        [number.as_str(), self.mobile.as_e164()].into_iter().any(|detail| {
            let last_start = detail.len().saturating_sub(PERSONAL_RUN);
            (0..=last_start)
                .filter_map(|start| detail.get(start..start + PERSONAL_RUN))
                .any(|run| folded.contains(run))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::date;

    use super::*;

    fn parse(input: &str) -> Result<Password, InvalidPassword> {
        let id_number = IdNumber::parse("34182219980101005X", date!(2026 - 11 - 23)).unwrap();
        let mobile = Mobile::parse("13907351842").unwrap();
        Password::parse(input, &PersonalDetails { id_number: &id_number, mobile: &mobile })
    }

    fn refused(input: &str) -> InvalidPassword {
        parse(input).unwrap_err()
    }

    #[test]
    fn has_6_to_16_characters() {
        for text in ["", "abc12", "志愿者五字", "a1b2c3d4e5f6g7h8i", &"a1".repeat(100_000)] {
            assert_eq!(refused(text), InvalidPassword::Length);
        }
        for text in ["kz7-qm", "志愿者有六字", "a1b2c3d4e5f6g7h8", "𠮷𠮷𠮷𠮷𠮷𠮷"]
        {
            assert_eq!(parse(text).unwrap().expose(), text);
        }
    }

    #[test]
    fn is_not_digits_only() {
        for text in ["907351", "９０７３５１", "9073５１", "9073512468013579"] {
            assert_eq!(refused(text), InvalidPassword::DigitsOnly, "{text}");
        }
        assert!(parse("90735l").is_ok());
    }

    #[test]
    fn keeps_what_was_typed() {
        for text in ["ＫＺ７－ｑｍ", "two words", "Jose\u{301}-7", "KZ7-qm"] {
            assert_eq!(parse(text).unwrap().expose(), text);
        }
    }

    #[test]
    fn has_no_control_characters_and_no_padding() {
        for text in ["kz7\u{0}qm9", "kz7-qm\n", "kz7\tqm9", "kz7\u{7f}qm9"] {
            assert_eq!(refused(text), InvalidPassword::Characters, "{text:?}");
        }
        for text in [" kz7-qm", "kz7-qm ", "\u{3000}kz7-qm", "      "] {
            assert_eq!(refused(text), InvalidPassword::Padding, "{text:?}");
        }
    }

    #[test]
    fn has_no_part_of_the_personal_details() {
        for text in [
            "a341822",
            "19980101a",
            "a980101",
            "Wang980101",
            "x01005x",
            "x01005X",
            "1005xa-341822",
            "0101005X",
            "a390735",
            "a351842",
            "３９０７３５a",
            "a+86139",
            "ｘ01005ｘ",
        ] {
            assert_eq!(refused(text), InvalidPassword::Personal, "{text}");
        }
        for text in ["a34182b", "wang1998", "9801-01a", "1842-wang"] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn is_not_one_that_everybody_tries() {
        for text in
            ["abc123", "Password", "WOAINI1314", "ａ123456", "qwerty", "5201314a", "p@ssw0rd"]
        {
            assert_eq!(refused(text), InvalidPassword::Common, "{text}");
        }
    }

    #[test]
    fn the_list_is_of_passwords_that_the_other_rules_let_pass() {
        assert!(COMMON.is_sorted_by(|a, b| a < b));
        assert!(COMMON.len() >= 100);
        for text in COMMON.iter() {
            assert!((6..=16).contains(&text.len()), "{text}");
            assert!(
                text.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase()),
                "{text}"
            );
            assert!(text.bytes().any(|b| !b.is_ascii_digit()), "{text}");
        }
    }

    #[test]
    fn never_shows_itself() {
        assert_eq!(format!("{:?}", parse("kz7-qm").unwrap()), "Password(***)");
    }

    #[test]
    fn every_error_has_a_reason_and_a_message() {
        use InvalidPassword::*;
        for (error, reason) in [
            (Length, "PASSWORD_LENGTH"),
            (DigitsOnly, "PASSWORD_DIGITS_ONLY"),
            (Characters, "PASSWORD_CHARACTERS"),
            (Padding, "PASSWORD_PADDING"),
            (Personal, "PASSWORD_PERSONAL"),
            (Common, "PASSWORD_COMMON"),
        ] {
            assert_eq!(error.reason(), reason);
            assert!(!error.message().is_ascii());
        }
    }

    proptest! {
        #[test]
        fn the_last_eight_are_never_a_password(before in "[a-z]{0,4}", after in "[a-z]{0,4}") {
            let word = format!("{before}0101005X{after}");
            prop_assert_eq!(parse(&word).unwrap_err(), InvalidPassword::Personal);
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
