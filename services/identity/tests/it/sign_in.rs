//! Signing in.

use time::Duration;
use tonic::Code;
use zhiyuan_contracts::identity::v1::{SignInRequest, SmsPurpose};
use zhiyuan_testkit::{Person, person};

use crate::account::{PASSWORD, password_of, refused};
use crate::harness::Identity;

pub(crate) async fn with_one() -> (Identity, Person) {
    let (identity, person) = (Identity::start().await, person(1));
    identity.register(&person).await;
    (identity, person)
}

pub(crate) fn tail(person: &Person) -> String {
    person.id_number[12..].to_owned()
}

#[tokio::test]
async fn by_phone_or_number_and_password() {
    let (identity, person) = with_one().await;
    for identifier in [
        person.mobile.clone(),
        format!("+86 {}", person.mobile),
        person.id_number.clone(),
        person.id_number.to_lowercase(),
    ] {
        let tokens = identity.by_password(&identifier, PASSWORD).await.unwrap();
        assert_eq!(identity.sessions_of(&tokens).await.unwrap().len(), 1, "{identifier}");
        // Each begins a session of its own.
        let ended = sqlx::query("DELETE FROM identity.session").execute(&identity.pool).await;
        ended.unwrap();
    }
}

#[tokio::test]
async fn who_is_not_known_gets_the_answer_of_a_wrong_password() {
    let (identity, known) = with_one().await;
    let unknown = person(2);
    let mut answers = Vec::new();
    for identifier in [&known.mobile, &unknown.mobile, &known.id_number, &unknown.id_number] {
        let status = identity.sign_in(password_of(identifier, "wrong-tea-42")).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        answers.push((status.message().to_owned(), status.details().to_vec()));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    // An account that was disabled, with the right password.
    let sql = "UPDATE identity.account SET state = 'DISABLED'";
    sqlx::query(sql).execute(&identity.pool).await.unwrap();
    let status = identity.sign_in(password_of(&known.mobile, PASSWORD)).await.unwrap_err();
    assert_eq!((status.message().to_owned(), status.details().to_vec()), answers[0]);
}

#[tokio::test]
async fn what_is_malformed_is_told_field_by_field() {
    let (identity, person) = with_one().await;
    for request in [
        SignInRequest::default(),
        password_of("not a phone", PASSWORD),
        password_of(&person.mobile, ""),
        password_of(&person.mobile, &"a".repeat(257)),
        SignInRequest { sms_code: "12345".into(), ..password_of(&person.mobile, PASSWORD) },
        SignInRequest { device_token: "no".into(), ..password_of(&person.mobile, PASSWORD) },
        SignInRequest { client_name: "长".repeat(33), ..password_of(&person.mobile, PASSWORD) },
        SignInRequest { name: "张".into(), ..password_of(&person.mobile, PASSWORD) },
        SignInRequest { id_number_tail: "1234".into(), ..password_of(&person.mobile, PASSWORD) },
        // A code goes to a phone.
        SignInRequest {
            identifier: person.id_number.clone(),
            ..identity.code_request(&person.mobile).await
        },
    ] {
        assert_eq!(refused(identity.sign_in(request).await), "INVALID_FIELDS");
    }
    assert_eq!(identity.count("SELECT count(*) FROM identity.session").await, 0);
}

#[tokio::test]
async fn by_code_once() {
    let (identity, person) = with_one().await;
    let request = identity.code_request(&person.mobile).await;
    let wrong = SignInRequest { sms_code: "000000".into(), ..request.clone() };
    if wrong.sms_code != request.sms_code {
        assert_eq!(refused(identity.sign_in(wrong).await), "SMS_CODE_WRONG");
    }
    identity.sign_in(request.clone()).await.unwrap();
    assert_eq!(refused(identity.sign_in(request).await), "SMS_CODE_USED");
}

#[tokio::test]
async fn a_code_is_good_for_its_phone_purpose_and_time() {
    let (identity, person) = with_one().await;
    let other = zhiyuan_testkit::person(2);
    let request = identity.code_request(&person.mobile).await;
    let stolen = SignInRequest { identifier: other.mobile.clone(), ..request.clone() };
    assert_eq!(refused(identity.sign_in(stolen).await), "SMS_CODE_WRONG");
    for purpose in [SmsPurpose::Register, SmsPurpose::ResetPassword] {
        let (sms_challenge_id, sms_code) = identity.code_for(&person.mobile, purpose).await;
        let request = SignInRequest { sms_challenge_id, sms_code, ..request.clone() };
        assert_eq!(refused(identity.sign_in(request).await), "SMS_CODE_WRONG", "{purpose:?}");
    }
    identity.pass(Duration::minutes(5));
    assert_eq!(refused(identity.sign_in(request).await), "SMS_CODE_EXPIRED");
    // Whoever holds a phone may know that nobody has registered with it.
    let nobody = identity.code_request(&other.mobile).await;
    assert_eq!(refused(identity.sign_in(nobody).await), "ACCOUNT_NOT_FOUND");
}

#[tokio::test]
async fn password_and_code_together_are_two_factors() {
    let (identity, person) = with_one().await;
    let code = identity.code_request(&person.mobile).await;
    let both = SignInRequest { password: PASSWORD.into(), ..code.clone() };
    let wrong = SignInRequest { password: "wrong-tea-42".into(), ..code };
    assert_eq!(refused(identity.sign_in(wrong).await), "SIGN_IN_REFUSED");
    // The code was right, and nothing came of it: it is still good.
    let tokens = identity.sign_in(both).await.unwrap().tokens.unwrap();
    assert!(identity.sessions_of(&tokens).await.unwrap()[0].second_factor);
    let one = identity.by_password(&person.mobile, PASSWORD).await.unwrap();
    let sessions = identity.sessions_of(&one).await.unwrap();
    assert_eq!(sessions.len(), 2);
    let current = sessions.iter().find(|session| session.current).unwrap();
    assert!(!current.second_factor);
    // Such a session is short.
    identity.pass(Duration::minutes(31));
    assert_eq!(refused(identity.refresh(&tokens.refresh_token).await), "SESSION_OVER");
}

#[tokio::test]
async fn a_phone_that_may_have_another_owner_is_not_proof_enough() {
    let (identity, person) = with_one().await;
    let known = identity.sign_in(password_of(&person.mobile, PASSWORD)).await.unwrap();
    identity.pass(Duration::days(60));
    let request = identity.code_request(&person.mobile).await;
    assert_eq!(refused(identity.sign_in(request.clone()).await), "SECOND_PROOF_REQUIRED");
    let proof = |name: &str, id_number_tail: String| SignInRequest {
        name: name.to_owned(),
        id_number_tail,
        ..request.clone()
    };
    let wrong = proof("王小明明", tail(&person));
    assert_eq!(refused(identity.sign_in(wrong).await), "SIGN_IN_REFUSED");
    let wrong = proof(&person.name, "00000X".into());
    assert_eq!(refused(identity.sign_in(wrong).await), "SIGN_IN_REFUSED");
    identity.sign_in(proof(&person.name, tail(&person))).await.unwrap();
    // Just proved: from now on a code is enough again.
    let request = identity.code_request(&person.mobile).await;
    identity.sign_in(request).await.unwrap();
    identity.pass(Duration::days(60));
    let request = identity.code_request(&person.mobile).await;
    let from_device = SignInRequest { device_token: known.device_token, ..request };
    identity.sign_in(from_device).await.unwrap();
}

#[tokio::test]
async fn a_new_owner_detaches_a_phone_and_a_family_shares_one() {
    let (identity, first) = with_one().await;
    let second = Person { mobile: first.mobile.clone(), ..person(2) };
    identity.pass(Duration::MINUTE);
    identity.register(&second).await;
    // Both proved it not long ago: the ID number tells them apart.
    assert_eq!(refused(identity.by_password(&first.mobile, PASSWORD).await), "SIGN_IN_REFUSED");
    identity.by_password(&first.id_number, PASSWORD).await.unwrap();
    let request = identity.code_request(&first.mobile).await;
    assert_eq!(refused(identity.sign_in(request.clone()).await), "SECOND_PROOF_REQUIRED");
    let named =
        SignInRequest { name: second.name.clone(), id_number_tail: tail(&second), ..request };
    identity.sign_in(named).await.unwrap();

    identity.pass(Duration::days(61));
    let third = Person { mobile: first.mobile.clone(), ..person(3) };
    identity.register(&third).await;
    // It is the third's alone now.
    identity.by_password(&third.mobile, PASSWORD).await.unwrap();
    let request = identity.code_request(&third.mobile).await;
    let signed_in = identity.sign_in(request).await.unwrap();
    let by_number = identity.sign_in(password_of(&third.id_number, PASSWORD)).await.unwrap();
    assert_eq!(signed_in.account_id, by_number.account_id);
    identity.by_password(&first.id_number, PASSWORD).await.unwrap();
}
