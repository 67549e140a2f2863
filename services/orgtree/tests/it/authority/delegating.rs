use std::time::Duration;

use tonic::Code;
use tonic_types::StatusExt as _;
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::{CreateDelegationRequest, Grant, Permission, Role, Verdict};
use zhiyuan_domain::Clock as _;
use zhiyuan_orgtree::Role as TypedRole;

use super::{
    HEADER, Suite, accept, account, confirm, confirms, give, gives, hands_over, list, mine,
    patiently, refusal, revokes,
};
use crate::harness::{assert_field, assert_refused, load};

const DAY: Duration = Duration::from_hours(24);

pub(crate) fn delegates(
    suite: &Suite,
    grant_id: impl ToString,
    code: &str,
) -> CreateDelegationRequest {
    CreateDelegationRequest {
        request_id: Uuid::new_v4().to_string(),
        grant_id: grant_id.to_string(),
        organization_code: code.to_owned(),
        expire_time: Some(suite.clock_in(10 * DAY)),
        ..CreateDelegationRequest::default()
    }
}

/// Somebody acts for somebody else.
pub(crate) async fn delegated(
    suite: &Suite,
    by: u128,
    to: u128,
    wanted: CreateDelegationRequest,
) -> Grant {
    let mut holder = suite.inviter(account(by));
    let made = holder.create_delegation(wanted).await.unwrap().into_inner();
    let accepted = accept(&mut suite.inviter(account(to)), &made.invitation_code).await.unwrap();
    confirm(&mut holder, confirms(&accepted)).await.unwrap()
}

#[tokio::test]
async fn who_may_give_no_roles_lets_somebody_act_for_them_for_a_time_there_or_below() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    let held = suite.make(account(2), "A-1", TypedRole::Manager).await;
    let grant = delegated(&suite, 2, 3, delegates(&suite, held, "A-1-1")).await;
    assert_eq!((grant.role(), &grant.delegated_from), (Role::Manager, &held.to_string()));
    assert_eq!(grant.granted_by, account(2).to_string());
    for (code, permission, verdict) in [
        ("A-1-1", Permission::Review, Verdict::Allowed),
        ("A-1-1", Permission::Audit, Verdict::Forbidden),
        ("A-1", Permission::View, Verdict::OutOfScope),
        ("A-2-1", Permission::View, Verdict::OutOfScope),
    ] {
        assert_eq!(suite.verdict(account(3), code, permission).await, verdict, "{code}");
    }
    // Those who administer the place see it.
    let seen = list(&mut suite.person(account(1)), "A-1-1", 0).await.unwrap();
    assert_eq!(seen, std::slice::from_ref(&grant));
    suite.clock.advance(10 * DAY);
    let verdict = suite.verdict(account(3), "A-1-1", Permission::View).await;
    assert_eq!(verdict, Verdict::OutOfScope);
    suite.stop().await;
}

#[tokio::test]
async fn what_is_delegated_gives_no_roles_and_is_not_delegated_any_further() {
    let suite = Suite::on_province().await;
    let held = suite.make(account(1), "A", TypedRole::Administrator).await;
    let grant = delegated(&suite, 1, 2, delegates(&suite, held, "A")).await;
    for (permission, verdict) in [
        (Permission::ManageOrganization, Verdict::Allowed),
        (Permission::Reveal, Verdict::Allowed),
        (Permission::Audit, Verdict::Allowed),
        (Permission::Grant, Verdict::Forbidden),
    ] {
        assert_eq!(suite.verdict(account(2), "A-1", permission).await, verdict, "{permission:?}");
    }
    let given = give(&mut suite.person(account(2)), gives(account(3), "A-1", Role::Viewer)).await;
    assert_refused(&given.unwrap_err(), Code::PermissionDenied, "PERMISSION_MISSING");
    let mut delegate = suite.inviter(account(2));
    let on = delegate.create_delegation(delegates(&suite, &grant.id, "A-1")).await.unwrap_err();
    assert_refused(&on, Code::FailedPrecondition, "GRANT_DELEGATED");
    // Nor is anybody the administrator of the root by it.
    let last = suite.person(account(1)).revoke_grant(revokes(held)).await.unwrap_err();
    assert_refused(&last, Code::FailedPrecondition, "LAST_ADMINISTRATOR");
    // Whoever writes the row.
    let on = sqlx::query(
        "INSERT INTO orgtree.authority_grant
             (grant_id, account_id, organization_code, role, granted_by, created_at, expires_at,
              delegated_from)
         VALUES (gen_random_uuid(), gen_random_uuid(), 'A', 1, $1, $2, $2 + interval '1 day', $3)",
    )
    .bind(account(2))
    .bind(suite.clock.now())
    .bind(grant.id.parse::<Uuid>().unwrap())
    .execute(&suite.database.pool().await)
    .await
    .unwrap_err();
    assert_eq!(on.as_database_error().unwrap().code().unwrap(), "42501");
    suite.stop().await;
}

