//! Reading notices, by what the reader administers at that moment.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::{
    DownloadPeriodicNoticeResponse, GetPeriodicNoticeResponse, ListPeriodicNoticeKeysRequest,
    ListPeriodicNoticeKeysResponse, ListPeriodicNoticeRowsRequest, ListPeriodicNoticeRowsResponse,
    ListPeriodicNoticesRequest, ListPeriodicNoticesResponse, PeriodicNoticeBox, PeriodicNoticeKey,
};
use zhiyuan_domain::{OrganizationCode, Violation};
use zhiyuan_rpc::Fields;
use zhiyuan_rpc::page::Page;

use super::db;
use super::document::Format;
use super::grpc::{Notices, notice_id, row_to_wire, to_wire};
use super::rendition::{self, Reader, Rendition};
use super::{Fault, Notice, records};
use crate::authority::grpc::key;
use crate::authority::{self, Permission, Verdict};
use crate::error::{Error, Result};

impl Notices {
    /// A notice and how much of it somebody may read now.
    async fn readable(&self, me: Uuid, id: Uuid) -> Result<(Notice, Reader)> {
        let now = self.clock.now();
        let notice = db::find(&self.pool, id).await?.ok_or(Fault::NotFound)?;
        let reaching = authority::reaching(&self.pool, me, &notice.issuer_code, now).await?;
        if let Verdict::Allowed(_) = authority::decide(&reaching, Permission::View) {
            return Ok((notice, Reader::Issuer));
        }
        let own = db::administered(&self.pool, id, me, Permission::View, now).await?;
        if notice.issued.is_none() || own.is_empty() {
            return Err(Fault::NotFound.into());
        }
        Ok((notice, Reader::Addressed(own)))
    }

    async fn rendered(&self, me: Uuid, id: Uuid) -> Result<(Notice, Reader, Rendition)> {
        let (notice, reader) = self.readable(me, id).await?;
        let table = db::table(&self.pool, id).await?;
        let rendition = rendition::render(&notice, &table, &reader);
        Ok((notice, reader, rendition))
    }

    pub(super) async fn get(&self, me: Uuid, id: Uuid) -> Result<GetPeriodicNoticeResponse> {
        let (notice, _reader, rendition) = self.rendered(me, id).await?;
        Ok(GetPeriodicNoticeResponse {
            notice: Some(to_wire(&notice)),
            total: Some(row_to_wire(rendition.total)),
        })
    }

    pub(super) async fn list_rows(
        &self,
        me: Uuid,
        request: &ListPeriodicNoticeRowsRequest,
    ) -> Result<ListPeriodicNoticeRowsResponse> {
        let mut fields = Fields::new();
        let id = fields.take("notice_id", notice_id(&request.notice_id));
        let Some(id) = id else { return Err(fields.into_error().into()) };
        let filter = ["periodic_notice_rows", &me.to_string(), &id.to_string()];
        let page = Page::parse(request.page_size, &request.page_token, &filter)?;
        let after = page.after_key(|key| OrganizationCode::parse(key).ok())?;
        // At each page anew: who has lost it meanwhile reads no further.
        let (_notice, _reader, rendition) = self.rendered(me, id).await?;
        let mut rows = rendition.rows.into_iter();
        if let Some(after) = after {
            // The place of a row is that of the reader; the code is there whatever is hidden.
            rows.by_ref().find(|row| row.code == after.as_str()).ok_or(Error::PageToken)?;
        }
        let limit = usize::try_from(page.fetch()).unwrap_or(usize::MAX);
        let (rows, next_page_token) = page.cut(rows.take(limit).collect(), |row| row.code.clone());
        let rows = rows.into_iter().map(row_to_wire).collect();
        Ok(ListPeriodicNoticeRowsResponse { rows, next_page_token })
    }

