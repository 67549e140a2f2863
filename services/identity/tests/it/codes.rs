//! Sending codes.

use time::Duration;
use tonic::Code;
use tonic_types::StatusExt as _;
use zhiyuan_testkit::person;

use crate::challenges::{EASY, send_working};
use crate::harness::Identity;

pub(crate) fn reason(status: &tonic::Status) -> String {
    status.get_error_details().error_info().unwrap().reason.clone()
}

fn wait(status: &tonic::Status) -> Duration {
    let wait = status.get_error_details().retry_info().unwrap().retry_delay.unwrap();
    wait.try_into().unwrap()
}

#[tokio::test]
async fn sends_one_code_a_minute_and_ten_in_24_hours() {
    let identity = Identity::start_with(EASY).await;
    let phone = person(1).mobile.clone();
    for sent in 1..=10 {
        send_working(&identity, &phone).await.unwrap();
        assert_eq!(identity.vendors.texts(&phone).len(), sent);
        let soon = identity.try_send_code(&phone).await.unwrap_err();
        let expected = if sent < 10 { "SMS_TOO_SOON" } else { "SMS_DAILY_LIMIT" };
        assert_eq!((soon.code(), reason(&soon).as_str()), (Code::ResourceExhausted, expected));
        if sent < 10 {
            assert_eq!(wait(&soon), Duration::MINUTE);
            identity.pass(Duration::MINUTE);
        }
    }
    identity.pass(Duration::hours(1));
    let over = identity.try_send_code(&phone).await.unwrap_err();
    assert_eq!(reason(&over), "SMS_DAILY_LIMIT");
    assert_eq!(wait(&over), Duration::hours(24) - Duration::minutes(9) - Duration::hours(1));
    identity.pass(wait(&over));
    send_working(&identity, &phone).await.unwrap();
    assert_eq!(identity.vendors.texts(&phone).len(), 11);
}

#[tokio::test]
async fn sends_one_code_when_fifty_ask_at_once() {
    let identity = Identity::start().await;
    let phone = person(2).mobile.clone();
    let asks = (0..50).map(|_| identity.try_send_code(&phone));
    let answers = futures_util::future::join_all(asks).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(identity.vendors.texts(&phone).len(), 1);
}

#[tokio::test]
async fn a_message_that_was_not_taken_does_not_count() {
    let identity = Identity::start().await;
    let phone = person(3).mobile.clone();
    identity.vendors.sms_down(true);
    let down = identity.try_send_code(&phone).await.unwrap_err();
    assert_eq!((down.code(), reason(&down).as_str()), (Code::Unavailable, "SMS_UNAVAILABLE"));
    identity.vendors.sms_down(false);
    identity.try_send_code(&phone).await.unwrap();
}

#[tokio::test]
async fn refuses_a_phone_that_is_none_and_a_purpose_that_is_none() {
    let identity = Identity::start().await;
    let bad = identity.try_send_code("12345").await.unwrap_err();
    assert_eq!((bad.code(), reason(&bad).as_str()), (Code::InvalidArgument, "INVALID_FIELDS"));
}
