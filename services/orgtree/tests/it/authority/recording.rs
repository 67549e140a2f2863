//! What the audit has of grants.

use tonic::Code;
use uuid::Uuid;
use zhiyuan_audit::{Actor, Entry, Outcome, Trail};
use zhiyuan_contracts::orgtree::v1::Role;
use zhiyuan_domain::{AccountId, OrganizationCode};
use zhiyuan_orgtree::{OperatorGrant, Role as TypedRole};

use super::{
    Suite, accept, account, confirm, confirms, give, gives, invite, invites, list, patiently,
    refusal, revokes, withdraws,
};
use crate::harness::assert_refused;

const GIVEN: &str = "orgtree.grant.given";
const REVOKED: &str = "orgtree.grant.revoked";

/// What is recorded of somebody, the earliest first.
async fn recorded(suite: &Suite, of: Uuid) -> Vec<Entry> {
    let pool = suite.database.pool().await;
    let trail = Trail::new("orgtree", suite.clock.clone());
    let mut connection = pool.acquire().await.unwrap();
    let of = AccountId::from(of);
    let mut found = trail.list_by_subject(&mut connection, of, None, 100).await.unwrap();
    found.reverse();
    found
}

fn person(n: u128) -> Actor {
    Actor::Person(AccountId::from(account(n)))
}

fn operator() -> Actor {
    Actor::Operator("zhiyuan_orgtree_owner".into())
}

#[track_caller]
fn assert_entry(
    entry: &Entry,
    (actor, action, outcome): (Actor, &str, Outcome),
    code: Option<&str>,
    details: &[(&str, String)],
) {
    assert_eq!((&entry.actor, &*entry.action, entry.outcome), (&actor, action, outcome));
    assert_eq!(entry.organization.as_deref(), code, "{entry:?}");
    let expected: Vec<(String, String)> =
        details.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    assert_eq!(entry.details, expected, "{entry:?}");
}

#[tokio::test]
async fn every_grant_made_or_ended_is_recorded_once_with_the_right_that_allowed_it() {
    let suite = Suite::on_province().await;
    let first = suite.make(account(1), "A", TypedRole::Administrator).await;
    let mut administrator = suite.person(account(1));
    let request = gives(account(2), "A-1", Role::Manager);
    let made = give(&mut administrator, request.clone()).await.unwrap();
    give(&mut administrator, request).await.unwrap();
    administrator.revoke_grant(patiently(revokes(&made.id))).await.unwrap();
    // It is ended already, and stays so.
    administrator.revoke_grant(patiently(revokes(&made.id))).await.unwrap();
    let viewer = suite.make(account(2), "A-2", TypedRole::Viewer).await;
    let own = suite.person(account(2)).revoke_grant(revokes(viewer)).await.unwrap_err();
    assert_eq!(refusal(&own).1, "REVOCATION_IN_PROGRESS");

    let of_first = recorded(&suite, account(1)).await;
    let [of_first] = of_first.as_slice() else { panic!("{of_first:?}") };
    let told = |id: &str, role: &str, right: &str| {
        [("grant_id", id.to_owned()), ("role", role.to_owned()), ("allowed_by", right.to_owned())]
    };
    let (done, first) = (Outcome::Done, first.to_string());
    let details = told(&first, "administrator", "operator");
    assert_entry(of_first, (operator(), GIVEN, done), Some("A"), &details);
    let found = recorded(&suite, account(2)).await;
    let [given, ended, viewing, given_up] = found.as_slice() else { panic!("{found:?}") };
    let details = told(&made.id, "manager", &first);
    assert_entry(given, (person(1), GIVEN, done), Some("A-1"), &details);
    assert_entry(ended, (person(1), REVOKED, done), Some("A-1"), &details);
    let viewer = viewer.to_string();
    let details = told(&viewer, "viewer", "operator");
    assert_entry(viewing, (operator(), GIVEN, done), Some("A-2"), &details);
    let details = told(&viewer, "viewer", "own");
    assert_entry(given_up, (person(2), REVOKED, done), Some("A-2"), &details);
    suite.stop().await;
}

