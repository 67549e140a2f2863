//! What is asked of organizations, and who is behind.

use tonic::Code;
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::{
    ListOrganizationStatisticsResponse, ListTargetsRequest, OrganizationKind, SetTargetRequest,
    Target, TargetProgress,
};
use zhiyuan_orgtree::Role as TypedRole;

use super::figures::{Figures, lists, states};
use super::{HEADER, Suite, account};
use crate::harness::{assert_field, assert_refused, empty, load, told};

/// A province with cities of all fortunes.
const CITIES: &str = "\
A,省,PROVINCIAL,,,,
A-1,市一,MUNICIPAL,A,,,
A-1-1,镇,TOWNSHIP,A-1,,,
A-2,市二,MUNICIPAL,A,,,
A-2-1,镇,TOWNSHIP,A-2,,,
A-3,市三,MUNICIPAL,A,,,
A-3-1,镇,TOWNSHIP,A-3,,,
A-4,市四,MUNICIPAL,A,,,
A-4-1,镇,TOWNSHIP,A-4,,,
A-5,市五,MUNICIPAL,A,,,
A-7,大学,UNIVERSITY,A,,,";

fn sets(code: &str, kind: OrganizationKind, share: i32, deadline: &str) -> SetTargetRequest {
    SetTargetRequest {
        request_id: Uuid::new_v4().to_string(),
        organization_code: code.to_owned(),
        kind: kind.into(),
        target: Some(Target { registered_per_ten_thousand: share, deadline: deadline.to_owned() }),
    }
}

async fn on_cities() -> Suite {
    let database = empty().await;
    load(&database, &format!("{HEADER}\n{CITIES}\n")).await.unwrap();
    let suite = Suite::start(database).await;
    suite.complete().await;
    suite
}

/// As if so many members were on rosters below, and so many of them had registered.
async fn counted(suite: &Suite, code: &str, members: i64, registered: i64) {
    sqlx::query(
        "INSERT INTO orgtree.organization_count
             (organization_code, subtree_members, subtree_registered_members)
         VALUES ($1, $2, $3)
         ON CONFLICT (organization_code) DO UPDATE
         SET subtree_members = excluded.subtree_members,
             subtree_registered_members = excluded.subtree_registered_members",
    )
    .bind(code)
    .bind(members)
    .bind(registered)
    .execute(&suite.database.pool().await)
    .await
    .unwrap();
}

async fn page(client: &mut Figures, code: &str, size: i32) -> ListOrganizationStatisticsResponse {
    client.list_organization_statistics(lists(code, size, "")).await.unwrap().into_inner()
}

fn ranks(page: &ListOrganizationStatisticsResponse) -> Vec<(&str, Option<i32>)> {
    page.children.iter().map(|child| (child.organization_code.as_str(), child.rank)).collect()
}

#[tokio::test]
async fn the_ranks_are_exact_and_the_same_on_every_page() {
    let suite = on_cities().await;
    suite.make(account(1), "A", TypedRole::Viewer).await;
    let mut viewer = suite.figures(account(1));
    // Of those with one rate the one with more members is first, then the lower code; two that
    // differ in the last member of very many are not the same.
    counted(&suite, "A-1", 10, 9).await;
    counted(&suite, "A-2", 100, 90).await;
    counted(&suite, "A-3", 1_000_000_000, 899_999_999).await;
    counted(&suite, "A-4", 10, 9).await;
    let all = page(&mut viewer, "A", 0).await;
    let expected = [
        ("A-1", Some(2)),
        ("A-2", Some(1)),
        ("A-3", Some(4)),
        ("A-4", Some(3)),
        ("A-5", None),
        ("A-7", None),
    ];
    assert_eq!(ranks(&all), expected);
    assert_eq!(all.organization.as_ref().unwrap().rank, None);
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = lists("A", 1, &page_token);
        let one = viewer.list_organization_statistics(request).await.unwrap().into_inner();
        seen.extend(one.children.iter().map(|child| child.rank));
        page_token = one.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, expected.map(|(_code, rank)| rank));
    suite.stop().await;
}

