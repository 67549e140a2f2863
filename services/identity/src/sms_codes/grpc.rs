use tonic::{Request, Response, Status, async_trait};
use zhiyuan_contracts::identity::v1::sms_code_service_server::SmsCodeService;
use zhiyuan_contracts::identity::v1::{SendSmsCodeRequest, SendSmsCodeResponse, SmsPurpose};
use zhiyuan_domain::Mobile;
use zhiyuan_rpc::Fields;

use super::Sender;
use super::sending::Ask;
use crate::challenges::solution_field;
use crate::devices::token_field;
use crate::error::Error;
use zhiyuan_rpc::wire::timestamp;

/// `zhiyuan.identity.v1.SmsCodeService`.
#[derive(Debug)]
pub(crate) struct SmsCodes {
    sender: Sender,
}

impl SmsCodes {
    pub(crate) fn new(sender: Sender) -> Self {
        Self { sender }
    }

    async fn send(&self, request: SendSmsCodeRequest) -> Result<SendSmsCodeResponse, Error> {
        let mut fields = Fields::new();
        let phone = fields.take("phone", Mobile::parse(&request.phone));
        let purpose = match SmsPurpose::try_from(request.purpose) {
            Ok(purpose @ SmsPurpose::Register) => Some(purpose),
            Ok(SmsPurpose::Unspecified) | Err(_) => {
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
        let ask = Ask { phone, purpose: purpose_column(purpose), device, solution };
        let sent = self.sender.send(&ask).await?;
        Ok(SendSmsCodeResponse {
            challenge_id: sent.challenge_id.to_string(),
            expire_time: Some(timestamp(sent.expire_at)),
            next_send_time: Some(timestamp(sent.next_send_at)),
        })
    }
}

/// As in the column `purpose`.
pub(crate) fn purpose_column(purpose: SmsPurpose) -> i16 {
    match purpose {
        SmsPurpose::Unspecified => 0,
        SmsPurpose::Register => 1,
    }
}

#[async_trait]
impl SmsCodeService for SmsCodes {
    async fn send_sms_code(
        &self,
        request: Request<SendSmsCodeRequest>,
    ) -> Result<Response<SendSmsCodeResponse>, Status> {
        Ok(Response::new(self.send(request.into_inner()).await?))
    }
}
