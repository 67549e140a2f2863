//! Who consents for somebody of 14 to 17: the guardian proves a phone, and the register
//! knows name and number.

use serde::{Deserialize, Serialize};
use time::{Date, OffsetDateTime};
use uuid::Uuid;
use zeroize::Zeroizing;
use zhiyuan_contracts::identity::v1 as wire;
use zhiyuan_crypto::keys::DataKey;
use zhiyuan_domain::{AgeRule, IdNumber, Mobile, PersonName, Ward};
use zhiyuan_rpc::Fields;
use zhiyuan_rpc::wire::timestamp;

use super::db::guardians;
use crate::error::{Error, Result};
use crate::keys::{Column, Vault};
use crate::sms_codes::{self, Code};

/// What the guardian is to the person; the numbers are those of the contract and of the
/// database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Father = 1,
    Mother = 2,
    Other = 3,
}

impl Relation {
    pub(crate) fn as_column(self) -> i16 {
        self as i16
    }

    pub(crate) fn from_column(column: i16) -> Option<Self> {
        [Self::Father, Self::Mother, Self::Other].into_iter().find(|r| r.as_column() == column)
    }

    pub(crate) fn to_wire(self) -> wire::GuardianRelation {
        match self {
            Self::Father => wire::GuardianRelation::Father,
            Self::Mother => wire::GuardianRelation::Mother,
            Self::Other => wire::GuardianRelation::Other,
        }
    }
}

/// A guardian as applied with. Not for logs: the code is in clear.
pub(crate) struct Guardian {
    pub(crate) details: Details,
    pub(crate) relation: Relation,
    pub(crate) code: Code,
}

/// Who a guardian is.
#[derive(PartialEq, Eq)]
pub(crate) struct Details {
    pub(crate) name: PersonName,
    pub(crate) id_number: IdNumber,
    pub(crate) phone: Mobile,
}

/// As it is sealed.
#[derive(Serialize, Deserialize)]
struct Sealed<'a> {
    name: &'a str,
    id_number: &'a str,
    phone: &'a str,
}

impl Guardian {
    /// Parses a guardian, and notes all faults.
    pub(crate) fn parse(
        fields: &mut Fields,
        guardian: &wire::Guardian,
        ward: Ward<'_>,
        (today, rule): (Date, AgeRule),
    ) -> Option<Self> {
        let name = fields.take("guardian.name", PersonName::parse(&guardian.name));
        let number = fields.take("guardian.id_number", IdNumber::parse(&guardian.id_number, today));
        let number = number.and_then(|number| {
            fields.take("guardian.id_number", ward.guardian_number(number, today, rule))
        });
        let phone = fields.take("guardian.phone", Mobile::parse(&guardian.phone));
        let phone =
            phone.and_then(|phone| fields.take("guardian.phone", ward.guardian_phone(phone)));
        let relation = i16::try_from(guardian.relation).ok().and_then(Relation::from_column);
        if relation.is_none() {
            fields.refuse("guardian.relation", "GUARDIAN_RELATION_UNKNOWN", "请选择与监护人的关系");
        }
        let code = sms_codes::code_of(
            fields,
            ("guardian.sms_challenge_id", &guardian.sms_challenge_id),
            ("guardian.sms_code", &guardian.sms_code),
        );
        let details = Details { name: name?, id_number: number?, phone: phone? };
        Some(Self { details, relation: relation?, code: code? })
    }
}

impl Details {
    pub(crate) fn seal(
        &self,
        vault: &Vault,
        key: &DataKey,
        column: Column,
        row: Uuid,
    ) -> Result<Vec<u8>> {
        let sealed = Sealed {
            name: self.name.as_str(),
            id_number: self.id_number.as_str(),
            phone: self.phone.as_e164(),
        };
        let text = serde_json::to_string(&sealed).map(Zeroizing::new);
        let text = text.map_err(|_never| Error::Cryptography("guardian"))?;
        vault.seal(key, column, row, &text)
    }

    pub(crate) fn open(
        vault: &Vault,
        key: &DataKey,
        (column, row): (Column, Uuid),
        sealed: &[u8],
        today: Date,
    ) -> Result<Self> {
        let text = vault.open(key, column, row, sealed)?;
        let corrupt = || Error::Inconsistent("a guardian");
        let sealed: Sealed<'_> = serde_json::from_str(&text).map_err(|_form| corrupt())?;
        Ok(Self {
            name: PersonName::parse(sealed.name).map_err(|_invalid| corrupt())?,
            id_number: IdNumber::parse(sealed.id_number, today).map_err(|_invalid| corrupt())?,
            phone: Mobile::parse(sealed.phone).map_err(|_invalid| corrupt())?,
        })
    }

    /// The guardian of an account.
    pub(crate) fn of_account(
        vault: &Vault,
        key: &DataKey,
        account_id: Uuid,
        consent: &guardians::Consent,
        now: OffsetDateTime,
    ) -> Result<Self> {
        let cell = (Column::GuardianConsent, account_id);
        let today = zhiyuan_domain::shanghai_date(now);
        Self::open(vault, key, cell, &consent.guardian, today)
    }

    /// What of a consent may be shown.
    pub(crate) fn shown(&self, consent: guardians::Consent) -> wire::GuardianConsent {
        wire::GuardianConsent {
            masked_name: self.name.masked(),
            relation: consent.relation.to_wire().into(),
            masked_phone: self.phone.masked(),
            consent_time: Some(timestamp(consent.consented_at)),
            consent_version: consent.consent_version,
        }
    }
}
