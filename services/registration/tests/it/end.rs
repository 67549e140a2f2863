//! Undoing, orphans, adoption, and the end of what is kept.

use std::time::Duration;

use tonic::Code;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::EnrolmentState;
use zhiyuan_contracts::registration::v1::RegistrationState;

use crate::fake_identity::{Fault, Verdict};
use crate::fake_orgtree::{OTHER_TOWNSHIP, TOWNSHIP};
use crate::harness::{Recovery, Service, form, metadata, reason};

const MINUTE: Duration = Duration::from_secs(60);
const COUNT: &str = "SELECT count(*) FROM registration.volunteer";

#[tokio::test]
async fn a_form_that_never_reached_identity_is_given_up_after_15_minutes() {
    let service = Service::start(Recovery::On).await;
    service.identity.fail("begin", &[Fault::Before]);
    let form = form(1);
    assert_eq!(service.register(&form).await.unwrap_err().code(), Code::Unavailable);
    service.clock.advance(14 * MINUTE);
    service.until("a look", async |service| service.identity.calls("get") > 0).await;
    assert_eq!(service.step().await, "STARTED");
    service.clock.advance(MINUTE);
    let status = service.end(&form.request_id).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(reason(&status), "REGISTRATION_EXPIRED");
    assert_eq!(service.identity.states(), [EnrolmentState::Discarded]);
    // Late, and final all the same.
    let status = service.register(&form).await.unwrap_err();
    assert_eq!(reason(&status), "REGISTRATION_EXPIRED");
    assert_eq!(service.sql(COUNT).await, "0");
}

#[tokio::test]
async fn a_replay_within_15_minutes_keeps_a_form_alive() {
    let service = Service::start(Recovery::On).await;
    service.identity.fail("begin", &[Fault::Before; 2]);
    let form = form(1);
    service.register(&form).await.unwrap_err();
    service.clock.advance(10 * MINUTE);
    service.register(&form).await.unwrap_err();
    service.clock.advance(10 * MINUTE);
    let looks = service.identity.calls("get");
    service.until("a look", async |service| service.identity.calls("get") > looks).await;
    assert_eq!(service.register(&form).await.unwrap().state(), RegistrationState::Active);
}

#[tokio::test]
async fn an_applicant_that_identity_has_is_not_given_up() {
    let service = Service::start(Recovery::On).await;
    service.identity.fail("begin", &[Fault::After]);
    let form = form(1);
    service.register(&form).await.unwrap_err();
    service.clock.advance(60 * MINUTE);
    service.end(&form.request_id).await.unwrap();
}

#[tokio::test]
async fn a_call_that_comes_while_it_is_decided_prevents_the_undo() {
    let service = Service::start(Recovery::On).await;
    service.identity.fail("begin", &[Fault::Before; 2]);
    let form = form(1);
    service.register(&form).await.unwrap_err();
    let gate = service.identity.hold("get");
    service.clock.advance(16 * MINUTE);
    service.until("a look", async |service| service.identity.calls("get") == 1).await;
    // The recovery task holds an old state now, by which the form is abandoned.
    service.register(&form).await.unwrap_err();
    gate.add_permits(1000);
    service
        .until("another look", async |service| {
            service.clock.advance(Duration::from_secs(1));
            service.identity.calls("get") > 1
        })
        .await;
    assert_eq!(service.step().await, "STARTED");
    assert_eq!(service.register(&form).await.unwrap().state(), RegistrationState::Active);
}

#[tokio::test]
async fn an_applicant_that_identity_only_accepted_is_given_up() {
    let service = Service::start(Recovery::On).await;
    service.identity.decide(Verdict::Accepted);
    let form = form(1);
    let answer = service.register(&form).await.unwrap();
    assert_eq!(answer.state(), RegistrationState::Pending);
    service.clock.advance(16 * MINUTE);
    let status = service.end(&form.request_id).await.unwrap_err();
    assert_eq!(reason(&status), "REGISTRATION_EXPIRED");
}

#[tokio::test]
async fn a_late_begin_after_the_undo_has_no_effect() {
    let service = Service::start(Recovery::On).await;
    service.identity.fail("begin", &[Fault::Before]);
    let form = form(1);
    service.register(&form).await.unwrap_err();
    service.clock.advance(16 * MINUTE);
    service.end(&form.request_id).await.unwrap_err();
    // Even if this service forgot its decision, identity keeps the tombstone.
    let pool = service.pool().await;
    let forget = "UPDATE registration.registration
                  SET step = 'STARTED', refusal = NULL, finished_at = NULL, next_step_at = now()";
    sqlx::query(forget).execute(&pool).await.unwrap();
    let status = service.register(&form).await.unwrap_err();
    assert_eq!(reason(&status), "REGISTRATION_EXPIRED");
    assert_eq!(service.identity.states(), [EnrolmentState::Discarded]);
    assert_eq!(service.sql(COUNT).await, "0");
}

