//! Who reads which part of which notice.

use tonic::Code;
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::{
    ConfirmPeriodicNoticeRequest, DeletePeriodicNoticeDraftRequest,
    ListPeriodicNoticeConfirmationsRequest, ListPeriodicNoticesRequest, PeriodicNoticeBox,
    PeriodicNoticeFormat, PeriodicNoticeRow,
};
use zhiyuan_orgtree::Role as TypedRole;

use super::{Notices, draft, file, issue, issues, members, rows};
use crate::authority::{Suite, account};
use crate::dated::cut;
use crate::harness::assert_refused;

async fn listed(client: &mut Notices, code: &str, which: PeriodicNoticeBox) -> Vec<String> {
    let (mut ids, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListPeriodicNoticesRequest {
            organization_code: code.to_owned(),
            r#box: which.into(),
            page_size: 1,
            page_token,
        };
        let page = client.list_periodic_notices(request).await.unwrap().into_inner();
        ids.extend(page.notices.into_iter().map(|notice| notice.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return ids;
        }
    }
}

fn seen(rows: &[PeriodicNoticeRow]) -> Vec<(&str, i32, bool)> {
    rows.iter().map(|row| (row.organization_code.as_str(), row.rank, row.hidden)).collect()
}

#[tokio::test]
async fn those_below_read_what_was_issued_with_small_figures_hidden() {
    let suite = Suite::on_province().await;
    for (number, code) in [(1, "A"), (2, "A-1"), (3, "A-2"), (4, "A-1-1")] {
        suite.make(account(number), code, TypedRole::Administrator).await;
    }
    let pool = suite.database.pool().await;
    let mut connection = pool.acquire().await.unwrap();
    members(&mut connection, "A-1-1", 20, 3).await;
    members(&mut connection, "A-2-1", 30, 27).await;
    cut(&pool).await;
    let [mut issuer, mut small, mut large, mut beneath] =
        [1, 2, 3, 4].map(|number| suite.notices(account(number)));
    let notice = draft(&mut issuer, "A").await;
    // A draft is its issuer's alone.
    for client in [&mut small, &mut large, &mut beneath] {
        let refused = rows(client, &notice.id).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, "NOTICE_NOT_FOUND");
    }
    assert!(listed(&mut small, "A-1", PeriodicNoticeBox::Received).await.is_empty());
    let refused = large.issue_periodic_notice(issues(&notice.id, "")).await.unwrap_err();
    assert_refused(&refused, Code::NotFound, "NOTICE_NOT_FOUND");
    issue(&mut issuer, &notice.id).await;

    let whole = rows(&mut issuer, &notice.id).await.unwrap();
    assert_eq!(seen(&whole), [("A-2", 1, false), ("A-1", 2, false), ("A", 0, false)]);
    // Its own figures, and with them nothing that it could not know.
    assert_eq!(rows(&mut small, &notice.id).await.unwrap(), whole);
    let part = rows(&mut large, &notice.id).await.unwrap();
    assert_eq!(seen(&part), [("A-2", 1, false), ("A-1", 0, true), ("A", 0, true)]);
    assert!(part.iter().skip(1).all(|row| row.figures.is_none()));
    // Two levels down it is addressed to nobody, nor to a stranger.
    for client in [&mut beneath, &mut suite.notices(account(9))] {
        let refused = rows(client, &notice.id).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, "NOTICE_NOT_FOUND");
        let refused = file(client, &notice.id, PeriodicNoticeFormat::Csv).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, "NOTICE_NOT_FOUND");
    }
    // The files of all but the issuer hide what is small, their own too.
    for format in [PeriodicNoticeFormat::Json, PeriodicNoticeFormat::Csv] {
        let one = file(&mut small, &notice.id, format).await.unwrap();
        assert_eq!(file(&mut large, &notice.id, format).await.unwrap(), one);
        assert!(!one.whole);
        assert_ne!(file(&mut issuer, &notice.id, format).await.unwrap().content, one.content);
        let text = String::from_utf8(one.content).unwrap();
        // Of the small one 20 and 3, and 50 and 30 of all.
        for told in ["\"members\":20", "\"members\":50", ",20,", ",50,"] {
            assert!(!text.contains(told), "{told}: {text}");
        }
    }
    let own = PeriodicNoticeBox::Own;
    assert_eq!(listed(&mut issuer, "A", own).await, [notice.id.as_str()]);
    for (client, code) in [(&mut small, "A-1"), (&mut large, "A-2")] {
        assert_eq!(listed(client, code, PeriodicNoticeBox::Received).await, [notice.id.as_str()]);
        assert!(listed(client, code, own).await.is_empty());
    }
    let downloads: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM orgtree.audit_pending WHERE action = $1 AND outcome = 'DONE')
              + (SELECT count(*) FROM orgtree.audit_entry WHERE action = $1 AND outcome = 'DONE')",
    )
    .bind("orgtree.notice.downloaded")
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(downloads, 6);
    suite.stop().await;
}

