//! A lost phone: that the two administrators are two, and stand behind it until the end; and
//! that nobody is asked about again and again.

use std::time::Duration;

use tonic_types::StatusExt as _;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::PhoneRecoveryState;
use zhiyuan_contracts::orgtree::v1::Role;
use zhiyuan_contracts::registration::v1::StartPhoneRecoveryRequest;
use zhiyuan_rpc::wire::timestamp;

use crate::fake_orgtree::{COUNTY, TOWNSHIP};
use crate::harness::{Recovery, Service, reason};
use crate::phone_recoveries::{Case, refused};
use crate::profiles::Volunteer;

const DAY: Duration = Duration::from_secs(24 * 3600);
const LOOK: Duration = Duration::from_secs(10 * 60 + 1);

#[tokio::test]
async fn who_made_an_administrator_of_the_other_is_no_second_one() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    let long_ago = service.now() - 30 * DAY;
    let made = service.authority.made_by(&case.first, TOWNSHIP, long_ago);
    for (starter, approver) in [(&made, &case.first), (&case.first, &made)] {
        let id = case.start_with(starter, &case.form()).await.unwrap().id;
        assert_eq!(refused(case.approve(approver, &id).await), "RECOVERY_NEEDS_ANOTHER");
        assert_eq!(service.recoveries.states(), [PhoneRecoveryState::Started]);
        // With anybody else, each of the two is one.
        case.approve(&case.second, &id).await.unwrap();
        service.recoveries.with(|state| state.recoveries.clear());
    }
}

#[tokio::test]
async fn two_whom_the_same_person_made_are_two_once_they_are_so_for_long() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    let giver = Uuid::new_v4().to_string();
    let made = |days: u32| service.authority.made_by(&giver, TOWNSHIP, service.now() - days * DAY);
    let (new, old) = (made(29), made(60));
    for (starter, approver) in [(&new, &old), (&old, &new)] {
        let id = case.start_with(starter, &case.form()).await.unwrap().id;
        assert_eq!(refused(case.approve(approver, &id).await), "RECOVERY_NEEDS_ANOTHER");
        assert_eq!(service.recoveries.states(), [PhoneRecoveryState::Started]);
        service.recoveries.with(|state| state.recoveries.clear());
    }
    service.clock.advance(DAY);
    let id = case.start_with(&new, &case.form()).await.unwrap().id;
    case.approve(&old, &id).await.unwrap();
}

#[tokio::test]
async fn over_somebody_in_between_one_is_still_made_by_the_other() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    let long_ago = service.now() - 90 * DAY;
    let between = service.authority.made_by(&case.first, TOWNSHIP, long_ago);
    let last = service.authority.made_by(&between, TOWNSHIP, long_ago);
    let id = case.start_with(&last, &case.form()).await.unwrap().id;
    assert_eq!(refused(case.approve(&case.first, &id).await), "RECOVERY_NEEDS_ANOTHER");
    case.approve(&case.second, &id).await.unwrap();
}

#[tokio::test]
async fn a_grant_that_is_new_is_not_enough() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    let giver = Uuid::new_v4().to_string();
    let new = service.authority.made_by(&giver, TOWNSHIP, service.now() - 6 * DAY);
    let id = case.start().await.id;
    assert_eq!(refused(case.start_with(&new, &case.form()).await), "RECOVERY_GRANT_TOO_NEW");
    assert_eq!(refused(case.approve(&new, &id).await), "RECOVERY_GRANT_TOO_NEW");
    assert_eq!(case.steps().await, "STARTED");
    service.clock.advance(DAY);
    case.start_with(&new, &case.form()).await.unwrap();
    case.approve(&new, &id).await.unwrap();
}

#[tokio::test]
async fn who_started_it_stands_behind_it_when_it_is_approved() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    let id = case.start().await.id;
    service.authority.revoke(&case.first);
    service
        .until("the lease is over", async |_| {
            let told = case.get(&case.first, &id).await;
            matches!(told, Err(status) if reason(&status) == "RECOVERY_NOT_FOUND")
        })
        .await;
    assert_eq!(refused(case.approve(&case.second, &id).await), "RECOVERY_NEEDS_ANOTHER");
    assert_eq!(case.steps().await, "STARTED");
    // The volunteer becomes an administrator, whom the other starter could not help.
    let id = case.start_with(&case.second, &case.form()).await.unwrap().id;
    service.authority.give(&case.volunteer, TOWNSHIP, Role::Viewer);
    let above = service.authority.administrator(COUNTY, Role::Administrator);
    assert_eq!(refused(case.approve(&above, &id).await), "RECOVERY_NEEDS_ANOTHER");
    let second = service.authority.administrator(COUNTY, Role::Administrator);
    let id = case.start_with(&second, &case.form()).await.unwrap().id;
    case.approve(&above, &id).await.unwrap();
}

