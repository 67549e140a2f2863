//! identity, as this service asks it.

use time::OffsetDateTime;
use tonic_types::StatusExt as _;
use zhiyuan_contracts::identity::v1::enrolment_service_client::EnrolmentServiceClient;
use zhiyuan_contracts::identity::v1::{
    ActivateEnrolmentRequest, BeginEnrolmentRequest, Consent, DecideEnrolmentRequest,
    DiscardEnrolmentRequest, Enrolment, EnrolmentRefusal, EnrolmentState, ErrorReason,
    GetEnrolmentRequest, ListClaimedEnrolmentsRequest,
};
use zhiyuan_domain::{AccountId, EnrolmentId};
use zhiyuan_rpc::{Fields, Remote, SuiteChannel};

use super::form::{Form, Who};
use super::guardian::Guardian;
use super::{Heard, Refusal};
use crate::claims;
use crate::error::{Error, Result};
use crate::reviews::Decision;
use zhiyuan_rpc::wire::{from_timestamp, timestamp};

/// What identity tells of an enrolment.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) heard: Heard,
    /// `ALREADY_REGISTERED`: the applicant's own active account.
    pub(crate) owned: Option<AccountId>,
    /// All but the first character hidden; empty while there is no account.
    pub(crate) masked_name: String,
}

impl Told {
    fn unknown() -> Self {
        Self { heard: Heard::Unknown, owned: None, masked_name: String::new() }
    }
}

/// A client of identity's `EnrolmentService`.
#[derive(Debug, Clone)]
pub(crate) struct Enrolments {
    client: EnrolmentServiceClient<SuiteChannel>,
}

impl Enrolments {
    pub(crate) fn new(channel: SuiteChannel) -> Self {
        Self { client: EnrolmentServiceClient::new(channel) }
    }

    /// Sends the form; the same answer again and again.
    pub(crate) async fn begin(&self, id: EnrolmentId, form: &Form) -> Result<Told> {
        let consents = form
            .consents
            .iter()
            .map(|(purpose, version)| Consent {
                purpose: (*purpose).into(),
                version: version.clone(),
            })
            .collect();
        let who = match &form.who {
            Who::Applicant(applicant) => BeginEnrolmentRequest {
                name: applicant.name.as_str().to_owned(),
                id_number: applicant.id_number.as_str().to_owned(),
                phone: applicant.phone.as_e164().to_owned(),
                sms_challenge_id: applicant.challenge.to_string(),
                sms_code: applicant.sms_code.clone(),
                ..Default::default()
            },
            Who::Activated(proof) => {
                BeginEnrolmentRequest { activation_proof: proof.clone(), ..Default::default() }
            }
        };
        let claim = form.claim.as_ref().map(|statement| statement.as_str().to_owned());
        let request = BeginEnrolmentRequest {
            enrolment_id: id.to_string(),
            password: form.password.expose().to_owned(),
            consents,
            registered_via: form.via.clone().unwrap_or_default(),
            guardian: form.guardian.as_ref().map(Guardian::to_wire),
            own_income: form.own_income,
            claim_statement: claim.unwrap_or_default(),
            ..who
        };
        match self.client.clone().begin_enrolment(request).await {
            Ok(answer) => told(answer.into_inner().enrolment),
            Err(status) => {
                Err(faults(form, &status).unwrap_or_else(|| Remote::from(status).into()))
            }
        }
    }

    /// Asks how far an enrolment is.
    pub(crate) async fn get(&self, id: EnrolmentId) -> Result<Told> {
        let request = GetEnrolmentRequest { enrolment_id: id.to_string() };
        match self.client.clone().get_enrolment(request).await {
            Ok(answer) => told(answer.into_inner().enrolment),
            Err(status) => {
                Remote::from(status).unless(ErrorReason::EnrolmentNotFound)?;
                Ok(Told::unknown())
            }
        }
    }

