//! Whom to ask about an application.

use tonic::Code;
use zhiyuan_contracts::orgtree::v1::RevealApplicationRequest;
use zhiyuan_orgtree::Role as TypedRole;

use super::{
    applicant, decider, listed, masked, mine, on_province, person_at, recorded, reveal, submit,
    submits,
};
use crate::authority::account;
use crate::harness::{assert_field, assert_refused};

#[tokio::test]
async fn a_number_is_shown_to_who_decides_and_says_why_and_the_look_is_recorded() {
    let suite = on_province().await;
    let pool = suite.database.pool().await;
    let (mut volunteer, mut city) = (applicant(&suite, 9), decider(&suite, 1, "A-1").await);
    let made = submit(&mut volunteer, submits("A-1", "暖阳")).await.unwrap();
    let id = made.application_id.as_str();
    let whole = mine(&mut volunteer, id).await.unwrap();
    let phone = |one: &zhiyuan_contracts::orgtree::v1::OrganizationApplication| {
        one.details.clone().unwrap().contacts.unwrap().phone
    };
    assert_eq!(phone(&whole), "13800000000");
    let list = listed(&mut city, "A-1", true).await.unwrap();
    assert_eq!(phone(&list[0]), "*******0000");
    assert_eq!(list, [masked(whole.clone())]);
    assert_eq!(reveal(&mut city, id).await.unwrap(), whole);

    // Nobody else's business, and nothing without a reason.
    let mut beside = decider(&suite, 2, "A-2").await;
    suite.make(account(3), "A-1", TypedRole::Manager).await;
    let mut manager = person_at(&suite, &suite.service, 3, true);
    let status = reveal(&mut beside, id).await.unwrap_err();
    assert_refused(&status, Code::NotFound, "APPLICATION_NOT_FOUND");
    let status = reveal(&mut manager, id).await.unwrap_err();
    assert_refused(&status, Code::PermissionDenied, "PERMISSION_MISSING");
    let mut weak = person_at(&suite, &suite.service, 1, false);
    let status = reveal(&mut weak, id).await.unwrap_err();
    assert_refused(&status, Code::FailedPrecondition, "SECOND_FACTOR_REQUIRED");
    let silent = RevealApplicationRequest { application_id: id.to_owned(), purpose: " ".into() };
    let status = city.reveal_application(silent).await.unwrap_err();
    assert_field(&status, "purpose", "REMARK_EMPTY");

    let of =
        |action: &str, outcome: &str| (format!("orgtree.application.{action}"), outcome.to_owned());
    let expected = [
        of("submitted", "DONE"),
        of("revealed", "DONE"),
        of("revealed", "REFUSED"),
        of("revealed", "REFUSED"),
    ];
    assert_eq!(recorded(&pool).await, expected);
    let looks: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM
             (SELECT action, outcome, subject_account_id, purpose FROM orgtree.audit_pending
              UNION ALL
              SELECT action, outcome, subject_account_id, purpose FROM orgtree.audit_entry) look
         WHERE action = 'orgtree.application.revealed' AND outcome = 'DONE'
           AND subject_account_id = $1 AND purpose = '电话核实'",
    )
    .bind(account(9))
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(looks, 1);
    suite.stop().await;
}
