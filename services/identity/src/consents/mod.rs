//! Consents: the texts in force, whether somebody has agreed to what must be agreed to,
//! and the ledger of what people agreed to and took back. Each purpose stands apart from the
//! others, and is taken back as easily as it is given.

mod changing;
pub(crate) mod db;
mod grpc;

pub(crate) use changing::{Ledger, tell};
pub(crate) use grpc::Consents;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use zhiyuan_contracts::identity::v1::ConsentPurpose;
use zhiyuan_crypto::digest::unkeyed;

const TEXTS: &str = include_str!("../../texts/consents.toml");

/// A text in force.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Text {
    pub(crate) purpose: Purpose,
    pub(crate) version: String,
    pub(crate) required: bool,
    #[serde(deserialize_with = "rfc3339")]
    pub(crate) effective: OffsetDateTime,
    pub(crate) title: String,
    pub(crate) body: String,
}

impl Text {
    /// The SHA-256 of what was shown.
    fn hash(&self) -> [u8; 32] {
        unkeyed([&self.title, "\n", &self.body].concat().as_bytes())
    }
}

/// What a person consents to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Purpose {
    /// Registering, with the real-name check.
    Registration,
    /// Passing records on to the credit system.
    CreditSharing,
    /// Passing data on to the insurer.
    Insurance,
    /// Showing the masked name in public lists.
    PublicLists,
}

impl Purpose {
    /// From the wire; `None` for a purpose that is none.
    pub(crate) fn from_wire(wire: i32) -> Option<Self> {
        match ConsentPurpose::try_from(wire).ok()? {
            ConsentPurpose::Unspecified => None,
            ConsentPurpose::Registration => Some(Self::Registration),
            ConsentPurpose::CreditSharing => Some(Self::CreditSharing),
            ConsentPurpose::Insurance => Some(Self::Insurance),
            ConsentPurpose::PublicLists => Some(Self::PublicLists),
        }
    }

    /// From the column `purpose`, which has the number of the wire.
    fn from_column(column: i16) -> Option<Self> {
        Self::from_wire(column.into())
    }

    /// As in the column `purpose`.
    fn as_column(self) -> i16 {
        match self {
            Self::Registration => 1,
            Self::CreditSharing => 2,
            Self::Insurance => 3,
            Self::PublicLists => 4,
        }
    }

    /// As in the audit.
    fn as_word(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::CreditSharing => "credit_sharing",
            Self::Insurance => "insurance",
            Self::PublicLists => "public_lists",
        }
    }

    /// To the wire.
    pub(crate) fn to_wire(self) -> ConsentPurpose {
        match self {
            Self::Registration => ConsentPurpose::Registration,
            Self::CreditSharing => ConsentPurpose::CreditSharing,
            Self::Insurance => ConsentPurpose::Insurance,
            Self::PublicLists => ConsentPurpose::PublicLists,
        }
    }
}

/// A consent that was given.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Given {
    pub(crate) purpose: Purpose,
    pub(crate) version: String,
}

/// When somebody agreed to something or took it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// While registering.
    Registering,
    /// Afterwards, signed in.
    SignedIn,
}

impl Occasion {
    fn from_column(column: i16) -> Option<Self> {
        [Self::Registering, Self::SignedIn].into_iter().find(|known| known.as_column() == column)
    }

    fn as_column(self) -> i16 {
        match self {
            Self::Registering => 1,
            Self::SignedIn => 2,
        }
    }
}

/// An entry that is to be added to the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewEntry {
    pub(crate) purpose: Purpose,
    pub(crate) version: String,
    /// Unknown for a text that went out of force while an applicant waited.
    pub(crate) text_hash: Option<[u8; 32]>,
    pub(crate) given: bool,
    pub(crate) occasion: Occasion,
}

/// An entry of the ledger.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) number: i32,
    pub(crate) purpose: Purpose,
    pub(crate) version: String,
    pub(crate) text_hash: Option<Vec<u8>>,
    pub(crate) given: bool,
    pub(crate) occasion: Occasion,
    pub(crate) entered_at: OffsetDateTime,
}

