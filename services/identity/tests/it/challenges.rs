//! Work that is asked for while more codes are sent than usual, and for the last codes of
//! a phone.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::{
    ChallengeSolution, SendSmsCodeRequest, SendSmsCodeResponse, SmsPurpose,
};
use zhiyuan_crypto::digest::unkeyed;
use zhiyuan_domain::Partition;
use zhiyuan_testkit::person;

use crate::codes::reason;
use crate::harness::{BEGIN, Identity};

/// Little work, and none at usual rates.
pub(crate) const EASY: &str = "
[challenge]
difficulty_bits = 6
max_bits = 12
";
/// Work for everything.
const ALWAYS: &str = "
[challenge]
normal_per_minute = 0
difficulty_bits = 6
max_bits = 6
";

type Answer = Result<SendSmsCodeResponse, Status>;

fn ask(phone: &str, solution: Option<ChallengeSolution>) -> SendSmsCodeRequest {
    SendSmsCodeRequest {
        phone: phone.to_owned(),
        purpose: SmsPurpose::Register.into(),
        solution,
        ..Default::default()
    }
}

/// What a refusal asks for.
fn asked<T: std::fmt::Debug>(answer: &Result<T, Status>) -> HashMap<String, String> {
    let status = answer.as_ref().unwrap_err();
    assert_eq!(
        (status.code(), reason(status).as_str()),
        (Code::ResourceExhausted, "CHALLENGE_REQUIRED")
    );
    status.get_error_details().error_info().unwrap().metadata.clone()
}

fn zero_bits(challenge: &str, nonce: &str) -> u32 {
    let hash = unkeyed(format!("{challenge}.{nonce}").as_bytes());
    let (high, low) = hash.split_first_chunk().unwrap();
    assert_eq!(low.len(), 16);
    u128::from_be_bytes(*high).leading_zeros()
}

/// Does the work that a refusal asks for.
pub(crate) fn solve<T: std::fmt::Debug>(answer: &Result<T, Status>) -> ChallengeSolution {
    let asked = asked(answer);
    assert_eq!(asked["algorithm"], "sha256-leading-zero-bits");
    let (challenge, bits) = (&asked["challenge"], asked["difficulty_bits"].parse().unwrap());
    let nonce = (0_u64..)
        .map(|nonce| nonce.to_string())
        .find(|nonce| zero_bits(challenge, nonce) >= bits)
        .unwrap();
    ChallengeSolution { challenge: challenge.clone(), nonce, ..Default::default() }
}

/// Asks as a person's page does: with the work, if it is asked for.
pub(crate) async fn send_working(identity: &Identity, phone: &str) -> Answer {
    let answer = identity.try_send_code(phone).await;
    match &answer {
        Err(status) if reason(status) == "CHALLENGE_REQUIRED" => {
            identity.ask_for_code(ask(phone, Some(solve(&answer)))).await
        }
        _ => answer,
    }
}

/// Asks again where the machine was too busy: nothing was sent then.
async fn send_patiently(identity: &Identity, phone: &str) -> Answer {
    for _ in 0..20 {
        match identity.try_send_code(phone).await {
            Err(status) if status.code() == Code::Unavailable => {}
            answer => return answer,
        }
    }
    panic!("the service did not come back");
}

/// Makes a device known that proved a phone which was sent a code; its token.
async fn device_of(identity: &Identity, phone_row: usize) -> String {
    let (account_id, device_id, secret) = (Uuid::new_v4(), Uuid::new_v4(), [7_u8; 32]);
    let partition = Partition::of(account_id).get();
    let sql = "SELECT phone_index FROM identity.sms_phone ORDER BY updated_at";
    let rows: Vec<Vec<u8>> = sqlx::query_scalar(sql).fetch_all(&identity.pool).await.unwrap();
    let phone_index = &rows[phone_row];
    sqlx::query(
        "INSERT INTO identity.account
             (partition, account_id, enrolment_id, state, level, name, phone, index_version,
              phone_index, password_hash, claimed_at)
         VALUES ($1, $2, $2, 'INACTIVE', 1, '', '', 1, $3, '', $4)",
    )
    .bind(partition)
    .bind(account_id)
    .bind(phone_index)
    .bind(BEGIN)
    .execute(&identity.pool)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO identity.device
             (partition, account_id, device_id, token_hash, index_version, phone_index,
              created_at, last_used_at)
         VALUES ($1, $2, $3, $4, 1, $5, $6, $6)",
    )
    .bind(partition)
    .bind(account_id)
    .bind(device_id)
    .bind(unkeyed(&[b"zhiyuan.device".as_slice(), &secret].concat()).as_slice())
    .bind(phone_index)
    .bind(BEGIN)
    .execute(&identity.pool)
    .await
    .unwrap();
    let bytes = [account_id.as_bytes().as_slice(), device_id.as_bytes(), &secret].concat();
    URL_SAFE_NO_PAD.encode(bytes)
}

fn from_device(phone: &str, token: &str) -> SendSmsCodeRequest {
    SendSmsCodeRequest { device_token: token.to_owned(), ..ask(phone, None) }
}

