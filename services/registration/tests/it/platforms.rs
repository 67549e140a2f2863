//! What platforms ask, and whom they register.

use std::sync::Arc;
use std::time::Duration;

use tonic::Code;
use uuid::Uuid;
use zhiyuan_auth::AssertionSigner;
use zhiyuan_contracts::identity::v1::LookUpPurpose;
use zhiyuan_contracts::registration::v1::registration_service_client::RegistrationServiceClient;
use zhiyuan_contracts::registration::v1::volunteer_service_client::VolunteerServiceClient;
use zhiyuan_contracts::registration::v1::{
    BatchGetVolunteersRequest, ListMyLooksRequest, LookUpVolunteerNumberRequest,
    LookUpVolunteerNumberResponse, RegisterOnBehalfRequest, RegisterRequest, RegistrationState,
    VolunteerStatus, VolunteerSummary,
};
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::{RegionCode, VolunteerNumber};
use zhiyuan_rpc::wire::timestamp;
use zhiyuan_rpc::{SuiteChannel, connect_lazy};

use crate::fake_orgtree::{RESIDENCE, TOWNSHIP};
use crate::harness::{PLATFORM_KEY, Recovery, Service, form, reason};
use crate::profiles::Volunteer;

const PURPOSE: i32 = LookUpPurpose::ServiceHours as i32;

pub(crate) fn channel(service: &Service) -> SuiteChannel {
    let key = SigningKey::from_base64(PLATFORM_KEY).unwrap();
    let signer = Arc::new(AssertionSigner::new("platform", key, service.clock.clone()));
    SuiteChannel::new(connect_lazy(service.address()).unwrap(), "registration", signer)
}

fn volunteers(service: &Service) -> VolunteerServiceClient<SuiteChannel> {
    VolunteerServiceClient::new(channel(service))
}

#[tokio::test]
async fn many_are_answered_in_order_and_who_is_not_there_is_said_to_be_missing() {
    let service = Service::start(Recovery::Off).await;
    let first = service.register(&form(1)).await.unwrap().volunteer.unwrap();
    let second = service.register(&form(2)).await.unwrap().volunteer.unwrap();
    let nobody = Uuid::new_v4().to_string();
    let ids = [&second.id, &nobody, &first.id, &second.id].map(Clone::clone);
    let request = BatchGetVolunteersRequest { volunteer_ids: ids.to_vec(), purpose: PURPOSE };
    let answer = volunteers(&service).batch_get_volunteers(request).await.unwrap().into_inner();
    let told: Vec<_> = answer.entries.iter().map(|entry| entry.volunteer_id.clone()).collect();
    assert_eq!(told, ids);
    let found: Vec<bool> = answer.entries.iter().map(|entry| entry.volunteer.is_some()).collect();
    assert_eq!(found, [true, false, true, true]);
    let expected = VolunteerSummary {
        volunteer_number: first.volunteer_number,
        region_code: RESIDENCE.into(),
        organization_code: TOWNSHIP.into(),
        status: VolunteerStatus::Active.into(),
        level: 1,
        register_time: Some(timestamp(service.now())),
    };
    assert_eq!(answer.entries[2].volunteer.as_ref(), Some(&expected));

    // Who is not active yet, or not any more, is nobody.
    service.sql("SELECT count(*) FROM registration.volunteer").await;
    let hide = "UPDATE registration.volunteer SET state = 'INACTIVE'";
    sqlx::query(hide).execute(&service.pool().await).await.unwrap();
    let request = BatchGetVolunteersRequest { volunteer_ids: vec![second.id], purpose: PURPOSE };
    let answer = volunteers(&service).batch_get_volunteers(request).await.unwrap().into_inner();
    assert_eq!(answer.entries[0].volunteer, None);
}

#[tokio::test]
async fn a_volunteer_reads_which_platforms_looked_what_for_and_how_often() {
    let service = Service::start(Recovery::Off).await;
    let (one, other) =
        (Volunteer::register(&service, 1).await, Volunteer::register(&service, 2).await);
    let (first, second) = (one.id.clone(), other.id.clone());
    let ask = async |ids: &[&String], purpose: LookUpPurpose| {
        let volunteer_ids = ids.iter().map(|id| (*id).clone()).collect();
        let request = BatchGetVolunteersRequest { volunteer_ids, purpose: purpose.into() };
        volunteers(&service).batch_get_volunteers(request).await.unwrap();
    };
    ask(&[&first, &second, &first], LookUpPurpose::ServiceHours).await;
    ask(&[&first], LookUpPurpose::ServiceHours).await;
    ask(&[&first], LookUpPurpose::Credit).await;
    let list = async |volunteer: &Volunteer<'_>, page_size: i32| {
        let (mut all, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = volunteer.sign(ListMyLooksRequest { page_size, page_token });
            let page = volunteer.client().list_my_looks(request).await.unwrap().into_inner();
            all.extend(page.looks.iter().map(|look| (look.purpose(), look.times)));
            assert!(page.looks.iter().all(|look| look.platform == "platform"));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return all;
            }
        }
    };
    let expected = [(LookUpPurpose::Credit, 1), (LookUpPurpose::ServiceHours, 2)];
    for page_size in [0, 1, 2] {
        assert_eq!(list(&one, page_size).await, expected);
    }
    assert_eq!(list(&other, 0).await, [(LookUpPurpose::ServiceHours, 1)]);
    // By the number too; and another day is counted apart.
    service.clock.advance(Duration::from_hours(24));
    let volunteer_number = one.get().await.unwrap().volunteer_number;
    let request = LookUpVolunteerNumberRequest { volunteer_number, purpose: PURPOSE };
    volunteers(&service).look_up_volunteer_number(request).await.unwrap();
    let looks = list(&one, 1).await;
    assert_eq!(looks[0], (LookUpPurpose::ServiceHours, 1));
    assert_eq!(looks[1..], expected);
}

