//! `zhiyuan.identity.v1.PhoneRecoveryService`.

use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zeroize::Zeroizing;
use zhiyuan_contracts::identity::v1::phone_recovery_service_server::PhoneRecoveryService;
use zhiyuan_contracts::identity::v1::{
    ApprovePhoneRecoveryRequest, ApprovePhoneRecoveryResponse, BatchGetPhoneRecoveriesRequest,
    BatchGetPhoneRecoveriesResponse, BeginPhoneRecoveryRequest, BeginPhoneRecoveryResponse,
    CancelPhoneRecoveryRequest, CancelPhoneRecoveryResponse, CompletePhoneRecoveryRequest,
    CompletePhoneRecoveryResponse, ListMyPhoneRecoveriesRequest, ListMyPhoneRecoveriesResponse,
    ObjectToPhoneRecoveryByCodeRequest, ObjectToPhoneRecoveryByCodeResponse,
    ObjectToPhoneRecoveryByNoticeRequest, ObjectToPhoneRecoveryByNoticeResponse,
    ObjectToPhoneRecoveryRequest, ObjectToPhoneRecoveryResponse, PhoneRecovery, PhoneRecoveryState,
};
use zhiyuan_domain::{AccountId, Mobile, RecoveryId};
use zhiyuan_rpc::page::Page;
use zhiyuan_rpc::wire::timestamp;
use zhiyuan_rpc::{Fields, PersonIdentity};

use super::completing::Completion;
use super::deciding::Beginning;
use super::{MOST, Recoveries, Recovery, State};
use crate::error::Result;
use crate::keys::OBJECTION_DIGITS;
use crate::{sign_in, sms_codes};

/// `PhoneRecoveryService`.
#[derive(Debug)]
pub(crate) struct RecoveryRpc {
    recoveries: Recoveries,
}

impl RecoveryRpc {
    pub(crate) fn new(recoveries: Recoveries) -> Self {
        Self { recoveries }
    }

    async fn begin(&self, request: &BeginPhoneRecoveryRequest) -> Result<PhoneRecovery> {
        let mut fields = Fields::new();
        let id = fields.take("recovery_id", RecoveryId::parse(&request.recovery_id));
        let account = fields.take("account_id", AccountId::parse(&request.account_id));
        let phone = fields.take("new_phone", Mobile::parse(&request.new_phone));
        let by = fields.take("started_by", AccountId::parse(&request.started_by));
        let (Some(id), Some(account), Some(new_phone), Some(by)) = (id, account, phone, by) else {
            return Err(fields.into_error().into());
        };
        let new = Beginning {
            recovery_id: id.as_uuid(),
            account_id: account.as_uuid(),
            new_phone,
            started_by: by.as_uuid(),
        };
        self.render(&self.recoveries.begin(&new).await?).await
    }

    async fn approve(&self, request: &ApprovePhoneRecoveryRequest) -> Result<PhoneRecovery> {
        let mut fields = Fields::new();
        let id = fields.take("recovery_id", RecoveryId::parse(&request.recovery_id));
        let by = fields.take("approved_by", AccountId::parse(&request.approved_by));
        let (Some(id), Some(by)) = (id, by) else { return Err(fields.into_error().into()) };
        self.render(&self.recoveries.approve(id.as_uuid(), by.as_uuid()).await?).await
    }

    async fn cancel(&self, request: &CancelPhoneRecoveryRequest) -> Result<PhoneRecovery> {
        let id = recovery_id(&request.recovery_id)?;
        self.render(&self.recoveries.cancel(id).await?).await
    }

    async fn batch_get(
        &self,
        request: &BatchGetPhoneRecoveriesRequest,
    ) -> Result<Vec<PhoneRecovery>> {
        let mut fields = Fields::new();
        let asked = &request.recovery_ids;
        if asked.is_empty() || asked.len() > MOST {
            let message = "请提供 1 至 500 个换号申请编号";
            fields.refuse("recovery_ids", "RECOVERY_IDS_COUNT", message);
            return Err(fields.into_error().into());
        }
        let ids = asked.iter().enumerate().filter_map(|(index, id)| {
            fields.take(&format!("recovery_ids[{index}]"), RecoveryId::parse(id))
        });
        let ids: Vec<Uuid> = ids.map(|id| id.as_uuid()).collect();
        fields.finish()?;
        self.render_all(&self.recoveries.by_ids(&ids).await?).await
    }

