use std::sync::Arc;

use tonic::{Request, Response, Status, async_trait};
use zhiyuan_contracts::identity::v1::sms_code_service_server::SmsCodeService;
use zhiyuan_contracts::identity::v1::{
    SendRegistrationCodeRequest, SendRegistrationCodeResponse, SendSmsCodeRequest,
    SendSmsCodeResponse, SmsPurpose,
};
use zhiyuan_domain::{ChallengeId, Mobile};
use zhiyuan_rpc::{CallerIdentity, Fields};

use super::sending::{Ask, Via};
use super::{Code, DIGITS, Sender};
use crate::challenges::solution_field;
use crate::devices::token_field;
use crate::error::Error;
use crate::service_accounts;
use zhiyuan_rpc::wire::timestamp;

/// `zhiyuan.identity.v1.SmsCodeService`.
#[derive(Debug)]
pub(crate) struct SmsCodes {
    sender: Arc<Sender>,
}

impl SmsCodes {
    pub(crate) fn new(sender: Arc<Sender>) -> Self {
        Self { sender }
    }

    async fn send(&self, request: SendSmsCodeRequest) -> Result<SendSmsCodeResponse, Error> {
        let mut fields = Fields::new();
        let phone = fields.take("phone", Mobile::parse(&request.phone));
        let purpose = match SmsPurpose::try_from(request.purpose) {
            // Those of activations are sent to whom they are for, and to nobody else.
            Ok(purpose) if !matches!(purpose, SmsPurpose::Unspecified | SmsPurpose::Activation) => {
                Some(purpose)
            }
            Ok(_) | Err(_) => {
                fields.refuse("purpose", "SMS_PURPOSE_UNKNOWN", "请说明验证码的用途");
                None
            }
        };
        let device = token_field(&mut fields, "device_token", &request.device_token);
        let solution = solution_field(&mut fields, "solution", request.solution.as_ref());
        let (Some(phone), Some(purpose)) = (phone, purpose) else {
            return Err(fields.into_error().into());
        };
        fields.finish()?;
        let sent = self.sender.send(&Ask { phone, purpose, device, solution, via: None }).await?;
        Ok(SendSmsCodeResponse {
            challenge_id: sent.challenge_id.to_string(),
            expire_time: Some(timestamp(sent.expire_at)),
            next_send_time: Some(timestamp(sent.next_send_at)),
        })
    }

    async fn send_via(
        &self,
        platform: String,
        request: SendRegistrationCodeRequest,
    ) -> Result<SendRegistrationCodeResponse, Error> {
        let mut fields = Fields::new();
        let phone = fields.take("phone", Mobile::parse(&request.phone));
        let solution = solution_field(&mut fields, "solution", request.solution.as_ref());
        let purpose = match request.purpose.map(SmsPurpose::try_from) {
            None | Some(Ok(SmsPurpose::Register)) => Some(SmsPurpose::Register),
            Some(Ok(SmsPurpose::GuardianConsent)) => Some(SmsPurpose::GuardianConsent),
            Some(Ok(_) | Err(_)) => {
                let message = "平台只能为注册人或其监护人发送验证码";
                fields.refuse("purpose", "SMS_PURPOSE_UNKNOWN", message);
                None
            }
        };
        let (Some(phone), Some(purpose)) = (phone, purpose) else {
            return Err(fields.into_error().into());
        };
        fields.finish()?;
        let account =
            service_accounts::db::find(&mut *self.sender.pool.acquire().await?, &platform).await?;
        // One by configuration has but its name.
        let title = account.map_or_else(|| platform.clone(), |(title, _look_ups)| title);
        let via = Some(Via { name: platform, title });
        let sent = self.sender.send(&Ask { phone, purpose, device: None, solution, via }).await?;
        Ok(SendRegistrationCodeResponse {
            challenge_id: sent.challenge_id.to_string(),
            expire_time: Some(timestamp(sent.expire_at)),
            next_send_time: Some(timestamp(sent.next_send_at)),
        })
    }
}

/// Parses a code that a request brings, from two of its fields: name and value each.
/// White space around the digits is dropped.
pub(crate) fn code_of(
    fields: &mut Fields,
    challenge_id: (&str, &str),
    digits: (&str, &str),
) -> Option<Code> {
    let challenge_id = fields.take(challenge_id.0, ChallengeId::parse(challenge_id.1));
    let (field, digits) = (digits.0, digits.1.trim());
    if digits.len() != DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        fields.refuse(field, "SMS_CODE_FORMAT", "短信验证码应为 6 位数字");
        return None;
    }
    Some(Code { challenge_id: challenge_id?.as_uuid(), digits: digits.to_owned() })
}

#[async_trait]
impl SmsCodeService for SmsCodes {
    async fn send_sms_code(
        &self,
        request: Request<SendSmsCodeRequest>,
    ) -> Result<Response<SendSmsCodeResponse>, Status> {
        Ok(Response::new(self.send(request.into_inner()).await?))
    }

    async fn send_registration_code(
        &self,
        request: Request<SendRegistrationCodeRequest>,
    ) -> Result<Response<SendRegistrationCodeResponse>, Status> {
        let platform = CallerIdentity::name_of(&request);
        Ok(Response::new(self.send_via(platform, request.into_inner()).await?))
    }
}
