use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::session_service_server::SessionService;
use zhiyuan_contracts::identity::v1::{
    EndOtherSessionsRequest, EndOtherSessionsResponse, EndSessionRequest, EndSessionResponse,
    ListRevocationsRequest, ListRevocationsResponse, ListSessionsRequest, ListSessionsResponse,
    ListSigningKeysRequest, ListSigningKeysResponse, ReportServiceAccountUsesRequest,
    ReportServiceAccountUsesResponse, Session as WireSession, SigningKey,
};
use zhiyuan_rpc::page::Page;
use zhiyuan_rpc::wire::timestamp;
use zhiyuan_rpc::{Fields, PersonIdentity};

use super::db::{self, Which};
use super::issuer::Issuer;
use super::{Cursor, Session, word};
use crate::error::Error;
use crate::service_accounts;
use crate::service_accounts::word::{accounts_to_wire, count_to_wire};
use crate::signing_keys::{self, Stored};

/// `zhiyuan.identity.v1.SessionService`.
#[derive(Debug)]
pub(crate) struct SessionRpc {
    issuer: Issuer,
}

impl SessionRpc {
    pub(crate) fn new(issuer: Issuer) -> Self {
        Self { issuer }
    }

    async fn list(
        &self,
        account_id: Uuid,
        calling: Uuid,
        request: &ListSessionsRequest,
    ) -> Result<ListSessionsResponse, Error> {
        let page = Page::parse(request.page_size, &request.page_token, &["sessions"])?;
        let after = page.after_key(|key| Uuid::try_parse(key).ok())?;
        let now = self.issuer.clock.now();
        let all = db::list(&mut *self.issuer.pool.acquire().await?, account_id, now).await?;
        // There are twenty at most.
        let rows = all
            .into_iter()
            .filter(|session| after.is_none_or(|after| session.session_id < after))
            .take(usize::try_from(page.fetch()).unwrap_or(usize::MAX))
            .collect();
        let (rows, next_page_token) = page.cut(rows, |row: &Session| row.session_id.to_string());
        let sessions = rows.into_iter().map(|session| to_wire(session, calling)).collect();
        Ok(ListSessionsResponse { sessions, next_page_token })
    }

    async fn end(&self, account_id: Uuid, request: &EndSessionRequest) -> Result<(), Error> {
        let mut fields = Fields::new();
        let Ok(session_id) = Uuid::try_parse(&request.session_id) else {
            fields.refuse("session_id", "SESSION_ID_FORMAT", "登录记录编号格式不正确");
            return Err(fields.into_error().into());
        };
        if self.issuer.end(account_id, Which::One(session_id)).await? == 0 {
            // Over already, or never there: the first is no error, as far as it is known.
            let over = db::is_over(&mut *self.issuer.pool.acquire().await?, session_id).await?;
            if !over {
                return Err(Error::SessionNotFound);
            }
        }
        Ok(())
    }

    async fn signing_keys(
        &self,
        request: &ListSigningKeysRequest,
    ) -> Result<ListSigningKeysResponse, Error> {
        let page = Page::parse(request.page_size, &request.page_token, &["signing_keys"])?;
        let after = page.after_key(|key| Uuid::try_parse(key).ok())?;
        let mut conn = self.issuer.pool.acquire().await?;
        let now = self.issuer.keys.agreed.now(&mut conn).await?;
        let all = signing_keys::db::list(&mut conn, now).await?;
        drop(conn);
        let rows = all
            .into_iter()
            .skip_while(|key| after.is_some_and(|after| key.id <= after))
            .take(usize::try_from(page.fetch()).unwrap_or(usize::MAX))
            .collect();
        let (rows, next_page_token) = page.cut(rows, |row: &Stored| row.id.to_string());
        let keys = rows.into_iter().map(|key| {
            Ok(SigningKey {
                id: key.verifying_key()?.key_id(),
                use_time: Some(timestamp(key.term.use_at)),
                expire_time: Some(timestamp(key.term.expire_at())),
                public_key: key.public_key,
            })
        });
        let keys = keys.collect::<Result<_, Error>>()?;
        Ok(ListSigningKeysResponse { keys, next_page_token })
    }

