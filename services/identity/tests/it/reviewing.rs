//! What the register can't tell is looked at, and decided, by a person.

use time::Duration;
use tonic::{Code, Status};
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::{
    Applicant, BatchGetApplicantsRequest, DecideEnrolmentRequest, Enrolment, EnrolmentDecision,
    EnrolmentRefusal, EnrolmentState, RevealApplicantRequest,
};
use zhiyuan_testkit::{Person, person};

use crate::guardians::child;
use crate::harness::{Identity, KEYS_OF_PEOPLE, account, new_enrolment_id};

use EnrolmentDecision::{Accept, NameMismatch, NumberNotFound};

/// What is recorded of people, the oldest first.
const RECORDS: &str = "SELECT string_agg(concat_ws(' ', action, actor, subject_account_id, purpose,
                              detail_values::text), ',' ORDER BY n)
     FROM (SELECT action, actor, subject_account_id, purpose, detail_values, 1000000 + seq AS n
           FROM identity.audit_pending
           UNION ALL
           SELECT action, actor, subject_account_id, purpose, detail_values, index
           FROM identity.audit_entry) AS records
     WHERE action IN ('identity.applicant.revealed', 'identity.enrolment.decided')";

impl Identity {
    /// Somebody of whom the register can't tell.
    async fn in_review(&self, person: &Person) -> String {
        let application = self.application(person).await;
        self.vendors.answer(&["04"]);
        assert_eq!(self.begin(&application).await.state(), EnrolmentState::Review);
        application.enrolment_id
    }

    /// Somebody whose account is active.
    async fn registered(&self, person: &Person) -> Uuid {
        let claimed = self.begin(&self.application(person).await).await;
        account(&self.activate(&claimed.enrolment_id).await.unwrap())
    }

    async fn decide(
        &self,
        enrolment_id: &str,
        decision: EnrolmentDecision,
        by: Uuid,
    ) -> Result<Enrolment, Status> {
        let request = DecideEnrolmentRequest {
            enrolment_id: enrolment_id.to_owned(),
            decision: decision.into(),
            decided_by: by.to_string(),
        };
        Ok(self.enrolments().decide_enrolment(request).await?.into_inner().enrolment.unwrap())
    }

    async fn reveal(&self, id: &str, viewer: Uuid) -> Result<(String, String), Status> {
        let request = RevealApplicantRequest {
            enrolment_id: id.to_owned(),
            viewer_account_id: viewer.to_string(),
            purpose: " 核对身份证原件 ".into(),
        };
        let shown = self.enrolments().reveal_applicant(request).await?.into_inner();
        Ok((shown.name, shown.id_number))
    }

    async fn applicants(&self, viewer: Uuid, ids: &[&String]) -> Vec<Applicant> {
        let request = BatchGetApplicantsRequest {
            viewer_account_id: viewer.to_string(),
            enrolment_ids: ids.iter().map(|id| (*id).clone()).collect(),
        };
        self.enrolments().batch_get_applicants(request).await.unwrap().into_inner().applicants
    }

    async fn recorded(&self) -> String {
        let records: Option<String> =
            sqlx::query_scalar(RECORDS).fetch_one(&self.pool).await.unwrap();
        records.unwrap_or_default()
    }
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, reason: &str) {
    let status = answer.unwrap_err();
    let details = tonic_types::StatusExt::get_error_details(&status);
    let found = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
    assert_eq!((status.code(), &*found), (code, reason));
}

