use std::collections::BTreeSet;

use tokio::task::JoinSet;
use tonic::Code;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::Consent;
use zhiyuan_contracts::registration::v1::registration_service_client::RegistrationServiceClient;
use zhiyuan_contracts::registration::v1::{RegisterRequest, RegistrationState};
use zhiyuan_testkit::person;

use crate::fake_orgtree::{OTHER_RESIDENCE, OTHER_TOWNSHIP, TOWNSHIP};
use crate::harness::{Recovery, Service, form, guardian, reason};

#[tokio::test]
async fn the_same_request_leads_to_the_same_volunteer() {
    let service = Service::start(Recovery::Off).await;
    let form = form(1);
    let first = service.register(&form).await.unwrap();
    let begun = service.identity.calls("begin");
    // Whatever becomes of the organization later.
    service.orgtree.close(TOWNSHIP, OTHER_TOWNSHIP);
    for _ in 0..3 {
        assert_eq!(service.register(&form).await.unwrap(), first);
    }
    assert_eq!(service.identity.calls("begin"), begun);
    // Another spelling of the same form is the same form.
    let spelled = RegisterRequest {
        phone: format!("+86 {}", form.phone),
        id_number: form.id_number.replace('X', "ｘ"),
        organization_code: form.organization_code.to_lowercase(),
        ..form.clone()
    };
    assert_eq!(service.register(&spelled).await.unwrap(), first);
}

type Change = Box<dyn Fn(&mut RegisterRequest)>;

#[tokio::test]
async fn another_form_under_the_same_request_id_changes_nothing() {
    let service = Service::start(Recovery::Off).await;
    let form = form(1);
    let first = service.register(&form).await.unwrap();
    let dump = "SELECT json_agg(row_to_json(r)) FROM registration.registration r";
    let (before, calls) = (service.sql(dump).await, service.identity.with(|s| s.calls.len()));
    let other = person(2);
    let consent = |purpose, version: &str| Consent { purpose, version: version.into() };
    let changes: Vec<Change> = vec![
        Box::new(|r| r.name = "欧阳子涵".into()),
        Box::new(move |r| r.id_number = other.id_number.clone()),
        Box::new(|r| r.region_code = OTHER_RESIDENCE.into()),
        Box::new(|r| r.organization_code = OTHER_TOWNSHIP.into()),
        Box::new(|r| r.phone = "13800000099".into()),
        Box::new(|r| r.sms_challenge_id = Uuid::new_v4().to_string()),
        Box::new(|r| r.sms_code = "135247".into()),
        Box::new(|r| r.password = "kz7-qm#other".into()),
        Box::new(|r| r.league_member = false),
        Box::new(|r| r.own_income = true),
        Box::new(|r| r.guardian = Some(guardian(2))),
        Box::new(|r| r.consents.clear()),
        Box::new(move |r| r.consents = vec![consent(1, "2026-11-02")]),
        Box::new(move |r| r.consents = vec![consent(2, "2026-11-01")]),
        Box::new(move |r| r.consents.push(consent(3, "2026-11-01"))),
    ];
    for (at, change) in changes.iter().enumerate() {
        let mut changed = form.clone();
        change(&mut changed);
        let status = service.register(&changed).await.unwrap_err();
        assert_eq!(status.code(), Code::AlreadyExists, "change {at}");
        assert_eq!(reason(&status), "REQUEST_ID_REUSED", "change {at}");
    }
    assert_eq!(service.sql(dump).await, before);
    assert_eq!(service.identity.with(|state| state.calls.len()), calls);
    assert_eq!(service.register(&form).await.unwrap(), first);
}

#[tokio::test]
async fn fifty_at_once_are_one_registration() {
    let service = Service::start(Recovery::On).await;
    let form = form(1);
    let mut calls = JoinSet::new();
    for n in 0..50 {
        let mut sent = form.clone();
        // Every second one is another form: none of them may win half of the row.
        sent.league_member = n % 2 == 0;
        let client = RegistrationServiceClient::connect(service.address().to_owned()).await;
        let mut client = client.unwrap();
        calls.spawn(async move { client.register(sent).await });
    }
    let mut answers = Vec::new();
    let mut reused = 0;
    while let Some(answer) = calls.join_next().await {
        match answer.unwrap() {
            Ok(answer) => answers.push(answer.into_inner()),
            Err(status) => {
                assert_eq!(reason(&status), "REQUEST_ID_REUSED");
                reused += 1;
            }
        }
    }
    assert_eq!((answers.len(), reused), (25, 25));
    let numbers: BTreeSet<String> = answers
        .iter()
        .map(|answer| answer.volunteer.as_ref().unwrap().volunteer_number.clone())
        .collect();
    assert_eq!(numbers.len(), 1);
    assert!(answers.iter().all(|answer| answer.state() == RegistrationState::Active));
    assert_eq!(service.sql("SELECT count(*) FROM registration.volunteer").await, "1");
    assert_eq!(service.sql("SELECT count(*) FROM registration.volunteer_number").await, "1");
    assert_eq!(service.sql("SELECT max(last) FROM registration.volunteer_serial").await, "1");
    assert_eq!(service.identity.with(|state| state.enrolments.len()), 1);
}

#[tokio::test]
async fn different_people_at_once_get_different_numbers() {
    let service = Service::start(Recovery::Off).await;
    let mut calls = JoinSet::new();
    for n in 0..40 {
        let client = RegistrationServiceClient::connect(service.address().to_owned()).await;
        let mut client = client.unwrap();
        calls.spawn(async move { client.register(form(n)).await });
    }
    let mut numbers = BTreeSet::new();
    while let Some(answer) = calls.join_next().await {
        let answer = answer.unwrap().unwrap().into_inner();
        numbers.insert(answer.volunteer.unwrap().volunteer_number);
    }
    assert_eq!(numbers.len(), 40);
    assert_eq!(service.sql("SELECT last FROM registration.volunteer_serial").await, "40");
}

#[tokio::test]
async fn nobody_else_learns_of_a_registration() {
    let service = Service::start(Recovery::Off).await;
    service.register(&form(1)).await.unwrap();
    let status = service.get(&Uuid::new_v4().to_string()).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::NotFound, "REGISTRATION_NOT_FOUND")
    );
}
