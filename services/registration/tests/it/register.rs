use std::time::Duration;

use tonic::Code;
use tonic_types::StatusExt as _;
use zhiyuan_contracts::identity::v1::{EnrolmentState, Guardian};
use zhiyuan_contracts::registration::v1::{
    RegisterRequest, RegistrationState, Volunteer, VolunteerState,
};
use zhiyuan_domain::VolunteerNumber;
use zhiyuan_testkit::minor;

use crate::fake_orgtree::{
    ABOLISHED, CITY, COUNTY, OTHER_RESIDENCE, OTHER_TOWNSHIP, RESIDENCE, TOWNSHIP,
};
use crate::harness::{Recovery, Service, form, guardian, metadata, reason};

#[tokio::test]
async fn a_form_becomes_a_volunteer() {
    let service = Service::start(Recovery::Off).await;
    let form = form(1);
    let answer = service.register(&form).await.unwrap();
    assert_eq!(answer.state(), RegistrationState::Active);
    assert_eq!(answer.next_retry_time, None);
    let volunteer = answer.volunteer.unwrap();
    assert_eq!(volunteer.state(), VolunteerState::Active);
    assert_eq!(volunteer.name, "汪**");
    assert_eq!(volunteer.region_code, RESIDENCE);
    assert_eq!(volunteer.organization_code, TOWNSHIP);
    assert_eq!(volunteer.registered_at.unwrap().seconds, service.now().unix_timestamp());
    VolunteerNumber::parse(&volunteer.volunteer_number).unwrap();
    assert_eq!(service.identity.states(), [EnrolmentState::Active]);
    let sent = service.identity.with(|state| state.last_form.clone()).unwrap();
    assert_eq!((sent.name, sent.id_number), (form.name.clone(), form.id_number.clone()));
    assert_eq!(sent.phone, format!("+86{}", form.phone));
    let told = service.get(&form.request_id).await.unwrap();
    assert_eq!((told.state(), told.volunteer), (RegistrationState::Active, Some(volunteer)));
}

#[tokio::test]
async fn numbers_of_a_region_are_counted_from_one_without_gaps() {
    let service = Service::start(Recovery::Off).await;
    let mut numbers = Vec::new();
    for n in 0..3 {
        let Volunteer { volunteer_number, .. } =
            service.register(&form(n)).await.unwrap().volunteer.unwrap();
        numbers.push(volunteer_number.chars().take(14).collect::<String>());
    }
    assert_eq!(numbers, ["34182200000001", "34182200000002", "34182200000003"]);
    let elsewhere = RegisterRequest { region_code: OTHER_RESIDENCE.into(), ..form(3) };
    let number = service.register(&elsewhere).await.unwrap().volunteer.unwrap().volunteer_number;
    assert!(number.starts_with("34010200000001"), "{number}");
}

#[tokio::test]
async fn an_empty_request_is_told_everything_at_once() {
    let service = Service::start(Recovery::Off).await;
    let status = service.register(&RegisterRequest::default()).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::InvalidArgument, "INVALID_FIELDS")
    );
    let details = status.get_error_details();
    assert_eq!(details.bad_request().unwrap().field_violations.len(), 9);
    assert_eq!(service.orgtree.with(|state| state.calls), 0);
    let status = service.get("").await.unwrap_err();
    assert_eq!(reason(&status), "INVALID_FIELDS");
}

#[tokio::test]
async fn what_stands_against_organization_or_region_is_told_before_identity_is_called() {
    let service = Service::start(Recovery::Off).await;
    service.orgtree.close(OTHER_TOWNSHIP, TOWNSHIP);
    let refused = async |organization: &str, region: &str| {
        let form = RegisterRequest {
            organization_code: organization.into(),
            region_code: region.into(),
            ..form(1)
        };
        service.register(&form).await.unwrap_err()
    };
    let status = refused("AH-999", RESIDENCE).await;
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::NotFound, "ORGANIZATION_NOT_FOUND")
    );
    let status = refused(OTHER_TOWNSHIP, RESIDENCE).await;
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(reason(&status), "ORGANIZATION_CLOSED");
    assert_eq!(metadata(&status, "successor_code").as_deref(), Some(TOWNSHIP));
    let status = refused(COUNTY, RESIDENCE).await;
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(reason(&status), "ORGANIZATION_TAKES_NO_REGISTRATIONS");
    for (region, expected) in
        [("340999", "REGION_UNKNOWN"), (CITY, "REGION_NOT_LEAF"), (ABOLISHED, "REGION_ABOLISHED")]
    {
        let status = refused(TOWNSHIP, region).await;
        assert_eq!(reason(&status), "INVALID_FIELDS");
        let details = status.get_error_details();
        let violation = &details.bad_request().unwrap().field_violations[0];
        assert_eq!(
            (violation.field.as_str(), violation.reason.as_str()),
            ("region_code", expected)
        );
    }
    assert!(service.identity.with(|state| state.calls.is_empty()));
    assert_eq!(service.sql("SELECT count(*) FROM registration.registration").await, "0");
}

