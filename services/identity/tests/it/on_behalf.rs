//! Codes for people who register on the page of a platform.

use tonic::Code;
use zhiyuan_contracts::identity::v1::sms_code_service_client::SmsCodeServiceClient;
use zhiyuan_contracts::identity::v1::{
    BeginEnrolmentRequest, EnrolmentRefusal, EnrolmentState, SendRegistrationCodeRequest,
};
use zhiyuan_rpc::SuiteChannel;
use zhiyuan_testkit::person;

use crate::codes::reason;
use crate::harness::{Identity, new_enrolment_id};
use crate::service_accounts::{LOOK_UPS, Platform, add};

const CODES: &str = "identity.registration_codes";

async fn send(platform: &Platform, phone: &str) -> Result<String, tonic::Status> {
    let mut client: SmsCodeServiceClient<SuiteChannel> =
        SmsCodeServiceClient::new(platform.channel());
    let request = SendRegistrationCodeRequest { phone: phone.to_owned(), solution: None };
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