    /// Activates the account. An enrolment that has none is told as it stands.
    pub(crate) async fn activate(&self, id: EnrolmentId) -> Result<Told> {
        let request = ActivateEnrolmentRequest { enrolment_id: id.to_string() };
        let status = match self.client.clone().activate_enrolment(request).await {
            Ok(answer) => return told(answer.into_inner().enrolment),
            Err(status) => status,
        };
        let remote = Remote::from(status);
        if remote.is(ErrorReason::EnrolmentNotFound) {
            Ok(Told::unknown())
        } else if remote.is(ErrorReason::EnrolmentNotClaimed) {
            self.get(id).await
        } else {
            Err(remote.into())
        }
    }

    /// Delivers what a person decided. What it can't be decided any more, or otherwise, is
    /// told as it stands.
    pub(crate) async fn decide(
        &self,
        id: EnrolmentId,
        decision: Decision,
        by: AccountId,
    ) -> Result<Told> {
        let request = DecideEnrolmentRequest {
            enrolment_id: id.to_string(),
            decision: decision.to_identity().into(),
            decided_by: by.to_string(),
        };
        let remote = match self.client.clone().decide_enrolment(request).await {
            Ok(answer) => return told(answer.into_inner().enrolment),
            Err(status) => Remote::from(status),
        };
        let stands = [
            ErrorReason::EnrolmentNotFound,
            ErrorReason::EnrolmentNotInReview,
            ErrorReason::EnrolmentDecided,
            ErrorReason::EnrolmentOwn,
        ];
        if stands.into_iter().any(|reason| remote.is(reason)) {
            tracing::warn!(enrolment.id = %id, reason = %remote.reason, "a decision has no effect");
            self.get(id).await
        } else {
            Err(remote.into())
        }
    }

    /// Lets identity let go of an enrolment, known or not.
    pub(crate) async fn discard(&self, id: EnrolmentId) -> Result<Heard> {
        let request = DiscardEnrolmentRequest { enrolment_id: id.to_string() };
        match self.client.clone().discard_enrolment(request).await {
            Ok(answer) => Ok(told(answer.into_inner().enrolment)?.heard),
            Err(status) => {
                Remote::from(status).unless(ErrorReason::EnrolmentActive)?;
                // Possible only after a service was restored to an older state. The
                // owner adopts the account by registering again.
                tracing::warn!(enrolment.id = %id, "an active account is left without a volunteer");
                Ok(Heard::Discarded)
            }
        }
    }

