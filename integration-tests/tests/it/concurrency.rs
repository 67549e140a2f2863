//! Many at once: who is first wins, and nobody wins twice.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use tonic::Code;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::{Guardian, GuardianRelation};
use zhiyuan_contracts::registration::v1::{RegisterRequest, Volunteer};
use zhiyuan_testkit::{Person, person};

use crate::harness::client::NO_REGISTRATIONS;
use crate::harness::{Client, Own, Refusal, database, shared};

/// How many people send at once while something is prepared.
const AT_ONCE: usize = 16;

/// Less than the lease of a call that died: nobody has to wait for it to end.
const AT_ONCE_MEANS: Duration = Duration::from_secs(10);

/// The spellings in which one ID number comes.
fn spelling(id_number: &str, n: usize) -> String {
    let wide = |c: char| char::from_u32(u32::from(c) + 0xFEE0).unwrap();
    match n % 6 {
        0 => id_number.to_owned(),
        1 => id_number.to_lowercase(),
        2 => id_number.chars().map(wide).collect(),
        3 => id_number.to_lowercase().chars().map(wide).collect(),
        4 => format!(" {} {} {} ", &id_number[..6], &id_number[6..14], &id_number[14..]),
        _ => format!("{}\u{3000}{}", &id_number[..6], id_number[6..].to_lowercase()),
    }
}

#[tokio::test]
async fn one_person_registers_once_however_often_at_once_and_however_the_number_is_spelt() {
    let client = Client::of(&shared());
    let who = (2_000..).map(person).find(|person| person.id_number.ends_with('X')).unwrap();
    let forms: Vec<RegisterRequest> = futures_util::stream::iter(0..100_usize)
        .map(|n| {
            let client = &client;
            let phone = person(10_000 + u32::try_from(n).unwrap()).mobile;
            let applicant = Person {
                name: who.name.clone(),
                id_number: spelling(&who.id_number, n),
                mobile: phone,
            };
            async move { client.apply(client.door(n), &applicant).await }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let answers = join_all(
        forms.iter().enumerate().map(|(n, form)| client.register_to_the_end(client.door(n), form)),
    )
    .await;

    let mut winners = Vec::new();
    for answer in answers {
        match answer {
            Ok(volunteer) => winners.push(volunteer),
            Err(refusal) => assert_eq!(
                (refusal.code, &*refusal.reason),
                (Code::AlreadyExists, "ALREADY_REGISTERED"),
                "{refusal:?}"
            ),
        }
    }
    assert_eq!(winners.len(), 1);

    let winner: Uuid = winners[0].id.parse().unwrap();
    let request_ids: Vec<Uuid> =
        forms.iter().map(|form| form.request_id.parse().unwrap()).collect();
    let mut main = client.site.main_database().await;
    let ended: Vec<(String, Option<Uuid>, i64)> = sqlx::query_as(
        "SELECT step, account_id, count(*) FROM registration.registration
         WHERE request_id = ANY($1) GROUP BY step, account_id ORDER BY step",
    )
    .bind(&request_ids)
    .fetch_all(&mut main)
    .await
    .unwrap();
    assert_eq!(ended, [("DONE".into(), Some(winner), 1), ("REFUSED".into(), None, 99)]);
    // Nobody but the winner left an account behind.
    let (accounts, numbers): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM identity.account a WHERE a.account_id = e.account_id),
                (SELECT count(*) FROM identity.number n WHERE n.account_id = e.account_id)
         FROM registration.registration r JOIN identity.enrolment e USING (enrolment_id)
         WHERE r.request_id = ANY($1) AND e.account_id IS NOT NULL",
    )
    .bind(&request_ids)
    .fetch_one(&mut main)
    .await
    .unwrap();
    assert_eq!((accounts, numbers), (1, 1));
}

#[tokio::test]
async fn one_form_sent_fifty_times_at_once_is_one_volunteer() {
    let client = Client::of(&shared());
    let form = client.apply(&client.grpc, &person(3_000)).await;
    let sent = (0..50).map(|n| client.register_to_the_end(client.door(n), &form));
    let mut volunteers: Vec<Volunteer> =
        join_all(sent).await.into_iter().map(Result::unwrap).collect();
    volunteers.dedup();
    assert_eq!(volunteers.len(), 1, "{volunteers:?}");

    let mut main = client.site.main_database().await;
    let challenge: Uuid = form.sms_challenge_id.parse().unwrap();
    let (enrolments, tries): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM identity.enrolment WHERE challenge_id = $1),
                (SELECT (tries + proof_tries)::bigint FROM identity.sms_challenge
                 WHERE challenge_id = $1)",
    )
    .bind(challenge)
    .fetch_one(&mut main)
    .await
    .unwrap();
    assert_eq!((enrolments, tries), (1, 1));
}

#[tokio::test]
async fn a_form_sent_by_a_double_click_is_done_as_soon_as_one_that_was_sent_once() {
    let client = Client::of(&shared());
    for n in 0..5 {
        let form = client.apply(&client.grpc, &person(3_100 + n)).await;
        let began = tokio::time::Instant::now();
        let sent = [&client.grpc, &client.json, &client.grpc]
            .map(|door| client.register_to_the_end(door, &form));
        let volunteers = join_all(sent).await;
        assert!(volunteers.iter().all(Result::is_ok), "{volunteers:?}");
        assert!(began.elapsed() < AT_ONCE_MEANS, "{:?}", began.elapsed());
    }
}

