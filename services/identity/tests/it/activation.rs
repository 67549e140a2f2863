//! Beginning with the default password: it leads to a registration, and never to a session.

use futures_util::future::join_all;
use time::Duration;
use tonic::Status;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::activation_service_client::ActivationServiceClient;
use zhiyuan_contracts::identity::v1::{
    BeginEnrolmentRequest, CompleteActivationRequest, CompleteActivationResponse, EnrolmentRefusal,
    EnrolmentState, SmsPurpose, StartActivationRequest, StartActivationResponse,
};
use zhiyuan_testkit::{Person, person};

use crate::account::PASSWORD;
use crate::codes::reason;
use crate::guardians::child;
use crate::harness::{Identity, account, new_enrolment_id, registration_consent};
use crate::rosters::{person_id, row};

const LEVEL: &str = "SELECT max(level)::bigint FROM identity.account WHERE state = 'ACTIVE'";
const SESSIONS: &str = "SELECT count(*) FROM identity.session";
const TRIES: &str = "SELECT coalesce(sum(activation_tries), 0)::bigint FROM identity.roster_person";
const PROOFS: &str = "SELECT count(*) FROM identity.activation";
const ALL_OPEN: &str = "[default_password]\nenabled = true\n";

type Answer<T> = Result<T, Status>;

fn end(person: &Person) -> String {
    person.id_number[10..].to_owned()
}

/// Another end than the person's.
fn other_end(person: &Person, n: u32) -> String {
    let other = format!("{:07}X", n);
    if other == end(person) { "99999999".to_owned() } else { other }
}

impl Identity {
    async fn try_start(&self, phone: &str) -> Answer<StartActivationResponse> {
        let request = StartActivationRequest { phone: phone.to_owned(), ..Default::default() };
        let mut client = ActivationServiceClient::new(self.channel());
        Ok(client.start_activation(request).await?.into_inner())
    }

    async fn try_complete(
        &self,
        (challenge, code): (&str, &str),
        default_password: &str,
    ) -> Answer<CompleteActivationResponse> {
        let request = CompleteActivationRequest {
            sms_challenge_id: challenge.to_owned(),
            sms_code: code.to_owned(),
            default_password: default_password.to_owned(),
        };
        let mut client = ActivationServiceClient::new(self.channel());
        Ok(client.complete_activation(request).await?.into_inner())
    }

    /// Asks for a code and waits for it.
    async fn activation_code(&self, phone: &str) -> (String, String) {
        let before = self.vendors.texts(phone).len();
        let started = self.try_start(phone).await.unwrap();
        self.until_texts(phone, before + 1).await;
        (started.challenge_id, self.vendors.code(phone))
    }

    async fn activation_proof(&self, person: &Person) -> String {
        let (challenge, code) = self.activation_code(&person.mobile).await;
        let done = self.try_complete((&challenge, &code), &end(person)).await.unwrap();
        done.activation_proof
    }

    async fn told_after_a_right_code(&self, person: &Person, default_password: &str) -> String {
        self.pass(Duration::MINUTE);
        let (challenge, code) = self.activation_code(&person.mobile).await;
        match self.try_complete((&challenge, &code), default_password).await {
            Ok(_) => String::new(),
            Err(status) => reason(&status),
        }
    }
}

fn with(proof: &str) -> BeginEnrolmentRequest {
    BeginEnrolmentRequest {
        enrolment_id: new_enrolment_id(),
        activation_proof: proof.to_owned(),
        password: PASSWORD.into(),
        consents: vec![registration_consent()],
        ..Default::default()
    }
}