    /// Lists enrolments claimed before a time whose account is not active, each with
    /// that account, and the token of the next page.
    pub(crate) async fn list_claimed(
        &self,
        before: OffsetDateTime,
        page_token: String,
    ) -> Result<(Vec<(EnrolmentId, AccountId)>, String)> {
        let request = ListClaimedEnrolmentsRequest {
            claimed_before: Some(timestamp(before)),
            page_size: 0,
            page_token,
        };
        let answer =
            self.client.clone().list_claimed_enrolments(request).await.map_err(Remote::from)?;
        let answer = answer.into_inner();
        let claims = answer
            .enrolments
            .iter()
            .map(|enrolment| {
                let id = EnrolmentId::parse(&enrolment.enrolment_id)
                    .map_err(|_| Error::Contract("enrolment_id"))?;
                let account = AccountId::parse(&enrolment.account_id)
                    .map_err(|_| Error::Contract("account_id"))?;
                Ok((id, account))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok((claims, answer.next_page_token))
    }
}

/// What identity alone can find wrong with a form whose applicant it alone knows; `None` of any
/// other answer.
fn faults(form: &Form, status: &tonic::Status) -> Option<Error> {
    const KNOWN: [(&str, &str); 3] = [
        ("password", "PASSWORD_PERSONAL"),
        ("guardian.id_number", "GUARDIAN_IS_APPLICANT"),
        ("guardian.phone", "GUARDIAN_PHONE_SAME"),
    ];
    if !matches!(form.who, Who::Activated(_)) || status.code() != tonic::Code::InvalidArgument {
        return None;
    }
    let mut fields = Fields::new();
    let details = status.get_error_details();
    for fault in &details.bad_request()?.field_violations {
        let known =
            |(field, reason): &&(&str, &str)| *field == fault.field && *reason == fault.reason;
        let (field, reason) = KNOWN.iter().find(known)?;
        fields.refuse(field, reason, fault.description.clone());
    }
    fields.finish().err().map(Error::from)
}

fn told(enrolment: Option<Enrolment>) -> Result<Told> {
    let enrolment = enrolment.ok_or(Error::Contract("enrolment"))?;
    let account =
        || AccountId::parse(&enrolment.account_id).map_err(|_| Error::Contract("account_id"));
    let retry_at = || {
        let time = enrolment.next_retry_time.as_ref().and_then(from_timestamp);
        time.ok_or(Error::Contract("next_retry_time"))
    };
    let mut owned = None;
    let heard = match enrolment.state() {
        EnrolmentState::Unspecified => return Err(Error::Contract("state")),
        EnrolmentState::Accepted => Heard::Accepted,
        EnrolmentState::Pending => Heard::Pending { retry_at: retry_at()? },
        EnrolmentState::Review => {
            let claim = match &*enrolment.claim_against {
                "" => None,
                id => {
                    let id = AccountId::parse(id);
                    Some(id.map_err(|_| Error::Contract("claim_against"))?)
                }
            };
            Heard::Review { retry_at: retry_at()?, claim }
        }
        EnrolmentState::Claimed => Heard::Claimed { account: account()? },
        EnrolmentState::Active => Heard::Active { account: account()? },
        EnrolmentState::Discarded => Heard::Discarded,
        EnrolmentState::Refused => {
            let refusal = refusal(enrolment.refusal()).ok_or(Error::Contract("refusal"))?;
            if refusal == Refusal::AlreadyRegistered && !enrolment.account_id.is_empty() {
                owned = Some(account()?);
            }
            Heard::Refused { refusal }
        }
    };
    Ok(Told { heard, owned, masked_name: enrolment.masked_name })
}

fn refusal(wire: EnrolmentRefusal) -> Option<Refusal> {
    Some(match wire {
        EnrolmentRefusal::Unspecified => return None,
        EnrolmentRefusal::SmsCodeWrong => Refusal::SmsCodeWrong,
        EnrolmentRefusal::SmsCodeExpired => Refusal::SmsCodeExpired,
        EnrolmentRefusal::SmsCodeUsed => Refusal::SmsCodeUsed,
        EnrolmentRefusal::SmsCodeTriesExhausted => Refusal::SmsCodeTriesExhausted,
        EnrolmentRefusal::ConsentMissing => Refusal::ConsentMissing,
        EnrolmentRefusal::ConsentOutdated => Refusal::ConsentOutdated,
        EnrolmentRefusal::UnderAge => Refusal::UnderAge,
        EnrolmentRefusal::GuardianRequired => Refusal::GuardianRequired,
        EnrolmentRefusal::IdNameMismatch => Refusal::IdNameMismatch,
        EnrolmentRefusal::IdNotFound => Refusal::IdNotFound,
        EnrolmentRefusal::IdCheckLimit => Refusal::IdCheckLimit,
        EnrolmentRefusal::IdCheckExpired => Refusal::IdCheckExpired,
        EnrolmentRefusal::AlreadyRegistered => Refusal::AlreadyRegistered,
        EnrolmentRefusal::GuardianSmsCodeWrong => Refusal::GuardianSmsCodeWrong,
        EnrolmentRefusal::GuardianSmsCodeExpired => Refusal::GuardianSmsCodeExpired,
        EnrolmentRefusal::GuardianSmsCodeUsed => Refusal::GuardianSmsCodeUsed,
        EnrolmentRefusal::GuardianSmsCodeTriesExhausted => Refusal::GuardianSmsCodeTriesExhausted,
        EnrolmentRefusal::GuardianIdMismatch => Refusal::GuardianIdMismatch,
        EnrolmentRefusal::ActivationProofOver => Refusal::ActivationProofOver,
        EnrolmentRefusal::ClaimOpen => Refusal::Claim(claims::Refusal::Open),
        EnrolmentRefusal::ClaimsExhausted => Refusal::Claim(claims::Refusal::Exhausted),
        EnrolmentRefusal::ClaimAgainstProven => Refusal::Claim(claims::Refusal::AgainstProven),
        EnrolmentRefusal::ClaimRejected => Refusal::Claim(claims::Refusal::Rejected),
        EnrolmentRefusal::ClaimExpired => Refusal::Claim(claims::Refusal::Expired),
    })
}