#[tokio::test]
async fn who_is_accepted_by_a_person_claims_the_number_and_is_told_once_it_is_done() {
    let identity = Identity::start().await;
    let someone = person(1);
    let phone = someone.mobile.as_str();
    let id = identity.in_review(&someone).await;
    let (checks, reviewer) = (identity.vendors.checks(), Uuid::new_v4());
    let shown = identity.reveal(&id, reviewer).await.unwrap();
    assert_eq!(shown, (someone.name.clone(), someone.id_number.clone()));

    let claimed = identity.decide(&id, Accept, reviewer).await.unwrap();
    assert_eq!(claimed.state(), EnrolmentState::Claimed);
    assert_eq!(identity.vendors.checks(), checks, "the register is asked no more");
    // Whoever says so again finds it done; whoever says otherwise is refused.
    let again = identity.decide(&id, Accept, Uuid::new_v4()).await.unwrap();
    assert_eq!(again, claimed);
    for other in [NameMismatch, NumberNotFound] {
        let refused = identity.decide(&id, other, reviewer).await;
        assert_refused(refused, Code::FailedPrecondition, "ENROLMENT_DECIDED");
    }
    let late = identity.reveal(&id, reviewer).await;
    assert_refused(late, Code::FailedPrecondition, "ENROLMENT_NOT_IN_REVIEW");

    assert_eq!(identity.vendors.texts(phone).len(), 1, "told only when the account is active");
    identity.activate(&id).await.unwrap();
    assert!(identity.until_texts(phone, 2).await[1].contains("注册已完成"));
    let account_id = account(&claimed);
    let expected = format!(
        "identity.applicant.revealed {reviewer} {account_id} 核对身份证原件 {{}},\
         identity.enrolment.decided {reviewer} {account_id} {{ACCEPT}}"
    );
    assert_eq!(identity.recorded().await, expected);
    // As well proved as by the register, and by whom is kept.
    let kept: (i16, String, Uuid) = sqlx::query_as(
        "SELECT a.level, e.decision, e.decided_by
         FROM identity.account a JOIN identity.enrolment e USING (enrolment_id)",
    )
    .fetch_one(&identity.pool)
    .await
    .unwrap();
    assert_eq!(kept, (1, "ACCEPT".to_owned(), reviewer));
}