#[tokio::test]
async fn only_ones_own_is_delegated_where_it_reaches_and_for_as_long_as_it_lasts() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    let held = suite.make(account(2), "A-1", TypedRole::Manager).await;
    let mut request = gives(account(2), "A-2", Role::Viewer);
    request.expire_time = Some(suite.clock_in(DAY));
    let short = give(&mut suite.person(account(1)), request).await.unwrap().id;
    let ask = async |n, request| {
        let mut person = suite.inviter(account(n));
        person.create_delegation(request).await.unwrap_err()
    };
    for (n, id, code, refused, reason) in [
        (1, held.to_string(), "A-1", Code::NotFound, "GRANT_NOT_FOUND"),
        (2, account(9).to_string(), "A-1", Code::NotFound, "GRANT_NOT_FOUND"),
        (2, held.to_string(), "A", Code::NotFound, "ORGANIZATION_NOT_FOUND"),
        (2, held.to_string(), "A-2-1", Code::NotFound, "ORGANIZATION_NOT_FOUND"),
        (2, held.to_string(), "A-7", Code::NotFound, "ORGANIZATION_NOT_FOUND"),
        (2, held.to_string(), "A-1-9", Code::FailedPrecondition, "ORGANIZATION_CLOSED"),
        (2, short.clone(), "A-2", Code::PermissionDenied, "ROLE_ABOVE_OWN"),
    ] {
        assert_refused(&ask(n, delegates(&suite, id, code)).await, refused, reason);
    }
    let until = |at: Duration| CreateDelegationRequest {
        expire_time: Some(suite.clock_in(at)),
        ..delegates(&suite, held, "A-1")
    };
    let long = ask(2, until(30 * DAY + Duration::from_secs(1))).await;
    assert_field(&long, "expire_time", "DELEGATION_TOO_LONG");
    assert_field(&ask(2, until(Duration::ZERO)).await, "expire_time", "TIME_PAST");
    suite.inviter(account(2)).create_delegation(until(30 * DAY)).await.unwrap();
    // Ended ones are none.
    suite.clock.advance(DAY);
    let ended = ask(2, delegates(&suite, short, "A-2")).await;
    assert_refused(&ended, Code::NotFound, "GRANT_NOT_FOUND");
    suite.stop().await;
}

#[tokio::test]
async fn a_delegation_is_confirmed_by_who_delegates_and_by_nobody_else() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    let held = suite.make(account(2), "A-1", TypedRole::Manager).await;
    let mut holder = suite.inviter(account(2));
    let request = delegates(&suite, held, "A-1");
    let made = holder.create_delegation(request.clone()).await.unwrap().into_inner();
    assert_eq!(holder.create_delegation(request.clone()).await.unwrap().into_inner(), made);
    let other = CreateDelegationRequest { organization_code: "A-1-1".into(), ..request };
    let other = holder.create_delegation(other).await.unwrap_err();
    assert_refused(&other, Code::AlreadyExists, "REQUEST_ID_REUSED");
    let accepted = accept(&mut suite.inviter(account(3)), &made.invitation_code).await.unwrap();
    for (n, code, reason) in [
        (1, Code::PermissionDenied, "INVITATION_OF_ANOTHER"),
        (3, Code::NotFound, "INVITATION_NOT_FOUND"),
    ] {
        let refused = confirm(&mut suite.inviter(account(n)), confirms(&accepted)).await;
        assert_refused(&refused.unwrap_err(), code, reason);
    }
    let refused = holder.hand_over(hands_over(&accepted)).await.unwrap_err();
    assert_refused(&refused, Code::FailedPrecondition, "GRANT_DELEGATED");
    // What it comes from has ended before it was confirmed.
    let ended = suite.person(account(1)).revoke_grant(revokes(held)).await.unwrap_err();
    assert_eq!(refusal(&ended).1, "REVOCATION_IN_PROGRESS");
    let refused = confirm(&mut holder, confirms(&accepted)).await.unwrap_err();
    assert_refused(&refused, Code::NotFound, "GRANT_NOT_FOUND");
    suite.stop().await;
}

