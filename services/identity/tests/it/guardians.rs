//! Somebody of 14 to 17 registers with the consent of a guardian, or on own income.

use time::Duration;
use zhiyuan_contracts::identity::v1::account_service_client::AccountServiceClient;
use zhiyuan_contracts::identity::v1::{
    BeginEnrolmentRequest, EnrolmentRefusal, EnrolmentState, GetAccountRequest, Guardian,
    GuardianRelation, SmsPurpose,
};
use zhiyuan_domain::shanghai_date;
use zhiyuan_testkit::{Person, minor, person};

use crate::codes::reason;
use crate::harness::{BEGIN, Identity, KEYS_OF_PEOPLE, new_enrolment_id};

pub(crate) fn child(n: u32, age: u8) -> Person {
    minor(n, age, shanghai_date(BEGIN))
}

impl Identity {
    async fn guardian(&self, of: &Person) -> Guardian {
        let (sms_challenge_id, sms_code) =
            self.code_for(&of.mobile, SmsPurpose::GuardianConsent).await;
        Guardian {
            name: of.name.clone(),
            id_number: of.id_number.clone(),
            relation: GuardianRelation::Father.into(),
            phone: of.mobile.clone(),
            sms_challenge_id,
            sms_code,
        }
    }

    /// An application of a child with a guardian, both codes right.
    pub(crate) async fn with_guardian(&self, child: &Person, of: &Person) -> BeginEnrolmentRequest {
        let guardian = Some(self.guardian(of).await);
        BeginEnrolmentRequest { guardian, ..self.application(child).await }
    }
}

