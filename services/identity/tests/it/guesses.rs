//! Guessing, and who pays for it.

use futures_util::future::join_all;
use time::Duration;
use zhiyuan_contracts::identity::v1::{ResetPasswordRequest, SignInRequest, SmsPurpose};
use zhiyuan_testkit::person;

use crate::account::{PASSWORD, password_of, refused};
use crate::harness::Identity;
use crate::sign_in::{tail, with_one};

#[tokio::test]
async fn five_tries_of_a_code_and_no_sixth() {
    let (identity, person) = with_one().await;
    let right = identity.code_request(&person.mobile).await;
    let digits: u32 = right.sms_code.parse().unwrap();
    for guess in 1..=5 {
        let sms_code = format!("{:06}", (digits + guess) % 1_000_000);
        let wrong = SignInRequest { sms_code, ..right.clone() };
        assert_eq!(refused(identity.sign_in(wrong).await), "SMS_CODE_WRONG", "{guess}");
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
    let of = |reason: &str| answers.iter().filter(|answer| *answer == reason).count();
    assert_eq!(of("SMS_CODE_WRONG"), 5, "{answers:?}");
    let sql = "SELECT max(tries)::bigint FROM identity.sms_challenge WHERE purpose = 2";
    assert_eq!(identity.count(sql).await, 5);
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

#[tokio::test]
async fn a_stranger_who_burns_codes_of_a_phone_delays_no_code_of_its_owner() {
    let (identity, person) = with_one().await;
    for _ in 0..5 {
        let sent = identity.code_request(&person.mobile).await;
        let digits: u32 = sent.sms_code.parse().unwrap();
        for guess in 1..=6 {
            let sms_code = format!("{:06}", (digits + guess) % 1_000_000);
            let guess = SignInRequest { sms_code, ..sent.clone() };
            identity.sign_in(guess).await.unwrap_err();
        }
    }
    // And guesses with challenges that there are not, which don't even count for all.
    let before =
        identity.count("SELECT coalesce(sum(failed), 0) FROM identity.sign_in_minute").await;
    for _ in 0..20 {
        let sms_challenge_id = crate::harness::new_enrolment_id();
        let guess = ResetPasswordRequest {
            phone: person.mobile.clone(),
            sms_challenge_id,
            sms_code: "123456".into(),
            new_password: "white-tea-43".into(),
            ..ResetPasswordRequest::default()
        };
        let mut credentials = identity.credentials();
        assert_eq!(refused(credentials.reset_password(guess).await), "SMS_CODE_WRONG");
    }
    let after =
        identity.count("SELECT coalesce(sum(failed), 0) FROM identity.sign_in_minute").await;
    assert_eq!(after, before);
    let mine = identity.code_request(&person.mobile).await;
    identity.sign_in(mine).await.unwrap();
}

#[tokio::test]
async fn name_and_number_of_the_former_owner_of_a_phone_are_guessed_a_few_times_a_day() {
    let (identity, person) = with_one().await;
    identity.pass(Duration::days(60));
    // Each code is right: the phone is the new owner's by now.
    let reset = identity.code_for(&person.mobile, SmsPurpose::ResetPassword).await;
    let right = identity.code_request(&person.mobile).await;
    let guess = |tail: u32| SignInRequest {
        name: person.name.clone(),
        id_number_tail: format!("{tail:06}"),
        ..right.clone()
    };
    for tail in 0..3 {
        assert_eq!(refused(identity.sign_in(guess(tail)).await), "SIGN_IN_REFUSED", "{tail}");
    }
    assert_eq!(refused(identity.sign_in(guess(3)).await), "SIGN_IN_DELAYED");
    // Neither another code nor another way with one opens more guesses.
    let more = identity.code_request(&person.mobile).await;
    assert_eq!(refused(identity.sign_in(SignInRequest { ..guess(4) }).await), "SIGN_IN_REFUSED");
    let next = SignInRequest { name: person.name.clone(), id_number_tail: "000005".into(), ..more };
    assert_eq!(refused(identity.sign_in(next).await), "SIGN_IN_DELAYED");
    let by_reset = ResetPasswordRequest {
        phone: person.mobile.clone(),
        sms_challenge_id: reset.0,
        sms_code: reset.1,
        new_password: "white-tea-43".into(),
        name: person.name.clone(),
        id_number_tail: tail(&person),
        ..ResetPasswordRequest::default()
    };
    let mut credentials = identity.credentials();
    assert_eq!(refused(credentials.reset_password(by_reset.clone()).await), "SIGN_IN_DELAYED");
    // A code alone is answered as before, and the password is not delayed.
    assert_eq!(refused(identity.sign_in(right).await), "SECOND_PROOF_REQUIRED");
    identity.by_password(&person.mobile, PASSWORD).await.unwrap();
    // The wait ends, and the right proof clears it.
    identity.pass(Duration::minutes(10));
    let (sms_challenge_id, sms_code) =
        identity.code_for(&person.mobile, SmsPurpose::ResetPassword).await;
    let by_reset = ResetPasswordRequest { sms_challenge_id, sms_code, ..by_reset };
    credentials.reset_password(by_reset).await.unwrap();
    assert_eq!(identity.count("SELECT count(*) FROM identity.delay WHERE way = 2").await, 0);
}

#[tokio::test]
async fn a_device_that_gave_a_password_alone_has_not_proved_the_phone() {
    let (identity, person) = with_one().await;
    let signed_in = identity.sign_in(password_of(&person.mobile, PASSWORD)).await.unwrap();
    let ask = || zhiyuan_contracts::identity::v1::SendSmsCodeRequest {
        phone: person.mobile.clone(),
        purpose: SmsPurpose::SignIn.into(),
        device_token: signed_in.device_token.clone(),
        ..Default::default()
    };
    // One was sent to register.
    for _ in 0..5 {
        identity.code_for(&person.mobile, SmsPurpose::SignIn).await;
    }
    let right = identity.code_request(&person.mobile).await;
    identity.pass(Duration::MINUTE);
    assert_eq!(refused(identity.ask_for_code(ask()).await), "CHALLENGE_REQUIRED");
    let proof = SignInRequest { device_token: signed_in.device_token.clone(), ..right };
    identity.sign_in(proof).await.unwrap();
    identity.ask_for_code(ask()).await.unwrap();
}

#[tokio::test]
async fn a_password_that_the_phone_alone_has_set_is_no_second_factor_beside_it() {
    let (identity, person) = with_one().await;
    let both = async |password: &str| {
        let code = identity.code_request(&person.mobile).await;
        let request = SignInRequest { password: password.into(), ..code };
        let signed_in = identity.sign_in(request).await.unwrap();
        let tokens = signed_in.tokens.unwrap();
        let sessions = identity.sessions_of(&tokens).await.unwrap();
        let current = sessions.iter().find(|session| session.current).unwrap();
        (tokens.clone(), current.second_factor, signed_in.device_token)
    };
    assert!(both(PASSWORD).await.1);
    let reset = async |password: &str, second: bool, device_token: &str| {
        let (sms_challenge_id, sms_code) =
            identity.code_for(&person.mobile, SmsPurpose::ResetPassword).await;
        let request = ResetPasswordRequest {
            phone: person.mobile.clone(),
            sms_challenge_id,
            sms_code,
            new_password: password.to_owned(),
            name: if second { person.name.clone() } else { String::new() },
            id_number_tail: if second { tail(&person) } else { String::new() },
            device_token: device_token.to_owned(),
        };
        identity.credentials().reset_password(request).await.unwrap();
    };
    // Whoever has a copy of the card resets, and changes once more.
    reset("white-tea-43", false, "").await;
    let (tokens, second_factor, _) = both("white-tea-43").await;
    assert!(!second_factor);
    let change = zhiyuan_contracts::identity::v1::ChangePasswordRequest {
        current_password: "white-tea-43".into(),
        new_password: "white-tea-44".into(),
    };
    let change = crate::account::with(&tokens, change);
    identity.credentials().change_password(change).await.unwrap();
    assert!(!both("white-tea-44").await.1);
    // Whoever knows name and number too, as half the school does, is no further.
    identity.pass(Duration::hours(24));
    reset("white-tea-45", true, "").await;
    let (_, second_factor, device) = both("white-tea-45").await;
    assert!(!second_factor);
    // Nor with a device that was made known since.
    reset("white-tea-46", false, &device).await;
    let (_, second_factor, device) = both("white-tea-46").await;
    assert!(!second_factor);
    // After a week the password counts, and the device: its owner need not wait again.
    identity.pass(Duration::days(7));
    assert!(both("white-tea-46").await.1);
    reset("white-tea-47", false, &device).await;
    assert!(both("white-tea-47").await.1);
}