#[tokio::test]
async fn an_organization_that_closed_meanwhile_undoes_the_claim() {
    let service = Service::start(Recovery::On).await;
    service.identity.decide(Verdict::Pending(service.now()));
    let form = form(1);
    service.register(&form).await.unwrap();
    service.orgtree.close(TOWNSHIP, OTHER_TOWNSHIP);
    service.identity.settle(&Verdict::Claimed);
    service.identity.fail("discard", &[Fault::Before, Fault::After]);
    service
        .until("the undo", async |service| {
            service.clock.advance(MINUTE);
            service.step().await == "REFUSED"
        })
        .await;
    for status in [
        service.get(&form.request_id).await.unwrap_err(),
        service.register(&form).await.unwrap_err(),
    ] {
        assert_eq!(reason(&status), "ORGANIZATION_CLOSED");
        assert_eq!(metadata(&status, "successor_code").as_deref(), Some(OTHER_TOWNSHIP));
    }
    assert_eq!(service.identity.states(), [EnrolmentState::Discarded]);
    assert_eq!(service.sql(COUNT).await, "0");
}

#[tokio::test]
async fn a_step_in_flight_does_not_land_after_the_undo() {
    let service = Service::start(Recovery::Off).await;
    service.identity.decide(Verdict::Pending(service.now()));
    let form = form(1);
    service.register(&form).await.unwrap();
    service.identity.settle(&Verdict::Claimed);
    let gate = service.orgtree.hold();
    let slow = service.register(&form);
    let meanwhile = async {
        service.until("a held answer", async |s| s.orgtree.with(|state| state.held) == 1).await;
        service.orgtree.close(TOWNSHIP, OTHER_TOWNSHIP);
        let status = service.register(&form).await.unwrap_err();
        assert_eq!(reason(&status), "ORGANIZATION_CLOSED");
        gate.add_permits(1);
    };
    let (slow, ()) = tokio::join!(slow, meanwhile);
    assert_eq!(reason(&slow.unwrap_err()), "ORGANIZATION_CLOSED");
    assert_eq!(service.step().await, "REFUSED");
    assert_eq!(service.identity.states(), [EnrolmentState::Discarded]);
    assert_eq!(service.sql(COUNT).await, "0");
}

#[tokio::test]
async fn an_account_that_identity_lost_voids_the_volunteer_nobody_saw() {
    let service = Service::start(Recovery::Off).await;
    service.identity.fail("activate", &[Fault::Before]);
    let form = form(1);
    service.register(&form).await.unwrap_err();
    service.identity.with(|state| state.enrolments.clear());
    let status = service.register(&form).await.unwrap_err();
    assert_eq!(reason(&status), "REGISTRATION_EXPIRED");
    assert_eq!(service.sql("SELECT state FROM registration.volunteer").await, "VOID");
    // The number is not given again.
    let number =
        service.register(&self::form(2)).await.unwrap().volunteer.unwrap().volunteer_number;
    assert!(number.starts_with("34182200000002"), "{number}");
}

#[tokio::test]
async fn claims_without_a_registration_are_discarded_and_no_others() {
    let service = Service::start(Recovery::On).await;
    service.identity.fail("activate", &[Fault::Before; 100_000]);
    service.register(&form(1)).await.unwrap_err();
    let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
    service.identity.add(one, &Verdict::Claimed);
    service.identity.add(other, &Verdict::Claimed);
    let count = async |service: &Service, wanted: EnrolmentState| {
        service.identity.states().into_iter().filter(|state| *state == wanted).count()
    };
    service
        .until("two discarded", async |service| {
            count(service, EnrolmentState::Discarded).await == 2
        })
        .await;
    let sweeps = service.identity.calls("list");
    service.until("another sweep", async |s| s.identity.calls("list") > sweeps + 4).await;
    assert_eq!(count(&service, EnrolmentState::Claimed).await, 1);
}

#[tokio::test]
async fn an_account_restored_to_before_its_activation_is_activated_again() {
    let service = Service::start(Recovery::On).await;
    service.register(&form(1)).await.unwrap();
    service.identity.settle(&Verdict::Claimed);
    service.until("active", async |s| s.identity.states() == [EnrolmentState::Active]).await;
}

