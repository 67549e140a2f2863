use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_contracts::identity::v1 as wire;
use zhiyuan_contracts::identity::v1::enrolment_service_server::EnrolmentService;
use zhiyuan_domain::{
    AccountId, EnrolmentId, IdNumber, Mobile, Password, PersonName, PersonalDetails, Remark,
    Statement, Ward,
};
use zhiyuan_postgres::again;
use zhiyuan_rpc::page::Page;
use zhiyuan_rpc::{Error as RpcError, Fields};

use super::begin::{Application, By};
use super::guardian::Guardian;
use super::{Decision, Enrolment, Enrolments, Refusal, State, db};
use crate::activations::{Activated, Proof, proof_field};
use crate::consents::{Given, Purpose};
use crate::error::{Error, Result};
use crate::service_accounts;
use crate::sms_codes;
use zhiyuan_rpc::wire::{from_timestamp, timestamp};

/// Applicants of one question.
const MOST_APPLICANTS: usize = 500;

/// `zhiyuan.identity.v1.EnrolmentService`.
#[derive(Debug)]
pub(crate) struct EnrolmentRpc {
    enrolments: Enrolments,
}

impl EnrolmentRpc {
    pub(crate) fn new(enrolments: Enrolments) -> Self {
        Self { enrolments }
    }

    async fn render(&self, enrolment: Enrolment) -> Result<wire::Enrolment> {
        let owner = enrolment.refusal == Some(Refusal::AlreadyRegistered);
        let holds = matches!(enrolment.state, State::Claimed | State::Active);
        let account_id = enrolment.account_id.filter(|_| holds || owner);
        let masked_name = match account_id {
            Some(account_id) => self.enrolments.masked_name(account_id).await?,
            None => String::new(),
        };
        let next = match enrolment.state {
            State::Pending => enrolment.next_check_at,
            State::Review => enrolment.decide_by,
            _ => None,
        };
        Ok(wire::Enrolment {
            enrolment_id: enrolment.enrolment_id.to_string(),
            state: enrolment.state.to_wire().into(),
            next_retry_time: next.map(timestamp),
            account_id: account_id.map(|id| id.to_string()).unwrap_or_default(),
            masked_name,
            refusal: enrolment.refusal.map_or(0, |refusal| refusal.to_wire().into()),
            claim_against: enrolment
                .claim_against
                .filter(|_| enrolment.state == State::Review)
                .map(|id| id.to_string())
                .unwrap_or_default(),
        })
    }

    async fn page(
        &self,
        request: wire::ListClaimedEnrolmentsRequest,
    ) -> Result<wire::ListClaimedEnrolmentsResponse> {
        let mut fields = Fields::new();
        let before = request.claimed_before.as_ref().and_then(from_timestamp);
        let Some(before) = before else {
            fields.refuse("claimed_before", "TIME_INVALID", "请填写有效的时间");
            return Err(fields.into_error().into());
        };
        let page = Page::parse(request.page_size, &request.page_token, &["claimed"])?;
        let after = page.after_key(parse_key)?;
        let mut conn = self.enrolments.pool.acquire().await?;
        let rows = db::page_claimed(&mut conn, before, after, page.fetch()).await?;
        drop(conn);
        let (rows, next_page_token) =
            page.cut(rows, |(at, id, _)| format!("{}/{id}", at.unix_timestamp_nanos()));
        let enrolments = rows
            .into_iter()
            .map(|(_, enrolment_id, account_id)| wire::Enrolment {
                enrolment_id: enrolment_id.to_string(),
                state: State::Claimed.to_wire().into(),
                account_id: account_id.to_string(),
                ..Default::default()
            })
            .collect();
        Ok(wire::ListClaimedEnrolmentsResponse { enrolments, next_page_token })
    }

    /// Begins with the proof of an activation.
    async fn begin_activated(&self, request: &wire::BeginEnrolmentRequest) -> Result<Enrolment> {
        let (id, proof) = parse_proof(request)?;
        match self.enrolments.activated(id, &proof).await? {
            Ok(activated) => self.begin(&self.parse(request, Some(activated))?).await,
            Err(enrolment) => Ok(enrolment),
        }
    }

