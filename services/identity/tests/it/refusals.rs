//! Every way to be refused, and what it costs.

use time::Duration;
use tonic::Code;
use zhiyuan_contracts::identity::v1::enrolment_service_client::EnrolmentServiceClient;
use zhiyuan_contracts::identity::v1::{EnrolmentRefusal, EnrolmentState, GetEnrolmentRequest};
use zhiyuan_domain::shanghai_date;
use zhiyuan_testkit::{minor, person};

use crate::harness::{BEGIN, Identity, KEYS_OF_PEOPLE, new_enrolment_id};

#[tokio::test]
async fn consents_and_age_are_refused_before_the_code_is_looked_at() {
    let identity = Identity::start().await;
    let mut none = identity.application(&person(1)).await;
    none.consents.clear();
    let good = none.clone();
    assert_eq!(identity.begin(&none).await.refusal(), EnrolmentRefusal::ConsentMissing);
    let mut old = good.clone();
    old.enrolment_id = new_enrolment_id();
    old.consents = vec![crate::harness::registration_consent()];
    old.consents[0].version = "2019-01-01".into();
    assert_eq!(identity.begin(&old).await.refusal(), EnrolmentRefusal::ConsentOutdated);
    let today = shanghai_date(BEGIN);
    for (age, refusal) in
        [(13, EnrolmentRefusal::UnderAge), (15, EnrolmentRefusal::GuardianRequired)]
    {
        let mut young = good.clone();
        young.enrolment_id = new_enrolment_id();
        young.id_number = minor(u32::from(age), age, today).id_number.as_str().to_owned();
        assert_eq!(identity.begin(&young).await.refusal(), refusal);
    }
    assert_eq!(identity.count("SELECT sum(tries)::bigint FROM identity.sms_challenge").await, 0);
    assert_eq!(identity.count(KEYS_OF_PEOPLE).await, 0);
}

#[tokio::test]
async fn a_mistyped_name_costs_no_second_message() {
    let identity = Identity::start().await;
    let someone = person(1);
    let first = identity.application(&someone).await;
    identity.vendors.answer(&["02", "03"]);
    assert_eq!(identity.begin(&first).await.refusal(), EnrolmentRefusal::IdNameMismatch);
    let mut second = first.clone();
    second.enrolment_id = new_enrolment_id();
    identity.pass(Duration::minutes(20));
    assert_eq!(identity.begin(&second).await.refusal(), EnrolmentRefusal::IdNotFound);
    assert_eq!(identity.count("SELECT count(*) FROM identity.number").await, 0);
    assert_eq!(identity.count(KEYS_OF_PEOPLE).await, 0);
    let mut third = first.clone();
    third.enrolment_id = new_enrolment_id();
    assert_eq!(identity.begin(&third).await.state(), EnrolmentState::Claimed);
    assert_eq!(identity.vendors.texts(someone.mobile.as_str()).len(), 1);
    // And then the code is used up.
    let mut fourth = first.clone();
    fourth.enrolment_id = new_enrolment_id();
    assert_eq!(identity.begin(&fourth).await.refusal(), EnrolmentRefusal::SmsCodeUsed);
}

#[tokio::test]
async fn a_code_is_good_for_one_phone_and_for_five_minutes() {
    let identity = Identity::start().await;
    let mut other = identity.application(&person(1)).await;
    other.phone = person(2).mobile.clone();
    assert_eq!(identity.begin(&other).await.refusal(), EnrolmentRefusal::SmsCodeWrong);
    let late = identity.application(&person(3)).await;
    identity.pass(Duration::minutes(5));
    assert_eq!(identity.begin(&late).await.refusal(), EnrolmentRefusal::SmsCodeExpired);
    let mut unknown = identity.application(&person(4)).await;
    unknown.sms_challenge_id = new_enrolment_id();
    assert_eq!(identity.begin(&unknown).await.refusal(), EnrolmentRefusal::SmsCodeWrong);
}

