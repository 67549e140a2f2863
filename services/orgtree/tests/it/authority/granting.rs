use std::time::Duration;

use prost_types::Timestamp;
use tonic::Code;
use tonic_types::StatusExt as _;
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::authority_service_client::AuthorityServiceClient;
use zhiyuan_contracts::orgtree::v1::{
    CheckRequest, CreateGrantRequest, FilterWithinRequest, ListAccountGrantsRequest,
    ListGrantsRequest, ListMyGrantsRequest, Permission, Role, Verdict,
};
use zhiyuan_domain::Clock as _;
use zhiyuan_orgtree::Role as TypedRole;
use zhiyuan_rpc::wire::timestamp;

use super::{Suite, account, asks, give, gives, list, mine, refusal, revokes};
use crate::harness::{assert_field, assert_refused, told};

#[tokio::test]
async fn a_role_counts_at_once_there_and_below_and_nowhere_else() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    let mut administrator = suite.person(account(1));
    let made = give(&mut administrator, gives(account(2), " ａ-1 ", Role::Manager)).await.unwrap();
    assert_eq!(made.organization_code, "A-1");
    assert_eq!(
        (made.account_id, made.granted_by),
        (account(2).to_string(), account(1).to_string())
    );
    assert_eq!((made.role, made.expire_time), (Role::Manager.into(), None));
    for (code, permission, verdict) in [
        ("A-1", Permission::Reveal, Verdict::Allowed),
        ("A-1-1", Permission::Review, Verdict::Allowed),
        // Merged into the one above.
        ("A-1-9", Permission::View, Verdict::Allowed),
        ("A-1-1", Permission::Grant, Verdict::Forbidden),
        ("A-1", Permission::Audit, Verdict::Forbidden),
        ("A", Permission::View, Verdict::OutOfScope),
        ("A-2", Permission::View, Verdict::OutOfScope),
        ("A-2-1", Permission::View, Verdict::OutOfScope),
        ("A-7", Permission::View, Verdict::OutOfScope),
    ] {
        let answer = suite.check(account(2), code, permission).await;
        assert_eq!(answer.verdict(), verdict, "{code} {permission:?}");
        let (grant, lease_ms) = (answer.grant.map(|grant| grant.id), answer.lease_ms);
        let expected =
            if verdict == Verdict::Allowed { (Some(made.id.clone()), 3000) } else { (None, 0) };
        assert_eq!((grant, lease_ms), expected, "{code} {permission:?}");
    }
    let nobody = suite.verdict(account(3), "A", Permission::View).await;
    assert_eq!(nobody, Verdict::OutOfScope);
    suite.stop().await;
}

#[tokio::test]
async fn who_may_not_give_a_role_is_told_so_or_that_there_is_no_such_organization() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A-1", TypedRole::Administrator).await;
    suite.make(account(2), "A", TypedRole::Manager).await;
    // In sight, and not with that role.
    let mut manager = suite.person(account(2));
    let refused = give(&mut manager, gives(account(3), "A-1", Role::Administrator)).await;
    let refused = refused.unwrap_err();
    assert_refused(&refused, Code::PermissionDenied, "PERMISSION_MISSING");
    let details = refused.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["permission"], "GRANT");
    // Above, beside, and not there: one answer, to the letter.
    let mut administrator = suite.person(account(1));
    let mut answers = Vec::new();
    for code in ["A", "A-2", "A-2-1", "A-7"] {
        let refused = give(&mut administrator, gives(account(3), code, Role::Viewer)).await;
        let refused = refused.unwrap_err();
        assert_refused(&refused, Code::NotFound, "ORGANIZATION_NOT_FOUND");
        answers.push((refused.message().to_owned(), refused.details().to_vec()));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    let stranger =
        give(&mut suite.person(account(4)), gives(account(3), "A-1", Role::Viewer)).await;
    assert_refused(&stranger.unwrap_err(), Code::NotFound, "ORGANIZATION_NOT_FOUND");
    assert!(list(&mut administrator, "A-1", 0).await.unwrap().len() == 1, "nothing was given");
    suite.stop().await;
}

