//! An import goes on after whatever ended it, or is ended for good reason.

use std::time::Duration;

use zhiyuan_contracts::identity::v1::AccountState;
use zhiyuan_contracts::registration::v1::{RosterFailure, RosterImportState as State};

use super::{ACTS, BOTH, EVENTS, MEMBERS, Secretary, assert_refused, counts, file, new, young};
use crate::fake_orgtree::TOWNSHIP;
use crate::harness::{Recovery, Service};

/// Longer than the lease of a process that is gone.
const LEASE: Duration = Duration::from_secs(61);

/// The process is killed while it looks, and while it imports: another one goes on where it was,
/// and everything has its effect once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_goes_on_where_one_was_killed() {
    for (method, calls) in [("get", 1), ("validate", 2), ("import", 1), ("import", 2)] {
        let service = Service::start(Recovery::On).await;
        let secretary = Secretary::new(&service).await;
        let importing = method == "import";
        let text = file(0..700);
        let import = if importing {
            secretary.checked(text.as_bytes()).await
        } else {
            secretary.create(&secretary.form(text.as_bytes())).await.unwrap()
        };
        let gate = service.rosters.hold(method);
        gate.add_permits(calls - 1);
        if importing {
            secretary.go_on(&import.id).await;
        } else {
            secretary.put(&import.id, 0, text.as_bytes()).await.unwrap();
        }
        service.until("it waits", async |it| it.rosters.calls(method) == calls).await;
        service.kill();
        // What it asked has its effect all the same, and nobody hears of it.
        gate.add_permits(100_000);
        service.start_another().await;
        service.clock.advance(LEASE);
        let state = "SELECT state FROM registration.roster_import";
        service
            .until("another goes on", async |it| {
                it.clock.advance(Duration::from_secs(1));
                it.sql(state).await == if importing { "DONE" } else { "CHECKED" }
            })
            .await;
        let rows = "SELECT concat(rows, ' ', rows_done, ' ', rows_new, ' ', rows_rejected)
                    FROM registration.roster_import";
        assert_eq!(service.sql(rows).await, "700 700 700 0", "{method} {calls}");
        let kept = "SELECT count(*) FROM registration.roster_import_row";
        assert_eq!(service.sql(kept).await, "700");
        let expected = if importing { "700" } else { "0" };
        assert_eq!(service.sql(MEMBERS).await, expected, "{method} {calls}");
        assert_eq!(service.sql(EVENTS).await, expected, "{method} {calls}");
        let known = service.rosters.with(|state| state.people.len().to_string());
        assert_eq!(known, expected);
    }
}

#[tokio::test]
async fn an_import_that_was_cancelled_goes_on_from_there() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    let import = secretary.checked(file(0..700).as_bytes()).await;
    let gate = service.rosters.hold("import");
    gate.add_permits(1);
    secretary.go_on(&import.id).await;
    service.until("the second batch", async |it| it.rosters.calls("import") == 2).await;
    let request_id = new();
    for _ in 0..2 {
        let cancelled = secretary.cancel_as(&request_id, &import.id).await.unwrap();
        assert_eq!((cancelled.state(), cancelled.rows_done), (State::Cancelled, 500));
        assert!(cancelled.end_time.is_some());
    }
    gate.add_permits(1000);
    // Whom the batch made that came too late, nobody is to know.
    service
        .until("they are forgotten", async |it| {
            it.clock.advance(Duration::from_secs(1));
            it.rosters.with(|state| state.forgotten.len() == 200 && state.people.len() == 500)
        })
        .await;
    assert_eq!(service.sql(MEMBERS).await, "500");
    secretary.go_on(&import.id).await;
    let done = secretary.until(&import.id, State::Done).await;
    assert_eq!((counts(&done), done.rows_done), ([700, 0, 0, 0, 0], 700));
    assert_eq!(
        (service.sql(MEMBERS).await, service.sql(EVENTS).await),
        ("700".into(), "700".into())
    );
    assert_eq!(service.rosters.with(|state| state.people.len()), 700);
}

#[tokio::test]
async fn what_was_cancelled_before_it_was_looked_at_goes_on_with_that() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    let text = file([1]);
    let import = secretary.create(&secretary.form(text.as_bytes())).await.unwrap();
    secretary.cancel(&import.id).await.unwrap();
    let late = secretary.put(&import.id, 0, text.as_bytes()).await;
    assert_refused(late, tonic::Code::FailedPrecondition, "ROSTER_IMPORT_STATE");
    assert_eq!(secretary.start(&import.id).await.unwrap().state(), State::Uploading);
    secretary.put(&import.id, 0, text.as_bytes()).await.unwrap();
    secretary.until(&import.id, State::Checked).await;
    secretary.cancel(&import.id).await.unwrap();
    let known = secretary.put(&import.id, 0, text.as_bytes()).await;
    assert_refused(known, tonic::Code::FailedPrecondition, "ROSTER_IMPORT_STATE");
    secretary.go_on(&import.id).await;
    secretary.until(&import.id, State::Done).await;
}

