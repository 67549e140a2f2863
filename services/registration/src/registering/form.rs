//! The form of the notice, every field parsed.

use time::OffsetDateTime;
use zhiyuan_contracts::identity::v1::{Consent, ConsentPurpose};
use zhiyuan_contracts::registration::v1::{RegisterOnBehalfRequest, RegisterRequest};
use zhiyuan_domain::{
    AgeClass, AgeRule, ChallengeId, IdNumber, InvalidPassword, Mobile, OrganizationCode, Password,
    PersonName, PersonalDetails, RegionCode, RequestId, Statement, Ward, registration_age,
    shanghai_date,
};
use zhiyuan_rpc::Fields;

use super::Refusal;
use super::guardian::Guardian;
use crate::error::{Error, Result};

/// More than there will ever be purposes.
const MOST_CONSENTS: usize = 16;
const LONGEST_VERSION: usize = 64;

/// Nobody's: the oldest ID number and a phone that stand in for those that could
/// not be parsed, so that the other rules for passwords are told all the same.
const NOBODYS_ID: &str = "110101190001010014";
const NOBODYS_PHONE: &str = "13000000000";
/// Nobody's either, with nothing in common with the first.
const ANOTHER_NOBODYS_ID: &str = "820000199912310014";
const ANOTHER_NOBODYS_PHONE: &str = "18777777777";

/// Proofs of identity are shorter.
const LONGEST_PROOF: usize = 128;

/// Who applies.
#[derive(Clone)]
pub(crate) enum Who {
    /// As the person filled it in.
    Applicant(Applicant),
    /// Whom a roster names: by the proof of an activation, which identity judges.
    Activated(String),
}

/// Who applies, as the person filled it in.
#[derive(Clone)]
pub(crate) struct Applicant {
    pub(crate) name: PersonName,
    pub(crate) id_number: IdNumber,
    pub(crate) phone: Mobile,
    pub(crate) challenge: ChallengeId,
    pub(crate) sms_code: String,
}

/// A form without faults. Silent in `Debug`: all of it is personal.
#[derive(Clone)]
pub(crate) struct Form {
    pub(crate) request_id: RequestId,
    pub(crate) who: Who,
    pub(crate) region: RegionCode,
    pub(crate) organization: OrganizationCode,
    pub(crate) password: Password,
    pub(crate) league_member: bool,
    /// By purpose, then version: their order on the form means nothing.
    pub(crate) consents: Vec<(ConsentPurpose, String)>,
    /// The platform on whose page it was filled in; on none, if there is none.
    pub(crate) via: Option<String>,
    /// Who consents, if the person is too young to register alone: else identity keeps
    /// nothing of it.
    pub(crate) guardian: Option<Guardian>,
    /// Whether somebody of 16 or 17 lives on own income, by own statement.
    pub(crate) own_income: bool,
    /// If the ID number is somebody else's, it is claimed, and this is said to it.
    pub(crate) claim: Option<Statement>,
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Form(***)")
    }
}

impl Form {
    /// Parses all fields.
    ///
    /// # Errors
    /// `INVALID_FIELDS` with all faults at once.
    pub(crate) fn parse(
        request: &RegisterRequest,
        now: OffsetDateTime,
        rule: AgeRule,
    ) -> Result<Self> {
        Self::parse_fields(request, Fields::new(), (now, rule))
    }

