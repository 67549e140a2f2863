//! Look-ups by platforms: is this person registered? A platform names the person by what it
//! has, an ID number or a phone, or by its own id, which it may bind to a volunteer.
//!
//! The answer says no more than that, and has one shape whether the person is known or not.
//! Look-ups by what is personal are limited for each platform by the day, and each is recorded
//! with its purpose, where the person can read it.

pub(crate) mod db;
mod grpc;
mod looking;
mod personal;

pub(crate) use grpc::LookUpRpc;
pub(crate) use looking::LookUps;

use uuid::Uuid;
use zhiyuan_domain::{IdNumber, Mobile};

/// Characters of an id that a platform gives.
const EXTERNAL_ID: usize = 64;

/// A person who is registered, as a platform is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) account_id: Uuid,
    pub(crate) level: i16,
}

/// By what a person is looked up.
pub(crate) enum Subject {
    /// An ID number.
    Number(IdNumber),
    /// A phone.
    Phone(Mobile),
    /// What the platform itself calls the person.
    External(ExternalId),
}

/// What a platform calls a person. Nothing personal: what holds an ID number or a phone is
/// none, since these ids are kept in clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExternalId(String);

/// Why a text is no id of a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExternalIdFault {
    /// Too long, or of other characters.
    Form,
    /// It holds an ID number or a phone.
    Personal,
}

impl ExternalId {
    /// Reads an id; `today` is that of the person's calendar.
    pub(crate) fn parse(text: &str, today: time::Date) -> Result<Self, ExternalIdFault> {
        let read = Self::of_form(text)?;
        if personal::is_in(text, today) { Err(ExternalIdFault::Personal) } else { Ok(read) }
    }

    /// Reads an id that may have been bound at a time when less was known to be personal.
    pub(crate) fn of_form(text: &str) -> Result<Self, ExternalIdFault> {
        let fits = (1..=EXTERNAL_ID).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
        if fits { Ok(Self(text.to_owned())) } else { Err(ExternalIdFault::Form) }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a platform is told of those that a look-up found: whose it is, unless it is several
/// persons'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nobody who is registered.
    Nobody,
    /// This person.
    One(Found),
    /// Several persons, as of a phone that a family shares.
    Several,
}

impl Answer {
    pub(crate) fn of(found: &[Found]) -> Self {
        match found {
            [] => Self::Nobody,
            [one] => Self::One(*one),
            [_, _, ..] => Self::Several,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    const TODAY: time::Date = date!(2026 - 11 - 25);

    #[test]
    fn an_id_of_a_platform_is_short_plain_and_nothing_personal() {
        for good in ["1", "u-1_2.3:4", "6001001", &"a".repeat(64)] {
            assert!(ExternalId::parse(good, TODAY).is_ok(), "{good}");
        }
        let long = "a".repeat(65);
        for bad in ["", " 1", "a b", "用户", "a\0", "a/b", &long] {
            assert_eq!(ExternalId::parse(bad, TODAY), Err(ExternalIdFault::Form), "{bad:?}");
        }
        for bad in ["13800000001", "u-13800000001", "110101190001010014"] {
            assert_eq!(ExternalId::parse(bad, TODAY), Err(ExternalIdFault::Personal), "{bad:?}");
            assert!(ExternalId::of_form(bad).is_ok());
        }
    }

    #[test]
    fn several_persons_are_none_in_particular() {
        let found = |id| Found { account_id: Uuid::from_u128(id), level: 1 };
        assert_eq!(Answer::of(&[]), Answer::Nobody);
        assert_eq!(Answer::of(&[found(1)]), Answer::One(found(1)));
        assert_eq!(Answer::of(&[found(1), found(2)]), Answer::Several);
    }
}