#[tokio::test]
async fn a_thousand_phones_in_a_minute_dont_use_up_the_budget_and_people_still_get_codes() {
    let more = "
[sms]
minute_budget = 400
[challenge]
normal_per_minute = 100
difficulty_bits = 6
max_bits = 12
";
    let identity = Identity::start_with(more).await;
    let owner = person(900).mobile;
    identity.try_send_code(&owner).await.unwrap();
    let device = device_of(&identity, 0).await;
    identity.pass(Duration::MINUTE);

    let phones: Vec<String> = (1_000..2_000).map(|n| person(n).mobile).collect();
    let answers: Vec<Answer> = futures_util::stream::iter(&phones)
        .map(|phone| send_patiently(&identity, phone))
        .buffer_unordered(16)
        .collect()
        .await;
    // Exactly, however many ask at once.
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 100);
    for answer in answers.iter().filter(|answer| answer.is_err()) {
        assert_eq!(asked(answer)["difficulty_bits"], "6");
    }
    // Somebody who works gets a code, and so does a known device, which need not.
    send_working(&identity, &person(901).mobile).await.unwrap();
    identity.ask_for_code(from_device(&owner, &device)).await.unwrap();

    // Whoever goes on pays more: one bit each time as many codes again were sent.
    for n in 0..98 {
        send_working(&identity, &person(2_000 + n).mobile).await.unwrap();
    }
    let answer = identity.try_send_code(&person(902).mobile).await;
    assert_eq!(asked(&answer)["difficulty_bits"], "7");
    // With work, the budget is still one.
    for n in 0..200 {
        send_working(&identity, &person(3_000 + n).mobile).await.unwrap();
    }
    let over = send_working(&identity, &person(903).mobile).await.unwrap_err();
    assert_eq!(reason(&over), "SMS_BUDGET_EXHAUSTED");
    // The next minute is a new one.
    identity.pass(Duration::MINUTE);
    identity.try_send_code(&person(903).mobile).await.unwrap();
}

#[tokio::test]
async fn the_last_three_codes_of_a_phone_are_kept_for_its_device_while_a_stranger_burns_the_others()
{
    let identity = Identity::start_with(EASY).await;
    let (phone, other) = (person(910).mobile, person(911).mobile);
    identity.try_send_code(&other).await.unwrap();
    let of_another_phone = device_of(&identity, 0).await;
    for _ in 0..7 {
        identity.pass(Duration::MINUTE);
        identity.try_send_code(&phone).await.unwrap();
    }
    let device = device_of(&identity, 1).await;
    identity.pass(Duration::MINUTE);

    // Clearly more work than a busy minute asks for, for whoever is not known there.
    let stranger = identity.try_send_code(&phone).await;
    assert_eq!(asked(&stranger)["difficulty_bits"], "10");
    let foreign = identity.ask_for_code(from_device(&phone, &of_another_phone)).await;
    asked(&foreign);
    let forged = format!("{}A", &device[..85]);
    assert_ne!(forged, device);
    asked(&identity.ask_for_code(from_device(&phone, &forged)).await);
    assert_eq!(identity.vendors.texts(&phone).len(), 7);

    for _ in 0..2 {
        identity.ask_for_code(from_device(&phone, &device)).await.unwrap();
        identity.pass(Duration::MINUTE);
    }
    // Who has no device works for it.
    send_working(&identity, &phone).await.unwrap();
    identity.pass(Duration::MINUTE);
    for over in [
        identity.ask_for_code(from_device(&phone, &device)).await,
        identity.try_send_code(&phone).await,
    ] {
        assert_eq!(reason(&over.unwrap_err()), "SMS_DAILY_LIMIT");
    }
    assert_eq!(identity.vendors.texts(&phone).len(), 10);
}

#[tokio::test]
async fn a_solution_is_good_for_one_code_however_often_it_is_used_at_once() {
    let identity = Identity::start_with(ALWAYS).await;
    let phone = person(920).mobile;
    let solution = solve(&identity.try_send_code(&phone).await);
    let uses = (0..20).map(|_| identity.ask_for_code(ask(&phone, Some(solution.clone()))));
    let answers = join_all(uses).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(identity.vendors.texts(&phone).len(), 1);

    identity.pass(Duration::MINUTE);
    let again = identity.ask_for_code(ask(&phone, Some(solution.clone()))).await;
    assert_eq!(asked(&again)["refused"], "SPENT");
    // What comes with the refusal is good.
    identity.ask_for_code(ask(&phone, Some(solve(&again)))).await.unwrap();
    identity.pass(Duration::MINUTE);
    let late = identity.ask_for_code(ask(&phone, Some(solution))).await;
    assert_eq!(asked(&late)["refused"], "EXPIRED");
}

