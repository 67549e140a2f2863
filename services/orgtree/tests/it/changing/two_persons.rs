//! Who is another person, where a change takes two.

use std::time::Duration;

use tonic::{Code, Status};
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::{ChangeKind, Role, Verdict};
use zhiyuan_orgtree::Role as TypedRole;

use super::proposals::{approve, approves, propose, proposes, waiting, withdraw};
use super::{admin, administrator, create, creates, details, get, update, updates};
use crate::authority::delegating::{delegated, delegates};
use crate::authority::{BEGIN, HEADER, PROVINCE, Suite, account, gives, invited};
use crate::harness::{assert_refused, empty, load};

const DAY: Duration = Duration::from_secs(86_400);
const ANOTHER: &str = "ANOTHER_PERSON_REQUIRED";

/// Whether one may approve what the other proposes, which is withdrawn again if not.
async fn both(suite: &Suite, one: u128, other: u128) -> Result<(), Status> {
    let wanted = proposes(&get(suite, "A-2").await, ChangeKind::Close, "A-1");
    let mut first = admin(suite, one);
    let proposal = propose(&mut first, wanted).await.unwrap();
    let approved = approve(&mut admin(suite, other), approves(&proposal)).await;
    if approved.is_err() {
        withdraw(&mut first, &proposal).await.unwrap();
    }
    approved.map(drop)
}

#[tokio::test]
async fn whoever_is_one_by_the_other_over_however_many_others_is_no_second_person() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    let role = Role::Administrator;
    let mut grants = Vec::new();
    for n in 1..=20 {
        let given = suite.person(account(n)).create_grant(gives(account(n + 1), "A", role)).await;
        grants.push(given.unwrap().into_inner().grant.unwrap().id);
    }
    for (one, other) in [(1, 3), (3, 1), (2, 21), (1, 21)] {
        assert_refused(
            &both(&suite, one, other).await.unwrap_err(),
            Code::PermissionDenied,
            ANOTHER,
        );
    }
    // It makes no difference that those between have lost theirs.
    sqlx::query("UPDATE orgtree.authority_grant SET revoked_at = now() WHERE grant_id = $1")
        .bind(grants.first().unwrap().parse::<Uuid>().unwrap())
        .execute(&suite.database.pool().await)
        .await
        .unwrap();
    let status = both(&suite, 1, 3).await.unwrap_err();
    assert_refused(&status, Code::PermissionDenied, ANOTHER);
    suite.make(account(30), "A", TypedRole::Administrator).await;
    both(&suite, 30, 3).await.unwrap();
    suite.stop().await;
}

#[tokio::test]
async fn who_invited_stands_behind_a_grant_as_who_confirmed_does() {
    let suite = Suite::on_province().await;
    for n in [1, 2, 3] {
        suite.make(account(n), "A", TypedRole::Administrator).await;
    }
    // Invited by the first, confirmed by the second.
    let grant = invited(&suite, (1, 2), 4, "A").await;
    assert_eq!(grant.granted_by, account(2).to_string());
    for (one, other) in [(1, 4), (4, 1), (2, 4)] {
        let status = both(&suite, one, other).await.unwrap_err();
        assert_refused(&status, Code::PermissionDenied, ANOTHER);
    }
    let changed = "UPDATE orgtree.authority_grant SET invited_by = NULL WHERE account_id = $1";
    let pool = suite.database.pool().await;
    let error = sqlx::query(changed).bind(account(4)).execute(&pool).await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().unwrap(), "42501");
    both(&suite, 3, 4).await.unwrap();
    suite.stop().await;
}

#[tokio::test]
async fn who_acts_for_somebody_neither_proposes_nor_approves_and_changes_what_is_said() {
    let suite = Suite::on_province().await;
    let held = suite.make(account(1), "A", TypedRole::Administrator).await;
    suite.make(account(2), "A", TypedRole::Administrator).await;
    delegated(&suite, 1, 3, delegates(&suite, held, "A")).await;
    let mut delegate = admin(&suite, 3);
    let wanted = || async { proposes(&get(&suite, "A-2").await, ChangeKind::Close, "A-1") };
    let missing = (Code::PermissionDenied, "PERMISSION_MISSING");
    let status = propose(&mut delegate, wanted().await).await.unwrap_err();
    assert_refused(&status, missing.0, missing.1);
    let proposal = propose(&mut admin(&suite, 2), wanted().await).await.unwrap();
    let status = approve(&mut delegate, approves(&proposal)).await.unwrap_err();
    assert_refused(&status, missing.0, missing.1);
    let made = create(&mut delegate, creates("A-1-2", "A-1", "新镇")).await.unwrap();
    update(&mut delegate, updates(&made, &["name"], details("另镇"))).await.unwrap();
    // By a grant of their own besides, they do.
    administrator(&suite, 3, "A").await;
    approve(&mut delegate, approves(&proposal)).await.unwrap();
    suite.stop().await;
}

/// One person alone, with two accounts that he has made administrators.
#[tokio::test]
async fn two_whom_the_same_person_made_are_two_once_they_are_so_for_long() {
    let database = empty().await;
    load(&database, &format!("{HEADER}\n{PROVINCE}\n")).await.unwrap();
    // So long ago that no midnight of the database is waited for in between.
    let suite = Suite::start_at(database, BEGIN - DAY * 60).await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    let role = Role::Administrator;
    for n in [2, 3] {
        suite.person(account(1)).create_grant(gives(account(n), "A", role)).await.unwrap();
    }
    suite.person(account(3)).create_grant(gives(account(4), "A", role)).await.unwrap();
    let another = async |one, other| {
        let status = both(&suite, one, other).await.unwrap_err();
        assert_refused(&status, Code::PermissionDenied, ANOTHER);
    };
    suite.clock.advance(DAY * 30 - Duration::from_secs(60));
    for (one, other) in [(2, 3), (3, 2), (2, 4)] {
        another(one, other).await;
    }
    suite.clock.advance(Duration::from_secs(60));
    // Not whom one of them made, however old.
    another(3, 4).await;
    // Nor with one who is new.
    suite.person(account(1)).create_grant(gives(account(5), "A", role)).await.unwrap();
    another(2, 5).await;
    both(&suite, 2, 4).await.unwrap();
    suite.stop().await;
}

/// As `Check` says.
#[tokio::test]
async fn where_a_delegation_reaches_no_more_its_proposals_are_out_of_sight() {
    let suite = Suite::on_province().await;
    let mut root = administrator(&suite, 1, "A").await;
    let held = suite.make(account(2), "A-1", TypedRole::Administrator).await;
    delegated(&suite, 2, 3, delegates(&suite, held, "A-1-1")).await;
    let wanted = proposes(&get(&suite, "A-1-1").await, ChangeKind::Close, "A-1");
    let proposal = propose(&mut root, wanted).await.unwrap();
    let permission = zhiyuan_contracts::orgtree::v1::Permission::ManageOrganization;
    let mut delegate = admin(&suite, 3);
    assert_eq!(suite.verdict(account(3), "A-1-1", permission).await, Verdict::Allowed);
    assert_eq!(waiting(&mut delegate, "").await.unwrap(), [&*proposal.id]);
    load(&suite.database, &format!("{HEADER}\nA-1-1,镇一一,TOWNSHIP,A-2,,,\n")).await.unwrap();
    assert_eq!(suite.verdict(account(3), "A-1-1", permission).await, Verdict::OutOfScope);
    assert!(waiting(&mut delegate, "").await.unwrap().is_empty());
    suite.stop().await;
}