    /// Parses the form that a platform passes on, a field of its request.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub(crate) fn parse_via(
        request: &RegisterOnBehalfRequest,
        platform: String,
        (now, rule): (OffsetDateTime, AgeRule),
    ) -> Result<Self> {
        // Without it, every field that it has to have is missing.
        let form = request.registration.clone().unwrap_or_default();
        let mut fields = Fields::within("registration.");
        if !form.activation_proof.is_empty() {
            let message = "激活凭证只能在本平台页面上使用，请填写姓名和身份证号码注册";
            fields.refuse("activation_proof", "ACTIVATION_PROOF_ELSEWHERE", message);
        }
        if !form.claim_statement.is_empty() {
            let message = "身份认领只能在本平台页面上提出";
            fields.refuse("claim_statement", "CLAIM_ELSEWHERE", message);
        }
        let form = Self::parse_fields(&form, fields, (now, rule))?;
        Ok(Self { via: Some(platform), ..form })
    }

    fn parse_fields(
        request: &RegisterRequest,
        mut fields: Fields,
        (now, rule): (OffsetDateTime, AgeRule),
    ) -> Result<Self> {
        let today = shanghai_date(now);
        let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
        let activated = !request.activation_proof.is_empty();
        let (name, id_number) = if activated {
            (None, None)
        } else {
            (
                fields.take("name", PersonName::parse(&request.name)),
                fields.take("id_number", IdNumber::parse(&request.id_number, today)),
            )
        };
        let region = fields.take("region_code", RegionCode::parse(&request.region_code));
        let organization =
            fields.take("organization_code", OrganizationCode::parse(&request.organization_code));
        let phone =
            if activated { None } else { fields.take("phone", Mobile::parse(&request.phone)) };
        let code = if activated { None } else { code_fields(&mut fields, request) };
        let proof = if activated { activated_field(&mut fields, request) } else { None };
        let password = match password(&request.password, id_number.as_ref(), phone.as_ref(), now) {
            Some(parsed) => fields.take("password", parsed),
            // identity alone knows whose details it must not hold.
            None if activated => fields.take("password", unjudged(&request.password, now)),
            None => None,
        };
        let consents = consents(&mut fields, &request.consents);
        let ward = Ward { id_number: id_number.as_ref(), phone: phone.as_ref() };
        let guardian = request.guardian.as_ref();
        let guardian = guardian.and_then(|g| Guardian::parse(&mut fields, g, ward, (now, rule)));
        let claim = match &*request.claim_statement {
            "" => None,
            text => fields.take("claim_statement", Statement::parse(text)),
        };
        let who = match (proof, name, id_number, phone, code) {
            (Some(proof), ..) => Some(Who::Activated(proof)),
            (None, Some(name), Some(id_number), Some(phone), Some((challenge, sms_code))) => {
                Some(Who::Applicant(Applicant { name, id_number, phone, challenge, sms_code }))
            }
            _ => None,
        };
        match (request_id, who, region, organization, password, consents) {
            (
                Some(request_id),
                Some(who),
                Some(region),
                Some(organization),
                Some(password),
                Some(consents),
            ) => {
                fields.finish()?;
                Ok(Self {
                    request_id,
                    who,
                    region,
                    organization,
                    password,
                    league_member: request.league_member,
                    consents,
                    via: None,
                    guardian,
                    own_income: request.own_income,
                    claim,
                })
            }
            _ => Err(fields.into_error().into()),
        }
    }

    /// Checks the age on the day, in Asia/Shanghai (中国注册志愿者管理办法).
    ///
    /// # Errors
    /// `UNDER_AGE` before 14; `GUARDIAN_REQUIRED` from 14 to 17 without a guardian, from 16
    /// on unless the person lives on own income.
    pub(crate) fn check_age(&self, now: OffsetDateTime, rule: AgeRule) -> Result<()> {
        // Of whom a roster names, identity knows the age.
        let Who::Applicant(applicant) = &self.who else { return Ok(()) };
        let class = registration_age(applicant.id_number.birth_date(), shanghai_date(now), rule);
        if class == AgeClass::TooYoung {
            return Err(Error::Refused(Refusal::UnderAge));
        }
        if class.needs_guardian(self.own_income) && self.guardian.is_none() {
            return Err(Error::Refused(Refusal::GuardianRequired));
        }
        Ok(())
    }
}

/// The proof of an activation; what it stands for stays empty.
fn activated_field(fields: &mut Fields, request: &RegisterRequest) -> Option<String> {
    for (field, value) in [
        ("name", &request.name),
        ("id_number", &request.id_number),
        ("phone", &request.phone),
        ("sms_challenge_id", &request.sms_challenge_id),
        ("sms_code", &request.sms_code),
        ("claim_statement", &request.claim_statement),
    ] {
        if !value.is_empty() {
            fields.refuse(field, "ACTIVATION_PROOF_ALONE", "使用激活凭证时请勿填写此项");
        }
    }
    let proof = &request.activation_proof;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if proof.len() > LONGEST_PROOF || !proof.bytes().all(plain) {
        let message = "激活凭证格式不正确，请重新验证默认密码后再提交";
        fields.refuse("activation_proof", "ACTIVATION_PROOF_FORMAT", message);
        return None;
    }
    Some(proof.clone())
}

