//! What a notice says, and that it says the same for ever.

use std::collections::BTreeMap;

use sqlx::PgPool;
use tonic::Code;
use zhiyuan_contracts::orgtree::v1::{
    ListPeriodicNoticeKeysRequest, PeriodicNoticeFormat, PeriodicNoticeRow, PeriodicNoticeState,
};
use zhiyuan_crypto::VerifyingKey;
use zhiyuan_orgtree::Role as TypedRole;
use zhiyuan_rpc::wire::timestamp;

use super::{draft, drafts, file, issue, issues, members, refused, rows};
use crate::authority::{HEADER, Suite, account};
use crate::dated::cut;
use crate::harness::{assert_field, assert_refused, load};

/// Members, registered ones and volunteers by organization, counted from the people.
type Recounted = BTreeMap<String, (i64, i64, i64)>;

/// Counts the people of each organization by itself, without the counters.
async fn recount(pool: &PgPool) -> Recounted {
    let rows: Vec<(String, i64, i64, i64)> = sqlx::query_as(
        "SELECT code, sum(m)::bigint, sum(r)::bigint, sum(v)::bigint FROM (
             SELECT roster_organization_code AS code, 1 AS m, active::int AS r, 0 AS v
             FROM orgtree.volunteer WHERE roster_organization_code IS NOT NULL
             UNION ALL
             SELECT organization_code, 0, 0, active::int FROM orgtree.volunteer) p
         GROUP BY code",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    rows.into_iter().map(|(code, m, r, v)| (code, (m, r, v))).collect()
}

fn sum(of: &Recounted, codes: &[&str]) -> (i64, i64, i64) {
    codes
        .iter()
        .filter_map(|code| of.get(*code))
        .fold((0, 0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1, sum.2 + one.2))
}

fn told(row: &PeriodicNoticeRow) -> (i64, i64, i64) {
    let figures = row.figures.as_ref().unwrap();
    (figures.members, figures.registered_members, figures.volunteers)
}

#[tokio::test]
async fn a_notice_is_exact_as_of_its_cut_while_people_and_organizations_come_and_go() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    suite.make(account(2), "A-1-1", TypedRole::Administrator).await;
    let pool = suite.database.pool().await;
    let mut connection = pool.acquire().await.unwrap();
    for (code, all, registered) in
        [("A-1-1", 20, 10), ("A-2-1", 30, 27), ("A-2", 8, 7), ("A", 6, 0)]
    {
        members(&mut connection, code, all, registered).await;
    }
    let at_cut = recount(&pool).await;
    cut(&pool).await;
    // It goes on: people come, a city moves below the other one, a township is merged.
    members(&mut connection, "A-2-1", 50, 50).await;
    let text =
        format!("{HEADER}\nA-2,新市二,MUNICIPAL,A-1,,,\nA-1-1,镇一一,TOWNSHIP,A-1,,CLOSED,A-2-1\n");
    load(&suite.database, &text).await.unwrap();
    members(&mut connection, "A-1", 9, 9).await;

    let mut issuer = suite.notices(account(1));
    let notice = draft(&mut issuer, "A").await;
    assert_eq!(notice.state(), PeriodicNoticeState::Draft);
    assert_eq!((notice.rows, notice.target_per_ten_thousand), (2, 9_000));
    for _ in 0..5 {
        let found = rows(&mut issuer, &notice.id).await.unwrap();
        let codes: Vec<&str> = found.iter().map(|row| row.organization_code.as_str()).collect();
        assert_eq!(codes, ["A-2", "A-1", "A"]);
        assert_eq!(found[0].organization_name, "市二");
        assert_eq!(told(&found[0]), sum(&at_cut, &["A-2", "A-2-1"]));
        assert_eq!(told(&found[1]), sum(&at_cut, &["A-1", "A-1-1", "A-1-9"]));
        let all = ["A", "A-1", "A-1-1", "A-1-9", "A-2", "A-2-1"];
        assert_eq!(told(&found[2]), sum(&at_cut, &all));
        let first = found[0].figures.as_ref().unwrap();
        assert_eq!((found[0].rank, first.registered_per_ten_thousand), (1, Some(8_947)));
        // 38 members: 35 would have to be registered, and 34 are.
        assert_eq!((first.met, first.gap), (Some(false), 1));
        assert_eq!(first.organizations_without_administrator, 2);
        assert_eq!(found[1].figures.as_ref().unwrap().organizations_without_administrator, 1);
        assert_eq!(first.rate_change, None);
    }
    // A notice of the next cut tells what changed since the one that was issued.
    issue(&mut issuer, &notice.id).await;
    cut(&pool).await;
    let second = draft(&mut issuer, "A").await;
    assert_eq!(second.previous_notice_id, notice.id);
    let found = rows(&mut issuer, &second.id).await.unwrap();
    assert_eq!(told(&found[0]), sum(&recount(&pool).await, &["A-1", "A-1-1", "A-2", "A-2-1"]));
    let figures = found[0].figures.as_ref().unwrap();
    assert_eq!(figures.registered_members_change, Some(93));
    assert_eq!(figures.rate_change, Some(8_803 - 5_000));
    assert!(zhiyuan_orgtree::verify(&suite.config, None).await.unwrap().is_empty());
    suite.stop().await;
}

