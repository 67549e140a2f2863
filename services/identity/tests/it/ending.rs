//! Activation, and the way back.

use time::Duration;
use tonic::Code;
use zhiyuan_contracts::identity::v1::{EnrolmentState, ListClaimedEnrolmentsRequest};
use zhiyuan_testkit::person;

use crate::harness::{BEGIN, Identity, KEYS_OF_PEOPLE, account, new_enrolment_id};

#[tokio::test]
async fn activates_once_and_answers_the_same_again() {
    let identity = Identity::start().await;
    let someone = person(1);
    let claimed = identity.begin(&identity.application(&someone).await).await;
    assert_eq!(claimed.state(), EnrolmentState::Claimed);
    assert_eq!(
        claimed.masked_name,
        zhiyuan_domain::PersonName::parse(&someone.name).unwrap().masked()
    );
    for _ in 0..2 {
        let active = identity.activate(&claimed.enrolment_id).await.unwrap();
        assert_eq!(active.state(), EnrolmentState::Active);
        assert_eq!(account(&active), account(&claimed));
    }
    let refused = identity.discard(&claimed.enrolment_id).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn only_a_claimed_enrolment_is_activated() {
    let identity = Identity::start().await;
    let application = identity.application(&person(1)).await;
    identity.vendors.register_down(true);
    identity.begin(&application).await;
    let early = identity.activate(&application.enrolment_id).await.unwrap_err();
    assert_eq!(early.code(), Code::FailedPrecondition);
    let unknown = identity.activate(&new_enrolment_id()).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
}

#[tokio::test]
async fn a_discarded_enrolment_frees_the_number_and_the_code() {
    let identity = Identity::start().await;
    let application = identity.application(&person(1)).await;
    identity.begin(&application).await;
    for _ in 0..2 {
        let gone = identity.discard(&application.enrolment_id).await.unwrap();
        assert_eq!(gone.state(), EnrolmentState::Discarded);
    }
    assert_eq!(identity.count("SELECT count(*) FROM identity.number").await, 0);
    assert_eq!(identity.count("SELECT count(*) FROM identity.account").await, 0);
    assert_eq!(identity.count(KEYS_OF_PEOPLE).await, 0);
    let mut again = application.clone();
    again.enrolment_id = new_enrolment_id();
    assert_eq!(identity.begin(&again).await.state(), EnrolmentState::Claimed);
}

#[tokio::test]
async fn a_step_that_comes_after_the_undo_has_no_effect() {
    let identity = Identity::start().await;
    let application = identity.application(&person(1)).await;
    identity.discard(&application.enrolment_id).await.unwrap();
    let late = identity.begin(&application).await;
    assert_eq!(late.state(), EnrolmentState::Discarded);
    assert_eq!(identity.count("SELECT sum(tries)::bigint FROM identity.sms_challenge").await, 0);
    assert_eq!(identity.count("SELECT count(*) FROM identity.account").await, 0);
}

#[tokio::test]
async fn lists_claimed_enrolments_page_by_page() {
    let identity = Identity::start().await;
    let mut expected = Vec::new();
    for number in 1..=5 {
        let claimed = identity.begin(&identity.application(&person(number)).await).await;
        expected.push(claimed.enrolment_id);
        identity.pass(Duration::SECOND);
    }
    identity.activate(&expected.remove(2)).await.unwrap();
    let before = (BEGIN + Duration::HOUR).unix_timestamp();
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListClaimedEnrolmentsRequest {
            claimed_before: Some(prost_types::Timestamp { seconds: before, nanos: 0 }),
            page_size: 2,
            page_token,
        };
        let page = identity.enrolments().list_claimed_enrolments(request).await.unwrap();
        let page = page.into_inner();
        found.extend(page.enrolments.into_iter().map(|enrolment| enrolment.enrolment_id));
        if page.next_page_token.is_empty() {
            break;
        }
        page_token = page.next_page_token;
    }
    assert_eq!(found, expected);
}

#[tokio::test]
async fn who_waited_is_told_when_the_registration_is_undone() {
    let identity = Identity::start().await;
    let someone = person(1);
    let application = identity.application(&someone).await;
    identity.vendors.register_down(true);
    identity.begin(&application).await;
    identity.vendors.register_down(false);
    identity.pass(Duration::MINUTE);
    identity.until(&application.enrolment_id, EnrolmentState::Claimed).await;
    identity.discard(&application.enrolment_id).await.unwrap();
    let texts = identity.until_texts(&someone.mobile, 2).await;
    assert!(texts[1].contains("未能完成"), "{texts:?}");
}
