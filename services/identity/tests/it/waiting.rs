//! The register is down, or can't tell.

use time::Duration;
use zhiyuan_contracts::identity::v1::{EnrolmentRefusal, EnrolmentState};
use zhiyuan_testkit::person;

use crate::harness::{Identity, KEYS_OF_PEOPLE};

impl Identity {
    /// Whether the next check of an enrolment is planned, and is not being made.
    async fn is_planned(&self, enrolment_id: &str) -> bool {
        let next = self.get(enrolment_id).await.unwrap().next_retry_time.unwrap();
        let now = zhiyuan_domain::Clock::now(self.clock.as_ref()).unix_timestamp();
        (1..20).contains(&(next.seconds - now))
    }
}

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
        // Planned anew, which is sooner than the end of the lease of who looked.
        while !identity.is_planned(&application.enrolment_id).await {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
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
    assert!(texts[1].contains("未能完成"), "{texts:?}");
    for _ in 0..500 {
        if identity.count(KEYS_OF_PEOPLE).await == 0 {
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

#[tokio::test]
async fn a_wait_that_outlives_every_limit_of_a_code_still_ends_well() {
    let identity = Identity::start().await;
    let application = identity.application(&person(1)).await;
    identity.vendors.register_down(true);
    identity.begin(&application).await;
    sqlx::query("DELETE FROM identity.sms_challenge").execute(&identity.pool).await.unwrap();
    identity.vendors.register_down(false);
    identity.pass(Duration::days(6));
    identity.until(&application.enrolment_id, EnrolmentState::Claimed).await;
}

#[tokio::test]
async fn one_row_that_cannot_be_read_keeps_nobody_else_waiting() {
    let identity = Identity::start().await;
    identity.vendors.answer(&["04"]);
    let broken = identity.application(&person(1)).await;
    identity.begin(&broken).await;
    identity.vendors.register_down(true);
    let other = identity.application(&person(2)).await;
    identity.begin(&other).await;
    sqlx::query(
        "DELETE FROM keys.data_key WHERE subject =
             (SELECT account_id FROM identity.enrolment WHERE state = 'REVIEW')",
    )
    .execute(&identity.pool)
    .await
    .unwrap();
    identity.vendors.register_down(false);
    identity.pass(Duration::days(7) - Duration::MINUTE);
    identity.until(&other.enrolment_id, EnrolmentState::Claimed).await;
    identity.pass(Duration::MINUTE);
    identity.until(&broken.enrolment_id, EnrolmentState::Refused).await;
}

#[tokio::test]
async fn a_clock_that_was_once_ahead_leaves_nothing_stuck() {
    let identity = Identity::start().await;
    let application = identity.application(&person(1)).await;
    identity.vendors.register_down(true);
    identity.begin(&application).await;
    identity.vendors.register_down(false);
    sqlx::query(
        "UPDATE identity.enrolment SET next_check_at = next_check_at + interval '400 days'",
    )
    .execute(&identity.pool)
    .await
    .unwrap();
    sqlx::query("UPDATE identity.sms_phone SET sent_at = ARRAY[sent_at[1] + interval '400 days']")
        .execute(&identity.pool)
        .await
        .unwrap();
    identity.until(&application.enrolment_id, EnrolmentState::Claimed).await;
    identity.pass(Duration::MINUTE);
    let soon = identity.try_send_code(&application.phone).await.unwrap_err();
    let wait = tonic_types::StatusExt::get_error_details(&soon);
    let wait = wait.retry_info().unwrap().retry_delay.unwrap();
    assert!(wait <= std::time::Duration::from_secs(60));
}