#[tokio::test]
async fn what_was_issued_is_signed_and_the_same_to_the_byte_after_moves_and_merges() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    let pool = suite.database.pool().await;
    let mut connection = pool.acquire().await.unwrap();
    members(&mut connection, "A-1-1", 20, 10).await;
    members(&mut connection, "A-2-1", 30, 27).await;
    cut(&pool).await;
    let mut issuer = suite.notices(account(1));
    let drafted = draft(&mut issuer, "A").await;
    let early = file(&mut issuer, &drafted.id, PeriodicNoticeFormat::Csv).await.unwrap_err();
    assert_refused(&early, Code::FailedPrecondition, "NOTICE_NOT_ISSUED");
    let request = issues(&drafted.id, "");
    let issued = issuer.issue_periodic_notice(request.clone()).await.unwrap().into_inner();
    // Sent again, it is known.
    let again = issuer.issue_periodic_notice(request).await.unwrap().into_inner();
    assert_eq!(again, issued);
    let issued = issued.notice.unwrap();
    assert_eq!(
        (issued.number.as_str(), issued.state()),
        ("〔2026〕1号", PeriodicNoticeState::Issued)
    );
    let twice = issuer.issue_periodic_notice(issues(&drafted.id, "")).await.unwrap_err();
    assert_refused(&twice, Code::FailedPrecondition, "NOTICE_ISSUED");

    let formats =
        [PeriodicNoticeFormat::Json, PeriodicNoticeFormat::Csv, PeriodicNoticeFormat::Xlsx];
    let mut before = Vec::new();
    for format in formats {
        before.push(file(&mut issuer, &issued.id, format).await.unwrap());
    }
    let shown = rows(&mut issuer, &issued.id).await.unwrap();
    let keys = issuer.list_periodic_notice_keys(ListPeriodicNoticeKeysRequest::default()).await;
    let keys = keys.unwrap().into_inner().keys;
    for file in &before {
        let key = keys.iter().find(|key| key.id == file.key_id).unwrap();
        let key = VerifyingKey::from_bytes(key.public_key.as_slice().try_into().unwrap()).unwrap();
        let signed = [b"zhiyuan-notice-v1\n", file.content.as_slice()].concat();
        key.verify(&signed, &file.signature).unwrap();
        assert!(key.verify(&file.content, &file.signature).is_err());
        assert!(file.whole);
    }
    let text = String::from_utf8(before[1].content.clone()).unwrap();
    assert!(text.starts_with("\u{feff}省关于团员注册志愿者情况的通报〔2026〕1号\r\n"), "{text}");
    assert!(text.contains("\r\n1,A-2,市二,30,0,,,27,90.00%,是,0,—,—,27,—,100.00%\r\n"), "{text}");

    let mut book: calamine::Xlsx<_> =
        calamine::open_workbook_from_rs(std::io::Cursor::new(&before[2].content)).unwrap();
    let sheet = calamine::Reader::worksheet_range(&mut book, "通报").unwrap();
    let cell = |row, column| sheet.get((row, column)).unwrap().to_string();
    assert_eq!([cell(3, 1), cell(3, 3), cell(3, 8)], ["A-2", "30", "0.9"]);
    assert_eq!([cell(5, 0), cell(5, 3), cell(5, 7)], ["合计", "50", "37"]);

    let text = format!(
        "{HEADER}\nA-2,=新市二,MUNICIPAL,A-1,,,\nA-1-1,镇一一,TOWNSHIP,A-1,,CLOSED,A-2-1\n"
    );
    load(&suite.database, &text).await.unwrap();
    members(&mut connection, "A-2-1", 40, 1).await;
    cut(&pool).await;
    // Another one takes its place: it is marked, and its files are what they were.
    let better = draft(&mut issuer, "A").await;
    let request = issues(&better.id, &issued.id);
    let better = issuer.issue_periodic_notice(request).await.unwrap().into_inner().notice.unwrap();
    assert_eq!((better.number.as_str(), &better.supersedes_notice_id), ("〔2026〕2号", &issued.id));
    for (format, before) in formats.into_iter().zip(before) {
        assert_eq!(file(&mut issuer, &issued.id, format).await.unwrap(), before);
    }
    assert_eq!(rows(&mut issuer, &issued.id).await.unwrap(), shown);
    let third = draft(&mut issuer, "A").await;
    let taken = issuer.issue_periodic_notice(issues(&third.id, &issued.id)).await.unwrap_err();
    assert_refused(&taken, Code::FailedPrecondition, "NOTICE_SUPERSEDED");
    for statement in [
        "UPDATE orgtree.notice SET target = 1",
        "UPDATE orgtree.notice SET supersedes_id = NULL WHERE supersedes_id IS NOT NULL",
        "DELETE FROM orgtree.notice WHERE issued_at IS NOT NULL",
        "UPDATE orgtree.notice_row SET registered_members = members",
        "DELETE FROM orgtree.notice_row",
        "INSERT INTO orgtree.notice_row SELECT notice_id, 99, 'B', name, 1, 0, 1, 1, 1, 0
         FROM orgtree.notice_row WHERE place = 0",
        "UPDATE orgtree.notice_file SET content = ''",
        "DELETE FROM orgtree.notice_file",
        "TRUNCATE orgtree.notice_file",
        "DELETE FROM orgtree.notice_key",
        "DELETE FROM orgtree.notice_confirmation",
    ] {
        assert_eq!(refused(&pool, statement).await, "42501", "{statement}");
    }
    suite.stop().await;
}

