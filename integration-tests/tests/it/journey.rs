//! A person registers: once by gRPC, once by JSON, as the README shows it.

use serde_json::{Value, json};
use tonic::Code;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::consent_service_client::ConsentServiceClient;
use zhiyuan_contracts::identity::v1::sms_code_service_client::SmsCodeServiceClient;
use zhiyuan_contracts::identity::v1::{
    Consent, ListConsentTextsRequest, SendSmsCodeRequest, SmsPurpose,
};
use zhiyuan_contracts::registration::v1::registration_service_client::RegistrationServiceClient;
use zhiyuan_contracts::registration::v1::{
    GetRegistrationRequest, RegisterRequest, RegistrationState, VolunteerState,
};
use zhiyuan_domain::{PersonName, VolunteerNumber};
use zhiyuan_testkit::person;

use crate::harness::client::{
    GET_REGISTRATION, LIST_CONSENT_TEXTS, ORGANIZATION, PASSWORD, REGION, REGISTER, SEND_SMS_CODE,
    moment, now,
};
use crate::harness::{Client, shared};

#[tokio::test]
async fn a_person_registers_by_grpc_and_a_replay_answers_the_same() {
    let client = Client::of(&shared());
    let channel = tonic::transport::Endpoint::from_shared(format!(
        "http://{}",
        client.site.addresses.gateway
    ))
    .unwrap()
    .connect()
    .await
    .unwrap();
    let person = person(1_000);

    let request = SendSmsCodeRequest {
        phone: person.mobile.clone(),
        purpose: SmsPurpose::Register.into(),
        ..Default::default()
    };
    let sent = SmsCodeServiceClient::new(channel.clone()).send_sms_code(request).await.unwrap();
    let sent = sent.into_inner();
    let code = client.simulators.code(&person.mobile).await;
    assert_eq!(code.len(), 6);
    let life = moment(sent.expire_time) - now();
    assert!(life <= time::Duration::minutes(5) && life > time::Duration::minutes(4), "{life}");
    let wait = moment(sent.next_send_time) - now();
    assert!(wait <= time::Duration::minutes(1) && wait > time::Duration::seconds(30), "{wait}");

    let texts = ConsentServiceClient::new(channel.clone())
        .list_consent_texts(ListConsentTextsRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(texts.consent_texts.iter().any(|text| text.required));
    let consent = |text: &_| -> Consent {
        let text: &zhiyuan_contracts::identity::v1::ConsentText = text;
        Consent { purpose: text.purpose, version: text.version.clone() }
    };
    let form = RegisterRequest {
        request_id: Uuid::new_v4().to_string(),
        name: person.name.clone(),
        id_number: person.id_number.clone(),
        region_code: REGION.into(),
        organization_code: ORGANIZATION.into(),
        phone: person.mobile.clone(),
        sms_challenge_id: sent.challenge_id,
        sms_code: code,
        password: PASSWORD.into(),
        league_member: true,
        consents: texts.consent_texts.iter().map(consent).collect(),
        ..RegisterRequest::default()
    };
    let mut registrations = RegistrationServiceClient::new(channel);
    let first = registrations.register(form.clone()).await.unwrap().into_inner();
    assert_eq!(first.state(), RegistrationState::Active);
    assert_eq!(first.next_retry_time, None);
    let volunteer = first.volunteer.clone().unwrap();
    assert_eq!(volunteer.state(), VolunteerState::Active);
    assert_eq!(volunteer.name, PersonName::parse(&person.name).unwrap().masked());
    assert_ne!(volunteer.name, person.name);
    assert_eq!((&*volunteer.region_code, &*volunteer.organization_code), (REGION, ORGANIZATION));
    VolunteerNumber::parse(&volunteer.volunteer_number).unwrap();
    assert!(volunteer.volunteer_number.starts_with(REGION));
    assert_eq!(volunteer.id.parse::<Uuid>().unwrap().get_version_num(), 7);
    let age = now() - moment(volunteer.registered_at);
    assert!(age < time::Duration::minutes(1) && age >= time::Duration::ZERO, "{age}");

    let replay = registrations.register(form.clone()).await.unwrap().into_inner();
    assert_eq!(replay, first);
    let request = GetRegistrationRequest { request_id: form.request_id };
    let asked = registrations.get_registration(request).await.unwrap().into_inner();
    assert_eq!(asked.state(), RegistrationState::Active);
    assert_eq!(asked.volunteer, first.volunteer);
}

#[tokio::test]
async fn a_person_registers_by_json_and_a_replay_answers_the_same() {
    let client = Client::of(&shared());
    let post = async |path: &str, body: Value| client.json.post(path, &body).await.unwrap().json();
    let person = person(1_001);

    let sent =
        post(SEND_SMS_CODE, json!({"phone": person.mobile, "purpose": "SMS_PURPOSE_REGISTER"}))
            .await;
    let code = client.simulators.code(&person.mobile).await;
    let texts = post(LIST_CONSENT_TEXTS, json!({})).await;
    let consents: Vec<Value> = texts["consentTexts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|text| text["required"] == true)
        .map(|text| json!({"purpose": text["purpose"], "version": text["version"]}))
        .collect();
    assert_eq!(consents.len(), 1);
    let request_id = Uuid::new_v4().to_string();
    let form = json!({
        "request_id": request_id,
        "name": person.name,
        "id_number": person.id_number,
        "region_code": REGION,
        "organization_code": ORGANIZATION,
        "phone": person.mobile,
        "sms_challenge_id": sent["challengeId"],
        "sms_code": code,
        "password": PASSWORD,
        "consents": consents,
    });
    let first = post(REGISTER, form.clone()).await;
    assert_eq!(first["state"], "REGISTRATION_STATE_ACTIVE");
    assert_eq!(first["volunteer"]["state"], "VOLUNTEER_STATE_ACTIVE");
    assert_eq!(first["volunteer"]["regionCode"], REGION);
    VolunteerNumber::parse(first["volunteer"]["volunteerNumber"].as_str().unwrap()).unwrap();

    assert_eq!(post(REGISTER, form).await, first);
    assert_eq!(post(GET_REGISTRATION, json!({"requestId": request_id})).await, first);
}

#[tokio::test]
async fn a_registration_is_told_to_nobody_who_does_not_hold_its_request_id() {
    let client = Client::of(&shared());
    for door in [&client.grpc, &client.json] {
        let unknown = Uuid::new_v4().to_string();
        let refusal = client.registration(door, &unknown).await.unwrap_err();
        assert_eq!(
            (refusal.code, &*refusal.domain, &*refusal.reason),
            (Code::NotFound, "registration.zhiyuan", "REGISTRATION_NOT_FOUND")
        );
        let refusal = client.registration(door, "1").await.unwrap_err();
        assert_eq!((refusal.code, &*refusal.reason), (Code::InvalidArgument, "INVALID_FIELDS"));
    }
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once_and_alike_in_both_protocols() {
    let client = Client::of(&shared());
    let form = RegisterRequest {
        request_id: "1".into(),
        name: "x".into(),
        id_number: "340104199001011230".into(),
        phone: "12345".into(),
        password: "123456".into(),
        ..RegisterRequest::default()
    };
    let by_grpc = client.register(&client.grpc, &form).await.unwrap_err();
    let by_json = client.register(&client.json, &form).await.unwrap_err();
    assert_eq!((by_grpc.code, &*by_grpc.reason), (Code::InvalidArgument, "INVALID_FIELDS"));
    let mut fields: Vec<&str> =
        by_grpc.violations.iter().map(|(field, _)| field.as_str()).collect();
    fields.sort_unstable();
    for field in [
        "id_number",
        "name",
        "organization_code",
        "password",
        "phone",
        "region_code",
        "request_id",
        "sms_challenge_id",
        "sms_code",
    ] {
        assert!(fields.contains(&field), "{field} is not among {fields:?}");
    }
    assert_eq!(
        (by_json.code, by_json.reason, by_json.message, by_json.violations),
        (by_grpc.code, by_grpc.reason, by_grpc.message, by_grpc.violations)
    );
}
