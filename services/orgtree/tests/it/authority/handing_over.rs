use std::time::{Duration, Instant};

use futures_util::future::join;
use tonic::Code;
use zhiyuan_contracts::orgtree::v1::{
    AcceptInvitationResponse, CreateInvitationRequest, Permission, Role, Verdict,
};
use zhiyuan_orgtree::Role as TypedRole;

use super::{
    Suite, accept, account, confirm, confirms, hands_over, invite, invites, list, patiently,
    refusal, revokes,
};
use crate::harness::assert_refused;

/// What was allowed may take effect for so long.
const OVER: Duration = Duration::from_secs(5);

/// Somebody accepted what somebody else has invited to.
async fn accepted(
    suite: &Suite,
    by: u128,
    to: u128,
    wanted: CreateInvitationRequest,
) -> AcceptInvitationResponse {
    let made = invite(&mut suite.inviter(account(by)), wanted).await.unwrap();
    accept(&mut suite.inviter(account(to)), &made.invitation_code).await.unwrap()
}

#[tokio::test]
async fn the_last_administrator_of_the_root_hands_over_to_a_successor() {
    let suite = Suite::on_province().await;
    let first = suite.make(account(1), "A", TypedRole::Administrator).await;
    // For a time is not for long enough; nothing is given then.
    let day = suite.clock_in(Duration::from_hours(24));
    let for_a_day =
        CreateInvitationRequest { expire_time: Some(day), ..invites("A", Role::Administrator) };
    let short = accepted(&suite, 1, 2, for_a_day).await;
    let mut person = suite.inviter(account(1));
    let refused = person.hand_over(hands_over(&short)).await.unwrap_err();
    assert_refused(&refused, Code::FailedPrecondition, "LAST_ADMINISTRATOR");
    assert_eq!(list(&mut suite.person(account(1)), "A", 0).await.unwrap().len(), 1);

    let waiting = accepted(&suite, 1, 2, invites("A", Role::Administrator)).await;
    let begin = Instant::now();
    let request = hands_over(&waiting);
    let given = person.hand_over(patiently(request.clone())).await.unwrap().into_inner();
    let grant = given.grant.clone().unwrap();
    assert!(begin.elapsed() >= OVER, "{:?}", begin.elapsed());
    assert_eq!(suite.verdict(account(1), "A", Permission::View).await, Verdict::OutOfScope);
    assert_eq!(suite.verdict(account(2), "A", Permission::Grant).await, Verdict::Allowed);
    assert_eq!((grant.role(), &grant.granted_by), (Role::Administrator, &account(1).to_string()));
    // Sent again, it has the answer that it had, at once.
    let begin = Instant::now();
    assert_eq!(person.hand_over(request).await.unwrap().into_inner(), given);
    assert!(begin.elapsed() < Duration::from_secs(2));
    let ended: (Option<uuid::Uuid>, bool) = sqlx::query_as(
        "SELECT revoked_by, settled_at IS NOT NULL FROM orgtree.authority_grant
         WHERE grant_id = $1",
    )
    .bind(first)
    .fetch_one(&suite.database.pool().await)
    .await
    .unwrap();
    assert_eq!(ended, (Some(account(1)), true));
    suite.stop().await;
}

#[tokio::test]
async fn without_the_time_a_handover_is_recorded_and_the_same_call_hears_when_it_is_over() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    suite.make(account(2), "A-1", TypedRole::Administrator).await;
    let waiting = accepted(&suite, 2, 3, invites("A-1", Role::Administrator)).await;
    let request = hands_over(&waiting);
    let mut person = suite.inviter(account(2));
    let refused = person.hand_over(request.clone()).await.unwrap_err();
    assert_refused(&refused, Code::Unavailable, "REVOCATION_IN_PROGRESS");
    assert_eq!(suite.verdict(account(3), "A-1", Permission::Grant).await, Verdict::Allowed);
    assert_eq!(suite.verdict(account(2), "A-1", Permission::View).await, Verdict::OutOfScope);
    let done = person.hand_over(patiently(request)).await.unwrap().into_inner().grant.unwrap();
    assert_eq!(done.account_id, account(3).to_string());
    suite.stop().await;
}

