use tonic::{Request, Response, Status, async_trait};
use zeroize::Zeroizing;
use zhiyuan_contracts::identity::v1::credential_service_server::CredentialService;
use zhiyuan_contracts::identity::v1::{
    ChangePasswordRequest, ChangePasswordResponse, ChangePhoneRequest, ChangePhoneResponse,
    PhoneProof, ResetPasswordRequest, ResetPasswordResponse,
};
use zhiyuan_domain::Mobile;
use zhiyuan_rpc::{Fields, PersonIdentity};

use super::Credentials;
use super::changing::{PhoneChange, Reset};
use crate::devices::token_field;
use crate::error::Error;
use crate::sign_in;
use crate::sms_codes::{self, Code};

/// `zhiyuan.identity.v1.CredentialService`.
#[derive(Debug)]
pub(crate) struct CredentialRpc {
    credentials: Credentials,
}

impl CredentialRpc {
    pub(crate) fn new(credentials: Credentials) -> Self {
        Self { credentials }
    }
}

fn parse_reset(request: ResetPasswordRequest) -> Result<Reset, Error> {
    let mut fields = Fields::new();
    let phone = fields.take("phone", Mobile::parse(&request.phone));
    let code = sms_codes::code_of(
        &mut fields,
        ("sms_challenge_id", &request.sms_challenge_id),
        ("sms_code", &request.sms_code),
    );
    let new_password = Zeroizing::new(request.new_password);
    sign_in::can_be_password(&mut fields, "new_password", &new_password);
    let second_proof = sign_in::second_proof(&mut fields, &request.name, &request.id_number_tail);
    let device = token_field(&mut fields, "device_token", &request.device_token);
    let (Some(phone), Some(code)) = (phone, code) else {
        return Err(fields.into_error().into());
    };
    fields.finish()?;
    Ok(Reset { phone, code, new_password, second_proof, device })
}

fn parse_change(request: &ChangePhoneRequest) -> Result<PhoneChange, Error> {
    let mut fields = Fields::new();
    let new_phone = fields.take("new_phone", Mobile::parse(&request.new_phone));
    let (Some(current), Some(new)) = (&request.current_proof, &request.new_proof) else {
        fields.finish()?;
        return Err(Error::PhoneProofMissing);
    };
    let current = proof(&mut fields, "current_proof", current);
    let new = proof(&mut fields, "new_proof", new);
    match (new_phone, current, new) {
        (Some(new_phone), Some(current), Some(new)) => Ok(PhoneChange { new_phone, current, new }),
        _ => Err(fields.into_error().into()),
    }
}

fn proof(fields: &mut Fields, field: &str, proof: &PhoneProof) -> Option<Code> {
    sms_codes::code_of(
        fields,
        (&format!("{field}.sms_challenge_id"), &proof.sms_challenge_id),
        (&format!("{field}.sms_code"), &proof.sms_code),
    )
}

#[async_trait]
impl CredentialService for CredentialRpc {
    async fn change_password(
        &self,
        request: Request<ChangePasswordRequest>,
    ) -> Result<Response<ChangePasswordResponse>, Status> {
        let person = PersonIdentity::of(&request)?;
        let request = request.into_inner();
        let current = Zeroizing::new(request.current_password);
        let new = Zeroizing::new(request.new_password);
        let mut fields = Fields::new();
        sign_in::can_be_password(&mut fields, "current_password", &current);
        sign_in::can_be_password(&mut fields, "new_password", &new);
        fields.finish()?;
        self.credentials.change_password(person, &current, &new).await?;
        Ok(Response::new(ChangePasswordResponse {}))
    }

    async fn reset_password(
        &self,
        request: Request<ResetPasswordRequest>,
    ) -> Result<Response<ResetPasswordResponse>, Status> {
        let reset = parse_reset(request.into_inner())?;
        self.credentials.reset_password(&reset).await?;
        Ok(Response::new(ResetPasswordResponse {}))
    }

    async fn change_phone(
        &self,
        request: Request<ChangePhoneRequest>,
    ) -> Result<Response<ChangePhoneResponse>, Status> {
        let person = PersonIdentity::of(&request)?;
        let change = parse_change(request.get_ref())?;
        self.credentials.change_phone(person, &change).await?;
        Ok(Response::new(ChangePhoneResponse {}))
    }
}
