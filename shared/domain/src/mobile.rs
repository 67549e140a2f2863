//! Mobile phone numbers of the Chinese mainland.

use crate::width;

/// Why a phone number was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMobile {
    /// Something else than digits, hyphens, brackets and a country code.
    #[error("mobile number has characters other than digits")]
    Characters,
    /// Begins with a country code other than 86.
    #[error("mobile number is not of the chinese mainland")]
    Foreign,
    /// Not 11 digits after the country code.
    #[error("mobile number does not have 11 digits")]
    Length,
    /// Does not begin with 13 to 19: a landline, or a slip of the finger.
    #[error("mobile number does not begin with 13 to 19")]
    Prefix,
}

impl InvalidMobile {
    /// Returns the stable name of the broken rule.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Characters => "MOBILE_CHARACTERS",
            Self::Foreign => "MOBILE_FOREIGN",
            Self::Length => "MOBILE_LENGTH",
            Self::Prefix => "MOBILE_PREFIX",
        }
    }

    /// Returns what to do about it, in zh-CN.
    pub fn message(self) -> &'static str {
        match self {
            Self::Characters => "手机号码只能包含数字，请检查后重新填写",
            Self::Foreign => "目前只支持中国内地（+86）的手机号码，请填写内地手机号码",
            Self::Length => "手机号码应为 11 位数字，请检查是否漏填或多填",
            Self::Prefix => "手机号码应以 13 至 19 开头，请填写手机号码而不是固定电话",
        }
    }
}

/// A mobile number of 11 digits. Whether a network serves it shows when a code is sent.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Mobile {
    e164: String,
}

impl Mobile {
    /// Parses a number as people type it: full-width digits, white space, hyphens and brackets,
    /// and `+86`, `0086` or `86` in front are accepted.
    ///
    /// # Errors
    /// Other characters, another country, another length, or a prefix other than 13 to 19.
    pub fn parse(input: &str) -> Result<Self, InvalidMobile> {
        let mut text = width::compact(input);
        text.retain(|c| !is_punctuation(c));
        let national = match text.strip_prefix('+').or_else(|| text.strip_prefix("00")) {
            Some(international) => {
                require_digits(international)?;
                international.strip_prefix("86").ok_or(InvalidMobile::Foreign)?
            }
            None => {
                require_digits(&text)?;
                // Without a sign in front, only the length tells a country code from the number itself.
                text.strip_prefix("86").filter(|rest| rest.len() == 11).unwrap_or(&text)
            }
        };
        match national.as_bytes() {
            [b'1', b'3'..=b'9', ..] if national.len() == 11 => {
                Ok(Self { e164: format!("+86{national}") })
            }
            _ if national.len() == 11 => Err(InvalidMobile::Prefix),
            _ => Err(InvalidMobile::Length),
        }
    }

    /// Returns the international form (E.164), `+86` and 11 digits.
    pub fn as_e164(&self) -> &str {
        &self.e164
    }

    /// Returns the 11 digits.
    pub fn national(&self) -> &str {
        self.e164.get(3..).unwrap_or_default()
    }

    /// Returns the number for screens: the first three and last four digits, the others as stars.
    pub fn masked(&self) -> String {
        let number = self.national();
        let (head, tail) = (number.get(..3), number.get(7..));
        format!("{}****{}", head.unwrap_or_default(), tail.unwrap_or_default())
    }

    /// Tells whether the number is in a segment that the ministry of industry and information
    /// technology had given out by 2019-12-24. New segments appear, so an unknown one is worth a
    /// warning, not a refusal.
    pub fn segment_known(&self) -> bool {
        match self.national().as_bytes() {
            [b'1', second, third, ..] => match second {
                b'3' | b'8' => true,
                b'4' => matches!(third, b'5'..=b'9'),
                b'5' | b'9' => *third != b'4',
                b'6' => matches!(third, b'2' | b'5'..=b'7'),
                b'7' => matches!(third, b'0'..=b'8'),
                _ => false,
            },
            _ => false,
        }
    }
}

impl std::fmt::Debug for Mobile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mobile(***)")
    }
}

/// Hyphens and dashes of every keyboard, and the brackets around a country code.
fn is_punctuation(c: char) -> bool {
    matches!(c, '-' | '(' | ')' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

fn require_digits(text: &str) -> Result<(), InvalidMobile> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    if digits { Ok(()) } else { Err(InvalidMobile::Characters) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spelling_does_not_matter() {
        let mobile = Mobile::parse("13800000000").unwrap();
        for text in [
            "+8613800000000",
            "008613800000000",
            "8613800000000",
            "１３８００００００００",
            "＋８６ 138－0000－0000",
            " 138 0000\u{3000}0000\n",
            "(+86) 138-0000-0000",
            "138—0000—0000",
        ] {
            assert_eq!(Mobile::parse(text), Ok(mobile.clone()), "{text}");
        }
        assert_eq!(Mobile::parse(mobile.as_e164()), Ok(mobile));
    }

    #[test]
    fn gives_every_form() {
        let mobile = Mobile::parse("138 1234 5678").unwrap();
        assert_eq!(mobile.as_e164(), "+8613812345678");
        assert_eq!(mobile.national(), "13812345678");
        assert_eq!(mobile.masked(), "138****5678");
        assert_eq!(format!("{mobile:?}"), "Mobile(***)");
    }

    #[test]
    fn refuses_numbers_of_other_countries() {
        for text in ["+85291234567", "+1 415 555 2671", "0085363123456", "+886912345678"] {
            assert_eq!(Mobile::parse(text), Err(InvalidMobile::Foreign), "{text}");
        }
    }

    #[test]
    fn refuses_other_lengths_and_prefixes() {
        for text in ["", "1380000000", "138000000000", "+861380000000", "86138000000000", "86"] {
            assert_eq!(Mobile::parse(text), Err(InvalidMobile::Length), "{text}");
        }
        for text in ["12800000000", "05513456789", "23800000000", "86138000000", "+8605513456789"] {
            let refused = Mobile::parse(text).unwrap_err();
            assert_eq!(refused, InvalidMobile::Prefix, "{text}");
        }
    }

    #[test]
    fn refuses_other_characters() {
        for text in
            ["1380000000O", "手机13800000000", "13800000000#1", "++8613800000000", "١٣٨٠٠٠٠٠٠٠٠"]
        {
            assert_eq!(Mobile::parse(text), Err(InvalidMobile::Characters), "{text}");
        }
    }

    #[test]
    fn knows_the_segments_of_2019() {
        let known =
            |prefix: &str| Mobile::parse(&format!("{prefix}00000000")).unwrap().segment_known();
        for prefix in ["130", "145", "150", "159", "162", "166", "178", "189", "190", "192", "199"]
        {
            assert!(known(prefix), "{prefix}");
        }
        for prefix in ["140", "144", "154", "160", "164", "168", "179", "194"] {
            assert!(!known(prefix), "{prefix}");
        }
    }

    #[test]
    fn every_error_has_a_reason_and_a_message() {
        use InvalidMobile::*;
        for (error, reason) in [
            (Characters, "MOBILE_CHARACTERS"),
            (Foreign, "MOBILE_FOREIGN"),
            (Length, "MOBILE_LENGTH"),
            (Prefix, "MOBILE_PREFIX"),
        ] {
            assert_eq!(error.reason(), reason);
            assert!(!error.message().is_ascii());
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), almost in "[+0-9０-９ -]{10,18}") {
            let _ = Mobile::parse(&text);
            if let Ok(mobile) = Mobile::parse(&almost) {
                prop_assert_eq!(Mobile::parse(mobile.national()), Ok(mobile));
            }
        }
    }
}
