//! Names of organizations.

use unicode_normalization::UnicodeNormalization as _;

use crate::person_name::is_han;
use crate::width;

/// What stands between letters: spaces, hyphens, brackets, quotation marks and the like, narrow
/// and wide. Nothing that means something to a shell, a query or a page.
const SIGNS: &str = " ·-—－（）()、“”《》&＆+＋";

/// Why a name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOrganizationName {
    /// Fewer than 2 or more than 100 characters, or no letter.
    #[error("organization name does not have 2 to 100 characters")]
    Length,
    /// Control characters, such as turn the direction of text, or signs that no name has.
    #[error("organization name has characters that do not belong in a name")]
    Characters,
    /// Letters of other scripts, many of which look like Latin letters or like characters.
    #[error("organization name has letters that are neither Han nor plain Latin")]
    Scripts,
}

impl InvalidOrganizationName {
    /// Returns the stable name of the broken rule.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Length => "ORGANIZATION_NAME_LENGTH",
            Self::Characters => "ORGANIZATION_NAME_CHARACTERS",
            Self::Scripts => "ORGANIZATION_NAME_SCRIPTS",
        }
    }

    /// Returns what to do about it, in zh-CN.
    pub fn message(self) -> &'static str {
        match self {
            Self::Length => "组织名称应为 2 至 100 个字，请填写规范全称",
            Self::Characters => "组织名称含有不能使用的符号或控制字符，请删除后重新填写",
            Self::Scripts => "组织名称只能使用汉字、英文字母和数字，请将形似的其他文字改正",
        }
    }
}

/// A name in NFC, of Han characters, plain Latin letters and digits (wide ones too), with few
/// signs between them. So no two that look the same differ, but by the width of letters and
/// signs, by case and by spaces: whoever compares names folds these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganizationName(String);

impl OrganizationName {
    /// Fewest and most characters.
    const MIN: usize = 2;
    const MAX: usize = 100;
    /// Longest input that is looked at, in bytes: more than [`Self::MAX`] characters ever need.
    const MAX_BYTES: usize = 1024;

    /// Parses a name; spaces at its ends are none of it, and others in a row are one.
    ///
    /// # Errors
    /// Another length, letters of other scripts, or other characters.
    pub fn parse(input: &str) -> Result<Self, InvalidOrganizationName> {
        let input = input.trim();
        if input.len() > Self::MAX_BYTES {
            return Err(InvalidOrganizationName::Length);
        }
        if input.chars().any(char::is_control) {
            return Err(InvalidOrganizationName::Characters);
        }
        let composed: String = input.nfc().collect();
        let name = composed.split_whitespace().collect::<Vec<_>>().join(" ");
        for c in name.chars() {
            let plain = is_han(c) || width::half(c).is_ascii_alphanumeric() || SIGNS.contains(c);
            match c {
                _ if plain => {}
                c if c.is_alphanumeric() || is_radical(c) => {
                    return Err(InvalidOrganizationName::Scripts);
                }
                _ => return Err(InvalidOrganizationName::Characters),
            }
        }
        let letters = name.chars().filter(|c| c.is_alphanumeric()).count();
        if letters < Self::MIN || name.chars().count() > Self::MAX {
            return Err(InvalidOrganizationName::Length);
        }
        Ok(Self(name))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The parts of characters, which look like whole ones.
fn is_radical(c: char) -> bool {
    matches!(c, '\u{2E80}'..='\u{2FDF}' | '\u{31C0}'..='\u{31EF}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(name: &str) -> InvalidOrganizationName {
        OrganizationName::parse(name).unwrap_err()
    }

    #[test]
    fn accepts_the_names_of_organizations() {
        for name in [
            "共青团合肥市委员会",
            "共青团马钢（集团）控股有限公司委员会",
            "中国科学技术大学地球和空间科学学院 2024 级团支部",
            "“青春·暖阳”志愿服务队",
            "C+ 团支部",
            "Ａ座团总支",
            "𠮷林团委",
        ] {
            assert_eq!(OrganizationName::parse(name).unwrap().as_str(), name);
        }
        assert_eq!(OrganizationName::parse("\u{3000}团  委 ").unwrap().as_str(), "团 委");
        // A copy of a character for compatibility is that character.
        assert_eq!(OrganizationName::parse("六\u{F9D1}").unwrap().as_str(), "六六");
    }

    #[test]
    fn org_tree_19_letters_that_look_like_others_are_refused() {
        for name in [
            "共青团А县委员会", // Cyrillic
            "共青团Α县委员会", // Greek
            "团ⅼ支部",         // a Roman numeral
            "团ニ支部",        // Katakana
            "团𝐀支部",         // a mathematical letter
            "团ı支部",         // Latin, but not plain
            "⼀县团委",        // a radical
            "团①支部",
        ] {
            assert_eq!(refused(name), InvalidOrganizationName::Scripts, "{name}");
        }
    }

    #[test]
    fn org_tree_19_the_other_direction_and_what_is_not_seen_are_refused() {
        for name in [
            "团\u{202E}委员会",
            "团\u{2067}委",
            "团\u{200B}委",
            "团\u{0}委",
            "团\n委",
            "团\u{FE00}委",
            "团\u{301}委",
            "团'委",
            "团;委",
            "<b>团委",
            "团/委",
            "团%s",
            "团{}",
            "团$",
            "团*",
            "团😀委",
        ] {
            assert_eq!(refused(name), InvalidOrganizationName::Characters, "{name:?}");
        }
    }

    #[test]
    fn has_2_to_100_characters() {
        assert!(OrganizationName::parse(&"团".repeat(100)).is_ok());
        for name in ["", " ", "团", "（）", "团-", &"团".repeat(101), &"团".repeat(100_000)] {
            assert_eq!(refused(name), InvalidOrganizationName::Length);
        }
    }

    #[test]
    fn every_error_has_a_reason_and_a_message() {
        use InvalidOrganizationName::*;
        for error in [Length, Characters, Scripts] {
            assert!(error.reason().starts_with("ORGANIZATION_NAME_"));
            assert!(!error.message().is_ascii());
        }
    }

    proptest! {
        #[test]
        fn a_parsed_name_parses_to_itself(name in "[团委a-cＡ（） ·\u{301}]{0,12}") {
            if let Ok(parsed) = OrganizationName::parse(&name) {
                prop_assert_eq!(OrganizationName::parse(parsed.as_str()), Ok(parsed));
            }
        }
    }
}