    async fn begin(&self, application: &Application) -> Result<Enrolment> {
        // Whatever was done before it lost is found done.
        again(Error::is_lost, || self.enrolments.begin(application)).await
    }

    fn parse(
        &self,
        request: &wire::BeginEnrolmentRequest,
        activated: Option<Activated>,
    ) -> std::result::Result<Application, RpcError> {
        let mut fields = Fields::new();
        let enrolment_id = fields.take("enrolment_id", EnrolmentId::parse(&request.enrolment_id));
        let today = self.enrolments.today();
        let (name, number, phone, by) = match activated {
            Some(activated) => (
                Some(activated.person.name),
                Some(activated.person.id_number),
                Some(activated.person.phone),
                Some(By::Activation(activated.activation_id)),
            ),
            None => (
                fields.take("name", PersonName::parse(&request.name)),
                fields.take("id_number", IdNumber::parse(&request.id_number, today)),
                fields.take("phone", Mobile::parse(&request.phone)),
                sms_codes::code_of(
                    &mut fields,
                    ("sms_challenge_id", &request.sms_challenge_id),
                    ("sms_code", &request.sms_code),
                )
                .map(By::Code),
            ),
        };
        let password = match (&number, &phone) {
            (Some(id_number), Some(mobile)) => {
                let details = PersonalDetails { id_number, mobile };
                fields.take("password", Password::parse(&request.password, &details))
            }
            _ => None,
        };
        let via = Some(request.registered_via.clone()).filter(|via| !via.is_empty());
        if via.as_deref().is_some_and(|via| !service_accounts::is_name(via)) {
            fields.refuse("registered_via", "ACCOUNT_NAME_FORMAT", "平台名称格式不正确");
        }
        let mut consents = Vec::new();
        for (index, consent) in request.consents.iter().enumerate() {
            match Purpose::from_wire(consent.purpose) {
                Some(purpose) if is_version(&consent.version) => {
                    consents.push(Given { purpose, version: consent.version.clone() });
                }
                Some(_) => fields.refuse(
                    &format!("consents[{index}].version"),
                    "CONSENT_VERSION_INVALID",
                    "告知书版本不正确，请刷新页面后重试",
                ),
                None => fields.refuse(
                    &format!("consents[{index}].purpose"),
                    "CONSENT_PURPOSE_UNKNOWN",
                    "请选择告知书的用途",
                ),
            }
        }
        let claim = match &*request.claim_statement {
            "" => None,
            text => fields.take("claim_statement", Statement::parse(text)),
        };
        if claim.is_some() && via.is_some() {
            let message = "身份认领只能在本平台页面上提出";
            fields.refuse("claim_statement", "CLAIM_ELSEWHERE", message);
        }
        let ward = Ward { id_number: number.as_ref(), phone: phone.as_ref() };
        let ages = (today, self.enrolments.rules.age_rule);
        let guardian = request.guardian.as_ref();
        let guardian = guardian.and_then(|g| Guardian::parse(&mut fields, g, ward, ages));
        match (enrolment_id, name, number, phone, by, password) {
            (
                Some(enrolment_id),
                Some(name),
                Some(id_number),
                Some(phone),
                Some(by),
                Some(password),
            ) => {
                fields.finish()?;
                Ok(Application {
                    enrolment_id,
                    name,
                    id_number,
                    phone,
                    by,
                    password,
                    consents,
                    via,
                    guardian,
                    own_income: request.own_income,
                    claim,
                })
            }
            _ => Err(fields.into_error()),
        }
    }
}

