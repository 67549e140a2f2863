//! Played services: what they answer is told by the request.

use std::time::Duration;

use prost_types::Timestamp;
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use zhiyuan_contracts::identity::v1::sms_code_service_server::{
    SmsCodeService, SmsCodeServiceServer,
};
use zhiyuan_contracts::identity::v1::{SendSmsCodeRequest, SendSmsCodeResponse};
use zhiyuan_contracts::registration::v1 as registration;
use zhiyuan_contracts::registration::v1::registration_service_server::{
    RegistrationService, RegistrationServiceServer,
};

struct Played;

/// All that is played, with health.
pub(crate) async fn routes() -> Routes {
    zhiyuan_rpc::server::standard_routes(&[])
        .await
        .unwrap()
        .add_service(SmsCodeServiceServer::new(Played))
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
}

#[tonic::async_trait]
impl RegistrationService for Played {
    async fn register(
        &self,
        _request: Request<registration::RegisterRequest>,
    ) -> Result<Response<registration::RegisterResponse>, Status> {
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