/// The code that was sent, and with which challenge.
fn code_fields(fields: &mut Fields, request: &RegisterRequest) -> Option<(ChallengeId, String)> {
    let challenge = fields.take("sms_challenge_id", ChallengeId::parse(&request.sms_challenge_id));
    let sms_code = sms_code(&request.sms_code);
    if sms_code.is_none() {
        fields.refuse("sms_code", "SMS_CODE_FORMAT", "短信验证码应为 6 位数字");
    }
    Some((challenge?, sms_code?))
}

/// Six digits; full-width ones and white space, as phones paste them, are taken.
pub(super) fn sms_code(input: &str) -> Option<String> {
    // No code is longer, whatever surrounds it.
    if input.len() > 64 {
        return None;
    }
    let code: String = input
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| match c {
            '０'..='９' => u32::from(c).checked_sub(0xFEE0).and_then(char::from_u32).unwrap_or(c),
            c => c,
        })
        .collect();
    (code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit())).then_some(code)
}

/// `None` if the password can't be judged before ID number and phone are right.
fn password(
    input: &str,
    id_number: Option<&IdNumber>,
    phone: Option<&Mobile>,
    now: OffsetDateTime,
) -> Option<std::result::Result<Password, InvalidPassword>> {
    if let (Some(id_number), Some(mobile)) = (id_number, phone) {
        return Some(Password::parse(input, &PersonalDetails { id_number, mobile }));
    }
    let id_number =
        id_number.cloned().or_else(|| IdNumber::parse(NOBODYS_ID, shanghai_date(now)).ok())?;
    let mobile = phone.cloned().or_else(|| Mobile::parse(NOBODYS_PHONE).ok())?;
    let details = PersonalDetails { id_number: &id_number, mobile: &mobile };
    match Password::parse(input, &details) {
        // Of nobody, perhaps; and this form is refused for another field anyway.
        Ok(_) | Err(InvalidPassword::Personal) => None,
        refused => Some(refused),
    }
}

/// A password that holds no part of the details of one of two people who are nobody: then it
/// is in order but for the details of whoever has it.
fn unjudged(input: &str, now: OffsetDateTime) -> std::result::Result<Password, InvalidPassword> {
    let nobodies = [(NOBODYS_ID, NOBODYS_PHONE), (ANOTHER_NOBODYS_ID, ANOTHER_NOBODYS_PHONE)];
    let judged = nobodies.into_iter().find_map(|(id_number, mobile)| {
        let id_number = IdNumber::parse(id_number, shanghai_date(now)).ok()?;
        let mobile = Mobile::parse(mobile).ok()?;
        let details = PersonalDetails { id_number: &id_number, mobile: &mobile };
        Password::parse(input, &details).ok()
    });
    judged.ok_or(InvalidPassword::Personal)
}

fn consents(fields: &mut Fields, given: &[Consent]) -> Option<Vec<(ConsentPurpose, String)>> {
    if given.len() > MOST_CONSENTS {
        fields.refuse("consents", "CONSENTS_TOO_MANY", "同意事项过多，请刷新页面后重新提交");
        return None;
    }
    let mut parsed = Vec::with_capacity(given.len());
    for (index, consent) in given.iter().enumerate() {
        let purpose = ConsentPurpose::try_from(consent.purpose)
            .ok()
            .filter(|purpose| *purpose != ConsentPurpose::Unspecified);
        if purpose.is_none() {
            fields.refuse(
                &format!("consents[{index}].purpose"),
                "CONSENT_PURPOSE_UNKNOWN",
                "同意事项的类别不存在，请刷新页面后重新提交",
            );
        }
        let fits = is_version(&consent.version);
        if !fits {
            fields.refuse(
                &format!("consents[{index}].version"),
                "CONSENT_VERSION_INVALID",
                "告知书版本应为 1 至 64 个字母、数字、点或短横线，请刷新页面后重新提交",
            );
        }
        if let (Some(purpose), true) = (purpose, fits) {
            parsed.push((purpose, consent.version.clone()));
        }
    }
    parsed.sort();
    Some(parsed)
}

/// As pages send it, nobody types it: nothing is trimmed. What else it may hold, such
/// as a NUL, identity could not even look up.
fn is_version(input: &str) -> bool {
    (1..=LONGEST_VERSION).contains(&input.len())
        && input.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests;
