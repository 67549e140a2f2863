//! Confirming that a notice was read, and who has.

use prost::Message as _;
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::{
    ConfirmPeriodicNoticeRequest, ConfirmPeriodicNoticeResponse,
    ListPeriodicNoticeConfirmationsRequest, ListPeriodicNoticeConfirmationsResponse,
    PeriodicNoticeConfirmation,
};
use zhiyuan_domain::{OrganizationCode, RequestId};
use zhiyuan_postgres::again;
use zhiyuan_rpc::Fields;
use zhiyuan_rpc::page::Page;
use zhiyuan_rpc::wire::timestamp;

use super::db::{self, Confirmed};
use super::grpc::{Notices, notice_id};
use super::{Fault, records};
use crate::authority::{self, Permission, Verdict};
use crate::counts;
use crate::error::{Error, Result};
use crate::requests::{self, Request};

/// Which notice an organization confirms to have read.
pub(super) fn confirmed(
    request: &ConfirmPeriodicNoticeRequest,
) -> Result<(RequestId, Uuid, OrganizationCode)> {
    let mut fields = Fields::new();
    let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
    let id = fields.take("notice_id", notice_id(&request.notice_id));
    let code = OrganizationCode::parse(&request.organization_code);
    let code = fields.take("organization_code", code);
    let (Some(request_id), Some(id), Some(code)) = (request_id, id, code) else {
        return Err(fields.into_error().into());
    };
    Ok((request_id, id, code))
}

impl Notices {
    /// Confirms for an organization that a notice was read, once for each call.
    pub(super) async fn confirm(
        &self,
        call: &Request,
        id: Uuid,
        code: &str,
    ) -> Result<ConfirmPeriodicNoticeResponse> {
        let done = again(Error::is_lost, async || self.confirm_once(call, id, code).await).await;
        self.note(call, &done, records::CONFIRMED, Some(code), Some(id)).await?;
        done
    }

    async fn confirm_once(
        &self,
        call: &Request,
        id: Uuid,
        code: &str,
    ) -> Result<ConfirmPeriodicNoticeResponse> {
        let mut transaction = self.pool.begin().await?;
        counts::db::keep_tree(&mut transaction).await?;
        if let Some(found) = db::find(&mut *transaction, id).await? {
            db::alone(&mut transaction, &found.issuer_code).await?;
        }
        // Not before: it may have waited.
        let now = self.clock.now();
        if let Some(before) = requests::db::find_answer(&mut transaction, call).await? {
            return ConfirmPeriodicNoticeResponse::decode(before.as_slice())
                .map_err(|_form| Error::Inconsistent("orgtree.request"));
        }
        let (permission, me) = (Permission::ManageMembers, call.caller);
        let held = match authority::holding(&mut transaction, me, code, permission, now).await {
            Err(Error::OrganizationNotFound) => Err(Fault::NotFound.into()),
            held => held,
        }?;
        let notice = db::find(&mut *transaction, id).await?.ok_or(Fault::NotFound)?;
        let before = db::confirmation(&mut transaction, id, code).await?;
        let before = before.filter(|_| notice.issued.is_some()).ok_or(Fault::NotFound)?;
        // Nobody confirms to oneself what was sent to others: a right that comes from the issuing
        // organization or from above it is none here.
        let above = authority::reaching(&mut *transaction, me, &notice.issuer_code, now).await?;
        let right = held.iter().find(|held| above.iter().all(|above| above.id != held.id));
        let right = right.ok_or(Error::PermissionMissing(permission))?.id;
        if before.by.is_some() {
            return Err(Fault::Confirmed.into());
        }
        db::confirm(&mut transaction, id, code, me, now).await?;
        let record =
            records::done(me, records::CONFIRMED, &notice).within(code).with("allowed_by", right);
        self.trail.append(&mut transaction, &record).await?;
        let confirmed = Confirmed { by: Some((me, now)), ..before };
        let answer = ConfirmPeriodicNoticeResponse { confirmation: Some(to_wire(confirmed)) };
        requests::db::insert(&mut transaction, call, &answer.encode_to_vec(), now).await?;
        transaction.commit().await?;
        Ok(answer)
    }

    /// Tells the issuer who has confirmed, and who has not.
    pub(super) async fn list_confirmations(
        &self,
        me: Uuid,
        request: &ListPeriodicNoticeConfirmationsRequest,
    ) -> Result<ListPeriodicNoticeConfirmationsResponse> {
        let mut fields = Fields::new();
        let id = fields.take("notice_id", notice_id(&request.notice_id));
        let Some(id) = id else { return Err(fields.into_error().into()) };
        let filter = ["periodic_notice_confirmations", &me.to_string(), &id.to_string()];
        let page = Page::parse(request.page_size, &request.page_token, &filter)?;
        let after = page.after_key(|key| OrganizationCode::parse(key).ok())?;
        let (now, permission) = (self.clock.now(), Permission::View);
        let notice = db::find(&self.pool, id).await?.ok_or(Fault::NotFound)?;
        let reaching = authority::reaching(&self.pool, me, &notice.issuer_code, now).await?;
        if !matches!(authority::decide(&reaching, permission), Verdict::Allowed(_)) {
            return Err(Fault::NotFound.into());
        }
        if notice.issued.is_none() {
            return Err(Fault::NotIssued.into());
        }
        let after = after.as_ref().map(OrganizationCode::as_str);
        let found = db::confirmations(&self.pool, id, after, page.fetch()).await?;
        let (found, next_page_token) = page.cut(found, |one| one.code.clone());
        let confirmations = found.into_iter().map(to_wire).collect();
        Ok(ListPeriodicNoticeConfirmationsResponse { confirmations, next_page_token })
    }
}

fn to_wire(one: Confirmed) -> PeriodicNoticeConfirmation {
    let (by, at) = one.by.unzip();
    PeriodicNoticeConfirmation {
        organization_code: one.code,
        organization_name: one.name,
        account_id: by.map(|by| by.to_string()).unwrap_or_default(),
        confirm_time: at.map(timestamp),
    }
}