#[tokio::test]
async fn a_draft_is_refused_without_a_cut_or_anybody_to_compare() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    suite.make(account(2), "A", TypedRole::Viewer).await;
    suite.make(account(3), "A-1", TypedRole::Administrator).await;
    let (mut issuer, mut viewer) = (suite.notices(account(1)), suite.notices(account(2)));
    let mut below = suite.notices(account(3));
    let none = issuer.draft_periodic_notice(drafts("A")).await.unwrap_err();
    assert_refused(&none, Code::NotFound, "CUT_NOT_FOUND");
    let pool = suite.database.pool().await;
    let at = cut(&pool).await;
    let nobody = issuer.draft_periodic_notice(drafts("A-2-1")).await.unwrap_err();
    assert_refused(&nobody, Code::FailedPrecondition, "NOTICE_WITHOUT_ROWS");
    let may_not = viewer.draft_periodic_notice(drafts("A")).await.unwrap_err();
    assert_refused(&may_not, Code::PermissionDenied, "PERMISSION_MISSING");
    let hidden = below.draft_periodic_notice(drafts("A")).await.unwrap_err();
    assert_refused(&hidden, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    let mut other = drafts("A");
    other.cut_time = Some(timestamp(at - time::Duration::seconds(1)));
    let other = issuer.draft_periodic_notice(other).await.unwrap_err();
    assert_refused(&other, Code::NotFound, "CUT_NOT_FOUND");
    let with = |change: fn(&mut zhiyuan_contracts::orgtree::v1::DraftPeriodicNoticeRequest)| {
        let mut request = drafts("A");
        change(&mut request);
        request
    };
    for (request, field, reason) in [
        (
            with(|request| request.target_per_ten_thousand = 10_001),
            "target_per_ten_thousand",
            "TARGET_RANGE",
        ),
        (
            with(|request| request.target_per_ten_thousand = -1),
            "target_per_ten_thousand",
            "TARGET_RANGE",
        ),
        (with(|request| request.deadline = "2026-02-30".into()), "deadline", "DATE_FORM"),
        (with(|request| request.deadline = "2020-01-01".into()), "deadline", "DATE_FORM"),
    ] {
        let refused = issuer.draft_periodic_notice(request).await.unwrap_err();
        assert_field(&refused, field, reason);
    }
    // A cut that is not exact.
    sqlx::query(
        "INSERT INTO orgtree.feed_cut (at, taken_at, exact)
         VALUES (clock_timestamp(), clock_timestamp(), false)",
    )
    .execute(&pool)
    .await
    .unwrap();
    let torn = issuer.draft_periodic_notice(drafts("A")).await.unwrap_err();
    assert_refused(&torn, Code::FailedPrecondition, "CUT_NOT_EXACT");
    let mut exact = drafts("A");
    exact.cut_time = Some(timestamp(at));
    issuer.draft_periodic_notice(exact).await.unwrap();
    suite.stop().await;
}