#[tokio::test]
async fn nobody_gives_a_role_to_oneself() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    for role in [Role::Administrator, Role::Viewer] {
        let refused = give(&mut suite.person(account(1)), gives(account(1), "A-1", role)).await;
        assert_refused(&refused.unwrap_err(), Code::PermissionDenied, "GRANT_TO_SELF");
    }
    suite.stop().await;
}

#[tokio::test]
async fn a_closed_organization_gets_no_administrators_and_nobody_the_same_role_twice() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    let mut administrator = suite.person(account(1));
    let refused = give(&mut administrator, gives(account(2), "A-1-9", Role::Viewer)).await;
    let refused = refused.unwrap_err();
    assert_refused(&refused, Code::FailedPrecondition, "ORGANIZATION_CLOSED");
    let details = refused.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["successor_code"], "A-1-1");

    let made = give(&mut administrator, gives(account(2), "A-1", Role::Viewer)).await.unwrap();
    let again = give(&mut administrator, gives(account(2), "A-1", Role::Viewer)).await;
    let again = again.unwrap_err();
    assert_refused(&again, Code::AlreadyExists, "GRANT_EXISTS");
    assert_eq!(again.get_error_details().error_info().unwrap().metadata["grant_id"], made.id);
    give(&mut administrator, gives(account(2), "A-1", Role::Auditor)).await.unwrap();
    suite.stop().await;
}

#[tokio::test]
async fn a_grant_ends_by_its_time_and_its_leases_with_it() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    let end = suite.clock.now() + Duration::from_secs(60);
    let request = CreateGrantRequest {
        expire_time: Some(timestamp(end)),
        ..gives(account(2), "A-1", Role::Auditor)
    };
    let made = give(&mut suite.person(account(1)), request.clone()).await.unwrap();
    assert_eq!(made.expire_time, Some(timestamp(end)));
    assert_eq!(suite.check(account(2), "A-1", Permission::Audit).await.lease_ms, 3000);
    suite.clock.advance(Duration::from_millis(59_000));
    assert_eq!(suite.check(account(2), "A-1", Permission::Audit).await.lease_ms, 1000);
    assert_eq!(list(&mut suite.person(account(2)), "A-1", 0).await.unwrap().len(), 1);
    suite.clock.advance(Duration::from_secs(1));
    let verdict = suite.verdict(account(2), "A-1", Permission::Audit).await;
    assert_eq!(verdict, Verdict::OutOfScope);
    let mut person = suite.person(account(2));
    assert!(mine(&mut person, 0).await.is_empty());
    let refused = list(&mut person, "A-1", 0).await.unwrap_err();
    assert_refused(&refused, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    // Sent again, the call that made it has the answer that it had; a new one has not.
    let mut administrator = suite.person(account(1));
    assert_eq!(give(&mut administrator, request.clone()).await.unwrap(), made);
    let late = CreateGrantRequest { request_id: Uuid::new_v4().to_string(), ..request };
    let late = give(&mut administrator, late).await.unwrap_err();
    assert_field(&late, "expire_time", "TIME_PAST");
    // And the role can be given again.
    give(&mut administrator, gives(account(2), "A-1", Role::Auditor)).await.unwrap();
    suite.stop().await;
}

