//! Who delivers text messages, and the register of the public security authority.

use std::time::Duration;

use tokio::time::Instant;
use tonic::Code;
use zhiyuan_contracts::registration::v1::RegistrationState;
use zhiyuan_testkit::person;

use super::assert_come_again;
use crate::harness::{Client, Own, database};

const IN_TIME: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_wrong_with_a_vendor_is_told_in_time_and_over_when_it_is() {
    let suite = Own::start("vendors").await;
    let client = Client::of(&suite.site);
    let mut main = suite.site.main_database().await;
    let mut next = 460_000;
    let mut phone = || {
        next += 1;
        person(next).mobile
    };
    // Not taken, and not taken for this number: told, with the time to come again.
    for fault in ["down", "reject"] {
        client.simulators.set_sms(fault).await;
        for door in [&client.grpc, &client.json] {
            let refusal = client.send_code(door, &phone()).await.unwrap_err();
            let told = (refusal.code, &*refusal.reason);
            assert_eq!(told, (Code::Unavailable, "SMS_UNAVAILABLE"), "{fault}");
            assert_come_again(&refusal);
        }
    }
    assert_eq!(client.simulators.sms_sent().await, 0);
    // Taken or not, nobody knows: the person waits for it, and it may well come.
    client.simulators.set_sms("slow").await;
    let began = Instant::now();
    let late = phone();
    client.send_code(&client.grpc, &late).await.unwrap();
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    let open = "identity.sms_challenge WHERE used_at IS NULL";
    // Those that were refused for good, and the late one; what was not taken is forgotten.
    assert_eq!(database::count(&mut main, open).await, 3);
    client.simulators.set_sms("ok").await;

    // The register: whoever is kept is told so in time, and no number is held meanwhile.
    let mut waiting = Vec::new();
    for (n, fault) in ["slow", "down"].into_iter().enumerate() {
        let form = client.apply(&client.grpc, &person(461_000 + u32::try_from(n).unwrap())).await;
        client.simulators.set_real_name(fault).await;
        let began = Instant::now();
        let answer = client.register(client.door(n), &form).await.unwrap();
        assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
        assert_eq!(answer.state(), RegistrationState::Pending, "{fault}");
        assert!(answer.next_retry_time.is_some());
        waiting.push(form);
    }
    database::assert_empty(&mut main, &["identity.number"]).await;
    client.simulators.set_real_name("ok").await;
    for form in &waiting {
        let done = client.outcome(&client.json, &form.request_id).await.unwrap();
        assert_eq!(done.state(), RegistrationState::Active);
    }
    suite.stop().await;
}
