//! `zhiyuan.orgtree.v1.PeriodicNoticeService`.

use sqlx::PgPool;
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_audit::Trail;
use zhiyuan_contracts::orgtree::v1::periodic_notice_service_server::PeriodicNoticeService;
use zhiyuan_contracts::orgtree::v1::{
    ConfirmPeriodicNoticeRequest, ConfirmPeriodicNoticeResponse, DeletePeriodicNoticeDraftRequest,
    DeletePeriodicNoticeDraftResponse, DownloadPeriodicNoticeRequest,
    DownloadPeriodicNoticeResponse, DraftPeriodicNoticeRequest, DraftPeriodicNoticeResponse,
    GetPeriodicNoticeRequest, GetPeriodicNoticeResponse, IssuePeriodicNoticeRequest,
    IssuePeriodicNoticeResponse, ListPeriodicNoticeConfirmationsRequest,
    ListPeriodicNoticeConfirmationsResponse, ListPeriodicNoticeKeysRequest,
    ListPeriodicNoticeKeysResponse, ListPeriodicNoticeRowsRequest, ListPeriodicNoticeRowsResponse,
    ListPeriodicNoticesRequest, ListPeriodicNoticesResponse, PeriodicNotice, PeriodicNoticeFigures,
    PeriodicNoticeRow, PeriodicNoticeState,
};
use zhiyuan_domain::{RequestId, SharedClock, Violation};
use zhiyuan_rpc::wire::timestamp;
use zhiyuan_rpc::{Fields, PersonIdentity};

use super::confirming::confirmed;
use super::document::Format;
use super::drafting::Wanted;
use super::rendition::{Shown, ShownFigures};
use super::{Keys, Notice, records};
use crate::authority::grpc::{key, violation};
use crate::authority::refusals::Refusals;
use crate::error::{Error, Result};
use crate::requests;

/// `PeriodicNoticeService`.
#[derive(Debug)]
pub(crate) struct Notices {
    pub(super) pool: PgPool,
    pub(super) clock: SharedClock,
    pub(super) trail: Trail,
    pub(super) refusals: Refusals,
    pub(super) keys: Keys,
}

type Answer<T> = std::result::Result<Response<T>, Status>;

#[async_trait]
impl PeriodicNoticeService for Notices {
    async fn draft_periodic_notice(
        &self,
        request: Request<DraftPeriodicNoticeRequest>,
    ) -> Answer<DraftPeriodicNoticeResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let (id, wanted) = Wanted::parse(request.get_ref())?;
        let says = wanted.says();
        let call = requests::Request::new(me, "DraftPeriodicNotice", id, says.as_bytes());
        Ok(Response::new(self.draft(&call, &wanted).await?))
    }

    async fn get_periodic_notice(
        &self,
        request: Request<GetPeriodicNoticeRequest>,
    ) -> Answer<GetPeriodicNoticeResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let mut fields = Fields::new();
        let id = fields.take("notice_id", notice_id(&request.get_ref().notice_id));
        let Some(id) = id else { return Err(fields.into_error().into()) };
        Ok(Response::new(self.get(me, id).await?))
    }

    async fn list_periodic_notice_rows(
        &self,
        request: Request<ListPeriodicNoticeRowsRequest>,
    ) -> Answer<ListPeriodicNoticeRowsResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        Ok(Response::new(self.list_rows(me, request.get_ref()).await?))
    }

    async fn list_periodic_notices(
        &self,
        request: Request<ListPeriodicNoticesRequest>,
    ) -> Answer<ListPeriodicNoticesResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        Ok(Response::new(self.list(me, request.get_ref()).await?))
    }

    async fn issue_periodic_notice(
        &self,
        request: Request<IssuePeriodicNoticeRequest>,
    ) -> Answer<IssuePeriodicNoticeResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let (request_id, id, supersedes) = issue(request.get_ref())?;
        let says = format!("{id}\n{supersedes:?}");
        let call = requests::Request::new(me, "IssuePeriodicNotice", request_id, says.as_bytes());
        Ok(Response::new(self.issue(&call, id, supersedes).await?))
    }

    async fn delete_periodic_notice_draft(
        &self,
        request: Request<DeletePeriodicNoticeDraftRequest>,
    ) -> Answer<DeletePeriodicNoticeDraftResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let DeletePeriodicNoticeDraftRequest { request_id, notice_id: id } = request.get_ref();
        let mut fields = Fields::new();
        let request_id = fields.take("request_id", RequestId::parse(request_id));
        let id = fields.take("notice_id", notice_id(id));
        let (Some(request_id), Some(id)) = (request_id, id) else {
            return Err(fields.into_error().into());
        };
        let method = "DeletePeriodicNoticeDraft";
        let call = requests::Request::new(me, method, request_id, id.as_bytes());
        self.delete(&call, id).await?;
        Ok(Response::new(DeletePeriodicNoticeDraftResponse {}))
    }

    async fn download_periodic_notice(
        &self,
        request: Request<DownloadPeriodicNoticeRequest>,
    ) -> Answer<DownloadPeriodicNoticeResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let mut fields = Fields::new();
        let id = fields.take("notice_id", notice_id(&request.get_ref().notice_id));
        let format = Format::of_number(request.get_ref().format);
        let format = fields.take("format", format.ok_or_else(no_format));
        let (Some(id), Some(format)) = (id, format) else {
            return Err(fields.into_error().into());
        };
        Ok(Response::new(self.download(me, id, format).await?))
    }

    async fn confirm_periodic_notice(
        &self,
        request: Request<ConfirmPeriodicNoticeRequest>,
    ) -> Answer<ConfirmPeriodicNoticeResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let (request_id, id, code) = confirmed(request.get_ref())?;
        let code = code.as_str();
        let says = format!("{id}\n{code}");
        let call = requests::Request::new(me, "ConfirmPeriodicNotice", request_id, says.as_bytes());
        Ok(Response::new(self.confirm(&call, id, code).await?))
    }

    async fn list_periodic_notice_confirmations(
        &self,
        request: Request<ListPeriodicNoticeConfirmationsRequest>,
    ) -> Answer<ListPeriodicNoticeConfirmationsResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        Ok(Response::new(self.list_confirmations(me, request.get_ref()).await?))
    }

    async fn list_periodic_notice_keys(
        &self,
        request: Request<ListPeriodicNoticeKeysRequest>,
    ) -> Answer<ListPeriodicNoticeKeysResponse> {
        Ok(Response::new(self.list_keys(request.get_ref()).await?))
    }
}

