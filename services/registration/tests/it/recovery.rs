//! What happens when something does not answer: nothing is lost, and it is finished
//! by a replay or without one.

use std::time::Duration;

use tonic::Code;
use tonic_types::StatusExt as _;
use zhiyuan_contracts::identity::v1::{EnrolmentRefusal, EnrolmentState};
use zhiyuan_contracts::registration::v1::RegistrationState;

use crate::fake_identity::{Fault, Verdict};
use crate::harness::{Recovery, Service, form, reason};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_pending_registration_is_finished_without_the_client() {
    let service = Service::start(Recovery::On).await;
    let retry_at = service.now() + Duration::from_secs(30);
    service.identity.decide(Verdict::Pending(retry_at));
    let form = form(1);
    let answer = service.register(&form).await.unwrap();
    assert_eq!(answer.state(), RegistrationState::Pending);
    assert_eq!(answer.next_retry_time.unwrap().seconds, retry_at.unix_timestamp());
    assert_eq!(service.get(&form.request_id).await.unwrap().state(), RegistrationState::Pending);
    service.identity.settle(&Verdict::Claimed);
    service.clock.advance(Duration::from_secs(32));
    let end = service.end(&form.request_id).await.unwrap();
    assert_eq!(service.register(&form).await.unwrap().volunteer, end.volunteer);
}

/// Its event makes nothing due: the registration did not say yet that it waits.
#[tokio::test]
async fn a_verdict_that_falls_before_it_is_waited_for_is_seen() {
    let service = Service::start(Recovery::Off).await;
    service.identity.decide(Verdict::Pending(service.now() + MINUTE));
    let gate = service.identity.hold("get");
    let form = form(1);
    let settle = async {
        service.until("a second look", async |s| s.identity.calls("get") == 1).await;
        assert_eq!(service.step().await, "PENDING");
        service.identity.settle(&Verdict::Claimed);
        gate.add_permits(100);
    };
    let (answer, ()) = tokio::join!(service.register(&form), settle);
    assert_eq!(answer.unwrap().state(), RegistrationState::Active);
}

#[tokio::test]
async fn who_waits_is_told_so_even_if_the_second_look_fails() {
    let service = Service::start(Recovery::Off).await;
    service.identity.decide(Verdict::Pending(service.now() + MINUTE));
    service.identity.fail("get", &[Fault::Before]);
    let answer = service.register(&form(1)).await.unwrap();
    assert_eq!((answer.state(), service.identity.calls("get")), (RegistrationState::Pending, 1));
}

#[tokio::test]
async fn a_review_is_noticed_long_before_its_last_day() {
    let service = Service::start(Recovery::On).await;
    let last_day = service.now() + 7 * 24 * 60 * MINUTE;
    service.identity.decide(Verdict::Review(last_day));
    let form = form(1);
    let answer = service.register(&form).await.unwrap();
    assert_eq!(answer.state(), RegistrationState::Review);
    assert_eq!(answer.next_retry_time.unwrap().seconds, last_day.unix_timestamp());
    service.identity.settle(&Verdict::Claimed);
    service.clock.advance(15 * MINUTE);
    service.end(&form.request_id).await.unwrap();
}

#[tokio::test]
async fn a_late_verdict_may_be_a_refusal() {
    let service = Service::start(Recovery::On).await;
    service.identity.decide(Verdict::Pending(service.now()));
    let form = form(1);
    service.register(&form).await.unwrap();
    service.identity.settle(&Verdict::Refused(EnrolmentRefusal::IdCheckExpired));
    service.clock.advance(MINUTE);
    let status = service.end(&form.request_id).await.unwrap_err();
    assert_eq!(reason(&status), "ID_CHECK_EXPIRED");
}

#[tokio::test]
async fn a_replay_asks_how_far_a_pending_one_is() {
    let service = Service::start(Recovery::Off).await;
    service.identity.decide(Verdict::Pending(service.now()));
    let form = form(1);
    service.register(&form).await.unwrap();
    service.identity.settle(&Verdict::Claimed);
    assert_eq!(service.register(&form).await.unwrap().state(), RegistrationState::Active);
}

/// Each call of the way fails once, its work undone or its answer lost.
#[tokio::test]
async fn a_replay_finishes_what_failed_at_any_step() {
    for fault in [Fault::Before, Fault::After] {
        for method in ["begin", "activate", "get"] {
            let service = Service::start(Recovery::Off).await;
            service.identity.fail(method, &[fault]);
            let form = form(1);
            let status = service.register(&form).await.unwrap_err();
            assert_eq!(status.code(), Code::Unavailable, "{method} {fault:?}");
            assert!(status.get_error_details().retry_info().is_some());
            let answer = service.register(&form).await.unwrap();
            assert_eq!(answer.state(), RegistrationState::Active, "{method} {fault:?}");
            assert_eq!(service.sql("SELECT count(*) FROM registration.volunteer").await, "1");
            assert_eq!(service.sql("SELECT last FROM registration.volunteer_serial").await, "1");
        }
    }
}

