//! Applications that nobody decides: their time is over, the superior is closed or merged, or the
//! applicant has gone.

use std::time::Duration;

use sqlx::PgPool;
use tonic::Code;
use zhiyuan_contracts::orgtree::v1::{
    ApplicationDecision, ApplicationState, ChangeKind, CloseOrganizationRequest,
};
use zhiyuan_orgtree::Role as TypedRole;

use super::{
    accepts, applicant, decide, decider, decides, listed, mine, on_province, person_at, recorded,
    submit, submits, withdraw,
};
use crate::authority::{HEADER, Suite, account};
use crate::changing::proposals::{approve, approves, propose, proposes};
use crate::changing::{admin, get};
use crate::harness::{assert_refused, load};

const DAY: Duration = Duration::from_hours(24);
const SECOND: Duration = Duration::from_secs(1);

/// The states of all applications, as they are kept.
async fn states(pool: &PgPool) -> Vec<i16> {
    sqlx::query_scalar("SELECT state FROM orgtree.application ORDER BY submitted_at")
        .fetch_all(pool)
        .await
        .unwrap()
}

/// Lets the loop that forgets go around once: a process begins with it.
async fn until(suite: &Suite, pool: &PgPool, expected: &[i16]) {
    let replica = suite.replica().await;
    let ended = async {
        while states(pool).await != expected {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ended).await.unwrap();
    replica.stop().await;
}

#[tokio::test]
async fn what_nobody_decides_is_over_after_thirty_days_and_forgotten_after_180_more() {
    let suite = on_province().await;
    let pool = suite.database.pool().await;
    suite.make(account(1), "A-1", TypedRole::Administrator).await;
    let mut volunteer = applicant(&suite, 9);
    let made = submit(&mut volunteer, submits("A-1", "暖阳")).await.unwrap();
    suite.clock.advance(SECOND);
    let back = submit(&mut volunteer, submits("A-1", "春风")).await.unwrap();
    suite.clock.advance(DAY);
    let id = back.application_id.as_str();
    // Whoever has a session renews it.
    let mut city = person_at(&suite, &suite.service, 1, true);
    decide(&mut city, decides(id, &back.etag, ApplicationDecision::Return, "")).await.unwrap();
    suite.clock.advance(29 * DAY);
    let (mut volunteer, mut city) =
        (applicant(&suite, 9), person_at(&suite, &suite.service, 1, true));
    let seen = mine(&mut volunteer, &made.application_id).await.unwrap();
    assert_eq!(seen.state(), ApplicationState::Expired, "before it is written down");
    let status = decide(&mut city, accepts(&made, "A-1-V1")).await.unwrap_err();
    assert_refused(&status, Code::FailedPrecondition, "APPLICATION_ENDED");
    let status = withdraw(&mut volunteer, &made.application_id).await.unwrap_err();
    assert_refused(&status, Code::FailedPrecondition, "APPLICATION_ENDED");
    assert!(listed(&mut city, "A-1", true).await.unwrap().is_empty());
    // The other one has waited since it was returned.
    until(&suite, &pool, &[6, 2]).await;
    assert!(mine(&mut volunteer, id).await.unwrap().details.unwrap().contacts.is_some());
    suite.clock.advance(DAY);
    until(&suite, &pool, &[6, 6]).await;
    let records = recorded(&pool).await;
    let expired = records.iter().filter(|(action, _)| action.ends_with(".expired"));
    assert_eq!(expired.count(), 2);
    let phones: i64 =
        sqlx::query_scalar("SELECT count(*) FROM orgtree.application WHERE contact_phone <> ''")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(phones, 0);
    suite.clock.advance(180 * DAY);
    until(&suite, &pool, &[6]).await;
    suite.clock.advance(DAY);
    until(&suite, &pool, &[]).await;
    suite.stop().await;
}

#[tokio::test]
async fn it_ends_with_a_superior_that_is_closed_and_goes_along_with_one_that_is_merged() {
    let suite = on_province().await;
    let pool = suite.database.pool().await;
    for n in [1, 2] {
        suite.make(account(n), "A", TypedRole::Administrator).await;
    }
    let mut volunteer = applicant(&suite, 9);
    let closed = submit(&mut volunteer, submits("A-2-1", "暖阳")).await.unwrap();
    suite.clock.advance(SECOND);
    let merged = submit(&mut volunteer, submits("A-1-1", "春风")).await.unwrap();
    suite.clock.advance(SECOND);
    let by_file = submit(&mut volunteer, submits("A-2", "秋水")).await.unwrap();

    let township = get(&suite, "A-2-1").await;
    let close = CloseOrganizationRequest {
        request_id: super::request_id(),
        code: township.code.clone(),
        etag: township.etag.clone(),
    };
    admin(&suite, 1).close_organization(close).await.unwrap();
    assert_eq!(states(&pool).await, [7, 1, 1], "at once");
    let seen = mine(&mut volunteer, &closed.application_id).await.unwrap();
    assert_eq!(seen.state(), ApplicationState::Lapsed);
    let mut root = person_at(&suite, &suite.service, 2, true);
    let status = decide(&mut root, accepts(&closed, "A-2-V1")).await.unwrap_err();
    assert_refused(&status, Code::FailedPrecondition, "APPLICATION_ENDED");

    let wanted = proposes(&get(&suite, "A-1-1").await, ChangeKind::Close, "A-1");
    let proposal = propose(&mut admin(&suite, 1), wanted).await.unwrap();
    approve(&mut admin(&suite, 2), approves(&proposal)).await.unwrap();
    let seen = mine(&mut volunteer, &merged.application_id).await.unwrap();
    assert_eq!((seen.state(), &*seen.superior_code), (ApplicationState::Submitted, "A-1"));
    let status = decide(&mut root, accepts(&merged, "A-1-V1")).await.unwrap_err();
    assert_refused(&status, Code::Aborted, "APPLICATION_CHANGED");
    let id = merged.application_id.as_str();
    let accept = decides(id, &seen.etag, ApplicationDecision::Accept, "A-1-V1");
    decide(&mut root, accept).await.unwrap();
    assert_eq!(get(&suite, "A-1-V1").await.parent_code, "A-1");

    load(&suite.database, &format!("{HEADER}\nA-2,市二,MUNICIPAL,A,,CLOSED,A-1\n")).await.unwrap();
    let seen = mine(&mut volunteer, &by_file.application_id).await.unwrap();
    assert_eq!((seen.state(), &*seen.superior_code), (ApplicationState::Submitted, "A-1"));

    until(&suite, &pool, &[7, 3, 1]).await;
    let records = recorded(&pool).await;
    assert!(records.contains(&("orgtree.application.lapsed".to_owned(), "DONE".to_owned())));
    suite.stop().await;
}

/// Who was told that it is over has handed in another one.
#[tokio::test]
async fn what_ended_with_its_superior_does_not_come_back_with_a_file() {
    let suite = on_province().await;
    let pool = suite.database.pool().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    let mut volunteer = applicant(&suite, 9);
    let by_call = submit(&mut volunteer, submits("A-2-1", "暖阳")).await.unwrap();
    suite.clock.advance(SECOND);
    let by_file = submit(&mut volunteer, submits("A-1-1", "春风")).await.unwrap();
    // A file is loaded by the clock of the machine.
    let later = "UPDATE orgtree.application
                 SET revision = revision + 1, expires_at = now() + interval '9 days'";
    sqlx::query(later).execute(&pool).await.unwrap();
    let township = get(&suite, "A-2-1").await;
    let close = CloseOrganizationRequest {
        request_id: super::request_id(),
        code: township.code.clone(),
        etag: township.etag.clone(),
    };
    admin(&suite, 1).close_organization(close).await.unwrap();
    let closed = "A-1-1,镇一一,TOWNSHIP,A-1,,CLOSED,";
    load(&suite.database, &format!("{HEADER}\n{closed}\n")).await.unwrap();
    assert_eq!(states(&pool).await, [7, 7]);
    let followed = format!("{HEADER}\n{closed}A-1\n");
    load(&suite.database, &followed).await.unwrap();
    let successor = "UPDATE orgtree.organization SET successor_code = 'A-2' WHERE code = 'A-2-1'";
    sqlx::query(successor).execute(&pool).await.unwrap();
    for one in [&by_call, &by_file] {
        let seen = mine(&mut volunteer, &one.application_id).await.unwrap();
        assert_eq!(seen.state(), ApplicationState::Lapsed);
        assert_eq!(seen.details.unwrap().contacts.unwrap().phone, "");
    }
    let records = recorded(&pool).await;
    let lapsed = records.iter().filter(|(action, _)| action.ends_with(".lapsed"));
    assert_eq!(lapsed.count(), 2);
    suite.stop().await;
}

#[tokio::test]
async fn nobody_becomes_an_administrator_as_an_account_that_was_closed() {
    let suite = on_province().await;
    let pool = suite.database.pool().await;
    let (mut volunteer, mut city) = (applicant(&suite, 9), decider(&suite, 1, "A-1").await);
    let made = submit(&mut volunteer, submits("A-1", "暖阳")).await.unwrap();
    sqlx::query("INSERT INTO orgtree.closed_account (account_id, closed_at) VALUES ($1, now())")
        .bind(account(9))
        .execute(&pool)
        .await
        .unwrap();
    let status = decide(&mut city, accepts(&made, "A-1-V1")).await.unwrap_err();
    assert_refused(&status, Code::FailedPrecondition, "ACCOUNT_CLOSED");
    until(&suite, &pool, &[5]).await;
    assert!(listed(&mut city, "A-1", true).await.unwrap().is_empty());
    let groups: i64 =
        sqlx::query_scalar("SELECT count(*) FROM orgtree.organization WHERE kind = 9")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(groups, 0, "nothing is left of what was refused");
    suite.stop().await;
}
