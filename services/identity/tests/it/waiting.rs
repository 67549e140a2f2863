//! The register is down, or can't tell.

use time::Duration;
use zhiyuan_contracts::identity::v1::{EnrolmentRefusal, EnrolmentState};
use zhiyuan_testkit::person;

use crate::harness::Identity;

#[tokio::test]
async fn is_kept_while_the_register_is_down_and_finished_without_a_human() {
    let identity = Identity::start().await;
    let someone = person(1);
    let phone = someone.mobile.as_str();
    let application = identity.application(&someone).await;
    identity.vendors.register_down(true);
    let pending = identity.begin(&application).await;
    assert_eq!(pending.state(), EnrolmentState::Pending);
    assert!(pending.next_retry_time.is_some());
    assert_eq!(identity.count("SELECT count(*) FROM identity.number").await, 0);
    for _ in 0..3 {
        identity.pass(Duration::minutes(15));
        let checks = identity.vendors.checks();
        identity.until_checks(checks + 1).await;
    }
    identity.vendors.register_down(false);
    identity.pass(Duration::minutes(15));
    let claimed = identity.until(&application.enrolment_id, EnrolmentState::Claimed).await;
    assert_eq!(identity.vendors.texts(phone).len(), 1, "told only when the account is active");
    identity.activate(&claimed.enrolment_id).await.unwrap();
    let texts = identity.until_texts(phone, 2).await;
    assert!(texts[1].contains("注册已完成"), "{texts:?}");
}

#[tokio::test]
async fn who_waited_is_told_of_a_refusal_and_then_forgotten() {
    let identity = Identity::start().await;
    let someone = person(1);
    let application = identity.application(&someone).await;
    identity.vendors.register_down(true);
    identity.begin(&application).await;
    identity.vendors.answer(&["02"]);
    identity.vendors.register_down(false);
    identity.pass(Duration::minutes(1));
    let refused = identity.until(&application.enrolment_id, EnrolmentState::Refused).await;
    assert_eq!(refused.refusal(), EnrolmentRefusal::IdNameMismatch);
    let texts = identity.until_texts(someone.mobile.as_str(), 2).await;
    assert!(texts[1].contains("未通过"), "{texts:?}");
    for _ in 0..500 {
        if identity.count("SELECT count(*) FROM keys.data_key").await == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("a key outlived the applicant");
}

#[tokio::test]
async fn what_the_register_cannot_tell_waits_seven_days_for_a_person() {
    let identity = Identity::start().await;
    let application = identity.application(&person(1)).await;
    identity.vendors.answer(&["04"]);
    let review = identity.begin(&application).await;
    assert_eq!(review.state(), EnrolmentState::Review);
    assert!(review.next_retry_time.is_some());
    assert_eq!(identity.count("SELECT count(*) FROM identity.number").await, 0);
    identity.pass(Duration::days(7));
    let refused = identity.until(&application.enrolment_id, EnrolmentState::Refused).await;
    assert_eq!(refused.refusal(), EnrolmentRefusal::IdCheckExpired);
}

#[tokio::test]
async fn a_register_that_stays_down_for_seven_days_ends_it() {
    let identity = Identity::start().await;
    let application = identity.application(&person(1)).await;
    identity.vendors.register_down(true);
    identity.begin(&application).await;
    identity.pass(Duration::days(7));
    let refused = identity.until(&application.enrolment_id, EnrolmentState::Refused).await;
    assert_eq!(refused.refusal(), EnrolmentRefusal::IdCheckExpired);
}