    pub(super) async fn list(
        &self,
        me: Uuid,
        request: &ListPeriodicNoticesRequest,
    ) -> Result<ListPeriodicNoticesResponse> {
        let mut fields = Fields::new();
        let code = OrganizationCode::parse(&request.organization_code);
        let code = fields.take("organization_code", code);
        let which = fields.take("box", which(request.r#box()));
        let (Some(code), Some(own)) = (code, which) else {
            return Err(fields.into_error().into());
        };
        let (code, which) = (code.as_str(), if own { "own" } else { "received" });
        let filter = ["periodic_notices", &me.to_string(), code, which];
        let page = Page::parse(request.page_size, &request.page_token, &filter)?;
        let (before, now) = (page.after_key(key)?, self.clock.now());
        authority::require(&self.pool, me, code, Permission::View, now).await?;
        let found = if own {
            db::own(&self.pool, code, before, page.fetch()).await?
        } else {
            db::received(&self.pool, code, before, page.fetch()).await?
        };
        let (found, next_page_token) = page.cut(found, |notice| notice.id.to_string());
        let notices = found.iter().map(to_wire).collect();
        Ok(ListPeriodicNoticesResponse { notices, next_page_token })
    }

    /// Hands a file out, once that is recorded.
    pub(super) async fn download(
        &self,
        me: Uuid,
        id: Uuid,
        format: Format,
    ) -> Result<DownloadPeriodicNoticeResponse> {
        let read = self.readable(me, id).await;
        if let Some(reason) = read.as_ref().err().and_then(Error::refusal) {
            let record = records::refused(me, records::DOWNLOADED, None, Some(id), reason);
            self.refusals.note_of(me, "DownloadPeriodicNotice", reason, &record).await?;
        }
        let (notice, reader) = read?;
        let whole = reader == Reader::Issuer;
        let issued = notice.issued.as_ref().ok_or(Fault::NotIssued)?;
        let file = db::find_file(&self.pool, id, whole, format).await?;
        let file = file.ok_or(Error::Inconsistent("orgtree.notice_file"))?;
        let mut transaction = self.pool.begin().await?;
        let record = records::done(me, records::DOWNLOADED, &notice)
            .with("format", format.extension())
            .with("whole", whole);
        self.trail.append(&mut transaction, &record).await?;
        transaction.commit().await?;
        Ok(DownloadPeriodicNoticeResponse {
            content: file.content,
            file_name: format!("通报{}.{}", issued.number(), format.extension()),
            media_type: format.media_type().to_owned(),
            whole,
            signature: file.signature,
            key_id: file.key_id,
        })
    }

    pub(super) async fn list_keys(
        &self,
        request: &ListPeriodicNoticeKeysRequest,
    ) -> Result<ListPeriodicNoticeKeysResponse> {
        let page = Page::parse(request.page_size, &request.page_token, &["periodic_notice_keys"])?;
        let id = |key: &str| {
            let good = key.len() == 16 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
            good.then(|| key.to_owned())
        };
        let after = page.after_key(id)?;
        let found = db::keys(&self.pool, after.as_deref(), page.fetch()).await?;
        let (found, next_page_token) = page.cut(found, |(id, _key)| id.clone());
        let wire = |(id, public_key)| PeriodicNoticeKey { id, public_key };
        let keys = found.into_iter().map(wire).collect();
        Ok(ListPeriodicNoticeKeysResponse { keys, next_page_token })
    }

    /// A notice that somebody may change, and by which grant; nothing is told of others.
    pub(super) async fn hold(
        &self,
        transaction: &mut PgConnection,
        me: Uuid,
        id: Uuid,
        now: OffsetDateTime,
    ) -> Result<(Notice, Uuid)> {
        let notice = db::find(&mut *transaction, id).await?.ok_or(Fault::NotFound)?;
        let (code, permission) = (notice.issuer_code.as_str(), Permission::ManageOrganization);
        let held = match authority::holding(transaction, me, code, permission, now).await {
            Err(Error::OrganizationNotFound) => Err(Fault::NotFound.into()),
            held => held,
        };
        let right = held?.first().ok_or(Fault::NotFound)?.id;
        Ok((notice, right))
    }
}

/// Whether the own ones are asked for.
fn which(which: PeriodicNoticeBox) -> std::result::Result<bool, Violation> {
    match which {
        PeriodicNoticeBox::Own => Ok(true),
        PeriodicNoticeBox::Received => Ok(false),
        PeriodicNoticeBox::Unspecified => Err(Violation {
            reason: "BOX_UNKNOWN",
            message: "请选择本组织编制的通报或收到的通报".to_owned(),
        }),
    }
}
