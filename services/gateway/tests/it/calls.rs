//! Played services: what they answer is told by the request.

use std::time::Duration;

use prost_types::Timestamp;
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use zhiyuan_contracts::identity::v1::account_service_server::{
    AccountService, AccountServiceServer,
};
use zhiyuan_contracts::identity::v1::audit_service_server::{AuditService, AuditServiceServer};
use zhiyuan_contracts::identity::v1::sign_in_service_server::{SignInService, SignInServiceServer};
use zhiyuan_contracts::identity::v1::sms_code_service_server::{
    SmsCodeService, SmsCodeServiceServer,
};
use zhiyuan_contracts::identity::v1::{
    CloseMyAccountRequest, CloseMyAccountResponse, GetAccountRequest, GetAccountResponse,
    ListMyRecordsRequest, ListMyRecordsResponse, RefreshSessionRequest, RefreshSessionResponse,
    SendRegistrationCodeRequest, SendRegistrationCodeResponse, SendSmsCodeRequest,
    SendSmsCodeResponse, SignInRequest, SignInResponse, SignOutRequest, SignOutResponse, Tokens,
};
use zhiyuan_contracts::registration::v1 as registration;
use zhiyuan_contracts::registration::v1::registration_service_server::{
    RegistrationService, RegistrationServiceServer,
};
use zhiyuan_domain::{Clock as _, SystemClock};

struct Played;

/// All that is played, with health.
pub(crate) async fn routes() -> Routes {
    zhiyuan_rpc::server::standard_routes(&[])
        .await
        .unwrap()
        .add_service(SmsCodeServiceServer::new(Played))
        .add_service(SignInServiceServer::new(Played))
        .add_service(AuditServiceServer::new(Played))
        .add_service(AccountServiceServer::new(Played))
        .add_service(RegistrationServiceServer::new(Played))
}

/// A refusal as a service of the suite makes it.
pub(crate) fn rich(code: Code) -> Status {
    let mut details = ErrorDetails::new();
    details
        .set_error_info(
            "SMS_TOO_SOON",
            "identity.zhiyuan",
            [("seconds".to_owned(), "30".to_owned())],
        )
        .set_localized_message("zh-CN", "请稍后再试")
        .set_retry_info(Some(Duration::from_secs(30)))
        .add_bad_request_violation("phone", "请填写 11 位手机号码");
    Status::with_error_details(code, "请稍后再试", details)
}

#[tonic::async_trait]
impl SmsCodeService for Played {
    async fn send_sms_code(
        &self,
        request: Request<SendSmsCodeRequest>,
    ) -> Result<Response<SendSmsCodeResponse>, Status> {
        let phone = request.get_ref().phone.clone();
        match phone.split_once(':') {
            Some(("rich", code)) => return Err(rich(Code::from_bytes(code.as_bytes()))),
            Some(("bare", code)) => {
                return Err(Status::new(Code::from_bytes(code.as_bytes()), "table sms.codes"));
            }
            _ if phone == "hang" => std::future::pending().await,
            _ => {}
        }
        Ok(Response::new(SendSmsCodeResponse {
            challenge_id: format!("for {phone}"),
            expire_time: Some(Timestamp { seconds: 1_767_225_600, nanos: 0 }),
            next_send_time: None,
        }))
    }

    async fn send_registration_code(
        &self,
        _request: Request<SendRegistrationCodeRequest>,
    ) -> Result<Response<SendRegistrationCodeResponse>, Status> {
        Err(rich(Code::ResourceExhausted))
    }
}

/// What is asked for by `refuse:7`, `hang`.
async fn told(text: &str) -> Result<(), Status> {
    match text.split_once(':') {
        Some(("refuse", code)) => Err(rich(Code::from_bytes(code.as_bytes()))),
        _ if text == "hang" => std::future::pending().await,
        _ => Ok(()),
    }
}

/// Ten minutes, and thirty days.
fn tokens(access: &str, refresh: &str) -> Tokens {
    let now = SystemClock.now().unix_timestamp();
    let after = |seconds| Some(Timestamp { seconds: now + seconds, nanos: 0 });
    Tokens {
        access_token: access.to_owned(),
        access_expire_time: after(600),
        refresh_token: refresh.to_owned(),
        refresh_expire_time: after(2_592_000),
    }
}