/// The enrolment and the proof of who begins with one: what it stands for stays empty.
fn parse_proof(
    request: &wire::BeginEnrolmentRequest,
) -> std::result::Result<(Uuid, Proof), RpcError> {
    let mut fields = Fields::new();
    let id = fields.take("enrolment_id", EnrolmentId::parse(&request.enrolment_id));
    let proof = proof_field(&mut fields, "activation_proof", &request.activation_proof);
    for (field, value) in [
        ("name", &request.name),
        ("id_number", &request.id_number),
        ("phone", &request.phone),
        ("sms_challenge_id", &request.sms_challenge_id),
        ("sms_code", &request.sms_code),
        ("registered_via", &request.registered_via),
        ("claim_statement", &request.claim_statement),
    ] {
        if !value.is_empty() {
            fields.refuse(field, "ACTIVATION_PROOF_ALONE", "使用激活凭证时请勿填写此项");
        }
    }
    let (Some(id), Some(proof)) = (id, proof) else { return Err(fields.into_error()) };
    fields.finish()?;
    Ok((id.as_uuid(), proof))
}

/// What somebody decides.
fn parse_decision(
    request: &wire::DecideEnrolmentRequest,
) -> std::result::Result<(Uuid, Decision, Uuid), RpcError> {
    let mut fields = Fields::new();
    let id = fields.take("enrolment_id", EnrolmentId::parse(&request.enrolment_id));
    let decision = Decision::from_wire(request.decision());
    if decision.is_none() {
        fields.refuse("decision", "DECISION_UNKNOWN", "请选择审核结论");
    }
    let by = fields.take("decided_by", AccountId::parse(&request.decided_by));
    match (id, decision, by) {
        (Some(id), Some(decision), Some(by)) => Ok((id.as_uuid(), decision, by.as_uuid())),
        _ => Err(fields.into_error()),
    }
}

/// Whom somebody wants to see, and why.
fn parse_reveal(
    request: &wire::RevealApplicantRequest,
) -> std::result::Result<(Uuid, Uuid, Remark), RpcError> {
    let mut fields = Fields::new();
    let id = fields.take("enrolment_id", EnrolmentId::parse(&request.enrolment_id));
    let viewer = fields.take("viewer_account_id", AccountId::parse(&request.viewer_account_id));
    let purpose = fields.take("purpose", Remark::parse(&request.purpose));
    match (id, viewer, purpose) {
        (Some(id), Some(viewer), Some(purpose)) => Ok((id.as_uuid(), viewer.as_uuid(), purpose)),
        _ => Err(fields.into_error()),
    }
}

/// Who somebody is shown a list of.
fn parse_batch(
    request: &wire::BatchGetApplicantsRequest,
) -> std::result::Result<(Uuid, Vec<Uuid>), RpcError> {
    let mut fields = Fields::new();
    let viewer = fields.take("viewer_account_id", AccountId::parse(&request.viewer_account_id));
    let asked = &request.enrolment_ids;
    if !(1..=MOST_APPLICANTS).contains(&asked.len()) {
        let message = "请提供 1 至 500 份注册申请的标识";
        fields.refuse("enrolment_ids", "ENROLMENT_IDS_COUNT", message);
        return Err(fields.into_error());
    }
    let ids = asked.iter().enumerate().filter_map(|(index, id)| {
        fields.take(&format!("enrolment_ids[{index}]"), EnrolmentId::parse(id))
    });
    let ids: Vec<Uuid> = ids.map(|id| id.as_uuid()).collect();
    let Some(viewer) = viewer else { return Err(fields.into_error()) };
    fields.finish()?;
    Ok((viewer.as_uuid(), ids))
}

/// 1 to 64 letters, digits, dots or hyphens.
fn is_version(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
}

fn parse_key(key: &str) -> Option<(time::OffsetDateTime, Uuid)> {
    let (nanos, id) = key.split_once('/')?;
    let at = time::OffsetDateTime::from_unix_timestamp_nanos(nanos.parse().ok()?).ok()?;
    Some((at, id.parse().ok()?))
}

fn parse_id(text: &str) -> std::result::Result<Uuid, RpcError> {
    let mut fields = Fields::new();
    fields
        .take("enrolment_id", EnrolmentId::parse(text))
        .map(|id| id.as_uuid())
        .ok_or_else(|| fields.into_error())
}

#[async_trait]
impl EnrolmentService for EnrolmentRpc {
    async fn begin_enrolment(
        &self,
        request: Request<wire::BeginEnrolmentRequest>,
    ) -> std::result::Result<Response<wire::BeginEnrolmentResponse>, Status> {
        let request = request.into_inner();
        let enrolment = if request.activation_proof.is_empty() {
            self.begin(&self.parse(&request, None)?).await?
        } else {
            self.begin_activated(&request).await?
        };
        let enrolment = Some(self.render(enrolment).await?);
        Ok(Response::new(wire::BeginEnrolmentResponse { enrolment }))
    }

