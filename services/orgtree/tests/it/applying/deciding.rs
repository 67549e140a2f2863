//! Who decides, and what speaks against accepting.

use std::time::Duration;

use futures_util::future::join_all;
use tonic::Code;
use zhiyuan_contracts::orgtree::v1::{ApplicationDecision, ApplicationState, OrganizationDetails};
use zhiyuan_domain::Clock as _;
use zhiyuan_orgtree::Role as TypedRole;

use super::{
    accepts, applicant, correct, corrects, decide, decider, decides, listed, mine, on_province,
    person_at, recorded, says, submit, submits,
};
use crate::authority::delegating::{delegated, delegates};
use crate::authority::{account, gives, refusal};
use crate::changing::{admin, create, creates, get};
use crate::harness::{assert_field, assert_refused};

const RETURN: ApplicationDecision = ApplicationDecision::Return;

#[tokio::test]
async fn who_decides_manages_organizations_at_the_superior_and_has_not_applied() {
    let suite = on_province().await;
    let pool = suite.database.pool().await;
    let (mut volunteer, mut root) = (applicant(&suite, 9), decider(&suite, 1, "A").await);
    let made = submit(&mut volunteer, submits("A-1", "暖阳")).await.unwrap();
    let back = || decides(&made.application_id, &made.etag, RETURN, "");

    // From beside and from below it is not there; nor for who administers nothing.
    let mut beside = decider(&suite, 2, "A-2").await;
    let mut below = decider(&suite, 3, "A-1-1").await;
    let mut nobody = person_at(&suite, &suite.service, 4, true);
    let mut own = person_at(&suite, &suite.service, 9, true);
    for person in [&mut beside, &mut below, &mut nobody, &mut own] {
        for request in [back(), accepts(&made, "A-1-V1")] {
            let status = decide(person, request).await.unwrap_err();
            assert_refused(&status, Code::NotFound, "APPLICATION_NOT_FOUND");
        }
        let status = listed(person, "A-1", false).await.unwrap_err();
        assert_refused(&status, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    }
    assert!(listed(&mut beside, "A-2", false).await.unwrap().is_empty());
    // Another role there does not do.
    suite.make(account(5), "A-1", TypedRole::Manager).await;
    let mut manager = person_at(&suite, &suite.service, 5, true);
    let status = decide(&mut manager, back()).await.unwrap_err();
    assert_refused(&status, Code::PermissionDenied, "PERMISSION_MISSING");
    let status = listed(&mut manager, "A-1", false).await.unwrap_err();
    assert_refused(&status, Code::PermissionDenied, "PERMISSION_MISSING");
    // Nor one factor.
    let mut weak = person_at(&suite, &suite.service, 1, false);
    let status = decide(&mut weak, back()).await.unwrap_err();
    assert_refused(&status, Code::FailedPrecondition, "SECOND_FACTOR_REQUIRED");
    // Who administers the superior does not decide about the own application.
    suite.make(account(9), "A", TypedRole::Administrator).await;
    for request in [back(), accepts(&made, "A-1-V1")] {
        let status = decide(&mut own, request).await.unwrap_err();
        assert_refused(&status, Code::PermissionDenied, "APPLICATION_OWN");
    }
    let refused = recorded(&pool).await;
    assert_eq!(refused.iter().filter(|(_, outcome)| outcome == "REFUSED").count(), 11);
    // From above it is there.
    assert_eq!(listed(&mut root, "A", true).await.unwrap().len(), 1);
    decide(&mut root, back()).await.unwrap();
    // The database knows it too.
    let error = sqlx::query(
        "UPDATE orgtree.application SET decided_by = applicant, revision = revision + 1",
    )
    .execute(&pool)
    .await
    .unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().unwrap(), "23514");
    suite.stop().await;
}

/// They give no roles, and so make no administrator.
#[tokio::test]
async fn who_acts_for_somebody_returns_and_does_not_accept() {
    let suite = on_province().await;
    let held = suite.make(account(1), "A-1", TypedRole::Administrator).await;
    delegated(&suite, 1, 3, delegates(&suite, held, "A-1")).await;
    let (mut volunteer, mut delegate) =
        (applicant(&suite, 9), person_at(&suite, &suite.service, 3, true));
    let made = submit(&mut volunteer, submits("A-1", "暖阳")).await.unwrap();
    let status = decide(&mut delegate, accepts(&made, "A-1-V1")).await.unwrap_err();
    assert_refused(&status, Code::PermissionDenied, "PERMISSION_MISSING");
    let back = decides(&made.application_id, &made.etag, RETURN, "");
    decide(&mut delegate, back).await.unwrap();
    suite.stop().await;
}

