//! What the tree does not take.

use std::time::Duration;

use tonic::Code;
use tonic_types::StatusExt as _;
use zhiyuan_contracts::orgtree::v1::{Organization, OrganizationDetails};

use super::{
    admin, administrator, create, creates, details, get, moves, relocate, update, updates,
};
use crate::authority::{HEADER, Suite, refusal};
use crate::dated::come;
use crate::harness::{assert_field, assert_refused, load};

#[tokio::test]
async fn org_tree_01_nothing_lies_below_itself() {
    let suite = Suite::on_province().await;
    let mut admin = administrator(&suite, 1, "A").await;
    let city = get(&suite, "A-1").await;
    for below in ["A-1", "A-1-1"] {
        let status = relocate(&mut admin, moves(&city, below)).await.unwrap_err();
        assert_refused(&status, Code::FailedPrecondition, "ORGANIZATION_CYCLE");
    }
    let status = relocate(&mut admin, moves(&city, "A")).await.unwrap_err();
    assert_field(&status, "parent_code", "PARENT_UNCHANGED");
    assert_eq!(get(&suite, "A-1").await, city);
    suite.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn org_tree_02_of_two_that_are_moved_below_each_other_one_is_refused() {
    let suite = Suite::on_province().await;
    administrator(&suite, 1, "A").await;
    for _ in 0..2 {
        let (one, other) = (get(&suite, "A-1").await, get(&suite, "A-2").await);
        let (mut first, mut second) = (admin(&suite, 1), admin(&suite, 1));
        let (first, second) = tokio::join!(
            relocate(&mut first, moves(&one, "A-2")),
            relocate(&mut second, moves(&other, "A-1")),
        );
        let refused = match (first, second) {
            (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => refused,
            other => panic!("{other:?}"),
        };
        let cycle = (Code::FailedPrecondition, "ORGANIZATION_CYCLE".to_owned());
        let lost = (Code::Aborted, "CONFLICT".to_owned());
        assert!([cycle, lost].contains(&refusal(&refused)), "{refused:?}");
        // As before, for the next round.
        for code in ["A-1", "A-2"] {
            let there = get(&suite, code).await;
            if there.parent_code != "A" {
                relocate(&mut admin(&suite, 1), moves(&there, "A")).await.unwrap();
            }
        }
    }
    suite.stop().await;
}

#[tokio::test]
async fn org_tree_03_the_tree_has_twelve_levels_at_most() {
    let suite = Suite::on_province().await;
    let mut admin = administrator(&suite, 1, "A").await;
    let mut above = "A".to_owned();
    for level in 2..=12 {
        let code = format!("A-D{level}");
        create(&mut admin, creates(&code, &above, &format!("第{level}级"))).await.unwrap();
        above = code;
    }
    let status = create(&mut admin, creates("A-D13", &above, "第十三级")).await.unwrap_err();
    assert_field(&status, "parent_code", "PARENT_TOO_DEEP");
    // A subtree counts by its lowest one: a city with a township and one below that.
    let city = get(&suite, "A-1").await;
    let status = relocate(&mut admin, moves(&city, "A-D10")).await.unwrap_err();
    assert_field(&status, "parent_code", "PARENT_TOO_DEEP");
    relocate(&mut admin, moves(&city, "A-D9")).await.unwrap();
    suite.stop().await;
}

#[tokio::test]
async fn org_tree_04_five_thousand_lie_right_below_one_and_no_more() {
    let suite = Suite::on_province().await;
    let pool = suite.database.pool().await;
    let mut admin = administrator(&suite, 1, "A").await;
    sqlx::query(
        "INSERT INTO orgtree.organization
             (code, name, kind, state, parent_code, contact_phone, contact_group_number,
              contact_note, ancestors, leaf, folded_name, grams)
         SELECT 'A-2-' || n, '镇' || n, 5, 1, 'A-2', '', '', '', '{A,A-2}', true, '镇' || n, '{}'
         FROM generate_series(2, 5000) n",
    )
    .execute(&pool)
    .await
    .unwrap();
    let status = create(&mut admin, creates("A-9", "A-2", "新镇")).await.unwrap_err();
    assert_refused(&status, Code::ResourceExhausted, "TOO_MANY_CHILDREN");
    let township = get(&suite, "A-1-1").await;
    let status = relocate(&mut admin, moves(&township, "A-2")).await.unwrap_err();
    assert_refused(&status, Code::ResourceExhausted, "TOO_MANY_CHILDREN");
    suite.stop().await;
}

#[tokio::test]
async fn org_tree_06_no_two_right_below_one_have_the_same_name() {
    let suite = Suite::on_province().await;
    let mut admin = administrator(&suite, 1, "A").await;
    create(&mut admin, creates("A-1-2", "A-1", "马钢（集团）A团委")).await.unwrap();
    for name in ["马钢（集团）A团委", "马钢(集团) Ａ团委", "马钢(集团)a 团委"]
    {
        let status = create(&mut admin, creates("A-1-3", "A-1", name)).await.unwrap_err();
        assert_refused(&status, Code::AlreadyExists, "ORGANIZATION_NAME_TAKEN");
        let wanted = updates(&get(&suite, "A-1-1").await, &["name"], details(name));
        let status = update(&mut admin, wanted).await.unwrap_err();
        assert_refused(&status, Code::AlreadyExists, "ORGANIZATION_NAME_TAKEN");
    }
    // Elsewhere it is another one's, until it comes there.
    let elsewhere = create(&mut admin, creates("A-2-2", "A-2", "马钢(集团)A团委")).await.unwrap();
    let status = relocate(&mut admin, moves(&elsewhere, "A-1")).await.unwrap_err();
    assert_refused(&status, Code::AlreadyExists, "ORGANIZATION_NAME_TAKEN");
    // Its own name, spelt otherwise, is no other one's.
    let wanted = updates(&elsewhere, &["name"], details("马钢（集团）Ａ团委"));
    update(&mut admin, wanted).await.unwrap();
    suite.stop().await;
}

#[tokio::test]
async fn org_tree_07_nothing_is_moved_out_of_the_own_scope() {
    let suite = Suite::on_province().await;
    let mut city = administrator(&suite, 1, "A-1").await;
    let missing = (Code::PermissionDenied, "PERMISSION_MISSING".to_owned());
    let township = get(&suite, "A-1-1").await;
    // Beside, above, and the topmost one of the own scope to anywhere.
    for parent in ["A-2", "A-2-1", "A"] {
        let status = relocate(&mut city, moves(&township, parent)).await.unwrap_err();
        assert_eq!(refusal(&status), missing, "{parent}");
    }
    let own = get(&suite, "A-1").await;
    create(&mut city, creates("A-1-2", "A-1", "新镇")).await.unwrap();
    for parent in ["A-2", "A-1-2"] {
        let status = relocate(&mut city, moves(&own, parent)).await.unwrap_err();
        assert_eq!(refusal(&status), missing, "{parent}");
    }
    // The root has nobody above who could.
    let mut root = administrator(&suite, 2, "A").await;
    let status = relocate(&mut root, moves(&get(&suite, "A").await, "A-1")).await.unwrap_err();
    assert_eq!(refusal(&status), missing);
    // Within the scope it goes.
    relocate(&mut city, moves(&township, "A-1-2")).await.unwrap();
    suite.stop().await;
}

#[tokio::test]
async fn org_tree_08_what_lies_beside_or_above_is_not_there() {
    let suite = Suite::on_province().await;
    let mut city = administrator(&suite, 1, "A-1").await;
    for code in ["A", "A-2", "A-2-1"] {
        let wanted = moves(&get(&suite, code).await, "A-1-1");
        let status = relocate(&mut city, wanted).await.unwrap_err();
        assert_refused(&status, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    }
    let nowhere = Organization { code: "A-X".into(), ..get(&suite, "A").await };
    let status = relocate(&mut city, moves(&nowhere, "A-1")).await.unwrap_err();
    assert_refused(&status, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    let status = relocate(&mut city, moves(&get(&suite, "A-1-1").await, "A-X")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    suite.stop().await;
}

#[tokio::test]
async fn org_tree_14_who_has_not_seen_the_last_change_makes_none() {
    let suite = Suite::on_province().await;
    let mut admin = administrator(&suite, 1, "A").await;
    let seen = get(&suite, "A-1-1").await;
    update(&mut admin, updates(&seen, &["name"], details("新镇"))).await.unwrap();
    let wanted = updates(&seen, &["name"], details("另镇"));
    let status = update(&mut admin, wanted).await.unwrap_err();
    assert_refused(&status, Code::Aborted, "ETAG_STALE");
    let status = relocate(&mut admin, moves(&seen, "A-2")).await.unwrap_err();
    assert_refused(&status, Code::Aborted, "ETAG_STALE");
    suite.stop().await;
}

#[tokio::test]
async fn org_tree_18_a_code_is_never_used_again() {
    let suite = Suite::on_province().await;
    let mut admin = administrator(&suite, 1, "A").await;
    for (code, expected) in [
        ("A-1-9", Code::FailedPrecondition),
        ("A-2-1", Code::AlreadyExists),
        ("A", Code::AlreadyExists),
    ] {
        let status = create(&mut admin, creates(code, "A-1", "新镇")).await.unwrap_err();
        assert_refused(&status, expected, "ORGANIZATION_CODE_TAKEN");
    }
    suite.stop().await;
}

#[tokio::test]
async fn a_closed_organization_does_not_change_and_has_nothing_new_below() {
    let suite = Suite::on_province().await;
    let mut admin = administrator(&suite, 1, "A").await;
    let closed = get(&suite, "A-1-9").await;
    let refusals = [
        create(&mut admin, creates("A-9", "A-1-9", "新镇")).await,
        update(&mut admin, updates(&closed, &["name"], details("新镇"))).await,
        relocate(&mut admin, moves(&closed, "A-2")).await,
        relocate(&mut admin, moves(&get(&suite, "A-2").await, "A-1-9")).await,
    ];
    for refused in refusals {
        let status = refused.unwrap_err();
        assert_refused(&status, Code::FailedPrecondition, "ORGANIZATION_CLOSED");
    }
    suite.stop().await;
}

#[tokio::test]
async fn a_region_has_to_be_one() {
    let suite = Suite::on_province().await;
    let mut admin = administrator(&suite, 1, "A").await;
    let within = |code: &str| OrganizationDetails { region_code: code.into(), ..details("新镇") };
    let nowhere = zhiyuan_contracts::orgtree::v1::CreateOrganizationRequest {
        details: Some(within("340299")),
        ..creates("A-9", "A", "")
    };
    let status = create(&mut admin, nowhere).await.unwrap_err();
    assert_refused(&status, Code::NotFound, "REGION_NOT_FOUND");
    let seen = get(&suite, "A-1-1").await;
    let status =
        update(&mut admin, updates(&seen, &["region_code"], within("340299"))).await.unwrap_err();
    assert_refused(&status, Code::NotFound, "REGION_NOT_FOUND");
    // Nor is one that is no more, whose day is today.
    let owner = sqlx::PgPool::connect(&suite.database.owner_url()).await.unwrap();
    for (day, there) in [("2026-11-23", false), ("2026-11-24", true)] {
        let abolish = "UPDATE orgtree.region SET abolished_on = $1::date, successors = '{340123}'
                       WHERE code = '340122'";
        sqlx::query(abolish).bind(day).execute(&owner).await.unwrap();
        let seen = get(&suite, "A-1-1").await;
        let tried = update(&mut admin, updates(&seen, &["region_code"], within("340122"))).await;
        match tried {
            Ok(_) => assert!(there, "{day}"),
            Err(status) => {
                assert!(!there, "{day}");
                assert_refused(&status, Code::FailedPrecondition, "REGION_ABOLISHED");
                assert!(status.message().contains("肥西县"), "{status:?}");
                let told = status.get_error_details().error_info().unwrap().metadata.clone();
                assert_eq!(told.get("successor_codes").map(String::as_str), Some("340123"));
            }
        }
    }
    let seen = get(&suite, "A-1-1").await;
    let seen =
        update(&mut admin, updates(&seen, &["region_code"], within("340122"))).await.unwrap();
    assert_eq!(seen.region_code, "340122");
    let seen = update(&mut admin, updates(&seen, &["region_code"], within(""))).await.unwrap();
    assert_eq!(seen.region_code, "");
    suite.stop().await;
}

#[tokio::test]
async fn so_many_people_or_organizations_are_not_moved_by_one_alone() {
    let suite = Suite::on_province().await;
    let pool = suite.database.pool().await;
    let mut admin = administrator(&suite, 1, "A").await;
    come(&mut pool.acquire().await.unwrap(), "A-2-1", 1_000).await;
    let begun = tokio::time::Instant::now();
    let status = relocate(&mut admin, moves(&get(&suite, "A-2").await, "A-1")).await.unwrap_err();
    assert_refused(&status, Code::FailedPrecondition, "SECOND_PERSON_REQUIRED");
    let lines: String = (0..99).map(|n| format!("A-1-1-{n},组{n},TOWNSHIP,A-1-1,,,\n")).collect();
    load(&suite.database, &format!("{HEADER}\n{lines}")).await.unwrap();
    let status = relocate(&mut admin, moves(&get(&suite, "A-1-1").await, "A-2")).await.unwrap_err();
    assert_refused(&status, Code::FailedPrecondition, "SECOND_PERSON_REQUIRED");
    assert!(begun.elapsed() < Duration::from_secs(60));
    suite.stop().await;
}