    async fn list(
        &self,
        account_id: Uuid,
        request: &ListMyPhoneRecoveriesRequest,
    ) -> Result<ListMyPhoneRecoveriesResponse> {
        let page = Page::parse(request.page_size, &request.page_token, &["phone_recoveries"])?;
        let before = page.after_key(|key| Uuid::try_parse(key).ok())?;
        let rows = self.recoveries.of_account(account_id, before, page.fetch()).await?;
        let (rows, next_page_token) = page.cut(rows, |row| row.recovery_id.to_string());
        let recoveries = self.render_all(&rows).await?;
        Ok(ListMyPhoneRecoveriesResponse { recoveries, next_page_token })
    }

    async fn render_all(&self, recoveries: &[Recovery]) -> Result<Vec<PhoneRecovery>> {
        let mut rendered = Vec::with_capacity(recoveries.len());
        for recovery in recoveries {
            rendered.push(self.render(recovery).await?);
        }
        Ok(rendered)
    }

    async fn render(&self, recovery: &Recovery) -> Result<PhoneRecovery> {
        let state = recovery.state_at(self.recoveries.credentials.sign_in.clock.now());
        let new_phone =
            if state.is_open() { self.recoveries.new_phone(recovery).await? } else { None };
        let ended_at = recovery.ended_at.or((!state.is_open()).then_some(recovery.expire_at));
        Ok(PhoneRecovery {
            id: recovery.recovery_id.to_string(),
            account_id: recovery.account_id.map(|id| id.to_string()).unwrap_or_default(),
            state: to_wire(state).into(),
            masked_new_phone: new_phone.map(|phone| phone.masked()).unwrap_or_default(),
            start_time: Some(timestamp(recovery.started_at)),
            approve_time: recovery.approved_at.map(timestamp),
            complete_after_time: recovery.complete_after.map(timestamp),
            expire_time: Some(timestamp(recovery.expire_at)),
            end_time: ended_at.map(timestamp),
        })
    }

    async fn object_by_code(&self, request: &ObjectToPhoneRecoveryByCodeRequest) -> Result<()> {
        let mut fields = Fields::new();
        let phone = fields.take("phone", Mobile::parse(&request.phone));
        let code = sms_codes::code_of(
            &mut fields,
            ("sms_challenge_id", &request.sms_challenge_id),
            ("sms_code", &request.sms_code),
        );
        let (Some(phone), Some(code)) = (phone, code) else {
            return Err(fields.into_error().into());
        };
        self.recoveries.object_by_code(&phone, &code).await
    }

    async fn object_by_notice(&self, request: &ObjectToPhoneRecoveryByNoticeRequest) -> Result<()> {
        let mut fields = Fields::new();
        let phone = fields.take("phone", Mobile::parse(&request.phone));
        let code = objection_code(&mut fields, &request.objection_code);
        let (Some(phone), Some(code)) = (phone, code) else {
            return Err(fields.into_error().into());
        };
        self.recoveries.object_by_notice(&phone, &code).await
    }
}

/// Ten digits; white space around and between them, as phones paste it, is taken.
fn objection_code(fields: &mut Fields, text: &str) -> Option<String> {
    let digits: String = text.chars().take(64).filter(|c| !c.is_whitespace()).collect();
    if digits.len() == OBJECTION_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(digits);
    }
    fields.refuse("objection_code", "OBJECTION_CODE_FORMAT", "异议码应为 10 位数字，见短信通知");
    None
}

fn recovery_id(text: &str) -> Result<Uuid> {
    let mut fields = Fields::new();
    let id = fields.take("recovery_id", RecoveryId::parse(text));
    Ok(id.ok_or_else(|| fields.into_error())?.as_uuid())
}

fn completion(request: CompletePhoneRecoveryRequest) -> Result<Completion> {
    let mut fields = Fields::new();
    let phone = fields.take("phone", Mobile::parse(&request.phone));
    let code = sms_codes::code_of(
        &mut fields,
        ("sms_challenge_id", &request.sms_challenge_id),
        ("sms_code", &request.sms_code),
    );
    let proof = sign_in::second_proof(&mut fields, &request.name, &request.id_number_tail);
    if request.name.is_empty() && request.id_number_tail.is_empty() {
        fields.refuse("name", "SECOND_PROOF_MISSING", "请填写姓名和身份证号码的后 6 位");
    }
    let new_password = Zeroizing::new(request.new_password);
    sign_in::can_be_password(&mut fields, "new_password", &new_password);
    let (Some(phone), Some(code), Some(proof)) = (phone, code, proof) else {
        return Err(fields.into_error().into());
    };
    fields.finish()?;
    Ok(Completion { phone, code, proof, new_password })
}

