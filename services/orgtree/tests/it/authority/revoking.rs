use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use sqlx::{Connection as _, PgConnection};
use tonic::Code;
use tonic_types::StatusExt as _;
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::authority_service_client::AuthorityServiceClient;
use zhiyuan_contracts::orgtree::v1::{Permission, RevokeGrantRequest, Role, Verdict};
use zhiyuan_domain::OrganizationCode;
use zhiyuan_orgtree::Role as TypedRole;
use zhiyuan_rpc::authority::{Authority, Decision, Lease};

use super::{HEADER, Person, Suite, account, asks, give, gives, list, patiently, refusal, revokes};
use crate::harness::{assert_refused, load};

/// What was allowed may take effect for so long.
const OVER: Duration = Duration::from_secs(5);

async fn ask(authority: &Authority, n: u128, code: &str) -> Decision {
    let code = OrganizationCode::parse(code).unwrap();
    authority.ask(account(n), &code, Permission::Review).await.unwrap()
}

async fn lease(authority: &Authority, n: u128, code: &str) -> Lease {
    match ask(authority, n, code).await {
        Decision::Allowed(lease) => lease,
        other => panic!("{other:?}"),
    }
}

/// A suite with an administrator, 1, and a manager of a city, 2, by this grant.
async fn managed() -> (Suite, Uuid) {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    let made = give(&mut suite.person(account(1)), gives(account(2), "A-1", Role::Manager)).await;
    let id = made.unwrap().id.parse().unwrap();
    (suite, id)
}

/// Revokes without the time to wait: recorded, and how long it takes.
async fn record(person: &mut Person, request: RevokeGrantRequest) -> Duration {
    let refused = person.revoke_grant(request).await.unwrap_err();
    assert_refused(&refused, Code::Unavailable, "REVOCATION_IN_PROGRESS");
    refused.get_error_details().retry_info().unwrap().retry_delay.unwrap()
}

#[tokio::test]
async fn a_revocation_answers_when_no_lease_can_take_effect_any_more() {
    let (suite, id) = managed().await;
    let authority = suite.authority(&suite.service);
    let lease = lease(&authority, 2, "A-1-1").await;
    assert_eq!((lease.grant_id, lease.organization_code.as_str()), (id, "A-1"));
    let begin = Instant::now();
    let mut administrator = suite.person(account(1));
    let answered = async {
        administrator.revoke_grant(patiently(revokes(id))).await.unwrap();
        Instant::now()
    };
    // It counts for nobody new as soon as it is recorded.
    let recorded = async {
        while suite.verdict(account(2), "A-1", Permission::View).await == Verdict::Allowed {}
        Instant::now()
    };
    let (answered, recorded) = join(answered, recorded).await;
    assert!(recorded - begin < Duration::from_secs(3), "{:?}", recorded - begin);
    // Whoever was allowed before `recorded` commits up to 5 s later.
    assert!(answered - begin >= OVER, "{:?}", answered - begin);
    let end = lease.check(answered).unwrap_err();
    assert_eq!(end.reason(), "UNAVAILABLE");
    assert!(matches!(ask(&authority, 2, "A-1").await, Decision::OutOfScope));
    // Another call finds it done, and that is no error.
    let again = Instant::now();
    suite.person(account(1)).revoke_grant(revokes(id)).await.unwrap();
    assert!(again.elapsed() < Duration::from_secs(2));
    suite.stop().await;
}

#[tokio::test]
async fn without_the_time_it_is_recorded_and_the_same_call_hears_when_it_is_over() {
    let (suite, id) = managed().await;
    let request = revokes(id);
    let begin = Instant::now();
    let wait = record(&mut suite.person(account(1)), request.clone()).await;
    assert!(wait > Duration::from_secs(4) && begin.elapsed() < Duration::from_secs(3));
    let verdict = suite.verdict(account(2), "A-1", Permission::View).await;
    assert_eq!(verdict, Verdict::OutOfScope);
    // At once, and not yet.
    let less = record(&mut suite.person(account(1)), request.clone()).await;
    assert!(less <= wait);
    tokio::time::sleep(less).await;
    suite.person(account(1)).revoke_grant(request.clone()).await.unwrap();
    assert!(begin.elapsed() >= OVER);
    // Another grant under the same id is another call.
    let other = RevokeGrantRequest { grant_id: account(9).to_string(), ..request };
    let other = suite.person(account(1)).revoke_grant(other).await.unwrap_err();
    assert_refused(&other, Code::AlreadyExists, "REQUEST_ID_REUSED");
    suite.stop().await;
}

