//! The guardian on the form.

use time::OffsetDateTime;
use zhiyuan_contracts::identity::v1 as wire;
use zhiyuan_crypto::digest::Builder;
use zhiyuan_domain::{AgeRule, ChallengeId, IdNumber, Mobile, PersonName, Ward, shanghai_date};
use zhiyuan_rpc::Fields;

use super::form::sms_code;

/// A guardian without faults. No `Debug`: all of it is personal.
#[derive(Clone)]
pub(crate) struct Guardian {
    name: PersonName,
    id_number: IdNumber,
    relation: wire::GuardianRelation,
    phone: Mobile,
    challenge: ChallengeId,
    sms_code: String,
}

impl Guardian {
    /// Parses a guardian, and notes all faults.
    pub(super) fn parse(
        fields: &mut Fields,
        guardian: &wire::Guardian,
        ward: Ward<'_>,
        (now, rule): (OffsetDateTime, AgeRule),
    ) -> Option<Self> {
        let today = shanghai_date(now);
        let name = fields.take("guardian.name", PersonName::parse(&guardian.name));
        let number = fields.take("guardian.id_number", IdNumber::parse(&guardian.id_number, today));
        let number = number.and_then(|number| {
            fields.take("guardian.id_number", ward.guardian_number(number, today, rule))
        });
        let relation = guardian.relation();
        let known = relation != wire::GuardianRelation::Unspecified;
        if !known {
            fields.refuse("guardian.relation", "GUARDIAN_RELATION_UNKNOWN", "请选择与监护人的关系");
        }
        let phone = fields.take("guardian.phone", Mobile::parse(&guardian.phone));
        let phone =
            phone.and_then(|phone| fields.take("guardian.phone", ward.guardian_phone(phone)));
        let challenge = fields
            .take("guardian.sms_challenge_id", ChallengeId::parse(&guardian.sms_challenge_id));
        let sms_code = sms_code(&guardian.sms_code);
        if sms_code.is_none() {
            let message = "监护人的短信验证码应为 6 位数字";
            fields.refuse("guardian.sms_code", "SMS_CODE_FORMAT", message);
        }
        Some(Self {
            name: name?,
            id_number: number?,
            relation: known.then_some(relation)?,
            phone: phone?,
            challenge: challenge?,
            sms_code: sms_code?,
        })
    }

    /// As identity takes it.
    pub(super) fn to_wire(&self) -> wire::Guardian {
        wire::Guardian {
            name: self.name.as_str().to_owned(),
            id_number: self.id_number.as_str().to_owned(),
            relation: self.relation.into(),
            phone: self.phone.as_e164().to_owned(),
            sms_challenge_id: self.challenge.to_string(),
            sms_code: self.sms_code.clone(),
        }
    }

    /// Adds all of it to the digest of the form.
    pub(super) fn add_to<'a>(&self, digest: Builder<'a>) -> Builder<'a> {
        digest
            .field("guardian.name", self.name.as_str().as_bytes())
            .field("guardian.id_number", self.id_number.as_str().as_bytes())
            .field("guardian.relation", self.relation.as_str_name().as_bytes())
            .field("guardian.phone", self.phone.as_e164().as_bytes())
            .field("guardian.sms_challenge_id", self.challenge.as_uuid().as_bytes())
            .field("guardian.sms_code", self.sms_code.as_bytes())
    }
}