#[tokio::test]
async fn whoever_tries_what_they_may_not_is_recorded_with_the_reason_that_they_were_told() {
    let suite = Suite::on_province().await;
    let first = suite.make(account(1), "A", TypedRole::Administrator).await;
    suite.make(account(3), "A-1", TypedRole::Manager).await;
    let id = suite.make(account(2), "A-1", TypedRole::Viewer).await;
    let mut reasons = Vec::new();
    for (n, code, role) in
        [(3, "A-1", Role::Viewer), (3, "A-2", Role::Auditor), (9, "A-1", Role::Administrator)]
    {
        let refused = give(&mut suite.person(account(n)), gives(account(2), code, role)).await;
        reasons.push((n, code, refusal(&refused.unwrap_err()).1));
    }
    for n in [3, 9] {
        let refused = suite.person(account(n)).revoke_grant(revokes(id)).await.unwrap_err();
        reasons.push((n, "A-1", refusal(&refused).1));
    }
    let found = recorded(&suite, account(2)).await;
    assert_eq!(found.len(), 1 + reasons.len());
    let refused = &found[1..];
    for (entry, (n, code, reason)) in refused.iter().zip(&reasons) {
        let action = if entry.details[0].0 == "grant_id" { REVOKED } else { GIVEN };
        assert_eq!(
            (&entry.actor, &*entry.action, entry.outcome),
            (&person(*n), action, Outcome::Refused)
        );
        assert_eq!(entry.organization.as_deref(), Some(*code));
        assert_eq!(entry.details.last(), Some(&("reason".to_owned(), reason.clone())));
    }
    let reasons: Vec<&str> = reasons.iter().map(|(_, _, reason)| reason.as_str()).collect();
    let missing = ["PERMISSION_MISSING", "ORGANIZATION_NOT_FOUND", "ORGANIZATION_NOT_FOUND"];
    assert_eq!(reasons, [&missing[..], &["PERMISSION_MISSING", "GRANT_NOT_FOUND"]].concat());

    // To oneself, and the last one.
    let mut administrator = suite.person(account(1));
    let refused = give(&mut administrator, gives(account(1), "A-1", Role::Viewer)).await;
    assert_refused(&refused.unwrap_err(), Code::PermissionDenied, "GRANT_TO_SELF");
    let refused = administrator.revoke_grant(revokes(first)).await.unwrap_err();
    assert_refused(&refused, Code::FailedPrecondition, "LAST_ADMINISTRATOR");
    // What is wrong otherwise is nobody's business.
    let refused = give(&mut administrator, gives(account(2), "A-1-9", Role::Viewer)).await;
    assert_refused(&refused.unwrap_err(), Code::FailedPrecondition, "ORGANIZATION_CLOSED");
    let wanted = OperatorGrant {
        account_id: account(1),
        organization: OrganizationCode::parse("A").unwrap(),
        role: TypedRole::Viewer,
        again: false,
    };
    zhiyuan_orgtree::grant(&suite.config, suite.clock.clone(), &wanted).await.unwrap_err();
    let found = recorded(&suite, account(1)).await;
    let [_, oneself, last, operated] = found.as_slice() else { panic!("{found:?}") };
    let refused = Outcome::Refused;
    let details = |reason: &str| [("role", "viewer".to_owned()), ("reason", reason.to_owned())];
    let to_self = details("GRANT_TO_SELF");
    assert_entry(oneself, (person(1), GIVEN, refused), Some("A-1"), &to_self);
    assert_eq!(last.details[2].1, "LAST_ADMINISTRATOR");
    let administered = details("ADMINISTERED");
    assert_entry(operated, (operator(), GIVEN, refused), Some("A"), &administered);
    assert_eq!(recorded(&suite, account(2)).await.len(), 6);
    suite.stop().await;
}