#[tokio::test]
async fn who_is_refused_by_a_person_is_told_and_forgotten_and_may_try_again() {
    let identity = Identity::start().await;
    for (n, decision, refusal) in [
        (1, NameMismatch, EnrolmentRefusal::IdNameMismatch),
        (2, NumberNotFound, EnrolmentRefusal::IdNotFound),
    ] {
        let someone = person(n);
        let id = identity.in_review(&someone).await;
        let refused = identity.decide(&id, decision, Uuid::new_v4()).await.unwrap();
        assert_eq!((refused.state(), refused.refusal()), (EnrolmentState::Refused, refusal));
        assert_eq!(identity.decide(&id, decision, Uuid::new_v4()).await.unwrap(), refused);
        let other = identity.decide(&id, Accept, Uuid::new_v4()).await;
        assert_refused(other, Code::FailedPrecondition, "ENROLMENT_DECIDED");
        let texts = identity.until_texts(someone.mobile.as_str(), 2).await;
        assert!(texts[1].contains("未能完成"), "{texts:?}");
    }
    for _ in 0..500 {
        if identity.count(KEYS_OF_PEOPLE).await == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(identity.count(KEYS_OF_PEOPLE).await, 0, "a key outlived the applicant");
    // As one that the register refused: of a phone and of a number each.
    assert_eq!(identity.count("SELECT count(*) FROM identity.failed_check").await, 4);
    identity.pass(Duration::MINUTE);
    let again = identity.begin(&identity.application(&person(1)).await).await;
    assert_eq!(again.state(), EnrolmentState::Claimed);
}

#[tokio::test]
async fn who_is_accepted_too_late_hears_that_the_number_is_registered() {
    let identity = Identity::start().await;
    let (owner, other) = (person(1), Person { mobile: person(2).mobile, ..person(1) });
    let id = identity.in_review(&other).await;
    identity.registered(&owner).await;
    let refused = identity.decide(&id, Accept, Uuid::new_v4()).await.unwrap();
    assert_eq!(refused.state(), EnrolmentState::Refused);
    assert_eq!(refused.refusal(), EnrolmentRefusal::AlreadyRegistered);
    assert_eq!(refused.account_id, "", "not with another phone");
}

#[tokio::test]
async fn a_claim_in_the_way_is_waited_for_by_whoever_comes_along() {
    let identity = Identity::start().await;
    let (first, second) = (person(1), Person { mobile: person(2).mobile, ..person(1) });
    let id = identity.in_review(&second).await;
    let claimed = identity.begin(&identity.application(&first).await).await;
    // Whose account is not active yet: nobody is told anything on account of that.
    let waits = identity.decide(&id, Accept, Uuid::new_v4()).await.unwrap();
    assert_eq!(waits.state(), EnrolmentState::Pending);
    let checks = identity.vendors.checks();
    identity.discard(&claimed.enrolment_id).await.unwrap();
    identity.pass(Duration::MINUTE);
    identity.until(&id, EnrolmentState::Claimed).await;
    assert_eq!(identity.vendors.checks(), checks, "the register is asked no more");
}

#[tokio::test]
async fn a_decision_of_the_last_day_holds_however_long_it_takes() {
    let identity = Identity::start().await;
    let (first, second) = (person(1), Person { mobile: person(2).mobile, ..person(1) });
    let id = identity.in_review(&second).await;
    identity.pass(Duration::days(7) - Duration::MINUTE);
    let claimed = identity.begin(&identity.application(&first).await).await;
    identity.decide(&id, Accept, Uuid::new_v4()).await.unwrap();
    identity.discard(&claimed.enrolment_id).await.unwrap();
    identity.pass(Duration::minutes(16));
    identity.until(&id, EnrolmentState::Claimed).await;
}

#[tokio::test]
async fn nobody_looks_at_or_decides_about_themselves() {
    let identity = Identity::start().await;
    // By the phone, and by the ID number.
    let (by_phone, by_number) = (person(1), person(2));
    let phone_owner = identity.registered(&by_phone).await;
    let number_owner = identity.registered(&by_number).await;
    identity.pass(Duration::MINUTE);
    let with_phone = identity.in_review(&Person { mobile: by_phone.mobile, ..person(3) }).await;
    let with_number = identity.in_review(&Person { mobile: person(4).mobile, ..by_number }).await;
    let ids = [&with_phone, &with_number];
    let own = |applicants: Vec<Applicant>| {
        applicants.into_iter().map(|applicant| applicant.own).collect::<Vec<_>>()
    };
    assert_eq!(own(identity.applicants(phone_owner, &ids).await), [true, false]);
    assert_eq!(own(identity.applicants(number_owner, &ids).await), [false, true]);
    assert_eq!(own(identity.applicants(Uuid::new_v4(), &ids).await), [false, false]);
    for (id, owner, somebody) in
        [(&with_phone, phone_owner, number_owner), (&with_number, number_owner, phone_owner)]
    {
        let seen = identity.reveal(id, owner).await;
        assert_refused(seen, Code::PermissionDenied, "ENROLMENT_OWN");
        let decided = identity.decide(id, Accept, owner).await;
        assert_refused(decided, Code::PermissionDenied, "ENROLMENT_OWN");
        assert_eq!(identity.get(id).await.unwrap().state(), EnrolmentState::Review);
        identity.reveal(id, somebody).await.unwrap();
    }
}

#[tokio::test]
async fn a_person_who_accepts_a_child_does_not_stand_in_for_what_the_register_says_of_the_guardian()
{
    let identity = Identity::start().await;
    let reviewer = Uuid::new_v4();
    // The register can't tell of the child, of the guardian, of both; and what it says of
    // the guardian once the child is accepted.
    for (n, verdicts, later, refusal) in [
        (1, &["04"][..], "01", None),
        (2, &["01", "04"], "04", None),
        (3, &["04"], "02", Some(EnrolmentRefusal::GuardianIdMismatch)),
    ] {
        let (child, parent) = (child(n, 15), person(10 + n));
        let application = identity.with_guardian(&child, &parent).await;
        identity.vendors.answer(verdicts);
        assert_eq!(identity.begin(&application).await.state(), EnrolmentState::Review);
        let id = application.enrolment_id;
        let request = RevealApplicantRequest {
            enrolment_id: id.clone(),
            viewer_account_id: reviewer.to_string(),
            purpose: "核对户口簿".into(),
        };
        let shown = identity.enrolments().reveal_applicant(request).await.unwrap().into_inner();
        assert_eq!(
            (shown.guardian_name, shown.guardian_id_number),
            (parent.name, parent.id_number)
        );
        identity.vendors.answer(&[later]);
        let decided = identity.decide(&id, Accept, reviewer).await.unwrap();
        match refusal {
            Some(refusal) => assert_eq!(decided.refusal(), refusal),
            None => assert_eq!(decided.state(), EnrolmentState::Claimed, "{n}"),
        }
    }
    // Nobody accepts a child as its guardian.
    let parent = person(20);
    let guardian = identity.registered(&parent).await;
    identity.pass(Duration::MINUTE);
    let application = identity.with_guardian(&child(5, 15), &parent).await;
    identity.vendors.answer(&["04"]);
    let id = identity.begin(&application).await.enrolment_id;
    let decided = identity.decide(&id, Accept, guardian).await;
    assert_refused(decided, Code::PermissionDenied, "ENROLMENT_OWN");
}

#[tokio::test]
async fn a_list_shows_who_waits_and_nobody_else() {
    let identity = Identity::start().await;
    let (first, second) = (person(1), person(2));
    let waits = identity.in_review(&first).await;
    let other = identity.in_review(&second).await;
    let done = identity.begin(&identity.application(&person(3)).await).await.enrolment_id;
    let nobody = new_enrolment_id();
    let shown = identity.applicants(Uuid::new_v4(), &[&other, &done, &nobody, &waits]).await;
    let ids: Vec<&String> = shown.iter().map(|applicant| &applicant.enrolment_id).collect();
    assert_eq!(ids, [&other, &waits]);
    let name = &shown[1].masked_name;
    assert!(name.ends_with('*') && first.name.starts_with(&name[..3]), "{name}");
    for (id, code, reason) in [
        (&done, Code::FailedPrecondition, "ENROLMENT_NOT_IN_REVIEW"),
        (&nobody, Code::NotFound, "ENROLMENT_NOT_FOUND"),
    ] {
        assert_refused(identity.reveal(id, Uuid::new_v4()).await, code, reason);
        assert_refused(identity.decide(id, Accept, Uuid::new_v4()).await, code, reason);
    }
    assert_eq!(identity.recorded().await, "");
}

#[tokio::test]
async fn of_two_who_decide_at_once_one_does() {
    let identity = Identity::start().await;
    let id = identity.in_review(&person(1)).await;
    let (one, other) = tokio::join!(
        identity.decide(&id, Accept, Uuid::new_v4()),
        identity.decide(&id, NameMismatch, Uuid::new_v4()),
    );
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    let state = identity.settled(&id).await.state();
    let expected = if one.is_ok() { EnrolmentState::Claimed } else { EnrolmentState::Refused };
    assert_eq!(state, expected);
    assert_eq!(identity.recorded().await.matches("decided").count(), 1);
}

#[tokio::test]
async fn malformed_questions_name_their_fields() {
    let identity = Identity::start().await;
    let named = |status: Status| {
        let details = tonic_types::StatusExt::get_error_details(&status);
        let violations = details.bad_request().unwrap().field_violations.clone();
        violations.into_iter().map(|violation| violation.field).collect::<Vec<_>>()
    };
    let mut client = identity.enrolments();
    let wrong = client.decide_enrolment(DecideEnrolmentRequest::default()).await.unwrap_err();
    assert_eq!(named(wrong), ["enrolment_id", "decision", "decided_by"]);
    let wrong = client.reveal_applicant(RevealApplicantRequest::default()).await.unwrap_err();
    assert_eq!(named(wrong), ["enrolment_id", "viewer_account_id", "purpose"]);
    for (ids, fields) in [
        (vec![], vec!["viewer_account_id", "enrolment_ids"]),
        (vec![new_enrolment_id(); 501], vec!["viewer_account_id", "enrolment_ids"]),
        (vec!["x".to_owned()], vec!["viewer_account_id", "enrolment_ids[0]"]),
    ] {
        let viewer_account_id = String::new();
        let request = BatchGetApplicantsRequest { viewer_account_id, enrolment_ids: ids };
        let wrong = client.batch_get_applicants(request).await.unwrap_err();
        assert_eq!(named(wrong), fields);
    }
}