/// What ends the right of one of the two.
async fn ends_when(change: impl Fn(&Service, &Case<'_>)) {
    let service = Service::start(Recovery::On).await;
    let case = Case::new(&service).await;
    let id = case.start().await.id;
    case.approve(&case.second, &id).await.unwrap();
    service.clock.advance(LOOK);
    // Somebody looked, and it goes on.
    let planned = "SELECT count(*) FROM registration.phone_recovery
                   WHERE step = 'APPROVED' AND next_step_at > approved_at + interval '11 minutes'";
    let looked = async |service: &Service| service.sql(planned).await == "1";
    service.until("it is looked at", looked).await;
    assert_eq!(service.recoveries.states(), [PhoneRecoveryState::Approved]);
    change(&service, &case);
    // What was allowed is relied on for a moment.
    service
        .until("it is cancelled", async |service| {
            service.clock.advance(LOOK);
            service.recoveries.states() == [PhoneRecoveryState::Cancelled]
        })
        .await;
    case.until_step("CANCELLED").await;
    let acts = "SELECT string_agg(actor_kind || ' ' || actor, ',') FROM
                    (SELECT actor_kind, actor, action FROM registration.audit_pending
                     UNION ALL SELECT actor_kind, actor, action FROM registration.audit_entry) a
                WHERE action = 'registration.phone_recovery.cancelled'";
    assert_eq!(service.sql(acts).await, "SERVICE registration");
}

#[tokio::test]
async fn one_that_is_approved_ends_with_the_right_of_who_started_it() {
    ends_when(|service, case| service.authority.revoke(&case.first)).await;
}

#[tokio::test]
async fn one_that_is_approved_ends_with_the_right_of_who_approved_it() {
    ends_when(|service, case| service.authority.revoke(&case.second)).await;
}

#[tokio::test]
async fn one_that_is_approved_ends_once_the_volunteer_holds_what_the_two_may_not_give() {
    ends_when(|service, case| {
        service.authority.give(&case.volunteer, TOWNSHIP, Role::Administrator);
    })
    .await;
}

#[tokio::test]
async fn one_that_took_effect_is_not_looked_at_any_more() {
    let service = Service::start(Recovery::On).await;
    let case = Case::new(&service).await;
    let id = case.start().await.id;
    case.approve(&case.second, &id).await.unwrap();
    service.recoveries.set(PhoneRecoveryState::Completed);
    service.authority.revoke(&case.second);
    service.clock.advance(LOOK);
    let rests = "SELECT count(*) FROM registration.phone_recovery
                 WHERE step = 'APPROVED' AND next_step_at IS NULL";
    let looked = async |service: &Service| service.sql(rests).await == "1";
    service.until("it is over", looked).await;
    assert_eq!(service.recoveries.states(), [PhoneRecoveryState::Completed]);
}

#[tokio::test]
async fn so_many_are_started_of_one_volunteer_and_none_after_an_objection() {
    let service = Service::start(Recovery::Off).await;
    let case = Case::new(&service).await;
    let start = async || case.start_with(&case.first, &case.form()).await;
    let waits = async || {
        let status = start().await.unwrap_err();
        assert_eq!(reason(&status), "RECOVERIES_OF_VOLUNTEER_EXHAUSTED");
        let details = status.get_error_details();
        details.retry_info().unwrap().retry_delay.unwrap()
    };
    let id = start().await.unwrap().id;
    service.recoveries.with(|state| {
        let objected = state.recoveries.get_mut(&id).unwrap();
        objected.set_state(PhoneRecoveryState::Objected);
        objected.end_time = Some(timestamp(service.now()));
    });
    service.clock.advance(DAY);
    assert_eq!(waits().await, 6 * DAY);
    // Of anybody else, one is started.
    let volunteer_id = Volunteer::register(&service, 2).await.id;
    let other = StartPhoneRecoveryRequest { volunteer_id, ..case.form() };
    case.start_with(&case.second, &other).await.unwrap();
    service.clock.advance(6 * DAY);
    for _ in 0..2 {
        let id = start().await.unwrap().id;
        case.cancel(&case.second, &id).await.unwrap();
    }
    assert_eq!(waits().await, 23 * DAY);
    service.clock.advance(23 * DAY);
    start().await.unwrap();
    assert_eq!(waits().await, 7 * DAY);
}
