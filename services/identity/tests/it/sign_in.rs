//! Signing in.

use futures_util::future::join_all;
use time::Duration;
use tonic::Code;
use zhiyuan_contracts::identity::v1::{SignInRequest, SmsPurpose};
use zhiyuan_testkit::{Person, person};

use crate::account::{PASSWORD, password_of, refused};
use crate::harness::Identity;

async fn with_one() -> (Identity, Person) {
    let (identity, person) = (Identity::start().await, person(1));
    identity.register(&person).await;
    (identity, person)
}

fn tail(person: &Person) -> String {
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
async fn five_tries_of_a_code_and_no_sixth() {
    let (identity, person) = with_one().await;
    let right = identity.code_request(&person.mobile).await;
    let digits: u32 = right.sms_code.parse().unwrap();
    for guess in 1..=5 {
        let sms_code = format!("{:06}", (digits + guess) % 1_000_000);
        let wrong = SignInRequest { sms_code, ..right.clone() };
        assert_eq!(refused(identity.sign_in(wrong).await), "SMS_CODE_WRONG", "{guess}");
        identity.pass(Duration::seconds(5));
    }
    assert_eq!(refused(identity.sign_in(right).await), "SMS_CODE_TRIES_EXHAUSTED");
}

#[tokio::test]
async fn of_two_hundred_guesses_at_once_a_few_are_evaluated_whoever_serves_them() {
    let (identity, person) = with_one().await;
    let (replica, _tasks) = identity.replica().await;
    let channels = [identity.channel(), zhiyuan_rpc::connect_lazy(&replica).unwrap()];
    let guesses = (0..200).map(|guess: usize| {
        let mut client = crate::account::sign_ins(channels[guess % 2].clone());
        let request = password_of(&person.mobile, &format!("guess-{guess:04}"));
        async move { crate::codes::reason(&client.sign_in(request).await.unwrap_err()) }
    });
    let answers = join_all(guesses).await;
    let of = |reason: &str| answers.iter().filter(|answer| *answer == reason).count();
    // Four without a wait; the others were not looked at. A busy pool refuses before that.
    assert!(of("SIGN_IN_REFUSED") <= 4, "{answers:?}");
    let told = of("SIGN_IN_REFUSED") + of("SIGN_IN_DELAYED") + of("OVERLOADED") + of("UNAVAILABLE");
    assert_eq!(told, 200, "{answers:?}");
    assert!(of("SIGN_IN_DELAYED") > 0);

    let right = identity.code_request(&person.mobile).await;
    let guesses = (0..200).map(|guess: usize| {
        let mut client = crate::account::sign_ins(channels[guess % 2].clone());
        let digits: usize = right.sms_code.parse().unwrap();
        let sms_code = format!("{:06}", (digits + 1 + guess) % 1_000_000);
        let request = SignInRequest { sms_code, ..right.clone() };
        async move { crate::codes::reason(&client.sign_in(request).await.unwrap_err()) }
    });
    let answers = join_all(guesses).await;
    let wrong = answers.iter().filter(|answer| *answer == "SMS_CODE_WRONG").count();
    assert!((1..=5).contains(&wrong), "{wrong}");
    let sql = "SELECT max(tries)::bigint FROM identity.sms_challenge WHERE purpose = 2";
    assert_eq!(identity.count(sql).await, i64::try_from(wrong).unwrap());
}

#[tokio::test]
async fn strangers_delay_neither_codes_nor_known_devices_nor_the_number() {
    let (identity, person) = with_one().await;
    let known = identity.sign_in(password_of(&person.mobile, PASSWORD)).await.unwrap();
    for _ in 0..60 {
        let _ = identity.sign_in(password_of(&person.mobile, "wrong-tea-42")).await;
        identity.pass(Duration::seconds(7));
    }
    let stranger = identity.sign_in(password_of(&person.mobile, PASSWORD)).await;
    assert_eq!(refused(stranger), "SIGN_IN_DELAYED");
    let request = SignInRequest {
        device_token: known.device_token.clone(),
        ..password_of(&person.mobile, PASSWORD)
    };
    let again = identity.sign_in(request).await.unwrap();
    assert_eq!(again.device_token, known.device_token);
    identity.by_password(&person.id_number, PASSWORD).await.unwrap();
    let by_code = identity.code_request(&person.mobile).await;
    identity.sign_in(by_code).await.unwrap();
    // A device of somebody else is none.
    let other = zhiyuan_testkit::person(2);
    identity.register(&other).await;
    let foreign = identity.sign_in(password_of(&other.mobile, PASSWORD)).await.unwrap();
    let request = SignInRequest {
        device_token: foreign.device_token,
        ..password_of(&person.mobile, "wrong-tea-42")
    };
    assert_eq!(refused(identity.sign_in(request).await), "SIGN_IN_DELAYED");
    // Five minutes are the longest wait there is.
    identity.pass(Duration::minutes(5));
    identity.by_password(&person.mobile, PASSWORD).await.unwrap();
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

#[tokio::test]
async fn one_password_tried_on_many_accounts_costs_work() {
    let more = "
[challenge]
normal_failures_per_minute = 8
difficulty_bits = 6
max_bits = 12
";
    let (identity, owner) = (Identity::start_with(more).await, person(1));
    identity.register(&owner).await;
    let known = identity.sign_in(password_of(&owner.mobile, PASSWORD)).await.unwrap();
    for n in 0..8 {
        let spray = password_of(&person(100 + n).mobile, "wrong-tea-42");
        assert_eq!(refused(identity.sign_in(spray).await), "SIGN_IN_REFUSED", "{n}");
    }
    let next = || password_of(&person(200).mobile, "wrong-tea-42");
    let asked = identity.sign_in(next()).await;
    // With work it goes on, for this identifier and once.
    let solution = Some(crate::challenges::solve(&asked));
    let worked = SignInRequest { solution: solution.clone(), ..next() };
    assert_eq!(refused(identity.sign_in(worked.clone()).await), "SIGN_IN_REFUSED");
    assert_eq!(refused(identity.sign_in(worked).await), "CHALLENGE_REQUIRED");
    let other = SignInRequest { solution, ..password_of(&person(201).mobile, "wrong-tea-42") };
    assert_eq!(refused(identity.sign_in(other).await), "CHALLENGE_REQUIRED");
    // A known device is not asked; and a minute later nobody is.
    let request =
        SignInRequest { device_token: known.device_token, ..password_of(&owner.mobile, PASSWORD) };
    identity.sign_in(request).await.unwrap();
    identity.pass(Duration::minutes(2));
    assert_eq!(refused(identity.sign_in(next()).await), "SIGN_IN_REFUSED");
}