impl Notices {
    pub(crate) fn new(pool: PgPool, clock: SharedClock, trail: Trail, keys: Keys) -> Self {
        let refusals = Refusals::new(pool.clone(), clock.clone(), trail.clone());
        Self { pool, clock, trail, refusals, keys }
    }

    /// Records what was refused to somebody who may not.
    pub(super) async fn note<T>(
        &self,
        call: &requests::Request,
        done: &Result<T>,
        action: &'static str,
        code: Option<&str>,
        id: Option<Uuid>,
    ) -> Result<()> {
        let Some(reason) = done.as_ref().err().and_then(Error::refusal) else { return Ok(()) };
        let record = records::refused(call.caller, action, code, id, reason);
        self.refusals.note(call, reason, &record).await
    }
}

pub(super) fn notice_id(id: &str) -> std::result::Result<Uuid, Violation> {
    let message = "通报的标识格式不正确，应为带连字符的 36 位 UUID";
    key(id).ok_or_else(|| violation("ID_FORMAT", message))
}

fn no_format() -> Violation {
    violation("FORMAT_UNKNOWN", "没有这种文件格式，请重新选择")
}

/// Which draft is to be issued, and whose place it takes.
fn issue(request: &IssuePeriodicNoticeRequest) -> Result<(RequestId, Uuid, Option<Uuid>)> {
    let mut fields = Fields::new();
    let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
    let id = fields.take("notice_id", notice_id(&request.notice_id));
    let other = request.supersedes_notice_id.as_str();
    let other = (!other.is_empty()).then(|| notice_id(other)).transpose();
    let other = fields.take("supersedes_notice_id", other);
    let (Some(request_id), Some(id), Some(other)) = (request_id, id, other) else {
        return Err(fields.into_error().into());
    };
    Ok((request_id, id, other))
}

pub(super) fn to_wire(notice: &Notice) -> PeriodicNotice {
    let issued = notice.issued.as_ref();
    let superseded_by = issued.and_then(|issued| issued.superseded_by);
    let state = match (issued, superseded_by) {
        (None, _) => PeriodicNoticeState::Draft,
        (Some(_), None) => PeriodicNoticeState::Issued,
        (Some(_), Some(_)) => PeriodicNoticeState::Superseded,
    };
    let or_empty = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    PeriodicNotice {
        id: notice.id.to_string(),
        organization_code: notice.issuer_code.clone(),
        organization_name: notice.issuer_name.clone(),
        state: state.into(),
        number: issued.map(super::Issued::number).unwrap_or_default(),
        as_of: Some(timestamp(notice.as_of)),
        tree_time: Some(timestamp(notice.tree_at)),
        target_per_ten_thousand: notice.target,
        deadline: notice.deadline.to_string(),
        rows: notice.rows,
        draft_time: Some(timestamp(notice.drafted_at)),
        issue_time: issued.map(|issued| timestamp(issued.at)),
        previous_notice_id: or_empty(notice.previous),
        supersedes_notice_id: or_empty(issued.and_then(|issued| issued.supersedes)),
        superseded_by_notice_id: or_empty(superseded_by),
    }
}

pub(super) fn row_to_wire(row: Shown) -> PeriodicNoticeRow {
    PeriodicNoticeRow {
        organization_code: row.code,
        organization_name: row.name,
        rank: row.rank.unwrap_or_default(),
        hidden: row.figures.is_none(),
        figures: row.figures.map(figures_to_wire),
    }
}

fn figures_to_wire(figures: ShownFigures) -> PeriodicNoticeFigures {
    let (statement_source, stated_on) = match figures.stated {
        Some(stated) => (stated.source, stated.on.to_string()),
        None => (String::new(), String::new()),
    };
    PeriodicNoticeFigures {
        members: figures.people.members,
        stated_members: figures.people.stated_members,
        statement_source,
        stated_on,
        registered_members: figures.people.registered_members,
        registered_per_ten_thousand: figures.rate,
        met: figures.met,
        gap: figures.gap,
        volunteers: figures.people.volunteers,
        verified_per_ten_thousand: figures.verified,
        organizations_without_administrator: figures.without_administrator,
        rate_change: figures.rate_change,
        registered_members_change: figures.registered_change,
        volunteers_change: figures.volunteers_change,
    }
}