    async fn get_enrolment(
        &self,
        request: Request<wire::GetEnrolmentRequest>,
    ) -> std::result::Result<Response<wire::GetEnrolmentResponse>, Status> {
        let id = parse_id(&request.into_inner().enrolment_id)?;
        let enrolment = self.enrolments.load(id).await?;
        let enrolment = Some(self.render(enrolment).await?);
        Ok(Response::new(wire::GetEnrolmentResponse { enrolment }))
    }

    async fn activate_enrolment(
        &self,
        request: Request<wire::ActivateEnrolmentRequest>,
    ) -> std::result::Result<Response<wire::ActivateEnrolmentResponse>, Status> {
        let id = parse_id(&request.into_inner().enrolment_id)?;
        let enrolment = again(Error::is_lost, || self.enrolments.activate(id)).await?;
        let enrolment = Some(self.render(enrolment).await?);
        Ok(Response::new(wire::ActivateEnrolmentResponse { enrolment }))
    }

    async fn discard_enrolment(
        &self,
        request: Request<wire::DiscardEnrolmentRequest>,
    ) -> std::result::Result<Response<wire::DiscardEnrolmentResponse>, Status> {
        let id = parse_id(&request.into_inner().enrolment_id)?;
        let enrolment = again(Error::is_lost, || self.enrolments.discard(id)).await?;
        let enrolment = Some(self.render(enrolment).await?);
        Ok(Response::new(wire::DiscardEnrolmentResponse { enrolment }))
    }

    async fn list_claimed_enrolments(
        &self,
        request: Request<wire::ListClaimedEnrolmentsRequest>,
    ) -> std::result::Result<Response<wire::ListClaimedEnrolmentsResponse>, Status> {
        Ok(Response::new(self.page(request.into_inner()).await?))
    }

    async fn batch_get_applicants(
        &self,
        request: Request<wire::BatchGetApplicantsRequest>,
    ) -> std::result::Result<Response<wire::BatchGetApplicantsResponse>, Status> {
        let (viewer, ids) = parse_batch(request.get_ref())?;
        let applicants = self.enrolments.applicants(viewer, &ids).await?;
        let applicants = applicants.into_iter().map(|applicant| wire::Applicant {
            enrolment_id: applicant.enrolment_id.to_string(),
            masked_name: applicant.opened.name.masked(),
            own: applicant.own,
        });
        Ok(Response::new(wire::BatchGetApplicantsResponse { applicants: applicants.collect() }))
    }

    async fn reveal_applicant(
        &self,
        request: Request<wire::RevealApplicantRequest>,
    ) -> std::result::Result<Response<wire::RevealApplicantResponse>, Status> {
        let (id, viewer, purpose) = parse_reveal(request.get_ref())?;
        let opened = self.enrolments.reveal(viewer, id, &purpose).await?;
        let guardian = opened.guardian.as_ref();
        let name = guardian.map(|guardian| guardian.name.as_str().to_owned());
        let number = guardian.map(|guardian| guardian.id_number.as_str().to_owned());
        Ok(Response::new(wire::RevealApplicantResponse {
            name: opened.name.as_str().to_owned(),
            id_number: opened.id_number.as_str().to_owned(),
            guardian_name: name.unwrap_or_default(),
            guardian_id_number: number.unwrap_or_default(),
        }))
    }

    async fn decide_enrolment(
        &self,
        request: Request<wire::DecideEnrolmentRequest>,
    ) -> std::result::Result<Response<wire::DecideEnrolmentResponse>, Status> {
        let (id, decision, by) = parse_decision(request.get_ref())?;
        let enrolment = self.enrolments.decide(id, decision, by).await?;
        let enrolment = Some(self.render(enrolment).await?);
        Ok(Response::new(wire::DecideEnrolmentResponse { enrolment }))
    }
}