    async fn revocations(
        &self,
        request: &ListRevocationsRequest,
    ) -> Result<ListRevocationsResponse, Error> {
        let from = Cursor::parse(&request.cursor).ok_or_else(|| {
            let mut fields = Fields::new();
            fields.refuse("cursor", "CURSOR_INVALID", "游标不是上一次应答给出的值");
            Error::from(fields.into_error())
        })?;
        let read = word::read(&self.issuer.keys, from).await?;
        let (everywhere, restricted, version) = accounts_to_wire(&read.accounts);
        let known = version == request.service_accounts_version;
        let unknown = |accounts| if known { Vec::new() } else { accounts };
        let ended = read.ended;
        Ok(ListRevocationsResponse {
            signing_keys: read.keys.into_iter().map(|key| key.public_key).collect(),
            ended_sessions: ended.sessions.iter().map(|id| id.as_bytes().to_vec()).collect(),
            cursor: ended.cursor.to_string(),
            more: ended.more,
            service_accounts_version: version,
            service_accounts: unknown(everywhere),
            restricted_service_accounts: unknown(restricted),
            service_account_counts: read.counts.into_iter().map(count_to_wire).collect(),
        })
    }
}

fn to_wire(session: Session, calling: Uuid) -> WireSession {
    WireSession {
        id: session.session_id.to_string(),
        current: session.session_id == calling,
        second_factor: session.second_factor,
        create_time: Some(timestamp(session.created_at)),
        refresh_time: Some(timestamp(session.refreshed_at)),
        expire_time: Some(timestamp(session.expire_at)),
        client_name: session.client_name,
    }
}

#[async_trait]
impl SessionService for SessionRpc {
    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let person = PersonIdentity::of(&request)?;
        let listed = self.list(person.account_id, person.session_id, request.get_ref()).await?;
        Ok(Response::new(listed))
    }

    async fn end_session(
        &self,
        request: Request<EndSessionRequest>,
    ) -> Result<Response<EndSessionResponse>, Status> {
        let person = PersonIdentity::of(&request)?;
        self.end(person.account_id, request.get_ref()).await?;
        Ok(Response::new(EndSessionResponse {}))
    }

    async fn end_other_sessions(
        &self,
        request: Request<EndOtherSessionsRequest>,
    ) -> Result<Response<EndOtherSessionsResponse>, Status> {
        let person = PersonIdentity::of(&request)?;
        let which = Which::Others(person.session_id);
        let ended = self.issuer.end(person.account_id, which).await?;
        let ended = i32::try_from(ended).unwrap_or(i32::MAX);
        Ok(Response::new(EndOtherSessionsResponse { ended }))
    }

    async fn list_signing_keys(
        &self,
        request: Request<ListSigningKeysRequest>,
    ) -> Result<Response<ListSigningKeysResponse>, Status> {
        Ok(Response::new(self.signing_keys(request.get_ref()).await?))
    }

    async fn list_revocations(
        &self,
        request: Request<ListRevocationsRequest>,
    ) -> Result<Response<ListRevocationsResponse>, Status> {
        Ok(Response::new(self.revocations(request.get_ref()).await?))
    }

    async fn report_service_account_uses(
        &self,
        request: Request<ReportServiceAccountUsesRequest>,
    ) -> Result<Response<ReportServiceAccountUsesResponse>, Status> {
        let uses = service_accounts::word::parse(request.get_ref())?;
        let Issuer { pool, clock, .. } = &self.issuer;
        service_accounts::word::count(pool, &uses, clock.now()).await?;
        Ok(Response::new(ReportServiceAccountUsesResponse {}))
    }
}