#[tokio::test]
async fn another_process_waits_by_its_own_clock_and_nobody_once_it_is_over() {
    let (suite, id) = managed().await;
    let replica = suite.replica().await;
    let request = revokes(id);
    record(&mut suite.person(account(1)), request.clone()).await;
    let begin = Instant::now();
    let mut there = suite.person_at(&replica, account(1), true);
    there.revoke_grant(patiently(request.clone())).await.unwrap();
    assert!(begin.elapsed() >= OVER, "it can't know how long ago that was");
    let begin = Instant::now();
    there.revoke_grant(request.clone()).await.unwrap();
    suite.person(account(1)).revoke_grant(request).await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(2));
    replica.stop().await;
    suite.stop().await;
}

#[tokio::test]
async fn a_move_is_over_when_no_lease_of_before_can_take_effect_any_more() {
    let (suite, _) = managed().await;
    let authority = suite.authority(&suite.service);
    let lease = lease(&authority, 2, "A-1-1").await;
    let begin = Instant::now();
    load(&suite.database, &format!("{HEADER}\nA-1-1,镇一一,TOWNSHIP,A-2,,,\n")).await.unwrap();
    assert!(begin.elapsed() >= OVER, "{:?}", begin.elapsed());
    let end = lease.check(Instant::now()).unwrap_err();
    assert_eq!(end.reason(), "UNAVAILABLE");
    assert!(matches!(ask(&authority, 2, "A-1-1").await, Decision::OutOfScope));
    // What was merged into it has moved along; and nobody waits when nothing moves.
    assert!(matches!(ask(&authority, 2, "A-1-9").await, Decision::OutOfScope));
    let begin = Instant::now();
    load(&suite.database, &format!("{HEADER}\nA-1-1,新名,TOWNSHIP,A-2,,,\n")).await.unwrap();
    assert!(begin.elapsed() < OVER, "{:?}", begin.elapsed());
    suite.stop().await;
}

#[tokio::test]
async fn what_is_not_in_sight_is_not_there_and_ones_own_can_be_given_up() {
    let (suite, id) = managed().await;
    let elsewhere = suite.make(account(3), "A-2", TypedRole::Administrator).await;
    let viewer = suite.make(account(4), "A-1", TypedRole::Viewer).await;
    let mut answers = Vec::new();
    for (n, id) in [(3, id), (3, Uuid::new_v4()), (4, elsewhere), (9, id)] {
        let refused = suite.person(account(n)).revoke_grant(revokes(id)).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, "GRANT_NOT_FOUND");
        answers.push((refused.message().to_owned(), refused.details().to_vec()));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    let refused = suite.person(account(4)).revoke_grant(revokes(id)).await.unwrap_err();
    assert_refused(&refused, Code::PermissionDenied, "PERMISSION_MISSING");
    assert_eq!(suite.verdict(account(2), "A-1", Permission::View).await, Verdict::Allowed);

    record(&mut suite.person(account(4)), revokes(viewer)).await;
    assert_eq!(suite.verdict(account(4), "A-1", Permission::View).await, Verdict::OutOfScope);
    suite.stop().await;
}

