//! Ids: UUIDs with a type for each thing they name, and the partition that an id falls into.

use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use uuid::{NoContext, Timestamp, Uuid};

use crate::clock::Clock;

/// Makes a UUIDv7: the milliseconds of the clock, then random bits.
///
/// Ids of one millisecond are in no order; who needs an order keeps a position.
pub fn new_id(clock: &dyn Clock) -> Uuid {
    let now = clock.now();
    // A clock before 1970 is a broken clock: its ids are still unique.
    let seconds = u64::try_from(now.unix_timestamp()).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.nanosecond()))
}

/// The least id that [`new_id`] can make in the millisecond of `at`: all that were made before
/// are less, by the order of their bytes, which is also that of PostgreSQL.
pub fn least_id_of(at: OffsetDateTime) -> Uuid {
    let milliseconds = u128::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
    Uuid::from_u128(milliseconds << 80)
}

/// Why an id was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Not 36 characters of hexadecimal digits with hyphens.
    #[error("id is not a hyphenated uuid")]
    Format,
    /// An id made by a caller that is not a UUID of version 4 or 7.
    #[error("id is not a uuid of version 4 or 7")]
    Version,
}

impl InvalidId {
    /// Returns the stable name of the broken rule.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Format => "ID_FORMAT",
            Self::Version => "REQUEST_ID_VERSION",
        }
    }

    /// Returns what to do about it, in zh-CN.
    pub fn message(self) -> &'static str {
        match self {
            Self::Format => "标识格式不正确，应为带连字符的 36 位 UUID",
            Self::Version => "请求标识必须是随机生成的 UUID（版本 4 或版本 7），请重新生成后再提交",
        }
    }
}

/// Accepts the hyphenated form alone, so that one id has one spelling but for its case.
fn parse_hyphenated(text: &str) -> Result<Uuid, InvalidId> {
    text.parse::<uuid::fmt::Hyphenated>().map(Uuid::from).map_err(|_| InvalidId::Format)
}

fn any_version(_: Uuid) -> Result<(), InvalidId> {
    Ok(())
}

/// A constant or a time-only id chosen by a client would make strangers share one request.
fn random_version(uuid: Uuid) -> Result<(), InvalidId> {
    let rfc_variant = uuid.get_variant() == uuid::Variant::RFC4122;
    match uuid.get_version_num() {
        4 | 7 if rfc_variant => Ok(()),
        _ => Err(InvalidId::Version),
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Parses the hyphenated form, in either case.
            ///
            /// # Errors
            /// Another form; of an id that callers make also nil, max, and other versions
            /// than 4 and 7.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                let uuid = parse_hyphenated(text)?;
                $check(uuid)?;
                Ok(Self(uuid))
            }

            /// Returns the UUID.
            pub fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        /// Takes an id that was parsed or made before, e.g. one from the database.
        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        /// Writes the hyphenated lower-case form.
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}", self.0.as_hyphenated())
            }
        }
    };
}

id!(
    /// Names an account; the same UUID as the [`VolunteerId`] of that person.
    AccountId,
    any_version
);
id!(
    /// Names a volunteer; the same UUID as the [`AccountId`] of that person.
    VolunteerId,
    any_version
);
id!(
    /// Names an attempt to enrol, from the submitted form to its end. Made by who calls.
    EnrolmentId,
    random_version
);
id!(
    /// Names an SMS code that was sent.
    ChallengeId,
    any_version
);
id!(
    /// Names an attempt to give an account another phone in place of a lost one. Made by who
    /// calls.
    RecoveryId,
    random_version
);
id!(
    /// Names an uploaded roster. Made by who calls.
    RosterFileId,
    random_version
);
id!(
    /// Chosen by a client for one mutation; a repeated one means the same mutation.
    RequestId,
    random_version
);

/// The share of the ids that one reader of a feed takes: 0 to 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(u8);

impl Partition {
    /// How many partitions there are; fixed, because positions are counted in each of them.
    pub const COUNT: i16 = 64;

    /// Returns the partition of an id: the low six bits of its last byte, which are random in
    /// versions 4 and 7.
    pub fn of(id: Uuid) -> Self {
        let [.., last] = id.into_bytes();
        Self(last & 63)
    }

    /// Returns the partition of a key that is no id, such as the code of an organization: the
    /// low six bits of the first byte of its SHA-256, which PostgreSQL computes as
    /// `get_byte(sha256(key::bytea), 0) % 64`.
    pub fn of_key(key: &str) -> Self {
        let [first, ..]: [u8; 32] = Sha256::digest(key).into();
        Self(first & 63)
    }