#[tokio::test]
async fn a_delegation_ends_with_what_it_comes_from_and_is_over_with_it() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    let held = suite.make(account(2), "A-1", TypedRole::Manager).await;
    let one = delegated(&suite, 2, 3, delegates(&suite, held, "A-1")).await;
    let mut holder = suite.inviter(account(2));
    let second = holder.create_delegation(delegates(&suite, held, "A-1-1")).await.unwrap();
    let code = second.into_inner().invitation_code;
    let accepted = accept(&mut suite.inviter(account(4)), &code).await.unwrap();
    // One at a time acts for somebody.
    let refused = confirm(&mut holder, confirms(&accepted)).await.unwrap_err();
    assert_refused(&refused, Code::AlreadyExists, "DELEGATION_EXISTS");
    let details = refused.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["grant_id"], one.id);
    // The holder ends one, without the permission to give roles; nobody beside does.
    let refused = suite.person(account(4)).revoke_grant(revokes(&one.id)).await.unwrap_err();
    assert_refused(&refused, Code::NotFound, "GRANT_NOT_FOUND");
    let ended = suite.person(account(2)).revoke_grant(revokes(&one.id)).await.unwrap_err();
    assert_eq!(refusal(&ended).1, "REVOCATION_IN_PROGRESS");
    let verdict = suite.verdict(account(3), "A-1", Permission::View).await;
    assert_eq!(verdict, Verdict::OutOfScope);
    let other = confirm(&mut holder, confirms(&accepted)).await.unwrap();
    // The other one ends with the grant, in the same moment, and is over with it.
    suite.person(account(1)).revoke_grant(patiently(revokes(held))).await.unwrap();
    let verdict = suite.verdict(account(4), "A-1-1", Permission::View).await;
    assert_eq!(verdict, Verdict::OutOfScope);
    let settled: bool = sqlx::query_scalar(
        "SELECT settled_at IS NOT NULL FROM orgtree.authority_grant WHERE grant_id = $1",
    )
    .bind(other.id.parse::<Uuid>().unwrap())
    .fetch_one(&suite.database.pool().await)
    .await
    .unwrap();
    assert!(settled);
    let recorded: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM
             (SELECT action, subject_account_id FROM orgtree.audit_pending
              UNION ALL SELECT action, subject_account_id FROM orgtree.audit_entry) all_of_them
         WHERE action = 'orgtree.grant.revoked' AND subject_account_id = $1",
    )
    .bind(account(4))
    .fetch_one(&suite.database.pool().await)
    .await
    .unwrap();
    assert_eq!(recorded, 1);
    suite.stop().await;
}

#[tokio::test]
async fn a_grant_that_is_prolonged_leaves_its_delegations_behind() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    let mut request = gives(account(2), "A-1", Role::Manager);
    request.expire_time = Some(suite.clock_in(20 * DAY));
    let mut administrator = suite.person(account(1));
    let first = give(&mut administrator, request).await.unwrap();
    delegated(&suite, 2, 3, delegates(&suite, &first.id, "A-1")).await;
    let longer = give(&mut administrator, gives(account(2), "A-1", Role::Manager)).await.unwrap();
    let verdict = suite.verdict(account(3), "A-1", Permission::View).await;
    assert_eq!(verdict, Verdict::OutOfScope);
    let again = delegated(&suite, 2, 3, delegates(&suite, &longer.id, "A-1")).await;
    // For longer, in the same way; and for less long not.
    let mut longer = delegates(&suite, &longer.id, "A-1");
    longer.expire_time = Some(suite.clock_in(11 * DAY));
    let prolonged = delegated(&suite, 2, 3, longer).await;
    let mine = list(&mut administrator, "A-1", 0).await.unwrap();
    assert!(mine.contains(&prolonged) && !mine.contains(&again));
    suite.stop().await;
}

#[tokio::test]
async fn where_the_tree_moves_away_from_who_delegates_the_delegation_reaches_no_more() {
    let suite = Suite::on_province().await;
    let held = suite.make(account(2), "A-1", TypedRole::Auditor).await;
    delegated(&suite, 2, 3, delegates(&suite, held, "A-1-1")).await;
    let listed = async || {
        let mut delegate = suite.person(account(3));
        let listed = list(&mut delegate, "", 0).await.unwrap();
        (listed.len(), mine(&mut delegate, 0).await.len())
    };
    let verdict = suite.verdict(account(3), "A-1-1", Permission::View).await;
    assert_eq!((verdict, listed().await), (Verdict::Allowed, (1, 1)));
    load(&suite.database, &format!("{HEADER}\nA-1-1,镇一一,TOWNSHIP,A-2,,,\n")).await.unwrap();
    let verdict = suite.verdict(account(3), "A-1-1", Permission::View).await;
    assert_eq!((verdict, listed().await), (Verdict::OutOfScope, (0, 0)));
    suite.stop().await;
}