#[tokio::test]
async fn the_last_administrator_of_the_root_stays_and_others_go() {
    let suite = Suite::on_province().await;
    let first = suite.make(account(1), "A", TypedRole::Administrator).await;
    let city = suite.make(account(2), "A-1", TypedRole::Administrator).await;
    let other = suite.make(account(3), "A", TypedRole::Auditor).await;
    let mut administrator = suite.person(account(1));
    let refused = administrator.revoke_grant(revokes(first)).await.unwrap_err();
    assert_refused(&refused, Code::FailedPrecondition, "LAST_ADMINISTRATOR");
    // Not of the root, and not an administrator.
    record(&mut administrator, revokes(city)).await;
    record(&mut administrator, revokes(other)).await;
    // One for a day is no successor.
    let day = suite.clock_in(Duration::from_hours(24));
    let for_a_day = zhiyuan_contracts::orgtree::v1::CreateGrantRequest {
        expire_time: Some(day),
        ..gives(account(4), "A", Role::Administrator)
    };
    give(&mut administrator, for_a_day).await.unwrap();
    let refused = administrator.revoke_grant(revokes(first)).await.unwrap_err();
    assert_refused(&refused, Code::FailedPrecondition, "LAST_ADMINISTRATOR");
    give(&mut administrator, gives(account(5), "A", Role::Administrator)).await.unwrap();
    record(&mut administrator, revokes(first)).await;
    suite.stop().await;
}

#[tokio::test]
async fn of_two_administrators_who_end_each_other_one_stays() {
    let suite = Suite::on_province().await;
    let replica = suite.replica().await;
    let mut one = suite.make(account(1), "A", TypedRole::Administrator).await;
    for round in 0..10 {
        let (here, there) = (account(round * 2 + 1), account(round * 2 + 2));
        let other = suite.make(there, "A", TypedRole::Administrator).await;
        let mut at_one = suite.person(here);
        let mut at_other = suite.person_at(&replica, there, true);
        let (at_one, at_other) =
            join(at_one.revoke_grant(revokes(other)), at_other.revoke_grant(revokes(one))).await;
        let reasons = [at_one, at_other].map(|answer| refusal(&answer.unwrap_err()).1);
        // The other one is no administrator any more when the turn comes to it.
        let ended = reasons.iter().filter(|reason| *reason == "REVOCATION_IN_PROGRESS").count();
        assert_eq!(ended, 1, "{reasons:?}");
        assert!(reasons.iter().any(|reason| reason == "GRANT_NOT_FOUND"), "{reasons:?}");
        let next = account(round * 2 + 3);
        one = suite.make(next, "A", TypedRole::Administrator).await;
        // Only the one that stays, and the next, who alone goes on.
        let left = list(&mut suite.person(next), "A", 0).await.unwrap();
        assert_eq!(left.len(), 2);
        let stays = left.iter().find(|grant| grant.account_id != next.to_string()).unwrap();
        record(&mut suite.person(next), revokes(&stays.id)).await;
    }
    // And two who give up their own.
    let (here, there) = (account(21), account(40));
    let other = suite.make(there, "A", TypedRole::Administrator).await;
    let (mut at_one, mut at_other) = (suite.person(here), suite.person_at(&replica, there, true));
    let (at_one, at_other) =
        join(at_one.revoke_grant(revokes(one)), at_other.revoke_grant(revokes(other))).await;
    let mut reasons = [at_one, at_other].map(|answer| refusal(&answer.unwrap_err()).1);
    reasons.sort();
    assert_eq!(reasons, ["LAST_ADMINISTRATOR", "REVOCATION_IN_PROGRESS"]);
    replica.stop().await;
    suite.stop().await;
}

/// Each of them sees the other one, and has ended its own grant, unless they are made to
/// come one after the other: the race above is seldom as close as this.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_administrators_who_give_up_their_own_at_the_same_moment_one_stays() {
    let suite = Suite::on_province().await;
    let replica = suite.replica().await;
    let one = suite.make(account(1), "A", TypedRole::Administrator).await;
    let other = suite.make(account(2), "A", TypedRole::Administrator).await;
    let pool = suite.database.pool().await;
    // Nobody's call is kept, and so nobody's revocation committed, before this ends.
    let mut admin = PgConnection::connect(&suite.database.admin_url()).await.unwrap();
    let mut holding = admin.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE orgtree.request IN EXCLUSIVE MODE")
        .execute(&mut *holding)
        .await
        .unwrap();
    let (mut at_one, mut at_other) =
        (suite.person(account(1)), suite.person_at(&replica, account(2), true));
    let releasing = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'
                         AND (query LIKE '%orgtree.authority%'
                              OR query LIKE 'INSERT INTO orgtree.request%')";
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&pool).await.unwrap() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        holding.rollback().await.unwrap();
    };
    let both = join(at_one.revoke_grant(revokes(one)), at_other.revoke_grant(revokes(other)));
    let ((at_one, at_other), ()) = join(both, releasing).await;
    let mut reasons = [at_one, at_other].map(|answer| refusal(&answer.unwrap_err()).1);
    reasons.sort();
    assert_eq!(reasons, ["LAST_ADMINISTRATOR", "REVOCATION_IN_PROGRESS"]);
    let left = "SELECT count(*) FROM orgtree.authority_grant WHERE revoked_at IS NULL";
    assert_eq!(sqlx::query_scalar::<_, i64>(left).fetch_one(&pool).await.unwrap(), 1);
    replica.stop().await;
    suite.stop().await;
}

