use tonic::{Request, Response, Status, async_trait};
use zhiyuan_contracts::identity::v1 as wire;
use zhiyuan_contracts::identity::v1::activation_service_server::ActivationService;
use zhiyuan_domain::{IdNumber, Mobile};
use zhiyuan_rpc::Fields;
use zhiyuan_rpc::wire::timestamp;

use super::{Activations, Proof};
use crate::challenges::solution_field;
use crate::devices::token_field;
use crate::error::Result;
use crate::sms_codes;

/// `zhiyuan.identity.v1.ActivationService`.
#[derive(Debug)]
pub(crate) struct ActivationRpc {
    activations: Activations,
}

impl ActivationRpc {
    pub(crate) fn new(activations: Activations) -> Self {
        Self { activations }
    }

    async fn start(
        &self,
        request: &wire::StartActivationRequest,
    ) -> Result<wire::StartActivationResponse> {
        let mut fields = Fields::new();
        let phone = fields.take("phone", Mobile::parse(&request.phone));
        let device = token_field(&mut fields, "device_token", &request.device_token);
        let solution = solution_field(&mut fields, "solution", request.solution.as_ref());
        let Some(phone) = phone else { return Err(fields.into_error().into()) };
        fields.finish()?;
        let sent = self.activations.start(phone, device, solution).await?;
        Ok(wire::StartActivationResponse {
            challenge_id: sent.challenge_id.to_string(),
            expire_time: Some(timestamp(sent.expire_at)),
            next_send_time: Some(timestamp(sent.next_send_at)),
        })
    }

    async fn complete(
        &self,
        request: &wire::CompleteActivationRequest,
    ) -> Result<wire::CompleteActivationResponse> {
        let mut fields = Fields::new();
        let code = sms_codes::code_of(
            &mut fields,
            ("sms_challenge_id", &request.sms_challenge_id),
            ("sms_code", &request.sms_code),
        );
        let given = IdNumber::parse_end(&request.default_password);
        if given.is_none() {
            let message = "默认密码为身份证号码的后 8 位，请核对后重新输入";
            fields.refuse("default_password", "DEFAULT_PASSWORD_FORMAT", message);
        }
        let (Some(code), Some(given)) = (code, given) else {
            return Err(fields.into_error().into());
        };
        let completed = self.activations.complete(&code, &given).await?;
        Ok(wire::CompleteActivationResponse {
            activation_proof: completed.proof.expose().to_string(),
            expire_time: Some(timestamp(completed.expire_at)),
            masked_name: completed.masked_name,
        })
    }
}

/// Parses the proof that a request brings in a field.
pub(crate) fn proof_field(fields: &mut Fields, field: &str, text: &str) -> Option<Proof> {
    let proof = Proof::parse(text);
    if proof.is_none() {
        let message = "激活凭证格式不正确，请重新验证默认密码后再提交";
        fields.refuse(field, "ACTIVATION_PROOF_FORMAT", message);
    }
    proof
}

#[async_trait]
impl ActivationService for ActivationRpc {
    async fn start_activation(
        &self,
        request: Request<wire::StartActivationRequest>,
    ) -> std::result::Result<Response<wire::StartActivationResponse>, Status> {
        Ok(Response::new(self.start(request.get_ref()).await?))
    }

    async fn complete_activation(
        &self,
        request: Request<wire::CompleteActivationRequest>,
    ) -> std::result::Result<Response<wire::CompleteActivationResponse>, Status> {
        Ok(Response::new(self.complete(request.get_ref()).await?))
    }
}