/// Half a million people wait for the tree when somebody is alone with it.
#[tokio::test]
async fn what_is_refused_in_any_case_waits_for_nobody_who_has_the_tree() {
    let suite = on_province().await;
    let pool = suite.database.pool().await;
    let held = suite.make(account(1), "A-1", TypedRole::Administrator).await;
    delegated(&suite, 1, 3, delegates(&suite, held, "A-1")).await;
    let (mut volunteer, mut city) =
        (applicant(&suite, 9), person_at(&suite, &suite.service, 1, true));
    let mut delegate = person_at(&suite, &suite.service, 3, true);
    let made = submit(&mut volunteer, submits("A-1", "暖阳")).await.unwrap();
    let ended = submit(&mut volunteer, submits("A-1", "春风")).await.unwrap();
    let reject = ApplicationDecision::Reject;
    let ends = decides(&ended.application_id, &ended.etag, reject, "");
    decide(&mut city, ends).await.unwrap();
    let stale = decides(&made.application_id, "2", ApplicationDecision::Accept, "A-1-V1");

    let mut loading = pool.begin().await.unwrap();
    let alone = "SELECT pg_advisory_xact_lock(hashtextextended('orgtree.tree', 0))";
    sqlx::query(alone).execute(&mut *loading).await.unwrap();
    let refusals = async {
        let status = decide(&mut delegate, accepts(&made, "A-1-V1")).await.unwrap_err();
        assert_refused(&status, Code::PermissionDenied, "PERMISSION_MISSING");
        let status = decide(&mut city, accepts(&ended, "A-1-V1")).await.unwrap_err();
        assert_refused(&status, Code::FailedPrecondition, "APPLICATION_ENDED");
        let status = decide(&mut city, stale).await.unwrap_err();
        assert_refused(&status, Code::Aborted, "APPLICATION_CHANGED");
    };
    tokio::time::timeout(Duration::from_secs(3), refusals).await.unwrap();
    drop(loading);
    suite.stop().await;
}

#[tokio::test]
async fn the_role_lasts_no_longer_than_that_of_who_gives_it() {
    let suite = on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    let role = zhiyuan_contracts::orgtree::v1::Role::Administrator;
    let mut wanted = gives(account(2), "A-1", role);
    let end = suite.clock.now() + Duration::from_secs(86_400 * 40);
    wanted.expire_time = Some(zhiyuan_rpc::wire::timestamp(end));
    suite.person(account(1)).create_grant(wanted.clone()).await.unwrap();
    let mut volunteer = applicant(&suite, 9);
    let made = submit(&mut volunteer, submits("A-1", "暖阳")).await.unwrap();
    let mut city = person_at(&suite, &suite.service, 2, true);
    let accepted = decide(&mut city, accepts(&made, "A-1-V1")).await.unwrap();
    assert_eq!(accepted.grant.unwrap().expire_time, wanted.expire_time);
    suite.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_decide_at_once_one_does() {
    let suite = on_province().await;
    let pool = suite.database.pool().await;
    let replica = suite.replica().await;
    let mut volunteer = applicant(&suite, 9);
    let made = submit(&mut volunteer, submits("A-1", "暖阳")).await.unwrap();
    for n in 1..=6 {
        suite.make(account(n), "A", TypedRole::Administrator).await;
    }
    let deciding = (1..=6_u128).map(|n| {
        let service = if n % 2 == 0 { &suite.service } else { &replica };
        let mut person = person_at(&suite, service, n, true);
        let request = match n {
            5 => decides(&made.application_id, &made.etag, ApplicationDecision::Reject, ""),
            6 => decides(&made.application_id, &made.etag, RETURN, ""),
            n => accepts(&made, &format!("A-1-V{n}")),
        };
        async move { decide(&mut person, request).await }
    });
    let decided = join_all(deciding).await;
    assert_eq!(decided.iter().filter(|one| one.is_ok()).count(), 1, "{decided:?}");
    for refused in decided.into_iter().filter_map(Result::err) {
        let reasons = ["APPLICATION_ENDED", "APPLICATION_NOT_WITH_CALLER", "CONFLICT"];
        let (_, reason) = refusal(&refused);
        assert!(reasons.contains(&reason.as_str()), "{refused:?}");
    }
    let (groups, accepted): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM orgtree.organization WHERE kind = 9),
                (SELECT count(*) FROM orgtree.application WHERE state = 3)",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(groups, accepted);
    replica.stop().await;
    suite.stop().await;
}