#[tokio::test]
async fn the_recovery_task_finishes_what_failed_at_any_step_once_identity_has_the_form() {
    for (method, fault) in
        [("begin", Fault::After), ("activate", Fault::Before), ("activate", Fault::After)]
    {
        let service = Service::start(Recovery::On).await;
        service.identity.fail(method, &[fault]);
        let form = form(1);
        service.register(&form).await.unwrap_err();
        service.clock.advance(MINUTE);
        service.end(&form.request_id).await.unwrap();
        assert_eq!(service.identity.states(), [EnrolmentState::Active], "{method} {fault:?}");
    }
}

#[tokio::test]
async fn orgtree_down_after_the_claim_is_waited_for() {
    let service = Service::start(Recovery::On).await;
    service.identity.decide(Verdict::Pending(service.now()));
    let form = form(1);
    service.register(&form).await.unwrap();
    service.orgtree.with(|state| state.down = 3);
    service.identity.settle(&Verdict::Claimed);
    service.clock.advance(MINUTE);
    service.end(&form.request_id).await.unwrap();
    assert_eq!(service.orgtree.with(|state| state.down), 0);
}

#[tokio::test]
async fn an_activation_is_tried_until_it_is_done() {
    let service = Service::start(Recovery::On).await;
    service.identity.fail("activate", &[Fault::Before; 5]);
    let form = form(1);
    service.register(&form).await.unwrap_err();
    assert_eq!(service.step().await, "REGISTERED");
    // Nobody sees the volunteer of an account that is not active.
    let answer = service.get(&form.request_id).await.unwrap();
    assert_eq!((answer.state(), answer.volunteer), (RegistrationState::Pending, None));
    let told = answer.next_retry_time.unwrap().seconds - service.now().unix_timestamp();
    assert!((1..=900).contains(&told));
    service
        .until("five failures", async |service| {
            service.clock.advance(MINUTE);
            service.identity.calls("activate") > 5
        })
        .await;
    service.end(&form.request_id).await.unwrap();
}

#[tokio::test]
async fn waits_between_attempts_grow() {
    let service = Service::start(Recovery::On).await;
    service.identity.fail("activate", &[Fault::Before; 1000]);
    let form = form(1);
    service.register(&form).await.unwrap_err();
    let attempts = "SELECT attempts >= 11 FROM registration.registration";
    service
        .until("eleven attempts", async |service| {
            service.clock.advance(15 * MINUTE);
            service.sql(attempts).await == "true"
        })
        .await;
    let soon = service.now() + 10 * MINUTE;
    let later = format!(
        "SELECT extract(epoch FROM next_step_at) > {} FROM registration.registration",
        soon.unix_timestamp()
    );
    service.until("a long wait", async |service| service.sql(&later).await == "true").await;
    let calls = service.identity.calls("activate");
    // A wait of 15 minutes by now: a minute makes no difference.
    service.clock.advance(MINUTE);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(service.identity.calls("activate"), calls);
    let status = service.register(&form).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
}

#[tokio::test]
async fn a_lost_database_connection_is_no_lost_registration() {
    let service = Service::start(Recovery::On).await;
    service.identity.decide(Verdict::Pending(service.now()));
    let form = form(1);
    service.register(&form).await.unwrap();
    let admin = sqlx::PgPool::connect(&service.database.admin_url()).await.unwrap();
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'zhiyuan-registration' AND datname = current_database()",
    )
    .execute(&admin)
    .await
    .unwrap();
    service.identity.settle(&Verdict::Claimed);
    service
        .until("an end", async |service| {
            service.clock.advance(MINUTE);
            service
                .get(&form.request_id)
                .await
                .is_ok_and(|answer| answer.state() == RegistrationState::Active)
        })
        .await;
}

#[tokio::test]
async fn a_clock_that_was_ahead_for_a_while_leaves_nothing_stuck() {
    let service = Service::start(Recovery::On).await;
    service.identity.decide(Verdict::Pending(service.now()));
    let waiting = form(1);
    service.register(&waiting).await.unwrap();
    let (now, jump) = (service.now(), 400 * 24 * 60 * MINUTE);
    service.clock.set(now + jump);
    // Its only call is noted 400 days ahead, and never reached identity.
    service.identity.fail("begin", &[Fault::Before]);
    let lost = form(2);
    service.register(&lost).await.unwrap_err();
    let ahead = format!(
        "SELECT count(*) FROM registration.registration
         WHERE extract(epoch FROM next_step_at) > {}",
        (now + jump).unix_timestamp()
    );
    service.until("both planned ahead", async |service| service.sql(&ahead).await == "2").await;
    service.clock.set(now);
    service.until("none planned ahead", async |service| service.sql(&ahead).await == "0").await;
    service.identity.settle(&Verdict::Claimed);
    service.clock.advance(15 * MINUTE);
    service.end(&waiting.request_id).await.unwrap();
    service.clock.advance(MINUTE);
    let status = service.end(&lost.request_id).await.unwrap_err();
    assert_eq!(reason(&status), "REGISTRATION_EXPIRED");
}
