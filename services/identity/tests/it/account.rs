//! Somebody with an account, and what they call.

use tonic::transport::Channel;
use tonic::{Request, Status};
use zhiyuan_contracts::identity::v1::credential_service_client::CredentialServiceClient;
use zhiyuan_contracts::identity::v1::session_service_client::SessionServiceClient;
use zhiyuan_contracts::identity::v1::sign_in_service_client::SignInServiceClient;
use zhiyuan_contracts::identity::v1::{
    EnrolmentState, ListSessionsRequest, RefreshSessionRequest, Session, SignInRequest,
    SignInResponse, SmsPurpose, Tokens,
};
use zhiyuan_rpc::connect_lazy;
use zhiyuan_testkit::Person;

use crate::codes::reason;
use crate::harness::Identity;

/// The password of everybody who registers here.
pub(crate) const PASSWORD: &str = "green-tea-42";

pub(crate) type Answer<T> = Result<T, Status>;

pub(crate) fn refused<T: std::fmt::Debug>(answer: Answer<T>) -> String {
    reason(&answer.unwrap_err())
}

/// A request of who has signed in.
pub(crate) fn with<T>(tokens: &Tokens, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let bearer = format!("Bearer {}", tokens.access_token);
    request.metadata_mut().insert("authorization", bearer.parse().unwrap());
    request
}

pub(crate) fn sign_ins(channel: Channel) -> SignInServiceClient<Channel> {
    SignInServiceClient::new(channel)
}

pub(crate) fn sessions(address: &str) -> SessionServiceClient<Channel> {
    SessionServiceClient::new(connect_lazy(address).unwrap())
}

impl Identity {
    /// Registers somebody to the end.
    pub(crate) async fn register(&self, person: &Person) {
        let application = self.application(person).await;
        let enrolment = self.begin(&application).await;
        assert_eq!(enrolment.state(), EnrolmentState::Claimed);
        self.activate(&application.enrolment_id).await.unwrap();
    }

    pub(crate) async fn sign_in(&self, request: SignInRequest) -> Answer<SignInResponse> {
        loop {
            match sign_ins(self.channel()).sign_in(request.clone()).await {
                // The clock jumped over the terms of all keys: the next one is made soon.
                Err(status) if reason(&status) == "UNAVAILABLE" => tokio::task::yield_now().await,
                answer => return Ok(answer?.into_inner()),
            }
        }
    }

    pub(crate) async fn by_password(&self, identifier: &str, password: &str) -> Answer<Tokens> {
        let signed_in = self.sign_in(password_of(identifier, password)).await?;
        Ok(signed_in.tokens.unwrap())
    }

    /// A request with a code that is right.
    pub(crate) async fn code_for(&self, phone: &str, purpose: SmsPurpose) -> (String, String) {
        // The one before was less than a minute ago.
        self.pass(time::Duration::MINUTE);
        let sent = self.try_send_code_for(phone, purpose).await.unwrap();
        (sent.challenge_id, self.vendors.code(phone))
    }

    pub(crate) async fn code_request(&self, phone: &str) -> SignInRequest {
        let (sms_challenge_id, sms_code) = self.code_for(phone, SmsPurpose::SignIn).await;
        SignInRequest {
            identifier: phone.to_owned(),
            sms_challenge_id,
            sms_code,
            ..SignInRequest::default()
        }
    }

    pub(crate) async fn refresh(&self, refresh_token: &str) -> Answer<Tokens> {
        let request = RefreshSessionRequest { refresh_token: refresh_token.to_owned() };
        loop {
            match sign_ins(self.channel()).refresh_session(request.clone()).await {
                Err(status) if reason(&status) == "UNAVAILABLE" => tokio::task::yield_now().await,
                answer => return Ok(answer?.into_inner().tokens.unwrap()),
            }
        }
    }

    pub(crate) async fn sessions_of(&self, tokens: &Tokens) -> Answer<Vec<Session>> {
        let request = with(tokens, ListSessionsRequest::default());
        let answer = sessions(&self.address).list_sessions(request).await?;
        Ok(answer.into_inner().sessions)
    }

    pub(crate) fn credentials(&self) -> CredentialServiceClient<Channel> {
        CredentialServiceClient::new(self.channel())
    }
}

pub(crate) fn password_of(identifier: &str, password: &str) -> SignInRequest {
    SignInRequest {
        identifier: identifier.to_owned(),
        password: password.to_owned(),
        ..SignInRequest::default()
    }
}