#[tokio::test]
async fn what_becomes_of_an_invitation_is_recorded_and_neither_code_nor_number_is() {
    let suite = Suite::on_province().await;
    let first = suite.make(account(1), "A", TypedRole::Administrator).await.to_string();
    let mut inviter = suite.inviter(account(1));
    let made = invite(&mut inviter, invites("A-1", Role::Viewer)).await.unwrap();
    let accepted = accept(&mut suite.inviter(account(2)), &made.invitation_code).await.unwrap();
    let refused = confirm(&mut suite.inviter(account(9)), confirms(&accepted)).await.unwrap_err();
    assert_refused(&refused, Code::NotFound, "INVITATION_NOT_FOUND");
    let grant = confirm(&mut inviter, confirms(&accepted)).await.unwrap();
    let found = recorded(&suite, account(2)).await;
    let [used, not_confirmed, given, confirmed] = found.as_slice() else { panic!("{found:?}") };
    let told = |more: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
        let id = accepted.invitation_id.clone();
        let of_all = [("invitation_id", id), ("role", "viewer".to_owned())];
        let more = more.iter().map(|(key, value)| (*key, (*value).to_owned()));
        of_all.into_iter().chain(more).collect()
    };
    let (done, at) = (Outcome::Done, Some("A-1"));
    assert_entry(used, (person(2), "orgtree.invitation.accepted", done), at, &told(&[]));
    let details = told(&[("reason", "INVITATION_NOT_FOUND")]);
    let action = "orgtree.invitation.confirmed";
    assert_entry(not_confirmed, (person(9), action, Outcome::Refused), at, &details);
    assert_eq!((&given.actor, &*given.action), (&person(1), GIVEN));
    let details = told(&[("allowed_by", &first), ("grant_id", &grant.id)]);
    assert_entry(confirmed, (person(1), action, done), at, &details);

    let second = invite(&mut inviter, invites("A-1", Role::Viewer)).await.unwrap();
    let withdraw = withdraws(&second.invitation.unwrap().id);
    inviter.withdraw_invitation(withdraw.clone()).await.unwrap();
    inviter.withdraw_invitation(withdraw).await.unwrap();
    accept(&mut suite.inviter(account(3)), &second.invitation_code).await.unwrap_err();
    let all: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT action, outcome, all_of_them::text FROM
             (SELECT action, outcome, detail_values FROM orgtree.audit_pending
              UNION ALL SELECT action, outcome, detail_values FROM orgtree.audit_entry) all_of_them
         WHERE action LIKE 'orgtree.invitation.%' ORDER BY action, outcome",
    )
    .fetch_all(&suite.database.pool().await)
    .await
    .unwrap();
    let kinds: Vec<(&str, &str)> =
        all.iter().map(|(action, outcome, _)| (&action[19..], &**outcome)).collect();
    let expected = [
        ("accepted", "DONE"),
        ("accepted", "REFUSED"),
        ("confirmed", "DONE"),
        ("confirmed", "REFUSED"),
        ("made", "DONE"),
        ("made", "DONE"),
        ("withdrawn", "DONE"),
    ];
    assert_eq!(kinds, expected);
    for secret in [&made.invitation_code, &second.invitation_code, &accepted.check_number] {
        assert!(all.iter().all(|(_, _, whole)| !whole.contains(secret)));
    }
    suite.stop().await;
}

#[tokio::test]
async fn whoever_goes_on_trying_fills_no_audit_and_is_seen_all_the_same() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    let attempt = async |n: u128| {
        let wanted = gives(account(2), "A-1", Role::Viewer);
        let refused = give(&mut suite.person(account(n)), wanted).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    };
    for _ in 0..45 {
        attempt(9).await;
    }
    // Somebody else is told of as before.
    attempt(8).await;
    let pool = suite.database.pool().await;
    let count = async |filter: &str| -> i64 {
        let sql = format!(
            "SELECT count(*) FROM (SELECT actor, action FROM orgtree.audit_pending
                 UNION ALL SELECT actor, action FROM orgtree.audit_entry) all_of_them
             WHERE {filter}"
        );
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&pool).await.unwrap()
    };
    let (nine, eight) = (account(9), account(8));
    assert_eq!(count(&format!("actor = '{nine}' AND action = '{GIVEN}'")).await, 20);
    let went_on = format!("actor = '{nine}' AND action = 'orgtree.grant.refusals'");
    assert_eq!(count(&went_on).await, 1);
    assert_eq!(count(&format!("actor = '{eight}'")).await, 1);
    let all: i64 = sqlx::query_scalar("SELECT refused FROM orgtree.refusal WHERE caller = $1")
        .bind(nine)
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(all, 45);
    // In another hour one by one again.
    suite.clock.advance(std::time::Duration::from_hours(1));
    attempt(9).await;
    assert_eq!(count(&format!("actor = '{nine}' AND action = '{GIVEN}'")).await, 21);
    suite.stop().await;
}

#[tokio::test]
async fn what_can_not_be_recorded_is_not_done_and_a_refusal_is_not_told() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    let made = give(&mut suite.person(account(1)), gives(account(2), "A-1", Role::Viewer)).await;
    let id = made.unwrap().id;
    let admin = sqlx::PgPool::connect(&suite.database.admin_url()).await.unwrap();
    sqlx::raw_sql(
        "ALTER TABLE orgtree.audit_pending
         ADD CONSTRAINT nothing CHECK (action NOT LIKE 'orgtree.grant%') NOT VALID",
    )
    .execute(&admin)
    .await
    .unwrap();
    let mut administrator = suite.person(account(1));
    let given = give(&mut administrator, gives(account(3), "A-1", Role::Viewer)).await;
    let revoked = administrator.revoke_grant(revokes(&id)).await;
    let refused = give(&mut suite.person(account(9)), gives(account(3), "A-1", Role::Viewer)).await;
    for status in [given.unwrap_err(), revoked.unwrap_err(), refused.unwrap_err()] {
        assert_refused(&status, Code::Internal, "INTERNAL");
    }
    let left = list(&mut administrator, "A-1", 0).await.unwrap();
    assert_eq!(left.iter().map(|grant| &grant.id).collect::<Vec<_>>(), [&id]);
    suite.stop().await;
}
