//! The figures that an administrator reads: of an organization, and of those below it.

use sqlx::PgPool;
use time::Date;
use zhiyuan_auth::SignedIn;
use zhiyuan_contracts::orgtree::v1::{
    ListOrganizationStatisticsRequest, ListOrganizationStatisticsResponse, OrganizationStatistics,
};
use zhiyuan_domain::{OrganizationCode, SharedClock, shanghai_date};
use zhiyuan_rpc::Fields;
use zhiyuan_rpc::page::Page;
use zhiyuan_rpc::wire::timestamp;

use super::db::{self, Listed};
use super::grpc::{complete, on_wire};
use super::statements;
use super::targets::progress_on_wire;
use crate::authority::{self, Permission};
use crate::error::{Error, Result};

/// Tells figures level by level.
#[derive(Debug, Clone)]
pub(super) struct Children {
    pub(super) pool: PgPool,
    pub(super) clock: SharedClock,
}

impl Children {
    pub(super) async fn list(
        &self,
        person: SignedIn,
        request: &ListOrganizationStatisticsRequest,
    ) -> Result<ListOrganizationStatisticsResponse> {
        let mut fields = Fields::new();
        let code = OrganizationCode::parse(&request.organization_code);
        let Some(code) = fields.take("organization_code", code) else {
            return Err(fields.into_error().into());
        };
        let (code, me) = (code.as_str(), person.account_id.to_string());
        let filter = ["organization_statistics", &me, code];
        let page = Page::parse(request.page_size, &request.page_token, &filter)?;
        let key = |text: &str| OrganizationCode::parse(text).ok();
        let after = page.after_key(key)?;
        let after = after.as_ref().map(OrganizationCode::as_str);
        // At each page anew: who has lost it meanwhile reads no further.
        let now = self.clock.now();
        authority::require(&self.pool, person.account_id, code, Permission::View, now).await?;
        let mut rows = db::children(&self.pool, code, after, page.fetch()).await?.into_iter();
        let above = rows.next().ok_or(Error::OrganizationNotFound)?;
        let (as_of, today) = (complete(above.as_of)?, shanghai_date(now));
        let (children, next_page_token) = page.cut(rows.collect(), |row| row.code.clone());
        Ok(ListOrganizationStatisticsResponse {
            organization: Some(to_wire(above, today)),
            children: children.into_iter().map(|row| to_wire(row, today)).collect(),
            next_page_token,
            as_of: Some(timestamp(as_of)),
        })
    }
}

fn to_wire(row: Listed, today: Date) -> OrganizationStatistics {
    let progress = row.target.map(|(target, set_by)| {
        progress_on_wire(target, set_by, target.progress(&row.counted.subtree, today))
    });
    OrganizationStatistics {
        organization_code: row.code,
        organization_name: row.name,
        own: Some(on_wire(row.counted.own)),
        subtree: Some(on_wire(row.counted.subtree)),
        statement: row.statement.map(statements::on_wire),
        organization_kind: row.kind.number().into(),
        rank: row.rank,
        target: progress,
    }
}