#[tokio::test]
async fn minors_leave_nothing_behind() {
    let service = Service::start(Recovery::Off).await;
    let today = zhiyuan_domain::shanghai_date(service.now());
    for (age, expected) in [(13, "UNDER_AGE"), (14, "GUARDIAN_REQUIRED"), (17, "GUARDIAN_REQUIRED")]
    {
        let child = minor(7, age, today);
        let form = RegisterRequest {
            name: child.name,
            id_number: child.id_number,
            phone: child.mobile,
            ..form(1)
        };
        let status = service.register(&form).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, expected));
        let status = service.get(&form.request_id).await.unwrap_err();
        assert_eq!(reason(&status), "REGISTRATION_NOT_FOUND");
    }
    assert_eq!(service.orgtree.with(|state| state.calls), 0);
    assert!(service.identity.with(|state| state.calls.is_empty()));
    assert_eq!(service.sql("SELECT count(*) FROM registration.registration").await, "0");
}

#[tokio::test]
async fn who_has_a_guardian_or_an_income_of_own_registers_and_identity_hears_of_it() {
    let service = Service::start(Recovery::Off).await;
    let today = zhiyuan_domain::shanghai_date(service.now());
    let of = |age: u8| {
        let child = minor(u32::from(age), age, today);
        RegisterRequest {
            name: child.name,
            id_number: child.id_number,
            phone: child.mobile,
            ..form(1)
        }
    };
    let guarded = RegisterRequest { guardian: Some(guardian(2)), ..of(14) };
    assert_eq!(service.register(&guarded).await.unwrap().state(), RegistrationState::Active);
    let heard = service.identity.with(|state| state.last_form.clone()).unwrap();
    let Guardian { phone, .. } = heard.guardian.clone().unwrap();
    let expected = Guardian { phone, ..guarded.guardian.clone().unwrap() };
    assert_eq!(heard.guardian, Some(expected));
    let earning = RegisterRequest { own_income: true, ..of(16) };
    assert_eq!(service.register(&earning).await.unwrap().state(), RegistrationState::Active);
    let heard = service.identity.with(|state| state.last_form.clone()).unwrap();
    assert!(heard.own_income && heard.guardian.is_none());
    // Nothing of a guardian is kept here.
    let dump =
        service.sql("SELECT json_agg(row_to_json(r)) FROM registration.registration r").await;
    let guardian = guarded.guardian.unwrap();
    assert!(!dump.contains(&guardian.name) && !dump.contains(&guardian.id_number), "{dump}");
}

#[tokio::test]
async fn orgtree_down_is_unavailable_and_stores_nothing() {
    let service = Service::start(Recovery::Off).await;
    service.orgtree.with(|state| state.down = 2);
    let form = form(1);
    let status = service.register(&form).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "UNAVAILABLE"));
    let wait = status.get_error_details().retry_info().unwrap().retry_delay.unwrap();
    assert!(wait > Duration::ZERO);
    assert_eq!(service.step().await, "");
    assert_eq!(service.register(&form).await.unwrap().state(), RegistrationState::Active);
}

#[tokio::test]
async fn migrating_again_changes_nothing() {
    let service = Service::start(Recovery::Off).await;
    let config = service.config();
    zhiyuan_registration::migrate(&config).await.unwrap();
    <zhiyuan_registration::Program as zhiyuan_process::Program>::check(&config).unwrap();
    <zhiyuan_registration::Program as zhiyuan_process::Program>::migrate(config).await.unwrap();
}