#[tokio::test]
async fn whose_own_right_ends_gives_none_that_lasts_longer() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    let end = suite.clock.now() + Duration::from_secs(60);
    let deputy = CreateGrantRequest {
        expire_time: Some(timestamp(end)),
        ..gives(account(2), "A-1", Role::Administrator)
    };
    give(&mut suite.person(account(1)), deputy).await.unwrap();
    let mut deputy = suite.person(account(2));
    let later = Some(timestamp(end + Duration::from_secs(1)));
    for expire_time in [None, later] {
        let longer =
            CreateGrantRequest { expire_time, ..gives(account(3), "A-1-1", Role::Auditor) };
        let refused = give(&mut deputy, longer).await.unwrap_err();
        assert_refused(&refused, Code::PermissionDenied, "ROLE_ABOVE_OWN");
    }
    let as_long = CreateGrantRequest {
        expire_time: Some(timestamp(end)),
        ..gives(account(3), "A-1-1", Role::Auditor)
    };
    give(&mut deputy, as_long).await.unwrap();
    suite.stop().await;
}

#[tokio::test]
async fn a_role_that_ends_is_prolonged_by_giving_it_for_longer() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    let mut administrator = suite.person(account(1));
    let until = |seconds: u64| {
        let end = suite.clock.now() + Duration::from_secs(seconds);
        let expire_time = Some(timestamp(end));
        CreateGrantRequest { expire_time, ..gives(account(2), "A-1", Role::Administrator) }
    };
    let first = give(&mut administrator, until(60)).await.unwrap();
    for not_later in [until(60), until(59)] {
        let refused = give(&mut administrator, not_later).await.unwrap_err();
        assert_refused(&refused, Code::AlreadyExists, "GRANT_EXISTS");
    }
    // Nobody prolongs what is their own.
    let own = give(&mut suite.person(account(2)), until(90)).await.unwrap_err();
    assert_refused(&own, Code::PermissionDenied, "GRANT_TO_SELF");
    let longer = give(&mut administrator, until(90)).await.unwrap();
    let mut person = suite.person(account(2));
    assert_eq!(mine(&mut person, 0).await, std::slice::from_ref(&longer));
    suite.clock.advance(Duration::from_secs(60));
    assert_eq!(suite.verdict(account(2), "A-1", Permission::Grant).await, Verdict::Allowed);
    let for_good = gives(account(2), "A-1", Role::Administrator);
    let endless = give(&mut administrator, for_good.clone()).await.unwrap();
    assert_eq!(give(&mut administrator, for_good).await.unwrap(), endless);
    assert_eq!(mine(&mut suite.person(account(2)), 0).await, std::slice::from_ref(&endless));
    // What was replaced has ended, and each end is recorded beside what replaced it.
    let ended = "SELECT count(*) FROM orgtree.authority_grant WHERE revoked_at IS NOT NULL";
    let pool = suite.database.pool().await;
    assert_eq!(sqlx::query_scalar::<_, i64>(ended).fetch_one(&pool).await.unwrap(), 2);
    let replaced: Vec<(Vec<String>,)> = sqlx::query_as(
        "SELECT detail_values FROM
             (SELECT seq AS place, action, detail_values FROM orgtree.audit_pending
              UNION ALL SELECT index, action, detail_values FROM orgtree.audit_entry) all_of_them
         WHERE action = 'orgtree.grant.revoked'",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    for (old, new) in [(&first, &longer), (&longer, &endless)] {
        let pair = |(values,): &(Vec<String>,)| {
            values.first() == Some(&old.id) && values.last() == Some(&new.id)
        };
        assert!(replaced.iter().any(pair), "{replaced:?}");
    }
    suite.stop().await;
}

