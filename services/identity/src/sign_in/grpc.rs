use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, async_trait};
use zeroize::Zeroizing;
use zhiyuan_contracts::identity::v1::sign_in_service_server::SignInService;
use zhiyuan_contracts::identity::v1::{
    RefreshSessionRequest, RefreshSessionResponse, SignInRequest, SignInResponse, SignOutRequest,
    SignOutResponse,
};
use zhiyuan_domain::{IdNumber, Mobile, PersonName, shanghai_date, turns_direction};
use zhiyuan_rpc::Fields;

use super::signing::{Attempt, Identifier};
use super::{SecondProof, SignIn};
use crate::challenges::solution_field;
use crate::devices::token_field;
use crate::error::Error;
use crate::sessions::{CLIENT_NAME, RefreshToken};
use crate::sms_codes;

/// Where the gateway puts the refresh token of a browser, whose pages don't have it.
const REFRESH_TOKEN: &str = "zhiyuan-refresh-token";

/// No password of ours is longer, in bytes; a longer one is wrong without a hash being
/// made of it.
const LONGEST_PASSWORD: usize = 256;

/// `zhiyuan.identity.v1.SignInService`.
#[derive(Debug)]
pub(crate) struct SignInRpc {
    sign_in: SignIn,
}

impl SignInRpc {
    pub(crate) fn new(sign_in: SignIn) -> Self {
        Self { sign_in }
    }

    fn parse(&self, request: SignInRequest) -> Result<Attempt, Error> {
        let mut fields = Fields::new();
        let identifier = self.identifier(&mut fields, &request.identifier);
        let with_code = !request.sms_code.is_empty() || !request.sms_challenge_id.is_empty();
        let code = with_code.then(|| {
            sms_codes::code_of(
                &mut fields,
                ("sms_challenge_id", &request.sms_challenge_id),
                ("sms_code", &request.sms_code),
            )
        });
        if with_code && matches!(identifier, Some(Identifier::Number(_))) {
            let message = "用短信验证码登录时，请填写接收验证码的手机号";
            fields.refuse("identifier", "PHONE_EXPECTED", message);
        }
        let password = Zeroizing::new(request.password);
        if !password.is_empty() {
            can_be_password(&mut fields, "password", &password);
        } else if !with_code {
            fields.refuse("password", "PASSWORD_MISSING", "请输入密码，或使用短信验证码登录");
        }
        let second_proof = second_proof(&mut fields, &request.name, &request.id_number_tail);
        let client_name = request.client_name.trim();
        let odd = |c: char| c.is_control() || turns_direction(c);
        if client_name.chars().count() > CLIENT_NAME || client_name.chars().any(odd) {
            let message = "设备名称不超过 32 个字，且不能包含控制字符";
            fields.refuse("client_name", "CLIENT_NAME_INVALID", message);
        }
        let device = token_field(&mut fields, "device_token", &request.device_token);
        let solution = solution_field(&mut fields, "solution", request.solution.as_ref());
        let Some(identifier) = identifier else { return Err(fields.into_error().into()) };
        fields.finish()?;
        Ok(Attempt {
            identifier,
            password: Some(password).filter(|password| !password.is_empty()),
            code: code.flatten(),
            second_proof,
            device,
            solution,
            client_name: client_name.to_owned(),
        })
    }

    /// A phone, or else an ID number: no text is both.
    fn identifier(&self, fields: &mut Fields, text: &str) -> Option<Identifier> {
        if let Ok(phone) = Mobile::parse(text) {
            return Some(Identifier::Phone(phone));
        }
        let today = shanghai_date(self.sign_in.clock.now());
        if let Ok(number) = IdNumber::parse(text, today) {
            return Some(Identifier::Number(number));
        }
        let message = "请输入 11 位手机号码或 18 位身份证号码";
        fields.refuse("identifier", "IDENTIFIER_FORMAT", message);
        None
    }

    /// The refresh token, from the field, or from where the gateway puts it; of both,
    /// nobody could say which is meant. `None` for a cookie that holds anything else: it is
    /// of no session, and nothing that whoever calls could correct.
    fn refresh_token(field: &str, metadata: &MetadataMap) -> Result<Option<RefreshToken>, Error> {
        let mut headers = metadata.get_all(REFRESH_TOKEN).iter();
        let token = match (field, headers.next(), headers.next()) {
            ("", Some(cookie), None) => {
                return Ok(cookie.to_str().ok().and_then(RefreshToken::parse));
            }
            (token, None, _) => RefreshToken::parse(token),
            _ => None,
        };
        token.map(Some).ok_or_else(|| {
            let mut fields = Fields::new();
            let message = "续期凭证缺失或格式不正确，请重新登录";
            fields.refuse("refresh_token", "REFRESH_TOKEN_FORMAT", message);
            fields.into_error().into()
        })
    }
}

/// Refuses what can be nobody's password, before anything is counted or hashed.
pub(crate) fn can_be_password(fields: &mut Fields, field: &'static str, password: &str) {
    if password.is_empty() {
        fields.refuse(field, "PASSWORD_MISSING", "请输入密码");
    } else if password.len() > LONGEST_PASSWORD {
        fields.refuse(field, "PASSWORD_LENGTH", "密码过长，请核对后重新输入");
    } else if password.chars().any(|c| c.is_control() || turns_direction(c)) {
        let message = "密码包含无法使用的控制字符，请重新输入";
        fields.refuse(field, "PASSWORD_CHARACTERS", message);
    }
}

/// Parses name and tail of the ID number; both or none.
pub(crate) fn second_proof(fields: &mut Fields, name: &str, tail: &str) -> Option<SecondProof> {
    if name.is_empty() && tail.is_empty() {
        return None;
    }
    let name = fields.take("name", PersonName::parse(name));
    let tail = tail.trim().to_ascii_uppercase();
    let (digits, last) = tail.split_at_checked(5).unwrap_or_default();
    let is_tail = digits.bytes().all(|byte| byte.is_ascii_digit())
        && matches!(last.as_bytes(), [b'0'..=b'9' | b'X']);
    if !is_tail {
        fields.refuse("id_number_tail", "ID_NUMBER_TAIL", "请输入身份证号码的后 6 位");
        return None;
    }
    Some(SecondProof { name: name?, tail })
}

#[async_trait]
impl SignInService for SignInRpc {
    async fn sign_in(
        &self,
        request: Request<SignInRequest>,
    ) -> Result<Response<SignInResponse>, Status> {
        let attempt = self.parse(request.into_inner())?;
        Ok(Response::new(self.sign_in.sign_in(&attempt).await?))
    }

    async fn refresh_session(
        &self,
        request: Request<RefreshSessionRequest>,
    ) -> Result<Response<RefreshSessionResponse>, Status> {
        let token = Self::refresh_token(&request.get_ref().refresh_token, request.metadata())?;
        let token = token.ok_or(Error::SessionOver)?;
        let tokens = self.sign_in.issuer.renew(&token).await?;
        Ok(Response::new(RefreshSessionResponse { tokens: Some(tokens) }))
    }

    async fn sign_out(
        &self,
        request: Request<SignOutRequest>,
    ) -> Result<Response<SignOutResponse>, Status> {
        let token = Self::refresh_token(&request.get_ref().refresh_token, request.metadata())?;
        if let Some(token) = token {
            self.sign_in.issuer.end_by(&token).await?;
        }
        Ok(Response::new(SignOutResponse {}))
    }
}
