//! Codes of organizations.

use crate::width;

/// Why an organization code was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOrganizationCode {
    /// Empty, or more than 64 characters.
    #[error("organization code does not have 1 to 64 characters")]
    Length,
    /// Something else than letters, digits and hyphens.
    #[error("organization code has characters other than letters, digits and hyphens")]
    Characters,
    /// A hyphen at an end, or two in a row.
    #[error("organization code has a hyphen that separates nothing")]
    Hyphen,
}

impl InvalidOrganizationCode {
    /// Returns the stable name of the broken rule.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Length => "ORGANIZATION_CODE_LENGTH",
            Self::Characters => "ORGANIZATION_CODE_CHARACTERS",
            Self::Hyphen => "ORGANIZATION_CODE_HYPHEN",
        }
    }

    /// Returns what to do about it, in zh-CN.
    pub fn message(self) -> &'static str {
        match self {
            Self::Length => "组织代码应为 1 至 64 个字符，请重新选择所属组织",
            Self::Characters => "组织代码只能包含字母、数字和连字符，请重新选择所属组织",
            Self::Hyphen => "组织代码中的连字符位置不正确，请重新选择所属组织",
        }
    }
}

/// A code such as `AH-340100-340102-340102001`: 1 to 64 characters, groups of `A`–`Z` and digits
/// with single hyphens between them. The groups have no meaning to this type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrganizationCode(String);

impl OrganizationCode {
    /// Longest code, in characters.
    const MAX: usize = 64;

    /// Parses a code; it is trimmed, and full-width and lower-case letters are accepted.
    ///
    /// # Errors
    /// Another length, other characters, or misplaced hyphens.
    pub fn parse(input: &str) -> Result<Self, InvalidOrganizationCode> {
        let code: String =
            input.trim().chars().map(|c| width::half(c).to_ascii_uppercase()).collect();
        if !(1..=Self::MAX).contains(&code.chars().count()) {
            return Err(InvalidOrganizationCode::Length);
        }
        if !code.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return Err(InvalidOrganizationCode::Characters);
        }
        if code.split('-').any(str::is_empty) {
            return Err(InvalidOrganizationCode::Hyphen);
        }
        Ok(Self(code))
    }

    /// Returns the code, in upper case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for OrganizationCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_the_codes_of_the_tree() {
        for text in ["AH", "AH-340100", "AH-341882-341882001", "AH-340100-340102-340102001"] {
            assert_eq!(OrganizationCode::parse(text).unwrap().to_string(), text);
        }
        assert!(OrganizationCode::parse(&"A".repeat(64)).is_ok());
    }

    #[test]
    fn spelling_does_not_matter() {
        let code = OrganizationCode::parse("AH-340100").unwrap();
        for text in [" ah-340100\n", "ＡＨ－３４０１００", "\u{3000}Ah-340100"] {
            assert_eq!(OrganizationCode::parse(text), Ok(code.clone()), "{text}");
        }
    }

    #[test]
    fn refuses_other_lengths() {
        for text in ["", "  ", &"A".repeat(65)] {
            assert_eq!(OrganizationCode::parse(text), Err(InvalidOrganizationCode::Length));
        }
    }

    #[test]
    fn refuses_other_characters() {
        for text in ["AH 340100", "AH_1", "AH/1", "合肥", "AH-é", "AH\u{0}"] {
            let refused = OrganizationCode::parse(text);
            assert_eq!(refused, Err(InvalidOrganizationCode::Characters), "{text}");
        }
    }

    #[test]
    fn refuses_hyphens_that_separate_nothing() {
        for text in ["-", "-AH", "AH-", "AH--1"] {
            assert_eq!(
                OrganizationCode::parse(text),
                Err(InvalidOrganizationCode::Hyphen),
                "{text}"
            );
        }
    }

    #[test]
    fn every_error_has_a_reason_and_a_message() {
        use InvalidOrganizationCode::*;
        for (error, reason) in [
            (Length, "ORGANIZATION_CODE_LENGTH"),
            (Characters, "ORGANIZATION_CODE_CHARACTERS"),
            (Hyphen, "ORGANIZATION_CODE_HYPHEN"),
        ] {
            assert_eq!(error.reason(), reason);
            assert!(!error.message().is_ascii());
        }
    }
}
