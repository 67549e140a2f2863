//! identity by script, as far as people who have signed in go: whose tokens count, and what
//! is shown of accounts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use time::OffsetDateTime;
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_auth::{SignedIn, token};
use zhiyuan_contracts::identity::v1::account_service_server::AccountService;
use zhiyuan_contracts::identity::v1::session_service_server::SessionService;
use zhiyuan_contracts::identity::v1::{
    CloseMyAccountRequest, CloseMyAccountResponse, EndOtherSessionsRequest,
    EndOtherSessionsResponse, EndSessionRequest, EndSessionResponse, ErrorReason,
    GetAccountRequest, GetAccountResponse, ListRevocationsRequest, ListRevocationsResponse,
    ListSessionsRequest, ListSessionsResponse, ListSigningKeysRequest, ListSigningKeysResponse,
    ReportServiceAccountUsesRequest, ReportServiceAccountUsesResponse, ServiceAccount,
    ServiceAccountKey,
};
use zhiyuan_crypto::SigningKey;
use zhiyuan_rpc::{Code, Error};

/// What is shown of everybody.
pub(crate) const NAME: &str = "汪**";
pub(crate) const PHONE: &str = "138****0000";

#[derive(Debug)]
pub(crate) struct State {
    key: SigningKey,
    /// Service accounts that are restricted, and of which version this is.
    platforms: (u8, Vec<ServiceAccount>),
    /// Accounts that are closed.
    pub(crate) closed: Vec<String>,
    /// How many calls fail from now on.
    pub(crate) down: usize,
    /// What was asked how often.
    pub(crate) calls: BTreeMap<&'static str, usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct FakeAccounts(Arc<Mutex<State>>);

impl Default for FakeAccounts {
    fn default() -> Self {
        let (key, calls) = (SigningKey::generate(), BTreeMap::new());
        let platforms = (0, Vec::new());
        Self(Arc::new(Mutex::new(State { key, platforms, closed: Vec::new(), down: 0, calls })))
    }
}

impl FakeAccounts {
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    /// A service account that follows the feed of these organizations alone; the only one.
    pub(crate) fn restrict(&self, name: &str, key: &SigningKey, within: &[&str]) {
        let key = ServiceAccountKey {
            public_key: key.verifying_key().as_bytes().to_vec(),
            use_time: Some(prost_types::Timestamp::default()),
            expire_time: Some(prost_types::Timestamp { seconds: 4_000_000_000, nanos: 0 }),
        };
        let account = ServiceAccount {
            name: name.to_owned(),
            scopes: vec!["registration.feed".to_owned()],
            keys: vec![key],
            calls_per_minute: 10_000,
            calls_per_day: 10_000,
            within: within.iter().map(|&code| code.to_owned()).collect(),
        };
        self.with(|state| state.platforms = (state.platforms.0 + 1, vec![account]));
    }

    /// A message of somebody who has signed in.
    pub(crate) fn sign<T>(&self, account: &str, now: OffsetDateTime, message: T) -> Request<T> {
        self.sign_with(account, now, message, false)
    }

    /// A message of somebody who has signed in with a second factor.
    pub(crate) fn sign_twice<T>(
        &self,
        account: &str,
        now: OffsetDateTime,
        message: T,
    ) -> Request<T> {
        self.sign_with(account, now, message, true)
    }

    /// A message of somebody who has signed in, with a second factor or without.
    pub(crate) fn sign_with<T>(
        &self,
        account: &str,
        now: OffsetDateTime,
        message: T,
        second_factor: bool,
    ) -> Request<T> {
        let session_id = Uuid::new_v4();
        let person = SignedIn { account_id: account.parse().unwrap(), session_id, second_factor };
        let token =
            self.with(|state| token::issue(&state.key, &person, now.unix_timestamp(), i64::MAX));
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        request
    }
}

fn none<T>() -> Result<Response<T>, Status> {
    Err(Error::method_not_found().into())
}

#[async_trait]
impl SessionService for FakeAccounts {
    async fn list_sessions(
        &self,
        _request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        none()
    }

    async fn end_session(
        &self,
        _request: Request<EndSessionRequest>,
    ) -> Result<Response<EndSessionResponse>, Status> {
        none()
    }

    async fn end_other_sessions(
        &self,
        _request: Request<EndOtherSessionsRequest>,
    ) -> Result<Response<EndOtherSessionsResponse>, Status> {
        none()
    }

    async fn list_signing_keys(
        &self,
        _request: Request<ListSigningKeysRequest>,
    ) -> Result<Response<ListSigningKeysResponse>, Status> {
        none()
    }

    async fn list_revocations(
        &self,
        _request: Request<ListRevocationsRequest>,
    ) -> Result<Response<ListRevocationsResponse>, Status> {
        let (key, (version, platforms)) =
            self.with(|state| (state.key.verifying_key(), state.platforms.clone()));
        Ok(Response::new(ListRevocationsResponse {
            signing_keys: vec![key.as_bytes().to_vec()],
            cursor: "1".to_owned(),
            service_accounts_version: vec![version],
            restricted_service_accounts: platforms,
            ..Default::default()
        }))
    }

    async fn report_service_account_uses(
        &self,
        _request: Request<ReportServiceAccountUsesRequest>,
    ) -> Result<Response<ReportServiceAccountUsesResponse>, Status> {
        Ok(Response::new(ReportServiceAccountUsesResponse::default()))
    }
}

#[async_trait]
impl AccountService for FakeAccounts {
    async fn get_account(
        &self,
        request: Request<GetAccountRequest>,
    ) -> Result<Response<GetAccountResponse>, Status> {
        let id = request.into_inner().account_id;
        self.with(|state| {
            *state.calls.entry("get").or_default() += 1;
            if state.down > 0 {
                state.down -= 1;
                return Err(Error::unavailable("told to fail").into());
            }
            if state.closed.contains(&id) {
                let reason = ErrorReason::AccountNotFound;
                return Err(Error::new(Code::NotFound, reason, "没有").into());
            }
            let (masked_name, masked_phone) = (NAME.to_owned(), PHONE.to_owned());
            Ok(Response::new(GetAccountResponse {
                masked_name,
                masked_phone,
                ..Default::default()
            }))
        })
    }

    async fn close_my_account(
        &self,
        _request: Request<CloseMyAccountRequest>,
    ) -> Result<Response<CloseMyAccountResponse>, Status> {
        none()
    }
}