#[tokio::test]
async fn a_volunteer_whose_registration_is_forgotten_keeps_the_account() {
    let service = Service::start(Recovery::On).await;
    service.register(&form(1)).await.unwrap();
    service.clock.advance(31 * 24 * 60 * MINUTE);
    service.until("forgotten", async |service| service.step().await.is_empty()).await;
    service.identity.settle(&Verdict::Claimed);
    service.until("active", async |s| s.identity.states() == [EnrolmentState::Active]).await;
    assert_eq!(service.identity.calls("discard"), 0);
}

#[tokio::test]
async fn a_volunteer_adopted_after_a_refusal_keeps_the_account() {
    let service = Service::start(Recovery::On).await;
    service.register(&form(1)).await.unwrap();
    // As if another registration had adopted the account of one that was refused.
    let refuse = "UPDATE registration.registration
                  SET step = 'REFUSED', refusal = 'REGISTRATION_EXPIRED'";
    sqlx::query(refuse).execute(&service.pool().await).await.unwrap();
    service.identity.settle(&Verdict::Claimed);
    service.until("active", async |s| s.identity.states() == [EnrolmentState::Active]).await;
    assert_eq!(service.identity.calls("discard"), 0);
}

#[tokio::test]
async fn an_account_whose_volunteer_is_void_is_discarded() {
    let service = Service::start(Recovery::On).await;
    service.register(&form(1)).await.unwrap();
    let pool = service.pool().await;
    for change in [
        "UPDATE registration.volunteer SET state = 'VOID'",
        "DELETE FROM registration.registration",
    ] {
        sqlx::query(change).execute(&pool).await.unwrap();
    }
    service.identity.settle(&Verdict::Claimed);
    service.until("discarded", async |s| s.identity.states() == [EnrolmentState::Discarded]).await;
}

#[tokio::test]
async fn an_active_account_without_a_volunteer_is_adopted_by_its_owner() {
    let service = Service::start(Recovery::Off).await;
    let account = Uuid::new_v4();
    service.identity.decide(Verdict::Owns(account));
    let form = form(1);
    let answer = service.register(&form).await.unwrap();
    assert_eq!(answer.state(), RegistrationState::Active);
    let volunteer = answer.volunteer.unwrap();
    assert_eq!(volunteer.id, account.to_string());
    assert_eq!(volunteer.name, "汪**");
    assert_eq!(service.identity.calls("activate"), 0);
    assert_eq!(service.register(&form).await.unwrap().volunteer, Some(volunteer));
    // Now there is a volunteer.
    let status = service.register(&self::form(1)).await.unwrap_err();
    assert_eq!(reason(&status), "ALREADY_REGISTERED");
    assert_eq!(service.sql(COUNT).await, "1");
}

#[tokio::test]
async fn of_many_that_adopt_one_account_one_registers() {
    let service = Service::start(Recovery::On).await;
    let account = Uuid::new_v4();
    service.identity.decide(Verdict::Owns(account));
    let forms: Vec<_> = (0..20).map(|_| form(1)).collect();
    let calls = forms.iter().map(|form| service.register(form));
    let mut active = 0;
    for (answer, form) in futures(calls).await.into_iter().zip(&forms) {
        // Two that met are told to come again.
        let answer = match answer {
            Err(status) if status.code() == Code::Aborted => service.register(form).await,
            other => other,
        };
        match answer {
            Ok(answer) => {
                assert_eq!(answer.state(), RegistrationState::Active);
                active += 1;
            }
            Err(status) => assert_eq!(reason(&status), "ALREADY_REGISTERED"),
        }
    }
    assert_eq!(active, 1);
    assert_eq!(service.sql(COUNT).await, "1");
    assert_eq!(service.sql("SELECT last FROM registration.volunteer_serial").await, "1");
}

/// Awaits all at once.
async fn futures<F: Future>(calls: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = calls.map(|call| (Box::pin(call), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (call, output) in &mut running {
            if output.is_none() {
                match call.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    running.into_iter().filter_map(|(_, output)| output).collect()
}

#[tokio::test]
async fn finished_registrations_are_forgotten_after_30_days_and_volunteers_never() {
    let service = Service::start(Recovery::On).await;
    let form = form(1);
    service.register(&form).await.unwrap();
    service.clock.advance(29 * 24 * 60 * MINUTE);
    let sweeps = service.identity.calls("list");
    service.until("a sweep", async |s| s.identity.calls("list") > sweeps + 2).await;
    service.get(&form.request_id).await.unwrap();
    service.clock.advance(2 * 24 * 60 * MINUTE);
    service
        .until("forgotten", async |service| {
            service
                .get(&form.request_id)
                .await
                .is_err_and(|status| reason(&status) == "REGISTRATION_NOT_FOUND")
        })
        .await;
    assert_eq!(service.sql(COUNT).await, "1");
}
