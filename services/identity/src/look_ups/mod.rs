//! Look-ups by platforms: is this person registered? A platform names the person by what it
//! has, an ID number or a phone, or by its own id, which it may bind to a volunteer.
//!
//! The answer says no more than that, and has one shape whether the person is known or not.
//! Look-ups by what is personal are limited for each platform by the day, and each is recorded
//! with its purpose, where the person can read it.

pub(crate) mod db;
mod grpc;
mod looking;

pub(crate) use grpc::LookUpRpc;
pub(crate) use looking::LookUps;

use uuid::Uuid;
use zhiyuan_contracts::identity::v1::LookUpPurpose;
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

/// What a platform calls a person. Nothing personal: what reads as an ID number or a phone is
/// none, since these ids are kept in clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExternalId(String);

impl ExternalId {
    /// Reads an id; `today` is that of the person's calendar.
    pub(crate) fn parse(text: &str, today: time::Date) -> Option<Self> {
        let fits = (1..=EXTERNAL_ID).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
        let personal = Mobile::parse(text).is_ok() || IdNumber::parse(text, today).is_ok();
        (fits && !personal).then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name under which a purpose is recorded; none, if it is none.
pub(crate) fn purpose_name(purpose: LookUpPurpose) -> Option<&'static str> {
    match purpose {
        LookUpPurpose::Unspecified => None,
        LookUpPurpose::ActivityEnrolment => Some("报名参加志愿服务活动"),
        LookUpPurpose::ServiceHours => Some("记录或核对志愿服务时长"),
        LookUpPurpose::AccountLinking => Some("关联平台账号"),
        LookUpPurpose::Insurance => Some("办理志愿者保险"),
        LookUpPurpose::Credit => Some("落实信用激励"),
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
            assert!(ExternalId::parse(good, TODAY).is_some(), "{good}");
        }
        let long = "a".repeat(65);
        for bad in
            ["", " 1", "a b", "用户", "a\0", "a/b", &long, "13800000001", "110101190001010014"]
        {
            assert!(ExternalId::parse(bad, TODAY).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn several_persons_are_none_in_particular() {
        let found = |id| Found { account_id: Uuid::from_u128(id), level: 1 };
        assert_eq!(Answer::of(&[]), Answer::Nobody);
        assert_eq!(Answer::of(&[found(1)]), Answer::One(found(1)));
        assert_eq!(Answer::of(&[found(1), found(2)]), Answer::Several);
    }

    #[test]
    fn every_purpose_but_none_has_its_name() {
        for number in 0..16 {
            let Ok(purpose) = LookUpPurpose::try_from(number) else { continue };
            assert_eq!(purpose_name(purpose).is_none(), number == 0, "{purpose:?}");
        }
    }
}