/// One of many who ask all the time.
struct Asked {
    at: Instant,
    allowed: Option<Lease>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_nobody_is_allowed_anything_after_the_answer() {
    const ASKERS: usize = 200;
    let (suite, id) = managed().await;
    let replica = suite.replica().await;
    let over = Arc::new(AtomicBool::new(false));
    // A few processes of other services, with a cache each, at two replicas.
    let authorities: Vec<Authority> = (0..4)
        .map(|n| suite.authority(if n % 2 == 0 { &suite.service } else { &replica }))
        .collect();
    let cached = |n: usize| {
        let (authority, over) = (authorities[n % 4].clone(), Arc::clone(&over));
        async move {
            let mut asked = Vec::new();
            while !over.load(Ordering::SeqCst) {
                let at = Instant::now();
                let allowed = match ask(&authority, 2, ["A-1", "A-1-1"][n % 2]).await {
                    Decision::Allowed(lease) => Some(lease),
                    Decision::Forbidden | Decision::OutOfScope => None,
                };
                asked.push(Asked { at, allowed });
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
            asked
        }
    };
    let raw = |n: usize| {
        let service = if n.is_multiple_of(2) { &suite.service } else { &replica };
        let channel = suite.channel("registration", service);
        let (mut client, over) = (AuthorityServiceClient::new(channel), Arc::clone(&over));
        async move {
            let mut allowed = Vec::new();
            while !over.load(Ordering::SeqCst) {
                let at = Instant::now();
                let question = asks(account(2), "A-1", Permission::Review);
                let answer = client.check(question).await.unwrap().into_inner();
                if answer.verdict() == Verdict::Allowed {
                    allowed.push(at);
                }
                tokio::time::sleep(Duration::from_millis(400)).await;
            }
            allowed
        }
    };
    let revoking = async {
        // Some way into the load.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut administrator = suite.person(account(1));
        administrator.revoke_grant(patiently(revokes(id))).await.unwrap();
        let answered = Instant::now();
        tokio::time::sleep(Duration::from_millis(500)).await;
        over.store(true, Ordering::SeqCst);
        answered
    };
    let all = join(join_all((0..ASKERS / 2).map(cached)), join_all((0..ASKERS / 2).map(raw)));
    let (answered, (cached, raw)) = join(revoking, all).await;
    let cached: Vec<Asked> = cached.into_iter().flatten().collect();
    let leases = || cached.iter().filter_map(|asked| Some((asked.at, asked.allowed.as_ref()?)));
    assert!(leases().count() > ASKERS && raw.iter().all(|allowed| !allowed.is_empty()));
    assert!(cached.iter().any(|asked| asked.at > answered), "somebody asked after it");
    for (at, lease) in leases() {
        assert!(at < answered, "allowed {:?} after the answer", at - answered);
        assert!(lease.check(answered).is_err(), "a lease outlived the answer");
        // And there were two seconds left for a commit.
        let commit = answered.checked_sub(Duration::from_secs(2)).unwrap();
        assert!(lease.check(commit).is_err(), "a lease ended too late for its commit");
    }
    assert!(raw.into_iter().flatten().all(|at| at < answered));
    replica.stop().await;
    suite.stop().await;
}
