use sqlx::PgPool;
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_audit::{Actor, Entry, Outcome, Trail};
use zhiyuan_contracts::identity::v1::audit_service_server::AuditService;
use zhiyuan_contracts::identity::v1::{
    ActorKind, AuditRecord, ListMyRecordsRequest, ListMyRecordsResponse,
};
use zhiyuan_domain::AccountId;
use zhiyuan_rpc::PersonIdentity;
use zhiyuan_rpc::page::Page;
use zhiyuan_rpc::wire::timestamp;

use crate::error::Error;

/// `zhiyuan.identity.v1.AuditService`.
#[derive(Debug)]
pub(crate) struct AuditRpc {
    pool: PgPool,
    trail: Trail,
}

impl AuditRpc {
    pub(crate) fn new(pool: PgPool, trail: Trail) -> Self {
        Self { pool, trail }
    }

    async fn list(
        &self,
        account_id: Uuid,
        request: &ListMyRecordsRequest,
    ) -> Result<ListMyRecordsResponse, Error> {
        let page = Page::parse(request.page_size, &request.page_token, &["records"])?;
        let before = page.after_key(|key| key.parse::<i64>().ok().filter(|index| *index > 0))?;
        let mut conn = self.pool.acquire().await?;
        let account = AccountId::from(account_id);
        let found = self.trail.list_by_subject(&mut conn, account, before, page.fetch()).await?;
        let (pending, chained): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|entry| entry.index.is_none());
        let (chained, next_page_token) =
            page.cut(chained, |entry| entry.index.unwrap_or_default().to_string());
        let records = pending.into_iter().chain(chained).map(to_wire).collect();
        Ok(ListMyRecordsResponse { records, next_page_token })
    }
}

fn to_wire(entry: Entry) -> AuditRecord {
    let (kind, actor) = match entry.actor {
        Actor::Person(account) => (ActorKind::Person, account.as_uuid().to_string()),
        Actor::ServiceAccount(name) => (ActorKind::ServiceAccount, name),
        Actor::Service(name) => (ActorKind::Service, name),
        Actor::Operator(name) => (ActorKind::Operator, name),
    };
    AuditRecord {
        time: Some(timestamp(entry.at)),
        actor_kind: kind.into(),
        actor,
        action: entry.action,
        purpose: entry.purpose.unwrap_or_default(),
        refused: entry.outcome == Outcome::Refused,
    }
}

#[async_trait]
impl AuditService for AuditRpc {
    async fn list_my_records(
        &self,
        request: Request<ListMyRecordsRequest>,
    ) -> Result<Response<ListMyRecordsResponse>, Status> {
        let person = PersonIdentity::of(&request)?;
        Ok(Response::new(self.list(person.account_id, request.get_ref()).await?))
    }
}