#[tokio::test]
async fn a_retry_burns_no_try_and_gets_the_same_verdict() {
    let identity = Identity::start().await;
    let mut wrong = identity.application(&person(1)).await;
    let right = wrong.sms_code.clone();
    wrong.sms_code = if right == "000000" { "000001".into() } else { "000000".into() };
    for _ in 0..8 {
        assert_eq!(identity.begin(&wrong).await.refusal(), EnrolmentRefusal::SmsCodeWrong);
    }
    assert_eq!(identity.count("SELECT sum(tries)::bigint FROM identity.sms_challenge").await, 1);
    wrong.sms_code = right;
    assert_eq!(identity.begin(&wrong).await.refusal(), EnrolmentRefusal::SmsCodeWrong, "final");
}

#[tokio::test]
async fn a_phone_fails_five_checks_a_day() {
    let identity = Identity::start().await;
    let application = identity.application(&person(1)).await;
    identity.vendors.answer(&["02"; 5]);
    for _ in 0..5 {
        let mut again = application.clone();
        again.enrolment_id = new_enrolment_id();
        assert_eq!(identity.begin(&again).await.refusal(), EnrolmentRefusal::IdNameMismatch);
    }
    let mut sixth = application.clone();
    sixth.enrolment_id = new_enrolment_id();
    assert_eq!(identity.begin(&sixth).await.refusal(), EnrolmentRefusal::IdCheckLimit);
    assert_eq!(identity.vendors.checks(), 5);
}

#[tokio::test]
async fn the_owner_learns_of_an_attempt_once_a_day() {
    let identity = Identity::start().await;
    let owner = person(1);
    let first = identity.begin(&identity.application(&owner).await).await;
    identity.activate(&first.enrolment_id).await.unwrap();
    for stranger in [2, 3] {
        let mut application = identity.application(&person(stranger)).await;
        application.name = owner.name.as_str().to_owned();
        application.id_number = owner.id_number.as_str().to_owned();
        let refused = identity.begin(&application).await;
        assert_eq!(refused.refusal(), EnrolmentRefusal::AlreadyRegistered);
        assert_eq!(refused.account_id, "");
    }
    identity.until_texts(owner.mobile.as_str(), 2).await;
    assert_eq!(identity.count("SELECT count(*) FROM identity.notice").await, 1);
    // With the phone of the account, the applicant is its owner.
    identity.pass(Duration::minutes(2));
    let again = identity.begin(&identity.application(&owner).await).await;
    assert_eq!(again.refusal(), EnrolmentRefusal::AlreadyRegistered);
    assert_eq!(again.account_id, first.account_id);
}

#[tokio::test]
async fn nobody_calls_enrolments_without_an_assertion() {
    let identity = Identity::start().await;
    let mut bare = EnrolmentServiceClient::new(identity.channel());
    let request = GetEnrolmentRequest { enrolment_id: new_enrolment_id() };
    let refused = bare.get_enrolment(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let unknown = identity.get(&new_enrolment_id()).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
}

#[tokio::test]
async fn a_phone_learns_of_five_registered_people_a_day() {
    let identity = Identity::start().await;
    let owner = person(1);
    let first = identity.begin(&identity.application(&owner).await).await;
    identity.activate(&first.enrolment_id).await.unwrap();
    let mut application = identity.application(&person(2)).await;
    application.name = owner.name;
    application.id_number = owner.id_number;
    for _ in 0..5 {
        application.enrolment_id = new_enrolment_id();
        let refused = identity.begin(&application).await;
        assert_eq!(refused.refusal(), EnrolmentRefusal::AlreadyRegistered);
    }
    application.enrolment_id = new_enrolment_id();
    assert_eq!(identity.begin(&application).await.refusal(), EnrolmentRefusal::IdCheckLimit);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_checks_are_limited_however_many_ask_at_once() {
    let identity = Identity::start().await;
    let someone = person(1);
    let mut applications = Vec::new();
    for _ in 0..3 {
        let application = identity.application(&someone).await;
        for _ in 0..3 {
            let mut again = application.clone();
            again.enrolment_id = new_enrolment_id();
            applications.push(again);
        }
        identity.pass(Duration::MINUTE);
    }
    identity.vendors.answer(&["02"; 9]);
    let begun = applications.iter().map(|application| identity.begin(application));
    futures_util::future::join_all(begun).await;
    identity.pass(Duration::MINUTE);
    for application in &applications {
        identity.settled(&application.enrolment_id).await;
    }
    assert_eq!(identity.vendors.checks(), 5, "the register was asked no more often");
}