#[tokio::test]
async fn a_draft_is_deleted_once_and_what_was_issued_never() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    suite.make(account(2), "A", TypedRole::Viewer).await;
    let pool = suite.database.pool().await;
    cut(&pool).await;
    let (mut issuer, mut viewer) = (suite.notices(account(1)), suite.notices(account(2)));
    let deletes = |id: &str| DeletePeriodicNoticeDraftRequest {
        request_id: Uuid::new_v4().to_string(),
        notice_id: id.to_owned(),
    };
    let first = draft(&mut issuer, "A").await;
    let refused = viewer.delete_periodic_notice_draft(deletes(&first.id)).await.unwrap_err();
    assert_refused(&refused, Code::PermissionDenied, "PERMISSION_MISSING");
    let request = deletes(&first.id);
    issuer.delete_periodic_notice_draft(request.clone()).await.unwrap();
    // Sent again, it is done; another call finds nothing.
    issuer.delete_periodic_notice_draft(request).await.unwrap();
    let gone = issuer.delete_periodic_notice_draft(deletes(&first.id)).await.unwrap_err();
    assert_refused(&gone, Code::NotFound, "NOTICE_NOT_FOUND");
    let second = draft(&mut issuer, "A").await;
    issue(&mut issuer, &second.id).await;
    let never = issuer.delete_periodic_notice_draft(deletes(&second.id)).await.unwrap_err();
    assert_refused(&never, Code::FailedPrecondition, "NOTICE_ISSUED");
    suite.stop().await;
}

fn confirms(notice_id: &str, code: &str) -> ConfirmPeriodicNoticeRequest {
    ConfirmPeriodicNoticeRequest {
        request_id: Uuid::new_v4().to_string(),
        notice_id: notice_id.to_owned(),
        organization_code: code.to_owned(),
    }
}

/// By organization, who has confirmed.
async fn confirmed(client: &mut Notices, id: &str) -> Result<Vec<(String, String)>, tonic::Status> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListPeriodicNoticeConfirmationsRequest {
            notice_id: id.to_owned(),
            page_size: 1,
            page_token,
        };
        let page = client.list_periodic_notice_confirmations(request).await?.into_inner();
        let told = page.confirmations.into_iter().map(|one| {
            assert_eq!(one.account_id.is_empty(), one.confirm_time.is_none());
            (one.organization_code, one.account_id)
        });
        all.extend(told);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

#[tokio::test]
async fn an_addressed_organization_confirms_once_by_a_right_of_its_own() {
    let suite = Suite::on_province().await;
    for (number, code, role) in [
        (1, "A", TypedRole::Administrator),
        (2, "A-1", TypedRole::Manager),
        (3, "A-2", TypedRole::Viewer),
        (4, "A-1-1", TypedRole::Administrator),
        (5, "A-1", TypedRole::Administrator),
    ] {
        suite.make(account(number), code, role).await;
    }
    let pool = suite.database.pool().await;
    cut(&pool).await;
    let [mut issuer, mut manager, mut viewer, mut beneath, mut other] =
        [1, 2, 3, 4, 5].map(|number| suite.notices(account(number)));
    let notice = draft(&mut issuer, "A").await;
    let early = manager.confirm_periodic_notice(confirms(&notice.id, "A-1")).await.unwrap_err();
    assert_refused(&early, Code::NotFound, "NOTICE_NOT_FOUND");
    let early = confirmed(&mut issuer, &notice.id).await.unwrap_err();
    assert_refused(&early, Code::FailedPrecondition, "NOTICE_NOT_ISSUED");
    issue(&mut issuer, &notice.id).await;
    let nobody = |code: &str| (code.to_owned(), String::new());
    let found = confirmed(&mut issuer, &notice.id).await.unwrap();
    assert_eq!(found, [nobody("A-1"), nobody("A-2")]);

    let request = confirms(&notice.id, "A-1");
    let first = manager.confirm_periodic_notice(request.clone()).await.unwrap().into_inner();
    assert_eq!(manager.confirm_periodic_notice(request).await.unwrap().into_inner(), first);
    let twice = other.confirm_periodic_notice(confirms(&notice.id, "A-1")).await.unwrap_err();
    assert_refused(&twice, Code::AlreadyExists, "NOTICE_CONFIRMED");
    // Whoever sent it confirms nothing, a viewer neither; and nobody what is out of sight.
    for (client, code) in [(&mut issuer, "A-2"), (&mut viewer, "A-2")] {
        let refused = client.confirm_periodic_notice(confirms(&notice.id, code)).await;
        assert_refused(&refused.unwrap_err(), Code::PermissionDenied, "PERMISSION_MISSING");
    }
    for (client, codes) in [(&mut manager, ["A-2", "A-1-1"]), (&mut beneath, ["A-1-1", "A-1"])] {
        for code in codes {
            let refused = client.confirm_periodic_notice(confirms(&notice.id, code)).await;
            assert_refused(&refused.unwrap_err(), Code::NotFound, "NOTICE_NOT_FOUND");
        }
    }
    let found = confirmed(&mut issuer, &notice.id).await.unwrap();
    assert_eq!(found, [("A-1".to_owned(), account(2).to_string()), nobody("A-2")]);
    let refused = confirmed(&mut manager, &notice.id).await.unwrap_err();
    assert_refused(&refused, Code::NotFound, "NOTICE_NOT_FOUND");
    suite.stop().await;
}