#[tokio::test]
async fn the_same_call_has_one_effect_and_one_answer() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    suite.make(account(5), "A", TypedRole::Administrator).await;
    let request = gives(account(2), "A-1", Role::Viewer);
    let calls = (0..50).map(|_| {
        let (mut person, request) = (suite.person(account(1)), request.clone());
        async move { give(&mut person, request).await.unwrap() }
    });
    let mut grants = futures_util::future::join_all(calls).await;
    grants.dedup();
    assert_eq!(grants.len(), 1);
    let mut administrator = suite.person(account(1));
    // Another spelling of the same.
    let spelled = CreateGrantRequest { organization_code: "a-1".into(), ..request.clone() };
    assert_eq!(give(&mut administrator, spelled).await.unwrap(), grants[0]);
    for other in [
        CreateGrantRequest { role: Role::Manager.into(), ..request.clone() },
        CreateGrantRequest { organization_code: "A-2".into(), ..request.clone() },
        CreateGrantRequest { account_id: account(3).to_string(), ..request.clone() },
        CreateGrantRequest {
            expire_time: Some(timestamp(suite.clock.now() + Duration::from_hours(1))),
            ..request.clone()
        },
    ] {
        let refused = give(&mut administrator, other).await.unwrap_err();
        assert_refused(&refused, Code::AlreadyExists, "REQUEST_ID_REUSED");
    }
    let there = list(&mut administrator, "A-1", 0).await.unwrap();
    assert_eq!(there, grants);
    // Somebody else's id is another one.
    let own = CreateGrantRequest { account_id: account(3).to_string(), ..request };
    give(&mut suite.person(account(5)), own).await.unwrap();
    suite.stop().await;
}

