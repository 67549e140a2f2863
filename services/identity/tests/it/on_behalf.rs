//! Codes for people who register on the page of a platform.

use tonic::Code;
use zhiyuan_contracts::identity::v1::sms_code_service_client::SmsCodeServiceClient;
use zhiyuan_contracts::identity::v1::{
    BeginEnrolmentRequest, EnrolmentRefusal, EnrolmentState, Guardian, GuardianRelation,
    SendRegistrationCodeRequest, SmsPurpose,
};
use zhiyuan_domain::shanghai_date;
use zhiyuan_rpc::SuiteChannel;
use zhiyuan_testkit::{minor, person};

use crate::codes::reason;
use crate::harness::{BEGIN, Identity, new_enrolment_id, registration_consent};
use crate::service_accounts::{LOOK_UPS, Platform, add};

const CODES: &str = "identity.registration_codes";

async fn send(platform: &Platform, phone: &str) -> Result<String, tonic::Status> {
    send_for(platform, phone, None).await
}

async fn send_for(
    platform: &Platform,
    phone: &str,
    purpose: Option<SmsPurpose>,
) -> Result<String, tonic::Status> {
    let mut client: SmsCodeServiceClient<SuiteChannel> =
        SmsCodeServiceClient::new(platform.channel());
    let request = SendRegistrationCodeRequest {
        phone: phone.to_owned(),
        purpose: purpose.map(Into::into),
        ..Default::default()
    };
    Ok(client.send_registration_code(request).await?.into_inner().challenge_id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_names_the_platform_and_is_good_there_alone() {
    let identity = Identity::start().await;
    let platform = identity.platform(add("platform", &[LOOK_UPS, CODES])).await;
    let one = person(1);
    let challenge = send(&platform, &one.mobile).await.unwrap();
    let texts = identity.until_texts(&one.mobile, 1).await;
    assert!(texts[0].contains("您正在通过「合肥志愿平台」注册志愿者"), "{texts:?}");
    let code = identity.vendors.code(&one.mobile);
    identity.pass(time::Duration::MINUTE);
    let own = identity.application(&one).await;
    let apply = |via: &str, challenge: &str, code: &str| BeginEnrolmentRequest {
        enrolment_id: new_enrolment_id(),
        sms_challenge_id: challenge.to_owned(),
        sms_code: code.to_owned(),
        registered_via: via.to_owned(),
        ..own.clone()
    };
    let (own_challenge, own_code) = (own.sms_challenge_id.clone(), own.sms_code.clone());
    for (via, challenge, code) in [
        ("", &challenge, &code),
        ("other", &challenge, &code),
        ("platform", &own_challenge, &own_code),
    ] {
        let refused = identity.begin(&apply(via, challenge, code)).await;
        assert_eq!(refused.state(), EnrolmentState::Refused, "{via}");
        assert_eq!(refused.refusal(), EnrolmentRefusal::SmsCodeWrong, "{via}");
    }
    // None of them was a try.
    let begun = identity.begin(&apply("platform", &challenge, &code)).await;
    assert_eq!(begun.state(), EnrolmentState::Claimed);
    let malformed = identity.enrolments().begin_enrolment(apply("a b", &challenge, &code)).await;
    assert_eq!(reason(&malformed.unwrap_err()), "INVALID_FIELDS");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_platform_has_no_more_codes_for_a_phone_than_anybody() {
    let identity = Identity::start().await;
    let platform = identity.platform(add("platform", &[LOOK_UPS, CODES])).await;
    let other = identity.platform(add("other", &[LOOK_UPS])).await;
    let phone = person(1).mobile;
    send(&platform, &phone).await.unwrap();
    let refused = send(&platform, &phone).await.unwrap_err();
    assert_eq!((refused.code(), &*reason(&refused)), (Code::ResourceExhausted, "SMS_TOO_SOON"));
    assert_eq!(reason(&identity.try_send_code(&phone).await.unwrap_err()), "SMS_TOO_SOON");
    assert_eq!(reason(&send(&platform, "1").await.unwrap_err()), "INVALID_FIELDS");
    assert_eq!(reason(&send(&other, &phone).await.unwrap_err()), "SCOPE_MISSING");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guardian_consents_to_the_platform_that_the_text_names_and_to_no_other() {
    let identity = Identity::start().await;
    let platform = identity.platform(add("platform", &[LOOK_UPS, CODES])).await;
    let (child, parent) = (minor(1, 15, shanghai_date(BEGIN)), person(2));
    let challenge = send(&platform, &child.mobile).await.unwrap();
    let code = identity.vendors.code(&child.mobile);
    let consent = SmsPurpose::GuardianConsent;
    let guardians = send_for(&platform, &parent.mobile, Some(consent)).await.unwrap();
    let texts = identity.vendors.texts(&parent.mobile);
    assert!(texts[0].contains("在「合肥志愿平台」注册青年志愿者"), "{texts:?}");
    let guardian = Guardian {
        name: parent.name.clone(),
        id_number: parent.id_number.clone(),
        relation: GuardianRelation::Mother.into(),
        phone: parent.mobile.clone(),
        sms_challenge_id: guardians,
        sms_code: identity.vendors.code(&parent.mobile),
    };
    // One that was sent for our own page.
    identity.pass(time::Duration::MINUTE);
    let (sms_challenge_id, sms_code) = identity.code_for(&parent.mobile, consent).await;
    let own = Guardian { sms_challenge_id, sms_code, ..guardian.clone() };
    let apply = |guardian: &Guardian| BeginEnrolmentRequest {
        enrolment_id: new_enrolment_id(),
        name: child.name.clone(),
        id_number: child.id_number.clone(),
        phone: child.mobile.clone(),
        sms_challenge_id: challenge.clone(),
        sms_code: code.clone(),
        password: "green-tea-42".into(),
        consents: vec![registration_consent()],
        registered_via: "platform".into(),
        guardian: Some(guardian.clone()),
        own_income: false,
        ..BeginEnrolmentRequest::default()
    };
    let refused = identity.begin(&apply(&own)).await;
    assert_eq!(refused.refusal(), EnrolmentRefusal::GuardianSmsCodeWrong);
    assert_eq!(identity.begin(&apply(&guardian)).await.state(), EnrolmentState::Claimed);
    for other in [
        SmsPurpose::Unspecified,
        SmsPurpose::SignIn,
        SmsPurpose::ResetPassword,
        SmsPurpose::CloseAccount,
    ] {
        let status = send_for(&platform, &parent.mobile, Some(other)).await.unwrap_err();
        assert_eq!(reason(&status), "INVALID_FIELDS");
    }
}
