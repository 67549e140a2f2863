use tonic::Code;
use zhiyuan_contracts::orgtree::v1::{AcceptInvitationResponse, ConfirmInvitationRequest, Role};
use zhiyuan_orgtree::Role as TypedRole;

use super::{Suite, accept, account, confirm, confirms, invite, invites};
use crate::harness::assert_refused;

#[tokio::test]
async fn with_five_wrong_numbers_an_invitation_is_withdrawn_whoever_tries_them() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    suite.make(account(2), "A", TypedRole::Administrator).await;
    let mut made = Vec::new();
    for n in [3, 4] {
        let one = invite(&mut suite.inviter(account(1)), invites("A-1", Role::Viewer)).await;
        let code = one.unwrap().invitation_code;
        made.push(accept(&mut suite.inviter(account(n)), &code).await.unwrap());
    }
    let [accepted, spared] = &made[..] else { panic!() };
    let wrong = |accepted: &AcceptInvitationResponse, by: u32| {
        let number = accepted.check_number.parse::<u32>().unwrap() + by;
        let check_number = format!("{:06}", number % 1_000_000);
        ConfirmInvitationRequest { check_number, ..confirms(accepted) }
    };
    for by in 1..=5 {
        let mut guesser = suite.inviter(account(1 + u128::from(by % 2)));
        let refused = confirm(&mut guesser, wrong(accepted, by)).await.unwrap_err();
        assert_refused(&refused, Code::FailedPrecondition, "CHECK_NUMBER_WRONG");
    }
    let mut inviter = suite.inviter(account(1));
    let over = confirm(&mut inviter, confirms(accepted)).await.unwrap_err();
    assert_refused(&over, Code::FailedPrecondition, "INVITATION_OVER");
    let recorded: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM
             (SELECT action, outcome FROM orgtree.audit_pending
              UNION ALL SELECT action, outcome FROM orgtree.audit_entry) all_of_them
         WHERE action = 'orgtree.invitation.withdrawn' AND outcome = 'DONE'",
    )
    .fetch_one(&suite.database.pool().await)
    .await
    .unwrap();
    assert_eq!(recorded, 1);
    // With four the right one counts.
    for by in 1..=4 {
        confirm(&mut inviter, wrong(spared, by)).await.unwrap_err();
    }
    confirm(&mut inviter, confirms(spared)).await.unwrap();
    suite.stop().await;
}