#[tokio::test]
async fn a_challenge_of_one_phone_is_refused_for_another() {
    let identity = Identity::start_with(ALWAYS).await;
    let (phone, other) = (person(930).mobile, person(931).mobile);
    let answer = identity.try_send_code(&phone).await;
    assert!(!asked(&answer).contains_key("refused"));
    let solution = solve(&answer);
    let foreign = identity.ask_for_code(ask(&other, Some(solution.clone()))).await;
    assert_eq!(asked(&foreign)["refused"], "WRONG");
    let undone = (0_u64..)
        .map(|nonce| ChallengeSolution { nonce: nonce.to_string(), ..solution.clone() })
        .find(|solution| zero_bits(&solution.challenge, &solution.nonce) < 6)
        .unwrap();
    let undone = identity.ask_for_code(ask(&phone, Some(undone))).await;
    assert_eq!(asked(&undone)["refused"], "WRONG");
    // None of that has used it up.
    identity.ask_for_code(ask(&phone, Some(solution))).await.unwrap();
}

#[tokio::test]
async fn a_solution_is_good_again_if_the_message_was_not_taken() {
    let identity = Identity::start_with(ALWAYS).await;
    let phone = person(940).mobile;
    let solution = solve(&identity.try_send_code(&phone).await);
    identity.vendors.sms_down(true);
    let down = identity.ask_for_code(ask(&phone, Some(solution.clone()))).await.unwrap_err();
    assert_eq!(reason(&down), "SMS_UNAVAILABLE");
    identity.vendors.sms_down(false);
    identity.ask_for_code(ask(&phone, Some(solution))).await.unwrap();
}

#[tokio::test]
async fn a_solved_captcha_is_taken_instead_of_the_work_once_and_only_where_there_is_a_vendor() {
    let with_vendor = format!(
        r#"{ALWAYS}
[challenge.captcha.request]
url = "VENDORS/captcha"
content_type = "json"
body = {{ ticket = "{{ticket}}" }}
[challenge.captcha.response]
code_pointer = "/code"
codes = {{ 1 = "passed", 8 = "failed" }}
"#
    );
    let ticket = |ticket: &str| {
        Some(ChallengeSolution { captcha_ticket: ticket.to_owned(), ..Default::default() })
    };
    let identity = Identity::start_with(&with_vendor).await;
    let phone = person(970).mobile;
    assert_eq!(asked(&identity.try_send_code(&phone).await)["captcha"], "offered");
    let unsolved = identity.ask_for_code(ask(&phone, ticket("t-none"))).await;
    assert_eq!(asked(&unsolved)["refused"], "WRONG");
    identity.vendors.give_ticket("t-1");
    identity.vendors.captcha_down(true);
    let down = identity.ask_for_code(ask(&phone, ticket("t-1"))).await;
    assert_eq!(asked(&down)["refused"], "CAPTCHA_UNAVAILABLE");
    // Work is always another way.
    identity.ask_for_code(ask(&phone, Some(solve(&down)))).await.unwrap();
    identity.vendors.captcha_down(false);
    identity.pass(Duration::MINUTE);
    identity.ask_for_code(ask(&phone, ticket("t-1"))).await.unwrap();
    identity.pass(Duration::MINUTE);
    let again = identity.ask_for_code(ask(&phone, ticket("t-1"))).await;
    assert_eq!(asked(&again)["refused"], "WRONG");

    let without = Identity::start_with(ALWAYS).await;
    let answer = without.ask_for_code(ask(&phone, ticket("t-1"))).await;
    assert_eq!(asked(&answer)["refused"], "WRONG");
    assert!(!asked(&answer).contains_key("captcha"));
}

#[tokio::test]
async fn a_phone_that_is_known_is_asked_for_as_much_as_one_that_is_not() {
    let identity = Identity::start_with(ALWAYS).await;
    let (known, unknown) = (person(950).mobile, person(951).mobile);
    send_working(&identity, &known).await.unwrap();
    device_of(&identity, 0).await;
    identity.pass(Duration::MINUTE);
    let [mut left, mut right] =
        [identity.try_send_code(&known).await, identity.try_send_code(&unknown).await]
            .map(|answer| asked(&answer));
    assert_ne!(left.remove("challenge"), right.remove("challenge"));
    assert_eq!(left, right);
}

#[tokio::test]
async fn refuses_a_device_token_and_a_solution_that_have_no_form() {
    let identity = Identity::start_with(EASY).await;
    let phone = person(960).mobile;
    let solution =
        ChallengeSolution {
            challenge: "x".into(), nonce: "团".into(), captcha_ticket: "?".into()
        };
    let bad = SendSmsCodeRequest { solution: Some(solution), ..from_device(&phone, "x") };
    let status = identity.ask_for_code(bad).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::InvalidArgument, "INVALID_FIELDS")
    );
    let details = status.get_error_details();
    let mut named: Vec<&str> =
        details.bad_request().unwrap().field_violations.iter().map(|v| v.field.as_str()).collect();
    named.sort_unstable();
    assert_eq!(
        named,
        ["device_token", "solution.captcha_ticket", "solution.challenge", "solution.nonce"]
    );
    assert!(identity.vendors.texts(&phone).is_empty());
}