#[tokio::test]
async fn only_the_inviter_hands_over_and_only_what_is_held_there() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    suite.make(account(2), "A-1", TypedRole::Administrator).await;
    // Of a role above, and of another role, there is nothing to hand over.
    for (by, role) in [(1, Role::Administrator), (2, Role::Viewer)] {
        let waiting = accepted(&suite, by, 3, invites("A-1", role)).await;
        let refused = suite.inviter(account(by)).hand_over(hands_over(&waiting)).await;
        assert_refused(&refused.unwrap_err(), Code::NotFound, "GRANT_NOT_FOUND");
        let verdict = suite.verdict(account(3), "A-1", Permission::View).await;
        assert_eq!(verdict, Verdict::OutOfScope);
    }
    let waiting = accepted(&suite, 2, 3, invites("A-1", Role::Administrator)).await;
    let refused = suite.inviter(account(1)).hand_over(hands_over(&waiting)).await.unwrap_err();
    assert_refused(&refused, Code::PermissionDenied, "INVITATION_OF_ANOTHER");
    confirm(&mut suite.inviter(account(1)), confirms(&waiting)).await.unwrap();
    let refused = suite.inviter(account(2)).hand_over(hands_over(&waiting)).await.unwrap_err();
    assert_refused(&refused, Code::FailedPrecondition, "INVITATION_OVER");
    suite.stop().await;
}

#[tokio::test]
async fn a_handover_beside_a_revocation_leaves_one_of_both_or_none() {
    let suite = Suite::on_province().await;
    let replica = suite.replica().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    for round in 0..6 {
        let (holder, successor) = (10 + 2 * round, 11 + 2 * round);
        let held = suite.make(account(holder), "A-1", TypedRole::Administrator).await;
        let waiting =
            accepted(&suite, holder, successor, invites("A-1", Role::Administrator)).await;
        let mut hands = suite.inviter_at(&replica, account(holder));
        let mut ends = suite.person(account(1));
        let both = join(hands.hand_over(hands_over(&waiting)), ends.revoke_grant(revokes(held)));
        let (handed, ended) = both.await;
        let (handed, ended) = (refusal(&handed.unwrap_err()).1, refusal(&ended.unwrap_err()).1);
        assert_eq!(ended, "REVOCATION_IN_PROGRESS");
        let gone = suite.verdict(account(holder), "A-1", Permission::View).await;
        assert_eq!(gone, Verdict::OutOfScope);
        let follows = suite.verdict(account(successor), "A-1", Permission::View).await;
        match handed.as_str() {
            "REVOCATION_IN_PROGRESS" => assert_eq!(follows, Verdict::Allowed),
            "INVITATION_NOT_FOUND" => assert_eq!(follows, Verdict::OutOfScope),
            other => panic!("{other}"),
        }
    }
    // Two who hand over the root to each other's successors: one administrator stays at least.
    suite.make(account(2), "A", TypedRole::Administrator).await;
    let to_three = accepted(&suite, 1, 3, invites("A", Role::Administrator)).await;
    let to_four = accepted(&suite, 2, 4, invites("A", Role::Administrator)).await;
    let (mut one, mut two) = (suite.inviter(account(1)), suite.inviter_at(&replica, account(2)));
    let both =
        join(one.hand_over(hands_over(&to_three)), two.hand_over(hands_over(&to_four))).await;
    for status in [both.0.unwrap_err(), both.1.unwrap_err()] {
        assert_eq!(refusal(&status).1, "REVOCATION_IN_PROGRESS");
    }
    for (n, verdict) in [(1, Verdict::OutOfScope), (3, Verdict::Allowed), (4, Verdict::Allowed)] {
        assert_eq!(suite.verdict(account(n), "A", Permission::Grant).await, verdict);
    }
    replica.stop().await;
    suite.stop().await;
}