fn to_wire(state: State) -> PhoneRecoveryState {
    match state {
        State::Started => PhoneRecoveryState::Started,
        State::Approved => PhoneRecoveryState::Approved,
        State::Completed => PhoneRecoveryState::Completed,
        State::Cancelled => PhoneRecoveryState::Cancelled,
        State::Objected => PhoneRecoveryState::Objected,
        State::Expired => PhoneRecoveryState::Expired,
    }
}

type Answer<T> = std::result::Result<Response<T>, Status>;

#[async_trait]
impl PhoneRecoveryService for RecoveryRpc {
    async fn begin_phone_recovery(
        &self,
        request: Request<BeginPhoneRecoveryRequest>,
    ) -> Answer<BeginPhoneRecoveryResponse> {
        let recovery = Some(self.begin(request.get_ref()).await?);
        Ok(Response::new(BeginPhoneRecoveryResponse { recovery }))
    }

    async fn approve_phone_recovery(
        &self,
        request: Request<ApprovePhoneRecoveryRequest>,
    ) -> Answer<ApprovePhoneRecoveryResponse> {
        let recovery = Some(self.approve(request.get_ref()).await?);
        Ok(Response::new(ApprovePhoneRecoveryResponse { recovery }))
    }

    async fn cancel_phone_recovery(
        &self,
        request: Request<CancelPhoneRecoveryRequest>,
    ) -> Answer<CancelPhoneRecoveryResponse> {
        let recovery = Some(self.cancel(request.get_ref()).await?);
        Ok(Response::new(CancelPhoneRecoveryResponse { recovery }))
    }

    async fn batch_get_phone_recoveries(
        &self,
        request: Request<BatchGetPhoneRecoveriesRequest>,
    ) -> Answer<BatchGetPhoneRecoveriesResponse> {
        let recoveries = self.batch_get(request.get_ref()).await?;
        Ok(Response::new(BatchGetPhoneRecoveriesResponse { recoveries }))
    }

    async fn list_my_phone_recoveries(
        &self,
        request: Request<ListMyPhoneRecoveriesRequest>,
    ) -> Answer<ListMyPhoneRecoveriesResponse> {
        let person = PersonIdentity::of(&request)?;
        Ok(Response::new(self.list(person.account_id, request.get_ref()).await?))
    }

    async fn object_to_phone_recovery(
        &self,
        request: Request<ObjectToPhoneRecoveryRequest>,
    ) -> Answer<ObjectToPhoneRecoveryResponse> {
        let person = PersonIdentity::of(&request)?;
        let id = recovery_id(&request.get_ref().recovery_id)?;
        self.recoveries.object(person.account_id, id).await?;
        Ok(Response::new(ObjectToPhoneRecoveryResponse {}))
    }

    async fn object_to_phone_recovery_by_code(
        &self,
        request: Request<ObjectToPhoneRecoveryByCodeRequest>,
    ) -> Answer<ObjectToPhoneRecoveryByCodeResponse> {
        self.object_by_code(request.get_ref()).await?;
        Ok(Response::new(ObjectToPhoneRecoveryByCodeResponse {}))
    }

    async fn object_to_phone_recovery_by_notice(
        &self,
        request: Request<ObjectToPhoneRecoveryByNoticeRequest>,
    ) -> Answer<ObjectToPhoneRecoveryByNoticeResponse> {
        self.object_by_notice(request.get_ref()).await?;
        Ok(Response::new(ObjectToPhoneRecoveryByNoticeResponse {}))
    }

    async fn complete_phone_recovery(
        &self,
        request: Request<CompletePhoneRecoveryRequest>,
    ) -> Answer<CompletePhoneRecoveryResponse> {
        let completion = completion(request.into_inner())?;
        self.recoveries.complete(&completion).await?;
        Ok(Response::new(CompletePhoneRecoveryResponse {}))
    }
}