    /// Returns the number of the partition, 0 to 63.
    pub fn get(self) -> i16 {
        i16::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use uuid::uuid;

    use super::*;
    use crate::clock::ManualClock;

    const V7: &str = "01938a6e-7c00-7abc-8def-0123456789ab";

    #[test]
    fn a_new_id_is_version_7_with_the_time_of_the_clock() {
        let clock = ManualClock::new(datetime!(2026-11-23 12:00:00.123 UTC));
        let (one, two) = (new_id(&clock), new_id(&clock));
        assert_ne!(one, two);
        assert_eq!(one.get_version_num(), 7);
        let (seconds, nanos) = one.get_timestamp().unwrap().to_unix();
        assert_eq!(seconds, datetime!(2026-11-23 12:00 UTC).unix_timestamp() as u64);
        assert_eq!(nanos, 123_000_000);
        clock.advance(std::time::Duration::from_millis(1));
        assert!(new_id(&clock) > one.max(two));
    }

    #[test]
    fn ids_of_before_are_less_than_the_least_of_a_moment() {
        let clock = ManualClock::new(datetime!(2026-11-23 12:00:00.123_456 UTC));
        let before = new_id(&clock);
        assert!(least_id_of(clock.now()) < before, "of its own millisecond");
        clock.advance(std::time::Duration::from_millis(1));
        let least = least_id_of(clock.now());
        assert!(before < least && least < new_id(&clock));
        assert_eq!(least_id_of(datetime!(1960-01-01 0:00 UTC)), Uuid::nil());
    }

    #[test]
    fn a_clock_before_1970_still_makes_ids() {
        let clock = ManualClock::new(datetime!(1960-01-01 0:00 UTC));
        assert_ne!(new_id(&clock), new_id(&clock));
    }

    #[test]
    fn an_id_reads_either_case_and_writes_lower_case() {
        let id = AccountId::parse(&V7.to_uppercase()).unwrap();
        assert_eq!(id, AccountId::parse(V7).unwrap());
        assert_eq!(id.to_string(), V7);
        assert_eq!(AccountId::from(id.as_uuid()), id);
    }

    #[test]
    fn an_id_has_one_form_only() {
        for text in [
            "",
            "01938a6e7c007abc8def0123456789ab",
            "{01938a6e-7c00-7abc-8def-0123456789ab}",
            "urn:uuid:01938a6e-7c00-7abc-8def-0123456789ab",
            " 01938a6e-7c00-7abc-8def-0123456789ab",
            "01938a6e-7c00-7abc-8def-0123456789ag",
            "０1938a6e-7c00-7abc-8def-0123456789a",
        ] {
            assert_eq!(VolunteerId::parse(text), Err(InvalidId::Format), "{text}");
        }
    }

    #[test]
    fn a_request_id_is_of_version_4_or_7() {
        assert!(RequestId::parse(V7).is_ok());
        assert!(RequestId::parse("9b2f8f1e-6f0c-4a3b-9c1d-2e3f4a5b6c7d").is_ok());
        for text in [
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "c232ab00-9414-11ec-b3c8-9f6bdeced846",
            "5df41881-3aed-3515-88a7-2f4a814cf09e",
            "9b2f8f1e-6f0c-4a3b-cc1d-2e3f4a5b6c7d",
        ] {
            assert_eq!(RequestId::parse(text), Err(InvalidId::Version), "{text}");
            assert_eq!(EnrolmentId::parse(text), Err(InvalidId::Version), "{text}");
            assert!(ChallengeId::parse(text).is_ok());
        }
    }

    #[test]
    fn every_error_has_a_reason_and_a_message() {
        assert_eq!(InvalidId::Format.reason(), "ID_FORMAT");
        assert_eq!(InvalidId::Version.reason(), "REQUEST_ID_VERSION");
        assert_ne!(InvalidId::Format.message(), InvalidId::Version.message());
    }

    #[test]
    fn the_partition_is_the_end_of_the_id() {
        assert_eq!(Partition::of(uuid!("01938a6e-7c00-7abc-8def-0123456789ab")).get(), 0x2b);
        assert_eq!(Partition::of(Uuid::nil()).get(), 0);
        assert_eq!(Partition::of(Uuid::max()).get(), Partition::COUNT - 1);
    }

    #[test]
    fn the_partition_of_a_key_is_the_beginning_of_its_digest() {
        // The first two are the digests of FIPS 180: ba7816bf…, e3b0c442….
        for (key, partition) in [("abc", 0xba & 63), ("", 0xe3 & 63), ("AH", 0x52 & 63)] {
            assert_eq!(Partition::of_key(key).get(), partition, "{key}");
        }
    }
}
