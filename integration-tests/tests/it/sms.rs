//! Text messages: how many a phone gets, and what costs none.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tonic::Code;
use uuid::Uuid;
use zhiyuan_contracts::registration::v1::RegisterRequest;
use zhiyuan_domain::ManualClock;
use zhiyuan_testkit::person;

use crate::harness::client::{NO_REGISTRATIONS, now, patiently};
use crate::harness::{Client, Own, database, shared};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_phone_gets_one_code_a_minute_and_is_told_how_long_to_wait() {
    let client = Client::of(&shared());
    let phone = person(6_000).mobile;
    client.send_code(&client.grpc, &phone).await.unwrap();
    // However it is written, it is the same phone.
    let spellings =
        [phone.clone(), format!("+86 {phone}"), format!("{} {}", &phone[..3], &phone[3..])];
    for (turn, spelling) in spellings.iter().enumerate() {
        let refusal = client.send_code(client.door(turn), spelling).await.unwrap_err();
        assert_eq!(
            (refusal.code, &*refusal.domain, &*refusal.reason),
            (Code::ResourceExhausted, "identity.zhiyuan", "SMS_TOO_SOON")
        );
        let wait = refusal.retry_after.unwrap();
        assert!(wait <= MINUTE && wait > MINUTE / 2, "{wait:?}");
    }
    // Others are not kept waiting by it.
    client.send_code(&client.grpc, &person(6_001).mobile).await.unwrap();
    assert_eq!(client.simulators.texts(&phone).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_gets_one_code_of_fifty_asked_for_at_once() {
    let clock = Arc::new(ManualClock::new(now()));
    let suite = Own::with("fifty", clock.clone()).await;
    let client = Client::of(&suite.site);
    let phone = person(6_010).mobile;
    // A phone that is known already: its row is there to be fought over.
    client.send_code(&client.grpc, &phone).await.unwrap();
    clock.advance(MINUTE);
    let asked = (0..50).map(|turn| {
        let (client, phone) = (&client, &phone);
        patiently(move || client.send_code(client.door(turn), phone))
    });
    let lock = "SELECT FROM identity.sms_phone FOR UPDATE".to_owned();
    let answers = database::pile_up(&suite.site, lock, join_all(asked)).await;
    let mut sent = 0;
    for answer in answers {
        match answer {
            Ok(_) => sent += 1,
            Err(refusal) => assert_eq!(refusal.reason, "SMS_TOO_SOON", "{refusal:?}"),
        }
    }
    assert_eq!((sent, client.simulators.sms_sent().await), (1, 2));
    suite.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_gets_seven_codes_in_24_hours_and_then_work_to_do() {
    let clock = Arc::new(ManualClock::new(now()));
    let suite = Own::with("daily", clock.clone()).await;
    let client = Client::of(&suite.site);
    let phone = person(6_100).mobile;
    for turn in 0..7 {
        client.send_code(client.door(turn), &phone).await.unwrap();
        clock.advance(MINUTE);
    }
    // The last three are for devices that proved the phone, and for whoever works for them.
    for turn in 0..2 {
        let refusal = client.send_code(client.door(turn), &phone).await.unwrap_err();
        assert_eq!(
            (refusal.code, &*refusal.domain, &*refusal.reason),
            (Code::ResourceExhausted, "identity.zhiyuan", "CHALLENGE_REQUIRED")
        );
        let told = String::from_utf8_lossy(&refusal.whole).into_owned();
        assert!(told.contains("sha256-leading-zero-bits"), "{told}");
    }
    assert_eq!(client.simulators.texts(&phone).await.len(), 7);
    assert_eq!(client.simulators.sms_sent().await, 7);
    // The day is not that of the calendar: midnight changes nothing.
    clock.advance(Duration::from_secs(24 * 3600) - MINUTE * 8);
    let refusal = client.send_code(&client.grpc, &phone).await.unwrap_err();
    assert_eq!(refusal.reason, "CHALLENGE_REQUIRED");
    clock.advance(MINUTE);
    client.send_code(&client.grpc, &phone).await.unwrap();
    suite.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistyped_name_costs_no_second_text_message() {
    let suite = Own::start("mistyped").await;
    let client = Client::of(&suite.site);
    let somebody = person(6_200);
    let right = client.apply(&client.json, &somebody).await;
    let mistyped = RegisterRequest { name: format!("{}不符", right.name), ..right.clone() };
    let refusal = client.register_patiently(&client.json, &mistyped).await.unwrap_err();
    assert_eq!(
        (refusal.code, &*refusal.reason),
        (Code::FailedPrecondition, "ID_NAME_MISMATCH"),
        "{refusal:?}"
    );
    assert!(refusal.message.contains("姓名"), "{}", refusal.message);
    // The same at every replay.
    let replay = client.register_patiently(&client.grpc, &mistyped).await.unwrap_err();
    assert_eq!((replay.code, replay.reason), (refusal.code, refusal.reason));
    let asked = client.registration(&client.grpc, &mistyped.request_id).await.unwrap_err();
    assert_eq!(asked.reason, "ID_NAME_MISMATCH");

    let corrected = RegisterRequest { request_id: Uuid::new_v4().to_string(), ..right };
    client.register_to_the_end(&client.json, &corrected).await.unwrap();
    assert_eq!(client.simulators.sms_sent().await, 1);

    // Once it has registered somebody, the code is used up.
    let third = RegisterRequest { request_id: Uuid::new_v4().to_string(), ..corrected };
    let refusal = client.register_patiently(&client.json, &third).await.unwrap_err();
    assert_eq!((refusal.code, &*refusal.reason), (Code::Unauthenticated, "SMS_CODE_USED"));
    suite.stop().await;
}

#[tokio::test]
async fn a_wrong_organization_or_region_costs_no_text_message_and_burns_no_try() {
    let client = Client::of(&shared());
    let somebody = person(6_300);
    let form = client.apply(&client.grpc, &somebody).await;
    for (field, value, reason) in [
        ("organization", "AH-999999", "ORGANIZATION_NOT_FOUND"),
        ("organization", NO_REGISTRATIONS, "ORGANIZATION_TAKES_NO_REGISTRATIONS"),
        // A city, whose districts are where people live.
        ("region", "340100", "INVALID_FIELDS"),
    ] {
        let mut wrong = form.clone();
        wrong.request_id = Uuid::new_v4().to_string();
        match field {
            "organization" => wrong.organization_code = value.into(),
            _ => wrong.region_code = value.into(),
        }
        let refusal = client.register_patiently(&client.grpc, &wrong).await.unwrap_err();
        assert_eq!(refusal.reason, reason, "{refusal:?}");
        // Not even the request was kept: the same one goes, once it is right.
        let unknown = client.registration(&client.grpc, &wrong.request_id).await.unwrap_err();
        assert_eq!(unknown.reason, "REGISTRATION_NOT_FOUND");
    }
    let challenge: Uuid = form.sms_challenge_id.parse().unwrap();
    let tries: i16 =
        sqlx::query_scalar("SELECT tries FROM identity.sms_challenge WHERE challenge_id = $1")
            .bind(challenge)
            .fetch_one(&mut client.site.main_database().await)
            .await
            .unwrap();
    assert_eq!(tries, 0);
    client.register_to_the_end(&client.grpc, &form).await.unwrap();
    assert_eq!(client.simulators.texts(&somebody.mobile).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_message_that_was_not_taken_does_not_count() {
    let suite = Own::start("vendor-down").await;
    let client = Client::of(&suite.site);
    let phone = person(6_400).mobile;
    client.simulators.set_sms("down").await;
    let refusal = client.send_code(&client.grpc, &phone).await.unwrap_err();
    assert_eq!((refusal.code, &*refusal.reason), (Code::Unavailable, "SMS_UNAVAILABLE"));
    assert!(refusal.retry_after.is_some());
    client.simulators.set_sms("ok").await;
    client.send_code(&client.grpc, &phone).await.unwrap();
    suite.stop().await;
}
