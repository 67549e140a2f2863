//! Registering with the proof of an activation, which identity alone can read.

use tonic::Code;
use tonic_types::StatusExt as _;
use zhiyuan_contracts::registration::v1::{RegisterRequest, RegistrationState};

use crate::harness::{Recovery, Service, form, guardian, reason};

/// The form of whoever has this proof.
fn activated(proof: &str) -> RegisterRequest {
    RegisterRequest {
        name: String::new(),
        id_number: String::new(),
        phone: String::new(),
        sms_challenge_id: String::new(),
        sms_code: String::new(),
        activation_proof: proof.to_owned(),
        ..form(1)
    }
}

#[tokio::test]
async fn a_proof_goes_to_identity_in_place_of_the_person_and_is_kept_nowhere() {
    let service = Service::start(Recovery::Off).await;
    let form = RegisterRequest { guardian: Some(guardian(2)), ..activated(&"canaryA-".repeat(8)) };
    let first = service.register(&form).await.unwrap();
    assert_eq!(first.state(), RegistrationState::Active);
    let sent = service.identity.with(|state| state.last_form.clone().unwrap());
    assert_eq!(sent.activation_proof, form.activation_proof);
    let empty = [sent.name, sent.id_number, sent.phone, sent.sms_challenge_id, sent.sms_code];
    assert!(empty.iter().all(String::is_empty));
    let (of_sent, of_form) = (sent.guardian.unwrap(), form.guardian.clone().unwrap());
    assert_eq!((sent.password, of_sent.id_number), (form.password.clone(), of_form.id_number));
    let kept = service.sql("SELECT string_agg(r::text, ' ') FROM registration.registration r");
    assert!(!kept.await.contains("canary"));
    // The same again is the same; another proof is another form.
    assert_eq!(service.register(&form).await.unwrap(), first);
    let other = RegisterRequest { activation_proof: "B".repeat(64), ..form.clone() };
    let told = service.register(&other).await.unwrap_err();
    assert_eq!(reason(&told), "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn what_identity_alone_can_find_wrong_is_told_as_faults_of_the_form() {
    let service = Service::start(Recovery::Off).await;
    let faults = vec![
        ("password", "PASSWORD_PERSONAL"),
        ("guardian.id_number", "GUARDIAN_IS_APPLICANT"),
        ("guardian.phone", "GUARDIAN_PHONE_SAME"),
    ];
    service.identity.with(|state| state.form_faults.clone_from(&faults));
    let told = service.register(&activated(&"A".repeat(64))).await.unwrap_err();
    assert_eq!((told.code(), reason(&told).as_str()), (Code::InvalidArgument, "INVALID_FIELDS"));
    let details = told.get_error_details();
    let named = details.bad_request().unwrap().field_violations.iter();
    let named: Vec<(&str, &str)> =
        named.map(|fault| (fault.field.as_str(), fault.reason.as_str())).collect();
    assert_eq!(named, faults);
    // Of a form that was checked here, it is our fault, as every other answer is.
    let told = service.register(&form(2)).await.unwrap_err();
    assert_eq!(told.code(), Code::Internal);
    service.identity.with(|state| state.form_faults = vec![("enrolment_id", "ID_FORMAT")]);
    let told = service.register(&activated(&"C".repeat(64))).await.unwrap_err();
    assert_eq!(told.code(), Code::Internal);
}