#[tokio::test]
async fn what_is_lacking_follows_from_the_target_of_the_topmost() {
    let suite = on_cities().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    suite.make(account(2), "A-1", TypedRole::Administrator).await;
    let (mut top, mut city) = (suite.figures(account(1)), suite.figures(account(2)));
    counted(&suite, "A-1", 100, 59).await;
    counted(&suite, "A-1-1", 11, 9).await;
    let target =
        |page: &ListOrganizationStatisticsResponse, n: usize| page.children[n].target.clone();
    assert_eq!(target(&page(&mut top, "A", 0).await, 0), None);

    let today = zhiyuan_domain::shanghai_date(zhiyuan_domain::Clock::now(&*suite.clock));
    let last = |days: i64| (today + time::Duration::days(days)).to_string();
    let request = sets("a", OrganizationKind::Municipal, 9_000, &last(2));
    top.set_target(request.clone()).await.unwrap();
    top.set_target(request.clone()).await.unwrap();
    let other = SetTargetRequest { target: None, ..request };
    let status = top.set_target(other).await.unwrap_err();
    assert_refused(&status, Code::AlreadyExists, "REQUEST_ID_REUSED");
    let told = page(&mut top, "A", 0).await;
    let wanted = TargetProgress {
        target: Some(Target { registered_per_ten_thousand: 9_000, deadline: last(2) }),
        set_by_organization_code: "A".to_owned(),
        met: Some(false),
        lacking: 31,
        days_left: 3,
        lacking_per_day: Some(11),
    };
    assert_eq!(target(&told, 0), Some(wanted));
    // Without members nothing is met or lacking; of another kind nothing is asked.
    let nobody = target(&told, 1).unwrap();
    assert_eq!((nobody.met, nobody.lacking), (None, 0));
    assert_eq!((told.children[5].organization_code.as_str(), target(&told, 5)), ("A-7", None));
    // Nor of the organization itself that has set it.
    assert_eq!(told.organization.unwrap().target, None);
    let own = page(&mut city, "A-1", 0).await;
    assert_eq!(own.organization.unwrap().target.unwrap().lacking, 31);

    // A city asks what nobody above has asked; what was asked of it, it does not lower.
    let township = OrganizationKind::Township;
    city.set_target(sets("A-1", township, 5_000, &last(0))).await.unwrap();
    let asked = target(&page(&mut city, "A-1", 0).await, 0).unwrap();
    assert_eq!((asked.met, asked.set_by_organization_code.as_str()), (Some(true), "A-1"));
    top.set_target(sets("A", township, 9_000, &last(0))).await.unwrap();
    let asked = target(&page(&mut city, "A-1", 0).await, 0).unwrap();
    assert_eq!((asked.met, asked.set_by_organization_code.as_str()), (Some(false), "A"));
    assert_eq!((asked.lacking, asked.lacking_per_day), (1, Some(1)));
    let list = |code: &str, size: i32, token: &str| ListTargetsRequest {
        organization_code: code.to_owned(),
        page_size: size,
        page_token: token.to_owned(),
    };
    let first = city.list_targets(list("A-1", 1, "")).await.unwrap().into_inner();
    let request = list("A-1", 1, &first.next_page_token);
    let second = city.list_targets(request).await.unwrap().into_inner();
    let kinds: Vec<_> = first.targets.iter().chain(&second.targets).collect();
    assert_eq!(
        kinds.iter().map(|one| one.kind()).collect::<Vec<_>>(),
        [OrganizationKind::Municipal, township]
    );
    assert!(kinds.iter().all(|one| one.set_by_organization_code == "A"));
    assert_eq!(second.next_page_token, "");

    // Taken back, the city's counts again.
    let back = SetTargetRequest { target: None, ..sets("A", township, 1, "") };
    top.set_target(back).await.unwrap();
    let asked = target(&page(&mut city, "A-1", 0).await, 0).unwrap();
    assert_eq!(asked.set_by_organization_code, "A-1");
    suite.stop().await;
}

#[tokio::test]
async fn a_target_is_set_by_who_manages_and_its_fields_are_looked_at() {
    let suite = on_cities().await;
    suite.make(account(1), "A", TypedRole::Viewer).await;
    suite.make(account(2), "A-2", TypedRole::Administrator).await;
    let (mut viewer, mut city) = (suite.figures(account(1)), suite.figures(account(2)));
    let kind = OrganizationKind::Township;
    let status = viewer.set_target(sets("A", kind, 9_000, "2030-12-31")).await.unwrap_err();
    assert_refused(&status, Code::PermissionDenied, "PERMISSION_MISSING");
    for code in ["A", "A-1", "A-9"] {
        let status = city.set_target(sets(code, kind, 9_000, "2030-12-31")).await.unwrap_err();
        assert_refused(&status, Code::NotFound, "ORGANIZATION_NOT_FOUND");
        let request = ListTargetsRequest { organization_code: code.into(), ..Default::default() };
        let status = city.list_targets(request).await.unwrap_err();
        assert_refused(&status, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    }
    for (share, deadline, field, reason) in [
        (0, "2030-12-31", "target.registered_per_ten_thousand", "TARGET_RANGE"),
        (10_001, "2030-12-31", "target.registered_per_ten_thousand", "TARGET_RANGE"),
        (9_000, "2020-12-31", "target.deadline", "DATE_FORM"),
        (9_000, "2300-12-31", "target.deadline", "DATE_FORM"),
        (9_000, "31.12.2030", "target.deadline", "DATE_FORM"),
    ] {
        let status = city.set_target(sets("A-2", kind, share, deadline)).await.unwrap_err();
        assert_field(&status, field, reason);
    }
    let nothing = SetTargetRequest::default();
    let (code, reason, fields) = told(&city.set_target(nothing).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (Code::InvalidArgument, "INVALID_FIELDS"));
    let fields: Vec<&str> = fields.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["request_id", "organization_code", "kind"]);
    // What is stated counts towards it.
    city.set_target(sets("A-2", kind, 9_000, "2030-12-31")).await.unwrap();
    suite.make(account(3), "A-2", TypedRole::Manager).await;
    suite.figures(account(3)).state_members(states("A-2-1", 40)).await.unwrap();
    let page = suite.read(account(2), "A-2", 40).await;
    assert_eq!(page.children[0].target.as_ref().unwrap().lacking, 36);
    assert_eq!(page.children[0].rank, Some(1));
    suite.stop().await;
}