/// Members are stored, and identity is told which they are: killed in between, both are done again,
/// and the counts are those of the first time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_done_once_identity_was_told_who_is_on_the_roster() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    service.rosters.register(&young(1).id_number, &young(1).name);
    service.rosters.know(&young(2).id_number, "欧阳二", false);
    let import = secretary.checked(file([1, 2, 3]).as_bytes()).await;
    let gate = service.rosters.hold("import");
    gate.add_permits(1);
    secretary.go_on(&import.id).await;
    service.until("it is told", async |it| it.rosters.calls("import") == 2).await;
    let done = "SELECT rows_done FROM registration.roster_import";
    assert_eq!((service.sql(MEMBERS).await, service.sql(done).await), ("3".into(), "0".into()));
    service.kill();
    service.start_another().await;
    service.clock.advance(LEASE);
    gate.add_permits(1000);
    let state = "SELECT state FROM registration.roster_import";
    service
        .until("another goes on", async |it| {
            it.clock.advance(Duration::from_secs(1));
            it.sql(state).await == "DONE"
        })
        .await;
    let rows = "SELECT concat_ws(' ', rows_done, rows_new, rows_registered, rows_unchanged,
                                 rows_updated) FROM registration.roster_import";
    assert_eq!(service.sql(rows).await, "3 2 1 0 0");
    assert_eq!(service.sql(EVENTS).await, "3");
    let name = service.rosters.with(|state| state.people[&young(2).id_number].name.clone());
    assert_eq!(name, young(2).name);
}

/// A file over which the process ends each time it is read.
#[tokio::test]
async fn a_file_that_was_begun_three_times_and_never_read_to_its_end_is_given_up() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    for (readings, expected) in [(2, State::Checked), (3, State::Failed)] {
        let gate = service.rosters.hold("get");
        let calls = service.rosters.calls("get");
        let import = secretary.upload(file([1]).as_bytes()).await;
        service.until("it is fetched", async |it| it.rosters.calls("get") > calls).await;
        let begun = format!("UPDATE registration.roster_import SET readings = {readings}");
        sqlx::query(sqlx::AssertSqlSafe(begun)).execute(&service.pool().await).await.unwrap();
        gate.add_permits(1000);
        let ended = secretary.until(&import.id, expected).await;
        let failed = ended.failure() == RosterFailure::Format;
        assert_eq!(failed, expected == State::Failed);
    }
}

/// An account that is closed while an import has heard that there is one.
#[tokio::test]
async fn who_closes_the_account_meanwhile_is_no_member_under_the_old_id() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    let id = service.rosters.register(&young(1).id_number, &young(1).name);
    let import = secretary.checked(file([1]).as_bytes()).await;
    let gate = service.rosters.hold("import");
    secretary.go_on(&import.id).await;
    service.until("it asks", async |it| it.rosters.calls("import") == 1).await;
    service.feed.account(id, AccountState::Active, 1);
    service.feed.account(id, AccountState::Closed, 2);
    let gone = "SELECT count(gone_at) FROM registration.roster_member";
    service.until("it is heard", async |it| it.sql(gone).await == "1").await;
    // The answer that was on its way.
    gate.add_permits(1);
    service
        .until("it asks again", async |it| {
            it.clock.advance(Duration::from_secs(1));
            it.rosters.calls("import") == 2
        })
        .await;
    assert_eq!(service.sql(MEMBERS).await, "0");
    service.rosters.with(|state| state.people.clear());
    gate.add_permits(1000);
    secretary.until(&import.id, State::Done).await;
    let member = secretary.members().await.remove(0);
    assert_ne!(member.person_id, id.to_string());
}

/// What is answered again is answered to who still may.
#[tokio::test]
async fn a_request_that_is_sent_again_is_answered_to_who_still_may() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    let form = secretary.form(file([1]).as_bytes());
    let import = super::patiently(async || secretary.create(&form).await).await;
    let (cancel, start) = (new(), new());
    super::patiently(async || secretary.cancel_as(&cancel, &import.id).await).await;
    super::patiently(async || secretary.start_as(&start, &import.id).await).await;
    service.authority.revoke(&secretary.id.to_string());
    // Longer than an answer is relied on.
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    let missing = tonic::Code::NotFound;
    assert_refused(secretary.create(&form).await, missing, "ORGANIZATION_NOT_FOUND");
    let started = secretary.start_as(&start, &import.id).await;
    assert_refused(started, missing, "ROSTER_IMPORT_NOT_FOUND");
    let cancelled = secretary.cancel_as(&cancel, &import.id).await;
    assert_refused(cancelled, missing, "ROSTER_IMPORT_NOT_FOUND");
}