fn again(application: &BeginEnrolmentRequest) -> BeginEnrolmentRequest {
    BeginEnrolmentRequest { enrolment_id: new_enrolment_id(), ..application.clone() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guardian_consents_and_is_told_and_the_consent_is_kept() {
    let identity = Identity::start().await;
    let (child, parent) = (child(1, 14), person(2));
    let application = identity.with_guardian(&child, &parent).await;
    let texts = identity.vendors.texts(&parent.mobile);
    assert!(texts[0].contains("请您以监护人身份同意"), "{texts:?}");
    let claimed = identity.begin(&application).await;
    assert_eq!(claimed.state(), EnrolmentState::Claimed);
    // The register was asked about both.
    assert_eq!(identity.vendors.checks(), 2);
    identity.activate(&application.enrolment_id).await.unwrap();
    let texts = identity.until_texts(&parent.mobile, 2).await;
    assert!(texts[1].contains("您以监护人身份同意注册"), "{texts:?}");
    // However often it is activated.
    identity.activate(&application.enrolment_id).await.unwrap();
    assert_eq!(identity.count("SELECT count(*) FROM identity.notice").await, 1);

    let request = GetAccountRequest { account_id: claimed.account_id };
    let shown = AccountServiceClient::new(identity.suite()).get_account(request).await.unwrap();
    let consent = shown.into_inner().guardian_consent.unwrap();
    assert_eq!(consent.relation(), GuardianRelation::Father);
    assert!(consent.masked_name.starts_with(parent.name.chars().next().unwrap()));
    assert!(consent.masked_name.ends_with('*') && consent.masked_phone.contains("****"));
    assert_eq!(consent.consent_version, application.consents[0].version);
    assert!(consent.consent_time.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_guardian_who_is_one_will_do_and_a_slip_costs_no_second_message() {
    let identity = Identity::start().await;
    let (child, parent) = (child(1, 17), person(2));
    let right = identity.with_guardian(&child, &parent).await;
    let guardian = right.guardian.clone().unwrap();
    let with = |guardian: Guardian| BeginEnrolmentRequest {
        enrolment_id: new_enrolment_id(),
        guardian: Some(guardian),
        ..right.clone()
    };
    let none = BeginEnrolmentRequest { guardian: None, ..again(&right) };
    assert_eq!(identity.begin(&none).await.refusal(), EnrolmentRefusal::GuardianRequired);
    // Another code, another phone, a challenge of another purpose: the child's own.
    let wrong = if guardian.sms_code == "000000" { "000001" } else { "000000" };
    let own = (right.sms_challenge_id.clone(), right.sms_code.clone());
    for (guardian, refusal) in [
        (
            Guardian { sms_code: wrong.into(), ..guardian.clone() },
            EnrolmentRefusal::GuardianSmsCodeWrong,
        ),
        (
            Guardian { phone: person(3).mobile, ..guardian.clone() },
            EnrolmentRefusal::GuardianSmsCodeWrong,
        ),
        (
            Guardian { sms_challenge_id: own.0, sms_code: own.1, ..guardian.clone() },
            EnrolmentRefusal::GuardianSmsCodeWrong,
        ),
    ] {
        assert_eq!(identity.begin(&with(guardian)).await.refusal(), refusal);
    }
    // Fields that can't be right.
    let young = minor(9, 17, shanghai_date(BEGIN));
    for (guardian, field, fault) in [
        (
            Guardian { id_number: child.id_number.clone(), ..guardian.clone() },
            "guardian.id_number",
            "GUARDIAN_IS_APPLICANT",
        ),
        (
            Guardian { id_number: young.id_number, ..guardian.clone() },
            "guardian.id_number",
            "GUARDIAN_UNDER_AGE",
        ),
        (
            Guardian { phone: child.mobile.clone(), ..guardian.clone() },
            "guardian.phone",
            "GUARDIAN_PHONE_SAME",
        ),
        (
            Guardian { relation: 4, ..guardian.clone() },
            "guardian.relation",
            "GUARDIAN_RELATION_UNKNOWN",
        ),
    ] {
        let status = identity.enrolments().begin_enrolment(with(guardian)).await.unwrap_err();
        assert_eq!(reason(&status), "INVALID_FIELDS");
        let details = tonic_types::StatusExt::get_error_details(&status);
        let violation = &details.bad_request().unwrap().field_violations[0];
        assert_eq!((violation.field.as_str(), violation.reason.as_str()), (field, fault));
    }
    assert_eq!(identity.count(KEYS_OF_PEOPLE).await, 0);
    // The register does not know the guardian's name with the number, or the number.
    for verdict in ["02", "03"] {
        identity.vendors.answer(&["01", verdict]);
        let refused = identity.begin(&again(&right)).await;
        assert_eq!(refused.refusal(), EnrolmentRefusal::GuardianIdMismatch);
    }
    assert_eq!(identity.count("SELECT count(*) FROM identity.number").await, 0);
    assert_eq!(identity.count(KEYS_OF_PEOPLE).await, 0);
    let right = again(&right);
    assert_eq!(identity.begin(&right).await.state(), EnrolmentState::Claimed);
    assert_eq!(identity.vendors.texts(&parent.mobile).len(), 1);
    // A consent is one for one registration.
    let sibling = self::child(3, 15);
    let sibling = identity.application(&sibling).await;
    let sibling = BeginEnrolmentRequest { guardian: Some(guardian), ..sibling };
    assert_eq!(identity.begin(&sibling).await.refusal(), EnrolmentRefusal::GuardianSmsCodeUsed);
    // Undone, it is good again.
    identity.discard(&right.enrolment_id).await.unwrap();
    assert_eq!(identity.begin(&again(&sibling)).await.state(), EnrolmentState::Claimed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_16_and_lives_on_own_income_needs_no_guardian_and_who_is_15_does() {
    let identity = Identity::start().await;
    for (n, age, refusal) in [
        (1, 15, Some(EnrolmentRefusal::GuardianRequired)),
        (2, 16, None),
        (3, 17, None),
        (4, 13, Some(EnrolmentRefusal::UnderAge)),
    ] {
        let application = identity.application(&child(n, age)).await;
        let application = BeginEnrolmentRequest { own_income: true, ..application };
        let begun = identity.begin(&application).await;
        match refusal {
            Some(refusal) => assert_eq!(begun.refusal(), refusal, "{age}"),
            None => assert_eq!(begun.state(), EnrolmentState::Claimed, "{age}"),
        }
    }
    let kept = "SELECT count(*) FROM identity.guardian_consent WHERE own_income";
    assert_eq!(identity.count(kept).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_kept_of_the_guardian_of_an_adult_or_of_who_was_refused_or_has_left() {
    let identity = Identity::start().await;
    let parent = person(2);
    let adult = identity.with_guardian(&person(1), &parent).await;
    assert_eq!(identity.begin(&adult).await.state(), EnrolmentState::Claimed);
    assert_eq!(identity.vendors.checks(), 1);
    let kept = "SELECT (SELECT count(*) FROM identity.guardian_consent)
                     + (SELECT count(*) FROM identity.enrolment
                        WHERE guardian IS NOT NULL OR guardian_challenge_id IS NOT NULL)";
    assert_eq!(identity.count(kept).await, 0);
    // What is kept while the register is silent is sealed, and gone with the refusal.
    identity.pass(Duration::MINUTE);
    identity.vendors.register_down(true);
    let parent = person(5);
    let pending = identity.with_guardian(&child(4, 15), &parent).await;
    assert_eq!(identity.begin(&pending).await.state(), EnrolmentState::Pending);
    let row = "SELECT t::text FROM identity.enrolment t WHERE guardian IS NOT NULL";
    let row: String = sqlx::query_scalar(row).fetch_one(&identity.pool).await.unwrap();
    for clear in [&parent.name, &parent.id_number, &parent.mobile] {
        let hex: String = clear.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(!row.contains(clear) && !row.contains(&hex));
    }
    identity.discard(&pending.enrolment_id).await.unwrap();
    let kept = "SELECT count(*) FROM identity.enrolment WHERE guardian IS NOT NULL";
    assert_eq!(identity.count(kept).await, 0);
}
