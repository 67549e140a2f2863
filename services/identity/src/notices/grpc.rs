use sqlx::PgPool;
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::notice_service_server::NoticeService;
use zhiyuan_contracts::identity::v1::{
    ListMyNoticesRequest, ListMyNoticesResponse, Notice, NoticeOutcome,
};
use zhiyuan_rpc::PersonIdentity;
use zhiyuan_rpc::page::Page;
use zhiyuan_rpc::wire::timestamp;

use super::{Template, db};
use crate::error::Error;

/// `zhiyuan.identity.v1.NoticeService`.
#[derive(Debug)]
pub(crate) struct NoticeRpc {
    pool: PgPool,
}

impl NoticeRpc {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    async fn list(
        &self,
        account_id: Uuid,
        request: &ListMyNoticesRequest,
    ) -> Result<ListMyNoticesResponse, Error> {
        let page = Page::parse(request.page_size, &request.page_token, &["notices"])?;
        let before = page.after_key(|key| Uuid::try_parse(key).ok())?;
        let mut conn = self.pool.acquire().await?;
        let rows = db::of_account(&mut conn, account_id, before, page.fetch()).await?;
        let (rows, next_page_token) = page.cut(rows, |row: &db::Stored| row.notice_id.to_string());
        let notices = rows.iter().map(to_wire).collect::<Result<_, _>>()?;
        Ok(ListMyNoticesResponse { notices, next_page_token })
    }
}

fn to_wire(stored: &db::Stored) -> Result<Notice, Error> {
    let template =
        Template::from_column(&stored.template).ok_or(Error::Inconsistent("identity.notice"))?;
    let outcome = match (stored.state.as_str(), stored.outcome.as_deref()) {
        ("QUEUED", _) => NoticeOutcome::Queued,
        ("SENT", Some("UNKNOWN")) => NoticeOutcome::Unknown,
        ("SENT", _) => NoticeOutcome::Taken,
        _ => NoticeOutcome::GivenUp,
    };
    let ended = outcome != NoticeOutcome::Queued;
    Ok(Notice {
        id: stored.notice_id.to_string(),
        text: template.text().to_owned(),
        create_time: Some(timestamp(stored.created_at)),
        outcome: outcome.into(),
        end_time: ended.then(|| timestamp(stored.updated_at)),
    })
}

#[async_trait]
impl NoticeService for NoticeRpc {
    async fn list_my_notices(
        &self,
        request: Request<ListMyNoticesRequest>,
    ) -> Result<Response<ListMyNoticesResponse>, Status> {
        let person = PersonIdentity::of(&request)?;
        Ok(Response::new(self.list(person.account_id, request.get_ref()).await?))
    }
}
