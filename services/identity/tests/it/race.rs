//! What must be exact under any concurrency.

use zhiyuan_contracts::identity::v1::{EnrolmentRefusal, EnrolmentState};
use zhiyuan_testkit::person;

use crate::harness::{Identity, new_enrolment_id};

#[tokio::test(flavor = "multi_thread")]
async fn evaluates_five_of_two_hundred_parallel_guesses() {
    let identity = Identity::start().await;
    let right = identity.application(&person(1)).await;
    let guesses = (0..200).map(|guess| {
        let mut wrong = right.clone();
        wrong.enrolment_id = new_enrolment_id();
        let code: u32 = right.sms_code.parse().unwrap();
        wrong.sms_code = format!("{:06}", (code + 1 + guess) % 1_000_000);
        let identity = &identity;
        async move { identity.begin(&wrong).await.refusal() }
    });
    let refusals = futures_util::future::join_all(guesses).await;
    let count = |refusal| refusals.iter().filter(|found| **found == refusal).count();
    assert_eq!(count(EnrolmentRefusal::SmsCodeWrong), 5);
    assert_eq!(count(EnrolmentRefusal::SmsCodeTriesExhausted), 195);
    let tries = identity.count("SELECT max(tries)::bigint FROM identity.sms_challenge").await;
    assert_eq!(tries, 5);
    let late = identity.begin(&right).await;
    assert_eq!(late.refusal(), EnrolmentRefusal::SmsCodeTriesExhausted);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_a_hundred_applicants_gets_the_number() {
    let identity = Identity::start().await;
    let owner = person(1);
    let mut applications = Vec::new();
    for other in 100..200 {
        let mut application = identity.application(&person(other)).await;
        application.name = owner.name.as_str().to_owned();
        application.id_number = owner.id_number.as_str().to_owned();
        applications.push(application);
    }
    let begun = applications.iter().map(|application| identity.begin(application));
    futures_util::future::join_all(begun).await;
    // While the winner is not active, nobody is told that the number is taken.
    let claimed = identity.first_claimed().await;
    identity.activate(&claimed).await.unwrap();
    identity.pass(time::Duration::MINUTE);
    let mut enrolments = Vec::new();
    for application in &applications {
        enrolments.push(identity.settled(&application.enrolment_id).await);
    }
    let claimed = enrolments.iter().filter(|e| e.state() == EnrolmentState::Active).count();
    let refused =
        enrolments.iter().filter(|e| e.refusal() == EnrolmentRefusal::AlreadyRegistered).count();
    assert_eq!((claimed, refused), (1, 99));
    assert_eq!(identity.count("SELECT count(*) FROM identity.number").await, 1);
    assert_eq!(identity.count("SELECT count(*) FROM identity.account").await, 1);
    // Whose phone it isn't learns nothing of the account.
    let told = enrolments.iter().filter(|e| !e.account_id.is_empty()).count();
    assert_eq!(told, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_calls_of_one_enrolment_are_one() {
    let identity = Identity::start().await;
    let application = identity.application(&person(1)).await;
    let begun = (0..50).map(|_| identity.begin(&application));
    let enrolments = futures_util::future::join_all(begun).await;
    for enrolment in &enrolments {
        assert!(
            matches!(
                enrolment.state(),
                EnrolmentState::Accepted | EnrolmentState::Pending | EnrolmentState::Claimed
            ),
            "{enrolment:?}"
        );
    }
    identity.until(&application.enrolment_id, EnrolmentState::Claimed).await;
    assert_eq!(identity.vendors.checks(), 1);
    assert_eq!(identity.count("SELECT sum(tries)::bigint FROM identity.sms_challenge").await, 1);
    assert_eq!(identity.count("SELECT count(*) FROM identity.account").await, 1);
}
