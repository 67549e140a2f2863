//! Service accounts: systems of others that call, each by its own keys, scopes and quota.
//!
//! The operator keeps them, by commands. Every process hears of them each second in the word
//! that tells which sessions ended, verifies their assertions alone, counts their calls, and
//! tells of them every few seconds.

pub(crate) mod db;
pub(crate) mod operator;
pub(crate) mod word;

pub(crate) use operator::operate;

use time::OffsetDateTime;

/// Public keys of an account that have not expired: the one in use, and the one to come.
pub(crate) const MOST_KEYS: usize = 2;

/// Names that services of the suite have, or will have: no account may be taken for one.
const SERVICES: [&str; 8] = [
    "zhiyuan",
    "gateway",
    "identity",
    "orgtree",
    "registration",
    "hours",
    "credit-export",
    "standalone",
];

/// What an account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A platform, internal or of a partner.
    Platform,
    /// The credit system.
    CreditSystem,
    /// A gateway for pages of others.
    Gateway,
}

impl Kind {
    /// As in the column `kind`.
    pub(crate) fn as_column(self) -> &'static str {
        match self {
            Self::Platform => "PLATFORM",
            Self::CreditSystem => "CREDIT_SYSTEM",
            Self::Gateway => "GATEWAY",
        }
    }

    /// As an operator types it.
    fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "platform" => Ok(Self::Platform),
            "credit-system" => Ok(Self::CreditSystem),
            "gateway" => Ok(Self::Gateway),
            _ => Err("expected platform, credit-system or gateway"),
        }
    }
}

/// Whether a text is the name of a caller or of a key, as far as its form tells.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// A name that a service account may have.
fn name(text: &str) -> Result<String, &'static str> {
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    let rest =
        text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !first || !rest || !(2..=63).contains(&text.len()) {
        return Err("expected 2 to 63 small letters, digits and -, a letter first");
    }
    if SERVICES.contains(&text) {
        return Err("a service of the suite has this name");
    }
    Ok(text.to_owned())
}

/// What people read of an account.
fn title(text: &str) -> Result<String, &'static str> {
    let fits = (1..=32).contains(&text.chars().count())
        && !text.chars().any(char::is_control)
        && text.trim() == text;
    if fits { Ok(text.to_owned()) } else { Err("expected 1 to 32 characters on one line") }
}

/// A service account as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) calls_per_minute: u32,
    pub(crate) calls_per_day: u32,
    /// Codes of the organizations that it sees in feeds; empty: all.
    pub(crate) within: Vec<String>,
    pub(crate) keys: Vec<Key>,
}

/// A public key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) public_key: Vec<u8>,
    pub(crate) use_at: OffsetDateTime,
    pub(crate) expire_at: OffsetDateTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_account_has_the_name_of_a_service_or_one_that_a_token_would_not_show() {
        for good in ["hefei-volunteers", "h5", "a1-"] {
            assert_eq!(name(good).as_deref(), Ok(good));
        }
        let long = "a".repeat(64);
        for bad in ["", "a", "registration", "1a", "-a", "Hefei", "合肥", "a b", "a\n", &long] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_title_is_one_short_line() {
        let long = "志".repeat(33);
        for bad in ["", " a", "a\nb", &long] {
            assert!(title(bad).is_err(), "{bad:?}");
        }
        assert!(title("合肥志愿平台").is_ok() && title(&"志".repeat(32)).is_ok());
    }
}