#[tokio::test]
async fn who_has_not_seen_the_last_step_decides_nothing() {
    let suite = on_province().await;
    let (mut volunteer, mut city) = (applicant(&suite, 9), decider(&suite, 1, "A-1").await);
    let made = submit(&mut volunteer, submits("A-1", "暖阳")).await.unwrap();
    let id = made.application_id.as_str();
    let status = correct(&mut volunteer, corrects(id, &made.etag, "暖阳二")).await.unwrap_err();
    assert_refused(&status, Code::FailedPrecondition, "APPLICATION_NOT_WITH_CALLER");
    decide(&mut city, decides(id, &made.etag, RETURN, "")).await.unwrap();
    let status = decide(&mut city, accepts(&made, "A-1-V1")).await.unwrap_err();
    assert_refused(&status, Code::FailedPrecondition, "APPLICATION_NOT_WITH_CALLER");
    let status = correct(&mut volunteer, corrects(id, &made.etag, "暖阳二")).await.unwrap_err();
    assert_refused(&status, Code::Aborted, "APPLICATION_CHANGED");
    let again = correct(&mut volunteer, corrects(id, "2", "暖阳二")).await.unwrap();
    // It says something else by now.
    let status = decide(&mut city, accepts(&made, "A-1-V1")).await.unwrap_err();
    assert_refused(&status, Code::Aborted, "APPLICATION_CHANGED");
    let accept = decides(id, &again.etag, ApplicationDecision::Accept, "A-1-V1");
    decide(&mut city, accept).await.unwrap();
    assert_eq!(get(&suite, "A-1-V1").await.name, "暖阳二");
    suite.stop().await;
}

/// What the tree does not take it does not take by an application either, then and later.
#[tokio::test]
async fn what_is_taken_is_refused_when_it_is_handed_in_and_when_it_is_accepted() {
    const CODE: &str = "51340000MJ0000034F";
    let suite = on_province().await;
    let (mut volunteer, mut city) = (applicant(&suite, 9), decider(&suite, 1, "A-1").await);
    let coded = |superior: &str, name: &str| {
        let details = OrganizationDetails { credit_code: CODE.into(), ..says(name) };
        zhiyuan_contracts::orgtree::v1::SubmitApplicationRequest {
            details: Some(details),
            ..submits(superior, name)
        }
    };
    let first = submit(&mut volunteer, coded("A-1", "暖阳队")).await.unwrap();
    let mut other = applicant(&suite, 8);
    let second = submit(&mut other, submits("A-1", "暖阳 队")).await.unwrap();
    let third = submit(&mut other, coded("A-1", "春风队")).await.unwrap();
    let taken = creates("A-1-V1", "A-1", "别的");
    create(&mut admin(&suite, 1), taken).await.unwrap();
    let status = decide(&mut city, accepts(&first, "A-1-V1")).await.unwrap_err();
    assert_refused(&status, Code::AlreadyExists, "ORGANIZATION_CODE_TAKEN");
    decide(&mut city, accepts(&first, "A-1-V2")).await.unwrap();
    assert_eq!(get(&suite, "A-1-V2").await.credit_code, CODE);
    // Nothing is left of what was refused, and it can be returned.
    let status = decide(&mut city, accepts(&second, "A-1-V3")).await.unwrap_err();
    assert_refused(&status, Code::AlreadyExists, "ORGANIZATION_NAME_TAKEN");
    assert!(status.message().contains("退回"), "who accepts has no name to change: {status:?}");
    let status = decide(&mut city, accepts(&third, "A-1-V3")).await.unwrap_err();
    assert_refused(&status, Code::AlreadyExists, "CREDIT_CODE_TAKEN");
    assert!(status.message().contains("退回"), "{status:?}");
    let seen = mine(&mut other, &third.application_id).await.unwrap();
    assert_eq!((seen.state(), &seen.etag), (ApplicationState::Submitted, &third.etag));
    decide(&mut city, decides(&third.application_id, &third.etag, RETURN, "")).await.unwrap();
    let found = listed(&mut city, "A-1", true).await.unwrap();
    assert_eq!(found.len(), 1);

    let status = submit(&mut volunteer, submits("A-1", "暖阳队")).await.unwrap_err();
    assert_refused(&status, Code::AlreadyExists, "ORGANIZATION_NAME_TAKEN");
    let status = submit(&mut volunteer, coded("A-2", "春风队")).await.unwrap_err();
    assert_refused(&status, Code::AlreadyExists, "CREDIT_CODE_TAKEN");
    let status = submit(&mut volunteer, submits("A-X", "春风队")).await.unwrap_err();
    assert_refused(&status, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    let status = submit(&mut volunteer, submits("A-1-9", "春风队")).await.unwrap_err();
    assert_refused(&status, Code::FailedPrecondition, "ORGANIZATION_CLOSED");
    let mut nowhere = submits("A-1", "春风队");
    nowhere.details.as_mut().unwrap().region_code = "340299".into();
    let status = submit(&mut volunteer, nowhere).await.unwrap_err();
    assert_refused(&status, Code::NotFound, "REGION_NOT_FOUND");
    let mut above = "A-1-1".to_owned();
    for level in 4..=12 {
        let code = format!("A-D{level}");
        let wanted = creates(&code, &above, &format!("第{level}级"));
        create(&mut admin(&suite, 1), wanted).await.unwrap();
        above = code;
    }
    let status = submit(&mut volunteer, submits(&above, "春风队")).await.unwrap_err();
    assert_field(&status, "superior_code", "PARENT_TOO_DEEP");
    suite.stop().await;
}
