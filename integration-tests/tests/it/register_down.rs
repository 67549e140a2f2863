//! The register of the public security authority does not answer, or can't tell.

use std::time::Duration;

use tokio::time::Instant;
use tonic::Code;
use zhiyuan_contracts::registration::v1::RegistrationState;
use zhiyuan_testkit::{Person, person};

use crate::harness::client::{moment, now};
use crate::harness::{Client, Own, database};

/// A form is answered within that, whatever the register does: a third of the time for which
/// a register that never answers holds the connection, and room for a busy machine.
const IN_TIME: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_registers_while_the_register_is_down_is_told_when_it_is_done() {
    let suite = Own::start("register-down").await;
    let client = Client::of(&suite.site);
    let right = person(7_000);
    let wrong = person(7_001);
    let wrong = Person { name: format!("{}不符", wrong.name), ..wrong };
    client.simulators.set_real_name("down").await;
    let mut waiting = Vec::new();
    for (door, applicant) in [(&client.grpc, &right), (&client.json, &wrong)] {
        let form = client.apply(door, applicant).await;
        let began = Instant::now();
        let answer = client.register_patiently(door, &form).await.unwrap();
        assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
        assert_eq!(answer.state(), RegistrationState::Pending);
        assert_eq!(answer.volunteer, None);
        let wait = moment(answer.next_retry_time) - now();
        assert!(wait > time::Duration::ZERO && wait <= time::Duration::minutes(15), "{wait}");
        waiting.push(form);
    }
    // Who waits holds nothing, and so takes it from nobody.
    let mut main = suite.site.main_database().await;
    database::assert_empty(
        &mut main,
        &["identity.number", "identity.account", "registration.volunteer"],
    )
    .await;

    client.simulators.set_real_name("ok").await;
    let done = client.outcome(&client.json, &waiting[0].request_id).await.unwrap();
    assert_eq!(done.state(), RegistrationState::Active);
    let replay = client.register_patiently(&client.grpc, &waiting[0]).await.unwrap();
    assert_eq!(replay.volunteer, done.volunteer);
    client.wait_for_text(&right.mobile, "注册已完成").await;

    let refusal = client.outcome(&client.grpc, &waiting[1].request_id).await.unwrap_err();
    assert_eq!((refusal.code, &*refusal.reason), (Code::FailedPrecondition, "ID_NAME_MISMATCH"));
    client.wait_for_text(&wrong.mobile, "未能完成").await;
    let (accounts, numbers) = (
        database::count(&mut main, "identity.account").await,
        database::count(&mut main, "identity.number").await,
    );
    assert_eq!((accounts, numbers), (1, 1));
    // Each was told once.
    assert_eq!(client.simulators.sms_sent().await, 4);
    suite.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_the_register_does_not_keep_the_owner_from_the_number() {
    let suite = Own::start("silent-register").await;
    let client = Client::of(&suite.site);
    let owner = person(7_100);
    let other = Person {
        name: format!("{}超时", owner.name),
        mobile: person(7_101).mobile,
        ..owner.clone()
    };
    // Nobody answers about this name.
    let form = client.apply(&client.json, &other).await;
    let began = Instant::now();
    let answer = client.register_patiently(&client.json, &form).await.unwrap();
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    assert_eq!(answer.state(), RegistrationState::Pending);
    let mut main = suite.site.main_database().await;
    database::assert_empty(&mut main, &["identity.number"]).await;

    let form = client.apply(&client.grpc, &owner).await;
    client.register_to_the_end(&client.grpc, &form).await.unwrap();
    assert_eq!(database::count(&mut main, "identity.number").await, 1);
    suite.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_register_answers_decides_and_a_refusal_holds_nothing() {
    let suite = Own::start("verdicts").await;
    let client = Client::of(&suite.site);
    let named = |n: u32, suffix: &str| {
        let person = person(n);
        Person { name: format!("{}{suffix}", person.name), ..person }
    };
    let mut main = suite.site.main_database().await;

    for (n, suffix, reason) in
        [(7_200, "不符", "ID_NAME_MISMATCH"), (7_201, "无号", "ID_NOT_FOUND")]
    {
        let form = client.apply(&client.grpc, &named(n, suffix)).await;
        let refusal = client.register_patiently(&client.grpc, &form).await.unwrap_err();
        assert_eq!((refusal.code, &*refusal.reason), (Code::FailedPrecondition, reason));
        assert!(!refusal.message.is_ascii(), "{}", refusal.message);
    }
    // A rare character comes back from the register as something else.
    let form = client.apply(&client.json, &named(7_202, "𠮷")).await;
    let answer = client.register_patiently(&client.json, &form).await.unwrap();
    assert_eq!(answer.state(), RegistrationState::Review);
    let wait = moment(answer.next_retry_time) - now();
    assert!(wait > time::Duration::ZERO && wait <= time::Duration::days(7), "{wait}");
    database::assert_empty(&mut main, &["identity.number", "identity.account"]).await;
    // What was refused is deleted, key and all.
    database::assert_empty(
        &mut main,
        &["identity.enrolment WHERE state = 'REFUSED' AND (name IS NOT NULL OR id_number IS NOT NULL
           OR phone IS NOT NULL OR password_hash IS NOT NULL)"],
    )
    .await;
    let mut keys = suite.site.key_database().await;
    // That of the review, and of the key that signs access tokens.
    assert_eq!(database::count(&mut keys, "keys.data_key").await, 2);
    assert_eq!(database::count(&mut keys, "keys.destroyed").await, 2);

    // Out of order for a moment only: done without a word.
    let form = client.apply(&client.grpc, &named(7_203, "稍后")).await;
    let answer = client.register_patiently(&client.grpc, &form).await.unwrap();
    assert_ne!(answer.state(), RegistrationState::Review);
    let answer = client.outcome(&client.grpc, &form.request_id).await.unwrap();
    assert_eq!(answer.state(), RegistrationState::Active);

    // Too young, or not without a guardian: the register is not even asked.
    let asked = client.simulators.real_name_checks().await;
    let today = zhiyuan_domain::shanghai_date(now());
    for (age, reason) in [(13, "UNDER_AGE"), (14, "GUARDIAN_REQUIRED"), (17, "GUARDIAN_REQUIRED")] {
        let minor = zhiyuan_testkit::minor(u32::from(age), age, today);
        let form = client.apply(&client.json, &minor).await;
        let refusal = client.register_patiently(&client.json, &form).await.unwrap_err();
        assert_eq!((refusal.code, &*refusal.reason), (Code::FailedPrecondition, reason));
    }
    assert_eq!(client.simulators.real_name_checks().await, asked);
    suite.stop().await;
}