/// Who asks by one file after the other who people are, has an end.
#[tokio::test]
async fn imports_of_an_administrator_and_of_an_organization_are_counted() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    let other = Secretary::new(&service).await;
    let form = secretary.form(b"x");
    let first = super::patiently(async || secretary.create(&form).await).await;
    let more = |count: u32, whose: &str| {
        format!(
            "INSERT INTO registration.roster_import
                 (import_id, organization_code, started_by, request_id, file_name, size_bytes,
                  sha256, state, created_at)
             SELECT gen_random_uuid(), organization_code, {whose}, gen_random_uuid(), file_name,
                    size_bytes, sha256, state, created_at
             FROM registration.roster_import, generate_series(1, {count})
             WHERE import_id = '{}'",
            first.id
        )
    };
    let pool = service.pool().await;
    let run =
        async |sql: String| sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&pool).await.unwrap();
    run(more(19, "started_by")).await;
    let refused = async |who: &Secretary<'_>| {
        let answer = who.create(&who.form(b"x")).await;
        assert_refused(answer, tonic::Code::ResourceExhausted, "ROSTER_IMPORTS_TOO_MANY");
    };
    refused(&secretary).await;
    // What was begun is begun, and others may.
    assert_eq!(secretary.create(&form).await.unwrap().id, first.id);
    super::patiently(async || other.create(&other.form(b"x")).await).await;
    run(more(29, "gen_random_uuid()")).await;
    refused(&other).await;
    service.clock.advance(Duration::from_secs(24 * 3600 + 1));
    super::patiently(async || other.create(&other.form(b"x")).await).await;
}

/// A right that ended, in the middle of an import, ends it: at the next batch.
#[tokio::test]
async fn an_import_ends_with_the_right_of_who_started_it() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    let witness = Secretary::new(&service).await;
    let import = secretary.checked(file(0..700).as_bytes()).await;
    // So that an answer is not relied on for longer than a batch takes.
    service.authority.with(|state| state.lease_ms = 500);
    let gate = service.rosters.hold("import");
    secretary.go_on(&import.id).await;
    service.until("the first batch", async |it| it.rosters.calls("import") == 1).await;
    service.authority.revoke(&secretary.id.to_string());
    // Longer than any answer is relied on, also those of before.
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    gate.add_permits(1000);
    let ended = witness.until(&import.id, State::Cancelled).await;
    // The batch was asked for under a lease that ended before it was stored.
    assert_eq!((ended.rows_done, service.sql(MEMBERS).await), (0, "0".to_owned()));
    let acts = service.sql(ACTS).await;
    assert!(acts.ends_with("registration.roster.import_stopped DONE"), "{acts}");
    // Nobody goes on with it but who began it.
    let other = witness.start(&import.id).await;
    assert_refused(other, tonic::Code::PermissionDenied, "ROSTER_IMPORT_OF_ANOTHER");
    service.authority.with(|state| state.lease_ms = 3000);
    service.authority.grant(secretary.id, TOWNSHIP, &BOTH);
    secretary.go_on(&import.id).await;
    secretary.until(&import.id, State::Done).await;
    assert_eq!(service.sql(MEMBERS).await, "700");
}

#[tokio::test]
async fn an_import_ends_when_the_organization_is_closed() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    let gate = service.rosters.hold("get");
    let import = secretary.upload(file([1]).as_bytes()).await;
    service.until("it is read", async |it| it.rosters.calls("get") == 1).await;
    service.orgtree.close(TOWNSHIP, "");
    gate.add_permits(1000);
    secretary.until(&import.id, State::Cancelled).await;
    let again = secretary.start(&import.id).await;
    assert_refused(again, tonic::Code::FailedPrecondition, "ORGANIZATION_CLOSED");
    let create = secretary.create(&secretary.form(b"x")).await;
    assert_refused(create, tonic::Code::FailedPrecondition, "ORGANIZATION_CLOSED");
}

/// Somebody who was taken off, and is being forgotten, comes on a roster again: as somebody whom
/// identity knows.
#[tokio::test]
async fn who_is_being_forgotten_comes_back_as_somebody_who_is_known() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    secretary.import(file([1]).as_bytes()).await;
    let import = secretary.checked(file([1]).as_bytes()).await;
    let before = secretary.members().await.remove(0).person_id;
    let forgetting = service.rosters.hold("forget");
    secretary.remove(&secretary.removal(std::slice::from_ref(&before))).await.unwrap();
    service.until("it is asked", async |it| it.rosters.calls("forget") == 1).await;
    service.start_another().await;
    secretary.go_on(&import.id).await;
    service.until("it is asked for", async |it| it.rosters.calls("import") >= 2).await;
    assert_eq!(service.sql(MEMBERS).await, "0");
    forgetting.add_permits(1000);
    secretary.until(&import.id, State::Done).await;
    let known = service.rosters.with(|state| state.people[&young(1).id_number].id.to_string());
    let after = secretary.members().await.remove(0);
    assert_eq!((&*after.person_id, after.masked_name.is_empty()), (&*known, false));
    assert_ne!(after.person_id, before);
}
