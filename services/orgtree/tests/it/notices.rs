//! Periodic notices: computed as of a cut, issued, read by those below, and the same for ever.

mod figures;
mod reading;

use sqlx::{PgConnection, PgPool};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::periodic_notice_service_client::PeriodicNoticeServiceClient;
use zhiyuan_contracts::orgtree::v1::{
    DownloadPeriodicNoticeRequest, DownloadPeriodicNoticeResponse, DraftPeriodicNoticeRequest,
    GetPeriodicNoticeRequest, IssuePeriodicNoticeRequest, ListPeriodicNoticeRowsRequest,
    PeriodicNotice, PeriodicNoticeFormat, PeriodicNoticeRow,
};
use zhiyuan_domain::Partition;

use crate::authority::{Bearer, Suite};

type Notices = PeriodicNoticeServiceClient<InterceptedService<Channel, Bearer>>;

impl Suite {
    fn notices(&self, account_id: Uuid) -> Notices {
        let bearer = self.bearer(account_id, true);
        PeriodicNoticeServiceClient::with_interceptor(self.service.channel.clone(), bearer)
    }
}

/// Members of an organization's roster, some of whom are its volunteers, as registration tells.
async fn members(connection: &mut PgConnection, code: &str, members: i64, registered: i64) {
    for number in 0..members {
        let id = Uuid::new_v4();
        let is_registered = number < registered;
        sqlx::query(
            "INSERT INTO orgtree.volunteer (partition, volunteer_id, organization_code, active,
                 verified, league_member, revision, roster_organization_code, roster_revision)
             VALUES ($1, $2, CASE WHEN $4 THEN $3 ELSE '' END, $4, $4, $4,
                     CASE WHEN $4 THEN 1 ELSE 0 END, $3, 1)",
        )
        .bind(Partition::of(id).get())
        .bind(id)
        .bind(code)
        .bind(is_registered)
        .execute(&mut *connection)
        .await
        .unwrap();
    }
    sqlx::query(
        "INSERT INTO orgtree.count_delta
             (organization_code, after_cut, volunteers, verified_volunteers, league_members,
              members, registered_members)
         VALUES ($1, (SELECT coalesce(max(cut_id), 0) FROM orgtree.feed_cut
                      WHERE taken_at IS NOT NULL), $3, $3, $3, $2, $3)",
    )
    .bind(code)
    .bind(members)
    .bind(registered)
    .execute(connection)
    .await
    .unwrap();
}

fn drafts(code: &str) -> DraftPeriodicNoticeRequest {
    DraftPeriodicNoticeRequest {
        request_id: Uuid::new_v4().to_string(),
        organization_code: code.to_owned(),
        ..DraftPeriodicNoticeRequest::default()
    }
}

async fn draft(client: &mut Notices, code: &str) -> PeriodicNotice {
    let answer = client.draft_periodic_notice(drafts(code)).await.unwrap();
    answer.into_inner().notice.unwrap()
}

fn issues(notice_id: &str, supersedes: &str) -> IssuePeriodicNoticeRequest {
    IssuePeriodicNoticeRequest {
        request_id: Uuid::new_v4().to_string(),
        notice_id: notice_id.to_owned(),
        supersedes_notice_id: supersedes.to_owned(),
    }
}

async fn issue(client: &mut Notices, notice_id: &str) -> PeriodicNotice {
    let answer = client.issue_periodic_notice(issues(notice_id, "")).await.unwrap();
    answer.into_inner().notice.unwrap()
}

/// All rows, page by page, and the total after them.
async fn rows(client: &mut Notices, id: &str) -> Result<Vec<PeriodicNoticeRow>, tonic::Status> {
    let (notice_id, mut rows, mut page_token) = (id.to_owned(), Vec::new(), String::new());
    loop {
        let notice_id = notice_id.clone();
        let request = ListPeriodicNoticeRowsRequest { notice_id, page_size: 1, page_token };
        let page = client.list_periodic_notice_rows(request).await?.into_inner();
        rows.extend(page.rows);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let request = GetPeriodicNoticeRequest { notice_id };
    rows.extend(client.get_periodic_notice(request).await?.into_inner().total);
    Ok(rows)
}

async fn file(
    client: &mut Notices,
    id: &str,
    format: PeriodicNoticeFormat,
) -> Result<DownloadPeriodicNoticeResponse, tonic::Status> {
    let request = DownloadPeriodicNoticeRequest { notice_id: id.to_owned(), format: format.into() };
    Ok(client.download_periodic_notice(request).await?.into_inner())
}

/// What a statement of the service's role is refused with.
async fn refused(pool: &PgPool, statement: &'static str) -> String {
    let error = sqlx::query(statement).execute(pool).await.unwrap_err();
    error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned()
}