/// The form with one field changed, and nothing else.
fn changed(form: &RegisterRequest, field: &str) -> RegisterRequest {
    let mut other = form.clone();
    let somebody = person(4_500);
    match field {
        "name" => other.name = somebody.name,
        "id_number" => other.id_number = somebody.id_number,
        "region_code" => other.region_code = "340102".into(),
        "organization_code" => other.organization_code = "AH-340104002".into(),
        "phone" => other.phone = somebody.mobile,
        "sms_challenge_id" => {
            other.sms_challenge_id =
                zhiyuan_domain::new_id(&zhiyuan_domain::SystemClock).to_string()
        }
        "sms_code" => other.sms_code = another_code(&form.sms_code),
        "password" => other.password = "upland-Birch3".into(),
        "league_member" => other.league_member = !form.league_member,
        "consents" => other.consents.truncate(1),
        "own_income" => other.own_income = !form.own_income,
        "guardian" => {
            let guardian = person(4_501);
            other.guardian = Some(Guardian {
                name: guardian.name,
                id_number: guardian.id_number,
                relation: GuardianRelation::Father.into(),
                phone: guardian.mobile,
                sms_challenge_id: form.sms_challenge_id.clone(),
                sms_code: form.sms_code.clone(),
            });
        }
        // It stands in the place of these.
        "activation_proof" => {
            let RegisterRequest { name, id_number, phone, sms_challenge_id, sms_code, .. } =
                &mut other;
            for field in [name, id_number, phone, sms_challenge_id, sms_code] {
                field.clear();
            }
            other.activation_proof = "A".repeat(64);
        }
        "claim_statement" => other.claim_statement = "这是我的身份证号码。".into(),
        unknown => panic!("the form has a new field: change {unknown} here as well"),
    }
    other
}

fn another_code(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_form_under_the_same_request_id_is_refused_and_changes_nothing() {
    let suite = Own::start("reused").await;
    let client = Client::of(&suite.site);
    let active = client.apply(&client.grpc, &person(4_000)).await;
    assert!(active.consents.len() > 1);
    client.register_patiently(&client.grpc, &active).await.unwrap();
    // One that was refused is as final as one that was not.
    let mut refused = client.apply(&client.grpc, &person(4_001)).await;
    refused.sms_code = another_code(&refused.sms_code);
    let refusal = client.register_patiently(&client.grpc, &refused).await.unwrap_err();
    assert_eq!(refusal.reason, "SMS_CODE_WRONG");

    let fields: Vec<String> = zhiyuan_contracts::descriptor_pool()
        .get_message_by_name("zhiyuan.registration.v1.RegisterRequest")
        .unwrap()
        .fields()
        .map(|field| field.name().to_owned())
        .filter(|name| name != "request_id")
        .collect();
    assert_eq!(fields.len(), 14);
    let mut main = suite.site.main_database().await;
    let mut keys = suite.site.key_database().await;
    database::until_quiet(&mut main).await;
    let before = (database::fingerprint(&mut main).await, database::fingerprint(&mut keys).await);
    for (turn, field) in fields.iter().enumerate() {
        for form in [&active, &refused] {
            let other = changed(form, field);
            let refusal = client.register_patiently(client.door(turn), &other).await.unwrap_err();
            assert_eq!(
                (refusal.code, &*refusal.domain, &*refusal.reason),
                (Code::AlreadyExists, "registration.zhiyuan", "REQUEST_ID_REUSED"),
                "{field}: {refusal:?}"
            );
        }
    }
    let after = (database::fingerprint(&mut main).await, database::fingerprint(&mut keys).await);
    assert_eq!(after, before);

    // An organization that takes nobody is told first, and changes nothing either.
    let other = RegisterRequest { organization_code: NO_REGISTRATIONS.into(), ..active.clone() };
    client.register(&client.grpc, &other).await.unwrap_err();
    assert_eq!(database::fingerprint(&mut main).await, before.0);
    suite.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_evaluated_five_times_under_two_hundred_guesses_at_once() {
    let suite = Own::start("guesses").await;
    let client = Client::of(&suite.site);
    let form = client.apply(&client.grpc, &person(5_000)).await;
    let right: u32 = form.sms_code.parse().unwrap();
    let guesses: Vec<RegisterRequest> = (1..=200)
        .map(|n| RegisterRequest {
            request_id: Uuid::new_v4().to_string(),
            sms_code: format!("{:06}", (right + n * 4_001) % 1_000_000),
            ..form.clone()
        })
        .collect();
    let sent = guesses
        .iter()
        .enumerate()
        .map(|(n, guess)| client.register_patiently(client.door(n), guess));
    let challenge: Uuid = form.sms_challenge_id.parse().unwrap();
    let lock =
        format!("SELECT FROM identity.sms_challenge WHERE challenge_id = '{challenge}' FOR UPDATE");
    let answers = database::pile_up(&suite.site, lock, join_all(sent)).await;
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for answer in answers {
        *reasons.entry(answer.unwrap_err().reason).or_default() += 1;
    }
    assert_eq!(
        reasons,
        [("SMS_CODE_TRIES_EXHAUSTED".to_owned(), 195), ("SMS_CODE_WRONG".to_owned(), 5)].into()
    );
    let refusal: Refusal = client.register_patiently(&client.grpc, &form).await.unwrap_err();
    assert_eq!(
        (refusal.code, &*refusal.reason),
        (Code::ResourceExhausted, "SMS_CODE_TRIES_EXHAUSTED")
    );
    let tries: (i16, i16) = sqlx::query_as(
        "SELECT tries, proof_tries FROM identity.sms_challenge WHERE challenge_id = $1",
    )
    .bind(challenge)
    .fetch_one(&mut client.site.main_database().await)
    .await
    .unwrap();
    assert_eq!(tries, (5, 0));
    suite.stop().await;
}