/// Where somebody stands with a purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The entry that says so.
    pub(crate) number: i32,
    pub(crate) purpose: Purpose,
    pub(crate) given: bool,
    pub(crate) version: String,
    pub(crate) since: OffsetDateTime,
}

/// What is wrong with the consents of an applicant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lack {
    /// A required one is missing.
    Missing,
    /// One names a version that is not in force.
    Outdated,
}

/// The texts in force.
#[derive(Debug, Clone)]
pub(crate) struct Texts(Vec<Text>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    text: Vec<Text>,
}

impl Texts {
    /// Reads the texts that are compiled in.
    ///
    /// # Errors
    /// When the file is malformed; a test reads it.
    pub(crate) fn load() -> Result<Self, toml::de::Error> {
        Ok(Self(toml::from_str::<File>(TEXTS)?.text))
    }

    /// In the order in which they are shown.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Text> {
        self.0.iter()
    }

    /// The text in force for a purpose.
    pub(crate) fn in_force(&self, purpose: Purpose) -> Option<&Text> {
        self.0.iter().find(|text| text.purpose == purpose)
    }

    /// What an applicant agreed to, for the ledger.
    pub(crate) fn entries(&self, given: &[Given]) -> Vec<NewEntry> {
        let entry = |given: &Given| NewEntry {
            purpose: given.purpose,
            version: given.version.clone(),
            text_hash: self
                .in_force(given.purpose)
                .filter(|text| text.version == given.version)
                .map(Text::hash),
            given: true,
            occasion: Occasion::Registering,
        };
        given.iter().map(entry).collect()
    }

    /// Whether an applicant has agreed to all that is required, and to nothing that
    /// is not in force.
    pub(crate) fn check(&self, given: &[Given]) -> Result<(), Lack> {
        let in_force = |given: &Given| {
            self.0.iter().any(|text| text.purpose == given.purpose && text.version == given.version)
        };
        if !given.iter().all(in_force) {
            return Err(Lack::Outdated);
        }
        let agreed = |text: &Text| given.iter().any(|given| given.purpose == text.purpose);
        if !self.0.iter().filter(|text| text.required).all(agreed) {
            return Err(Lack::Missing);
        }
        Ok(())
    }
}

fn rfc3339<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<OffsetDateTime, D::Error> {
    let datetime = toml::value::Datetime::deserialize(deserializer)?;
    OffsetDateTime::parse(&datetime.to_string(), &time::format_description::well_known::Rfc3339)
        .map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(purpose: Purpose, version: &str) -> Given {
        Given { purpose, version: version.into() }
    }

    #[test]
    fn the_texts_that_are_compiled_in_can_be_read_one_for_each_purpose() {
        let texts = Texts::load().unwrap();
        let mut purposes: Vec<Purpose> = texts.iter().map(|text| text.purpose).collect();
        let all = purposes.len();
        purposes.sort_by_key(|purpose| *purpose as u8);
        purposes.dedup();
        assert_eq!((purposes.len(), all), (4, 4));
        for purpose in purposes {
            assert_eq!(Purpose::from_column(purpose.as_column()), Some(purpose));
            assert_eq!(i32::from(purpose.as_column()), i32::from(purpose.to_wire()));
        }
    }

    #[test]
    fn the_required_consent_must_be_there_in_the_version_in_force() {
        let texts = Texts::load().unwrap();
        let version = texts.iter().next().unwrap().version.clone();
        assert_eq!(texts.check(&[]), Err(Lack::Missing));
        assert_eq!(texts.check(&[given(Purpose::Insurance, &version)]), Err(Lack::Missing));
        assert_eq!(texts.check(&[given(Purpose::Registration, "2019")]), Err(Lack::Outdated));
        assert_eq!(texts.check(&[given(Purpose::Registration, &version)]), Ok(()));
        let both = [given(Purpose::Registration, &version), given(Purpose::Insurance, "2019")];
        assert_eq!(texts.check(&both), Err(Lack::Outdated));
    }
}