/// A code that is not this one.
fn wrong(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_and_default_password_lead_to_an_account_of_level_2_under_the_same_id() {
    let identity = Identity::start().await;
    let someone = person(1);
    let known = person_id(&identity.import_one(row(1, &someone)).await);
    let (challenge, code) = identity.activation_code(&someone.mobile).await;
    let text = identity.vendors.texts(&someone.mobile).remove(0);
    assert!(text.contains("默认密码") && !text.contains(&someone.name), "{text}");
    let spelled = end(&someone).to_lowercase();
    let done = identity.try_complete((&challenge, &code), &spelled).await.unwrap();
    assert_eq!(done.masked_name.chars().next(), someone.name.chars().next());
    assert!(done.masked_name.contains('*') && done.activation_proof.len() == 64);
    // Nothing of it opens anything by itself, and nothing of it is stored in clear.
    assert_eq!((identity.count(SESSIONS).await, identity.count(PROOFS).await), (0, 1));
    let again = identity.try_complete((&challenge, &code), &end(&someone)).await.unwrap_err();
    assert_eq!(reason(&again), "SMS_CODE_USED");

    let application = with(&done.activation_proof);
    let claimed = identity.begin(&application).await;
    assert_eq!((claimed.state(), account(&claimed)), (EnrolmentState::Claimed, known));
    assert_eq!(identity.begin(&application).await, claimed, "sent again it goes on");
    identity.activate(&application.enrolment_id).await.unwrap();
    assert_eq!(identity.begin(&application).await.state(), EnrolmentState::Active);
    assert_eq!(identity.count(LEVEL).await, 2);
    identity.by_password(&someone.mobile, PASSWORD).await.unwrap();
    identity.by_password(&someone.mobile, &end(&someone)).await.unwrap_err();
    // Who has an account has no way in by this any more.
    identity.pass(Duration::MINUTE);
    let texts = identity.vendors.texts(&someone.mobile).len();
    let challenge = identity.try_start(&someone.mobile).await.unwrap().challenge_id;
    let told = identity.try_complete((&challenge, "000000"), &end(&someone)).await.unwrap_err();
    assert_eq!(reason(&told), "SMS_CODE_WRONG");
    assert_eq!(identity.vendors.texts(&someone.mobile).len(), texts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_of_several_of_an_account_or_of_nobody_gets_the_same_answer_and_no_code() {
    let identity = Identity::start().await;
    let (one, two, registered, listed) = (person(1), person(2), person(3), person(4));
    // A family shares one phone.
    identity.import_one(row(1, &one)).await;
    let shared = Person { mobile: one.mobile.clone(), ..two.clone() };
    identity.import_one(row(2, &shared)).await;
    // An account has the phone that somebody else's roster says.
    identity.register(&registered).await;
    let stolen = Person { mobile: registered.mobile.clone(), ..person(5) };
    identity.import_one(row(3, &stolen)).await;
    identity.import_one(row(4, &listed)).await;
    identity.pass(Duration::MINUTE);

    let known = identity.try_start(&listed.mobile).await.unwrap();
    identity.until_texts(&listed.mobile, 1).await;
    let before = identity.vendors.texts(&registered.mobile).len();
    for phone in [&one.mobile, &registered.mobile, &person(6).mobile] {
        let answer = identity.try_start(phone).await.unwrap();
        assert_eq!(
            StartActivationResponse { challenge_id: String::new(), ..answer.clone() },
            StartActivationResponse { challenge_id: String::new(), ..known.clone() },
        );
        assert_eq!(answer.challenge_id.len(), known.challenge_id.len());
        // Asked again at once, all are told to wait alike.
        let soon = identity.try_start(phone).await.unwrap_err();
        let soon_known = identity.try_start(&listed.mobile).await.unwrap_err();
        assert_eq!((soon.code(), soon.message()), (soon_known.code(), soon_known.message()));
        assert_eq!(reason(&soon), "SMS_TOO_SOON");
        // No code fits, and what is told is what is told of a wrong one.
        let wrong_of_known =
            identity.try_complete((&known.challenge_id, "x"), "1234567X").await.unwrap_err();
        assert_eq!(reason(&wrong_of_known), "INVALID_FIELDS");
        for _ in 0..5 {
            let told = identity.try_complete((&answer.challenge_id, "123456"), &end(&one)).await;
            assert_eq!(reason(&told.unwrap_err()), "SMS_CODE_WRONG");
        }
        let told = identity.try_complete((&answer.challenge_id, "123456"), &end(&one)).await;
        assert_eq!(reason(&told.unwrap_err()), "SMS_CODE_TRIES_EXHAUSTED");
    }
    assert!(identity.vendors.texts(&one.mobile).is_empty());
    assert!(identity.vendors.texts(&person(6).mobile).is_empty());
    assert_eq!(identity.vendors.texts(&registered.mobile).len(), before);
    // Nor does the way for all other codes send one.
    let other = identity.try_send_code_for(&listed.mobile, SmsPurpose::Activation).await;
    assert_eq!(reason(&other.unwrap_err()), "INVALID_FIELDS");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_delivers_messages_being_down_tells_nobody_who_is_known() {
    let identity = Identity::start().await;
    let someone = person(1);
    identity.import_one(row(1, &someone)).await;
    identity.vendors.sms_down(true);
    for phone in [&someone.mobile, &person(2).mobile] {
        identity.try_start(phone).await.unwrap();
        let soon = identity.try_start(phone).await.unwrap_err();
        assert_eq!(reason(&soon), "SMS_TOO_SOON");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_code_comes_first_and_five_wrong_default_passwords_close_the_way() {
    let identity = Identity::start().await;
    let someone = person(1);
    identity.import_one(row(1, &someone)).await;
    let (challenge, code) = identity.activation_code(&someone.mobile).await;
    // With a wrong code nothing is learned of the default password, nor does it count.
    for default_password in [end(&someone), other_end(&someone, 1)] {
        let told = identity.try_complete((&challenge, &wrong(&code)), &default_password).await;
        assert_eq!(reason(&told.unwrap_err()), "SMS_CODE_WRONG");
    }
    let unknown = Uuid::new_v4().to_string();
    let told = identity.try_complete((&unknown, &code), &end(&someone)).await.unwrap_err();
    assert_eq!(reason(&told), "SMS_CODE_WRONG");
    assert_eq!(identity.count(TRIES).await, 0);
    for n in 1..=5 {
        let told = identity.try_complete((&challenge, &code), &other_end(&someone, n)).await;
        assert_eq!(reason(&told.unwrap_err()), "DEFAULT_PASSWORD_WRONG");
        assert_eq!(identity.count(TRIES).await, i64::from(n));
    }
    // The right one is told the same, with another code too, and nothing counts any more.
    for default_password in [end(&someone), other_end(&someone, 9)] {
        let told = identity.told_after_a_right_code(&someone, &default_password).await;
        assert_eq!(told, "DEFAULT_PASSWORD_WRONG");
    }
    assert_eq!((identity.count(TRIES).await, identity.count(PROOFS).await), (5, 0));
    // A roster that says the same leaves it closed; one that updates the person opens it.
    identity.import_one(row(1, &someone)).await;
    assert_eq!(identity.count(TRIES).await, 5);
    // Registering as everybody does was never closed.
    identity.pass(Duration::MINUTE);
    identity.register(&someone).await;
    assert_eq!(identity.count(LEVEL).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_roster_that_updates_the_person_opens_the_way_again() {
    let identity = Identity::start().await;
    let (someone, phone) = (person(1), person(2).mobile);
    identity.import_one(row(1, &someone)).await;
    sqlx::query("UPDATE identity.roster_person SET activation_tries = 5")
        .execute(&identity.pool)
        .await
        .unwrap();
    assert_ne!(identity.told_after_a_right_code(&someone, &end(&someone)).await, "");
    let (challenge, code) = {
        identity.pass(Duration::MINUTE);
        identity.activation_code(&someone.mobile).await
    };
    let moved = Person { mobile: phone, ..someone.clone() };
    let update = zhiyuan_contracts::identity::v1::RosterRow { update: true, ..row(1, &moved) };
    identity.import_one(update).await;
    assert_eq!(identity.count(TRIES).await, 0);
    // The code to the phone of before proves nothing any more.
    let told = identity.try_complete((&challenge, &code), &end(&someone)).await.unwrap_err();
    assert_eq!(reason(&told), "DEFAULT_PASSWORD_WRONG");
    assert_eq!(identity.told_after_a_right_code(&moved, &end(&someone)).await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_is_good_once_for_30_minutes_and_for_nothing_beside_it() {
    let identity = Identity::start().await;
    let (one, two) = (person(1), person(2));
    for (n, someone) in [(1, &one), (2, &two)] {
        identity.import_one(row(n, someone)).await;
    }
    let proof = identity.activation_proof(&one).await;
    let refused = async |proof: &str| identity.begin(&with(proof)).await.refusal();
    // What it stands for is empty, and it is not for a platform.
    let form = BeginEnrolmentRequest {
        name: one.name.clone(),
        id_number: one.id_number.clone(),
        phone: one.mobile.clone(),
        sms_challenge_id: Uuid::new_v4().to_string(),
        sms_code: "123456".into(),
        registered_via: "platform".into(),
        ..with(&proof)
    };
    let told = identity.enrolments().begin_enrolment(form).await.unwrap_err();
    let details = tonic_types::StatusExt::get_error_details(&told);
    assert_eq!(details.bad_request().unwrap().field_violations.len(), 6);
    let weak = BeginEnrolmentRequest { password: format!("a{}", &end(&one)), ..with(&proof) };
    let told = identity.enrolments().begin_enrolment(weak).await.unwrap_err();
    assert_eq!(reason(&told), "INVALID_FIELDS", "no part of the person's own details");
    // Another secret under the same id.
    let flipped = if proof.ends_with('A') { 'E' } else { 'A' };
    let forged = format!("{}{flipped}", &proof[..63]);
    assert_eq!(refused(&forged).await, EnrolmentRefusal::ActivationProofOver);
    // Consents are looked at before it is used up.
    let without = BeginEnrolmentRequest { consents: Vec::new(), ..with(&proof) };
    assert_eq!(identity.begin(&without).await.refusal(), EnrolmentRefusal::ConsentMissing);

    // Of many enrolments at once, one has it.
    let attempts = join_all((0..8).map(|_| async { identity.begin(&with(&proof)).await })).await;
    let over = |e: &&zhiyuan_contracts::identity::v1::Enrolment| {
        e.refusal() == EnrolmentRefusal::ActivationProofOver
    };
    assert_eq!(attempts.iter().filter(over).count(), 7);
    let claimed = attempts.iter().find(|e| e.state() == EnrolmentState::Claimed).unwrap();
    // Undone, the person is on the roster again; the proof stays used up.
    identity.discard(&claimed.enrolment_id).await.unwrap();
    assert_eq!(refused(&proof).await, EnrolmentRefusal::ActivationProofOver);
    identity.pass(Duration::MINUTE);
    let proof = identity.activation_proof(&one).await;
    assert_eq!(identity.begin(&with(&proof)).await.state(), EnrolmentState::Claimed);

    let proof = identity.activation_proof(&two).await;
    identity.pass(Duration::minutes(30));
    assert_eq!(refused(&proof).await, EnrolmentRefusal::ActivationProofOver);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_under_18_needs_a_guardian_who_is_somebody_else_all_the_same() {
    let identity = Identity::start().await;
    let (child, parent) = (child(1, 14), person(2));
    identity.import_one(row(1, &child)).await;
    let of_parent = identity.with_guardian(&person(3), &parent).await.guardian.unwrap();
    let proof = identity.activation_proof(&child).await;
    let alone = identity.begin(&with(&proof)).await;
    assert_eq!(alone.refusal(), EnrolmentRefusal::GuardianRequired);
    let mut own = of_parent.clone();
    own.phone.clone_from(&child.mobile);
    let own = BeginEnrolmentRequest { guardian: Some(own), ..with(&proof) };
    let told = identity.enrolments().begin_enrolment(own).await.unwrap_err();
    assert_eq!(reason(&told), "INVALID_FIELDS");
    // A code of the guardian that was mistyped does not use the proof up.
    let mut mistyped = of_parent.clone();
    mistyped.sms_code = wrong(&mistyped.sms_code);
    let mistyped = BeginEnrolmentRequest { guardian: Some(mistyped), ..with(&proof) };
    let refused = identity.begin(&mistyped).await;
    assert_eq!(refused.refusal(), EnrolmentRefusal::GuardianSmsCodeWrong);
    let right = BeginEnrolmentRequest { guardian: Some(of_parent), ..with(&proof) };
    assert_eq!(identity.begin(&right).await.state(), EnrolmentState::Claimed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn switched_off_everybody_is_nobody() {
    let identity = Identity::start_with(ALL_OPEN.replace("true", "false").as_str()).await;
    let someone = person(1);
    identity.import_one(row(1, &someone)).await;
    let started = identity.try_start(&someone.mobile).await.unwrap();
    let told = identity.try_complete((&started.challenge_id, "123456"), &end(&someone)).await;
    assert_eq!(reason(&told.unwrap_err()), "SMS_CODE_WRONG");
    assert!(identity.vendors.texts(&someone.mobile).is_empty());
    // A code that was sent before is not right any more.
    let mut on = identity.config.clone();
    on.default_password.enabled = true;
    let clock: zhiyuan_domain::SharedClock = identity.clock.clone();
    let (address, _tasks) = identity.replica_with(&on, &clock).await;
    identity.pass(Duration::MINUTE);
    let mut open = ActivationServiceClient::connect(address).await.unwrap();
    let request = StartActivationRequest { phone: someone.mobile.clone(), ..Default::default() };
    let sent = open.start_activation(request).await.unwrap().into_inner();
    identity.until_texts(&someone.mobile, 1).await;
    let code = identity.vendors.code(&someone.mobile);
    let told = identity.try_complete((&sent.challenge_id, &code), &end(&someone)).await;
    assert_eq!(reason(&told.unwrap_err()), "SMS_CODE_WRONG");
}

/// Identity, row 11, and G11: who has the very code of the person, and sends a thousand
/// candidates of which the last is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_11_of_a_thousand_candidates_five_are_compared_and_nobody_is_ever_signed_in() {
    let identity = Identity::start().await;
    let people: Vec<Person> = (1..=20).map(person).collect();
    let rows: Vec<_> = (1..).zip(&people).map(|(n, someone)| row(n, someone)).collect();
    identity.import(&rows).await;
    for (n, someone) in (100..).zip(&people) {
        for identifier in [&someone.mobile, &someone.id_number] {
            let told = identity.by_password(identifier, &end(someone)).await.unwrap_err();
            let nobody = identity.by_password(&person(n).mobile, &end(someone)).await;
            let nobody = nobody.unwrap_err();
            assert_eq!((told.code(), told.message()), (nobody.code(), nobody.message()));
        }
        identity.pass(Duration::HOUR);
    }
    for (at, someone) in people.iter().enumerate() {
        let mut told = Vec::new();
        let mut sent = 0;
        // As many codes as there may be are tried with 50 candidates at once each.
        for _ in 0..2 {
            identity.pass(Duration::MINUTE);
            let (challenge, code) = identity.activation_code(&someone.mobile).await;
            let candidates = (0..50).map(|n| {
                let candidate = other_end(someone, sent + n);
                let (challenge, code, identity) = (&challenge, &code, &identity);
                async move { identity.try_complete((challenge, code), &candidate).await }
            });
            told.extend(join_all(candidates).await);
            sent += 50;
        }
        told.push({
            identity.pass(Duration::MINUTE);
            let (challenge, code) = identity.activation_code(&someone.mobile).await;
            identity.try_complete((&challenge, &code), &end(someone)).await
        });
        assert!(told.iter().all(Result::is_err), "{at}");
    }
    // Five of each were compared, and the right ones, which came later, led nowhere.
    assert_eq!(identity.count(TRIES).await, 5 * 20);
    let most = "SELECT max(activation_tries)::bigint FROM identity.roster_person";
    assert_eq!(identity.count(most).await, 5);
    // A thousand of one person, one after the other, change nothing any more.
    identity.pass(Duration::MINUTE);
    let (challenge, code) = identity.activation_code(&people[0].mobile).await;
    for n in 0..1_000 {
        let candidate = if n == 999 { end(&people[0]) } else { other_end(&people[0], 5_000 + n) };
        identity.try_complete((&challenge, &code), &candidate).await.unwrap_err();
    }
    assert_eq!(identity.count(TRIES).await, 5 * 20);
    assert_eq!((identity.count(SESSIONS).await, identity.count(PROOFS).await), (0, 0));
    assert_eq!(identity.count("SELECT count(*) FROM identity.account").await, 0);
}