#[tokio::test]
async fn calls_are_known_for_thirty_days() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    let request = gives(account(2), "A-1", Role::Viewer);
    give(&mut suite.person(account(1)), request.clone()).await.unwrap();
    let pool = suite.database.pool().await;
    let kept = async || {
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM orgtree.request").fetch_one(&pool).await
    };
    // Each start looks for old ones.
    suite.clock.advance(Duration::from_hours(30 * 24));
    suite.replica().await.stop().await;
    assert_eq!(kept().await.unwrap(), 1);
    suite.clock.advance(Duration::from_secs(1));
    let replica = suite.replica().await;
    let waiting = async {
        while kept().await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap();
    replica.stop().await;
    suite.stop().await;
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let suite = Suite::on_province().await;
    let mut person = suite.person(account(1));
    let year_zero = Some(Timestamp { seconds: i64::MIN, nanos: 0 });
    let wrong = CreateGrantRequest { expire_time: year_zero, ..CreateGrantRequest::default() };
    let (code, reason, fields) = told(&person.create_grant(wrong).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (Code::InvalidArgument, "INVALID_FIELDS"));
    let fields: Vec<&str> = fields.iter().map(|(field, _)| field.as_str()).collect();
    let all = ["request_id", "account_id", "organization_code", "role", "expire_time"];
    assert_eq!(fields, all);

    let nil = revokes(Uuid::nil());
    let nil = super::RevokeGrantRequest { request_id: Uuid::nil().to_string(), ..nil };
    assert_field(&person.revoke_grant(nil).await.unwrap_err(), "request_id", "REQUEST_ID_VERSION");
    let wrong = person.revoke_grant(revokes("7")).await.unwrap_err();
    assert_field(&wrong, "grant_id", "ID_FORMAT");

    let unknown = CheckRequest { permission: 99, ..asks(account(1), "A", Permission::View) };
    let channel = suite.channel("registration", &suite.service);
    let mut client = AuthorityServiceClient::new(channel);
    let refused = client.check(unknown).await.unwrap_err();
    assert_field(&refused, "permission", "PERMISSION_UNKNOWN");

    for (count, code, field, reason) in [
        (0, "A", "organization_codes", "ORGANIZATION_CODES_COUNT"),
        (501, "A", "organization_codes", "ORGANIZATION_CODES_COUNT"),
        (1, "-", "organization_codes[0]", "ORGANIZATION_CODE_HYPHEN"),
    ] {
        let organization_codes = vec![code.to_owned(); count];
        let wrong = FilterWithinRequest { organization_code: "A".into(), organization_codes };
        assert_field(&client.filter_within(wrong).await.unwrap_err(), field, reason);
    }

    let wrong = ListGrantsRequest { organization_code: "-".into(), ..Default::default() };
    let wrong = person.list_grants(wrong).await.unwrap_err();
    assert_field(&wrong, "organization_code", "ORGANIZATION_CODE_HYPHEN");
    let wrong = ListMyGrantsRequest { page_size: -1, ..Default::default() };
    let wrong = person.list_my_grants(wrong).await.unwrap_err();
    assert_field(&wrong, "page_size", "PAGE_SIZE_NEGATIVE");
    for page_token in ["garbage", "AAAAAAAAAAAAAAAA"] {
        let page_token = page_token.to_owned();
        let wrong = ListMyGrantsRequest { page_token: page_token.clone(), ..Default::default() };
        let wrong = person.list_my_grants(wrong).await.unwrap_err();
        assert_refused(&wrong, Code::InvalidArgument, "PAGE_TOKEN_INVALID");
        let wrong = ListGrantsRequest { page_token, ..Default::default() };
        let wrong = person.list_grants(wrong).await.unwrap_err();
        assert_refused(&wrong, Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    }
    suite.stop().await;
}

#[tokio::test]
async fn a_page_of_somebody_else_or_of_a_lost_scope_is_not_gone_on_with() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    let end = timestamp(suite.clock.now() + Duration::from_secs(60));
    let request =
        CreateGrantRequest { expire_time: Some(end), ..gives(account(2), "A-1", Role::Auditor) };
    give(&mut suite.person(account(1)), request).await.unwrap();
    give(&mut suite.person(account(1)), gives(account(3), "A-1-1", Role::Viewer)).await.unwrap();
    let first = ListGrantsRequest {
        organization_code: "A-1".into(),
        page_size: 1,
        page_token: String::new(),
    };
    let page = suite.person(account(2)).list_grants(first.clone()).await.unwrap().into_inner();
    assert_eq!(page.grants.len(), 1);
    let second = ListGrantsRequest { page_token: page.next_page_token, ..first };
    let other = suite.person(account(1)).list_grants(second.clone()).await.unwrap_err();
    assert_refused(&other, Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    let elsewhere = ListGrantsRequest { organization_code: "A-1-1".into(), ..second.clone() };
    let elsewhere = suite.person(account(2)).list_grants(elsewhere).await.unwrap_err();
    assert_refused(&elsewhere, Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    suite.clock.advance(Duration::from_secs(61));
    let lost = suite.person(account(2)).list_grants(second).await.unwrap_err();
    assert_refused(&lost, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    suite.stop().await;
}

#[tokio::test]
async fn what_an_administrator_may_needs_the_second_factor_and_asking_needs_the_scope() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    let mut weak = suite.person_at(&suite.service, account(1), false);
    assert_eq!(mine(&mut weak, 0).await.len(), 1, "one's own may be read");
    let missing = (Code::FailedPrecondition, "SECOND_FACTOR_REQUIRED".to_owned());
    let listed = weak.list_grants(ListGrantsRequest::default()).await.unwrap_err();
    let given = weak.create_grant(gives(account(2), "A", Role::Viewer)).await.unwrap_err();
    let revoked = weak.revoke_grant(revokes(account(9))).await.unwrap_err();
    for status in [listed, given, revoked] {
        assert_eq!(refusal(&status), missing);
    }
    let mut nobody = AuthorityServiceClient::new(suite.service.channel.clone());
    let nobody = nobody.list_my_grants(ListMyGrantsRequest::default()).await.unwrap_err();
    assert_eq!(nobody.code(), Code::Unauthenticated);

    let question = asks(account(1), "A", Permission::View);
    let stranger = AuthorityServiceClient::new(suite.channel("stranger", &suite.service));
    let refused = stranger.clone().check(question.clone()).await.unwrap_err();
    assert_eq!(refusal(&refused), (Code::PermissionDenied, "SCOPE_MISSING".to_owned()));
    // No token of a person asks for others.
    let person = suite.person(account(1)).check(question).await.unwrap_err();
    assert_eq!(person.code(), Code::Unauthenticated);
    suite.stop().await;
}

#[tokio::test]
async fn lists_need_the_permission_to_audit() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    suite.make(account(2), "A-1", TypedRole::Auditor).await;
    suite.make(account(3), "A-1", TypedRole::Manager).await;
    suite.make(account(4), "A-2", TypedRole::Viewer).await;
    let of = async |n, below: &str| {
        let listed = list(&mut suite.person(account(n)), below, 0).await;
        listed.map(|grants| grants.len()).map_err(|status| refusal(&status).1)
    };
    assert_eq!((of(1, "").await, of(1, "A-1").await, of(1, "A-2-1").await), (Ok(4), Ok(2), Ok(0)));
    assert_eq!((of(2, "").await, of(2, "A-1").await), (Ok(2), Ok(2)));
    let (missing, hidden) = ("PERMISSION_MISSING".to_owned(), "ORGANIZATION_NOT_FOUND".to_owned());
    assert_eq!((of(3, "").await, of(3, "A-1").await), (Ok(0), Err(missing)));
    for code in ["A", "A-2", "A-7"] {
        assert_eq!(of(2, code).await, Err(hidden.clone()), "{code}");
    }
    suite.stop().await;
}

#[tokio::test]
async fn services_ask_what_an_account_holds_page_by_page() {
    let suite = Suite::on_province().await;
    let mut made = Vec::new();
    for (code, role) in
        [("A-1", TypedRole::Viewer), ("A", TypedRole::Administrator), ("A-2", TypedRole::Manager)]
    {
        made.push(suite.make(account(1), code, role).await.to_string());
    }
    suite.make(account(2), "A", TypedRole::Administrator).await;
    let mut client = AuthorityServiceClient::new(suite.channel("registration", &suite.service));
    let mut request = ListAccountGrantsRequest {
        account_id: account(1).to_string(),
        page_size: 2,
        page_token: String::new(),
    };
    let first = client.list_account_grants(request.clone()).await.unwrap().into_inner();
    assert_eq!(first.grants.len(), 2);
    request.page_token = first.next_page_token;
    let rest = client.list_account_grants(request.clone()).await.unwrap().into_inner();
    assert_eq!(rest.next_page_token, "");
    let mut listed: Vec<_> =
        first.grants.into_iter().chain(rest.grants).map(|grant| grant.id).collect();
    listed.sort_unstable();
    made.sort_unstable();
    assert_eq!(listed, made);
    // A page of one account is none of another; who holds nothing, holds nothing.
    request.account_id = account(3).to_string();
    let status = client.list_account_grants(request.clone()).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::InvalidArgument, "PAGE_TOKEN_INVALID".to_owned()));
    request.page_token = String::new();
    assert_eq!(client.list_account_grants(request).await.unwrap().into_inner().grants, []);
    // People don't ask.
    let mut person = suite.person(account(1));
    let request = ListAccountGrantsRequest {
        account_id: account(2).to_string(),
        ..ListAccountGrantsRequest::default()
    };
    let status = person.list_account_grants(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    suite.stop().await;
}

#[tokio::test]
async fn the_time_of_a_grant_is_when_its_turn_has_come() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    let pool = suite.database.pool().await;
    let mut alone = pool.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('orgtree.authority', 0))")
        .execute(&mut *alone)
        .await
        .unwrap();
    let mut request = gives(account(2), "A-1", Role::Viewer);
    request.expire_time = Some(timestamp(suite.clock.now() + Duration::from_secs(60)));
    let mut administrator = suite.person(account(1));
    let giving = give(&mut administrator, request);
    let waiting = async {
        let sql = "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                   WHERE d.datname = current_database() AND l.locktype = 'advisory'
                     AND NOT l.granted)";
        while !sqlx::query_scalar::<_, bool>(sql).fetch_one(&pool).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        suite.clock.advance(Duration::from_secs(61));
        alone.commit().await.unwrap();
    };
    let (given, ()) = futures_util::future::join(giving, waiting).await;
    assert_field(&given.unwrap_err(), "expire_time", "TIME_PAST");
    suite.stop().await;
}
