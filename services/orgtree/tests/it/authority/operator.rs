use tonic::Code;
use zhiyuan_contracts::orgtree::v1::{ListGrantsRequest, Permission, Role as WireRole, Verdict};
use zhiyuan_domain::{Clock as _, OrganizationCode};
use zhiyuan_orgtree::{GrantError, OperatorGrant, Role};

use super::{Suite, account, give, gives, mine};
use crate::harness::assert_refused;

fn wanted(n: u128, code: &str, again: bool) -> OperatorGrant {
    let organization = OrganizationCode::parse(code).unwrap();
    OperatorGrant { account_id: account(n), organization, role: Role::Administrator, again }
}

#[tokio::test]
async fn the_operator_makes_the_first_administrator_and_no_second_one_unless_told_to() {
    let suite = Suite::on_province().await;
    let grant = async |wanted: &OperatorGrant| {
        zhiyuan_orgtree::grant(&suite.config, suite.clock.clone(), wanted).await
    };
    let id = grant(&wanted(1, "A", false)).await.unwrap();
    let verdict = suite.verdict(account(1), "A-2-1", Permission::Grant).await;
    assert_eq!(verdict, Verdict::Allowed);
    let own = mine(&mut suite.person(account(1)), 0).await;
    assert_eq!((own[0].id.as_str(), own[0].granted_by.as_str()), (&*id.to_string(), ""));

    let second = grant(&wanted(2, "A", false)).await;
    assert!(matches!(second, Err(GrantError::Administered { .. })), "{second:?}");
    // Nobody has been given a role at a city yet.
    grant(&wanted(2, "A-1", false)).await.unwrap();
    grant(&wanted(2, "A", true)).await.unwrap();
    for (n, code) in [(1, "A"), (3, "A-7"), (3, "A-1-9")] {
        let refused = grant(&wanted(n, code, true)).await;
        assert!(matches!(refused, Err(GrantError::Refused(_))), "{code}: {refused:?}");
    }
    suite.stop().await;
}

#[tokio::test]
async fn the_operator_prolongs_what_ends_for_an_administrator_whom_nobody_else_can_help() {
    let suite = Suite::on_province().await;
    let grant = async |wanted: &OperatorGrant| {
        zhiyuan_orgtree::grant(&suite.config, suite.clock.clone(), wanted).await
    };
    sqlx::query(
        "INSERT INTO orgtree.authority_grant
             (grant_id, account_id, organization_code, role, created_at, expires_at)
         VALUES (gen_random_uuid(), $1, 'A', 1, $2, $2 + interval '1 hour')",
    )
    .bind(account(1))
    .bind(suite.clock.now())
    .execute(&suite.database.pool().await)
    .await
    .unwrap();
    let not_yet = grant(&wanted(1, "A", false)).await;
    assert!(matches!(not_yet, Err(GrantError::Administered { .. })), "{not_yet:?}");
    let id = grant(&wanted(1, "A", true)).await.unwrap();
    let own = mine(&mut suite.person(account(1)), 0).await;
    assert_eq!(own.len(), 1);
    assert_eq!((own[0].id.as_str(), own[0].expire_time), (&*id.to_string(), None));
    suite.stop().await;
}

#[tokio::test]
async fn a_grant_changes_in_no_way_but_that_it_ends_and_is_never_deleted() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", Role::Administrator).await;
    let mut person = suite.person(account(1));
    give(&mut person, gives(account(2), "A-1", WireRole::Viewer)).await.unwrap();
    let pool = suite.database.pool().await;
    let end = "UPDATE orgtree.authority_grant SET revoked_at = now(), revoked_by = account_id";
    sqlx::query(end).execute(&pool).await.unwrap();
    for change in [
        "UPDATE orgtree.authority_grant SET role = 1",
        "UPDATE orgtree.authority_grant SET organization_code = 'A-2'",
        "UPDATE orgtree.authority_grant SET account_id = gen_random_uuid()",
        "UPDATE orgtree.authority_grant SET expires_at = now() + interval '1 year'",
        "UPDATE orgtree.authority_grant SET revoked_at = NULL, revoked_by = NULL",
        "DELETE FROM orgtree.authority_grant",
    ] {
        let refused = sqlx::query(change).execute(&pool).await.unwrap_err();
        let code = refused.as_database_error().unwrap().code().unwrap().into_owned();
        assert_eq!(code, "42501", "{change}");
    }
    // Nor does a role that was ended let anything be done.
    let listed = person.list_grants(ListGrantsRequest::default()).await.unwrap();
    assert!(listed.into_inner().grants.is_empty());
    let refused = give(&mut person, gives(account(3), "A", WireRole::Viewer)).await.unwrap_err();
    assert_refused(&refused, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    suite.stop().await;
}