#[tokio::test]
async fn a_question_has_between_one_and_500_ids() {
    let service = Service::start(Recovery::Off).await;
    let ask = |ids: Vec<String>| {
        let mut client = volunteers(&service);
        let request = BatchGetVolunteersRequest { volunteer_ids: ids, purpose: PURPOSE };
        async move { client.batch_get_volunteers(request).await }
    };
    let ids = |count| (0..count).map(|_| Uuid::new_v4().to_string()).collect::<Vec<_>>();
    assert_eq!(ask(ids(500)).await.unwrap().into_inner().entries.len(), 500);
    for bad in [Vec::new(), ids(501), vec!["1".to_owned()]] {
        let refused = ask(bad).await.unwrap_err();
        assert_eq!(reason(&refused), "INVALID_FIELDS");
    }
}

#[tokio::test]
async fn a_number_is_somebody_s_or_nobody_s_and_the_answer_has_one_shape() {
    let service = Service::start(Recovery::Off).await;
    let volunteer = service.register(&form(1)).await.unwrap().volunteer.unwrap();
    let ask = |volunteer_number: String| {
        let mut client = volunteers(&service);
        let request = LookUpVolunteerNumberRequest { volunteer_number, purpose: PURPOSE };
        async move { client.look_up_volunteer_number(request).await }
    };
    let told = ask(volunteer.volunteer_number).await.unwrap().into_inner();
    let expected =
        LookUpVolunteerNumberResponse { registered: true, volunteer_id: volunteer.id, level: 1 };
    assert_eq!(told, expected);
    let nobody = VolunteerNumber::new(RegionCode::parse(RESIDENCE).unwrap(), 77).unwrap();
    let told = ask(nobody.to_string()).await.unwrap().into_inner();
    assert_eq!(told, LookUpVolunteerNumberResponse::default());
    assert_eq!(reason(&ask("1".into()).await.unwrap_err()), "INVALID_FIELDS");
    // Who asked and what for is recorded, for whom it is about.
    let recorded = "SELECT string_agg(coalesce(subject_account_id::text, 'nobody'), ' ')
         FROM (SELECT subject_account_id, action, purpose FROM registration.audit_pending
               UNION ALL SELECT subject_account_id, action, purpose FROM registration.audit_entry
               ORDER BY subject_account_id NULLS LAST) asked
         WHERE action = 'registration.volunteer.looked_up' AND purpose LIKE '%时长'";
    let recorded = service.sql(recorded).await;
    assert_eq!(recorded, format!("{} nobody", expected.volunteer_id));
    let without = LookUpVolunteerNumberRequest { volunteer_number: nobody.to_string(), purpose: 0 };
    let refused = volunteers(&service).look_up_volunteer_number(without).await.unwrap_err();
    assert_eq!(reason(&refused), "INVALID_FIELDS");
}

#[tokio::test]
async fn a_platform_registers_a_person_and_it_is_kept_which_one_it_was() {
    let service = Service::start(Recovery::Off).await;
    let mut client = RegistrationServiceClient::new(channel(&service));
    let sent = form(1);
    let request = RegisterOnBehalfRequest { registration: Some(sent.clone()) };
    let answer = client.register_on_behalf(request.clone()).await.unwrap().into_inner();
    assert_eq!(answer.state(), RegistrationState::Active);
    // Identity judges whether the code is one for this platform.
    let form_there = service.identity.with(|state| state.last_form.clone()).unwrap();
    assert_eq!(form_there.registered_via, "platform");
    let via = "SELECT string_agg(coalesce(registered_via, 'nobody'), ',')
               FROM registration.registration";
    assert_eq!(service.sql(via).await, "platform");
    let again = client.register_on_behalf(request).await.unwrap().into_inner();
    assert_eq!(again, answer);
    // The same form by the person alone is another one.
    let refused = service.register(&sent).await.unwrap_err();
    assert_eq!(reason(&refused), "REQUEST_ID_REUSED");
    service.register(&form(2)).await.unwrap();
    assert_eq!(service.sql(&format!("{via} WHERE registered_via IS NULL")).await, "nobody");

    let malformed = RegisterRequest { name: String::new(), ..form(3) };
    let request = RegisterOnBehalfRequest { registration: Some(malformed) };
    let refused = client.register_on_behalf(request).await.unwrap_err();
    assert_eq!((refused.code(), &*reason(&refused)), (Code::InvalidArgument, "INVALID_FIELDS"));
    use tonic_types::StatusExt as _;
    let details = refused.get_error_details();
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "registration.name");
    let request = RegisterOnBehalfRequest { registration: None };
    let refused = client.register_on_behalf(request).await.unwrap_err();
    assert_eq!(reason(&refused), "INVALID_FIELDS");
}