#[tonic::async_trait]
impl SignInService for Played {
    async fn sign_in(
        &self,
        request: Request<SignInRequest>,
    ) -> Result<Response<SignInResponse>, Status> {
        let identifier = request.get_ref().identifier.as_str();
        told(identifier).await?;
        let tokens = match identifier.split_once('=') {
            Some(("access", token)) => Some(tokens(token, "r")),
            Some(("refresh", token)) => Some(tokens("a", token)),
            _ if identifier == "none" => None,
            _ if identifier == "endless" => {
                Some(Tokens { refresh_expire_time: None, ..tokens("a", "r") })
            }
            _ if identifier == "ended" => {
                Some(Tokens { access_expire_time: Some(Timestamp::default()), ..tokens("a", "r") })
            }
            _ => Some(tokens("access.1", "refresh.1")),
        };
        let response = SignInResponse { tokens, session_id: "s".into(), ..Default::default() };
        Ok(Response::new(response))
    }

    async fn refresh_session(
        &self,
        request: Request<RefreshSessionRequest>,
    ) -> Result<Response<RefreshSessionResponse>, Status> {
        let cookie = request.metadata().get("zhiyuan-refresh-token");
        let cookie = cookie.map(|value| value.to_str().unwrap().to_owned());
        let token = cookie.unwrap_or_else(|| request.get_ref().refresh_token.clone());
        told(&token).await?;
        let tokens = Some(tokens("access.2", "refresh.2"));
        Ok(Response::new(RefreshSessionResponse { tokens }))
    }

    async fn sign_out(
        &self,
        request: Request<SignOutRequest>,
    ) -> Result<Response<SignOutResponse>, Status> {
        let cookie = request.metadata().get("zhiyuan-refresh-token");
        let cookie = cookie.map(|value| value.to_str().unwrap().to_owned());
        told(&cookie.unwrap_or_else(|| request.get_ref().refresh_token.clone())).await?;
        Ok(Response::new(SignOutResponse {}))
    }
}

#[tonic::async_trait]
impl AccountService for Played {
    async fn get_account(
        &self,
        _request: Request<GetAccountRequest>,
    ) -> Result<Response<GetAccountResponse>, Status> {
        Err(rich(Code::NotFound))
    }

    async fn close_my_account(
        &self,
        request: Request<CloseMyAccountRequest>,
    ) -> Result<Response<CloseMyAccountResponse>, Status> {
        assert!(!request.metadata().contains_key("zhiyuan-refresh-token"));
        told(&request.get_ref().password).await?;
        Ok(Response::new(CloseMyAccountResponse {}))
    }
}

#[tonic::async_trait]
impl AuditService for Played {
    async fn list_my_records(
        &self,
        request: Request<ListMyRecordsRequest>,
    ) -> Result<Response<ListMyRecordsResponse>, Status> {
        let authorization = request.metadata().get("authorization").unwrap().to_str().unwrap();
        told(authorization.split_once(' ').unwrap().1).await?;
        Ok(Response::new(ListMyRecordsResponse::default()))
    }
}

#[tonic::async_trait]
impl RegistrationService for Played {
    async fn register(
        &self,
        _request: Request<registration::RegisterRequest>,
    ) -> Result<Response<registration::RegisterResponse>, Status> {
        Err(rich(Code::AlreadyExists))
    }

    async fn register_on_behalf(
        &self,
        _request: Request<registration::RegisterOnBehalfRequest>,
    ) -> Result<Response<registration::RegisterOnBehalfResponse>, Status> {
        Err(rich(Code::AlreadyExists))
    }

    async fn get_registration(
        &self,
        _request: Request<registration::GetRegistrationRequest>,
    ) -> Result<Response<registration::GetRegistrationResponse>, Status> {
        Ok(Response::new(registration::GetRegistrationResponse {
            state: registration::RegistrationState::Active.into(),
            next_retry_time: None,
            volunteer: Some(registration::Volunteer {
                volunteer_number: "340100000000017".into(),
                ..Default::default()
            }),
        }))
    }
}
