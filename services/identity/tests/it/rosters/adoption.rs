//! Registering with a number that somebody on a roster holds.

use futures_util::future::join_all;
use time::Duration;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::account_service_client::AccountServiceClient;
use zhiyuan_contracts::identity::v1::{
    AccountChanged, BeginEnrolmentRequest, DecideEnrolmentRequest, EnrolmentDecision,
    EnrolmentState, GetAccountRequest, RevealApplicantRequest, RosterPersonEnded, RosterProblem,
    RosterRow,
};
use zhiyuan_testkit::{Person, person};

use super::{NUMBERS, PEOPLE, person_id, row, without_phone};
use crate::account::PASSWORD;
use crate::guardians::child;
use crate::harness::{Identity, KEYS_OF_PEOPLE, account};

const LEVEL: &str = "SELECT max(level)::bigint FROM identity.account";
const RECORDS: &str = "SELECT count(*) FROM
         (SELECT action, subject_account_id FROM identity.audit_pending
          UNION ALL SELECT action, subject_account_id FROM identity.audit_entry) records
     JOIN identity.account ON account_id = subject_account_id
     WHERE action IN ('identity.applicant.revealed', 'identity.enrolment.decided')";

impl Identity {
    /// Registers, as far as the claim.
    async fn claim(&self, person: &Person) -> (BeginEnrolmentRequest, Uuid) {
        let application = self.application(person).await;
        let claimed = self.begin(&application).await;
        assert_eq!(claimed.state(), EnrolmentState::Claimed);
        let account_id = account(&claimed);
        (application, account_id)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_registers_takes_the_place_of_the_person_on_the_roster() {
    let identity = Identity::start().await;
    let someone = person(1);
    let known = person_id(&identity.import_one(row(1, &someone)).await);
    let (application, account_id) = identity.claim(&someone).await;
    assert_eq!(account_id, known, "one person is one id");
    assert_eq!(identity.count(LEVEL).await, 2);
    // Until it is active, the roster is not forgotten; the key of the applicant is.
    assert_eq!(identity.count(PEOPLE).await, 1);
    assert_eq!(identity.count(KEYS_OF_PEOPLE).await, 1);
    assert!(!identity.roster_people(&[known]).await[0].registered);
    assert!(!identity.import_one(row(1, &someone)).await.registered);
    // Nobody forgets it on the way.
    identity.forget(&[known]).await;

    for _ in 0..2 {
        let active = identity.activate(&application.enrolment_id).await.unwrap();
        assert_eq!(account(&active), known);
    }
    assert_eq!(identity.count(PEOPLE).await, 0);
    assert_eq!(identity.count(NUMBERS).await, 1);
    let told = identity.told::<AccountChanged>().await;
    assert_eq!((told.len(), told[0].level), (1, 2));
    assert_eq!(told[0].account_id, known.to_string());
    for identifier in [&someone.mobile, &someone.id_number] {
        identity.by_password(identifier, PASSWORD).await.unwrap();
    }
    let again = identity.import_one(row(1, &someone)).await;
    assert!(again.registered && person_id(&again) == known);
    // It was no other phone than the roster's.
    assert_eq!(identity.vendors.texts(&someone.mobile).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_phone_than_the_rosters_is_level_1_and_the_rosters_is_told_once_it_is_done() {
    let identity = Identity::start().await;
    let (someone, listed) = (person(1), person(2).mobile);
    let on_roster = RosterRow { phone: listed.clone(), ..row(1, &someone) };
    let known = person_id(&identity.import_one(on_roster.clone()).await);
    let (application, account_id) = identity.claim(&someone).await;
    assert_eq!((account_id, identity.count(LEVEL).await), (known, 1));
    assert!(identity.vendors.texts(&listed).is_empty());
    for _ in 0..2 {
        identity.activate(&application.enrolment_id).await.unwrap();
    }
    let texts = identity.until_texts(&listed, 1).await;
    assert!(texts[0].contains("名册") && !texts[0].contains(&someone.name), "{texts:?}");
    assert_eq!(identity.count("SELECT count(*) FROM identity.notice").await, 1);
    // Whoever has the roster's phone has nothing with it.
    identity.by_password(&listed, PASSWORD).await.unwrap_err();
    assert!(identity.import_one(on_roster).await.registered);
    assert_eq!(identity.count(LEVEL).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_another_name_the_registration_goes_on_and_the_person_on_the_roster_ends() {
    let identity = Identity::start().await;
    let someone = person(1);
    let wrong = RosterRow { name: "另名".into(), ..row(1, &someone) };
    let known = person_id(&identity.import_one(wrong.clone()).await);
    let (application, account_id) = identity.claim(&someone).await;
    assert_ne!(account_id, known);
    let ended = identity.told::<RosterPersonEnded>().await;
    assert_eq!((ended.len(), ended[0].person_id.clone()), (1, known.to_string()));
    assert_eq!((identity.count(PEOPLE).await, identity.count(LEVEL).await), (0, 1));
    assert_eq!(identity.count(KEYS_OF_PEOPLE).await, 1);
    assert!(identity.roster_people(&[known]).await.is_empty());
    identity.activate(&application.enrolment_id).await.unwrap();
    assert_eq!(identity.import_one(wrong).await.problem(), RosterProblem::NameDiffers);
    let here = RosterRow { update: true, ..row(1, &someone) };
    assert_eq!(person_id(&identity.import_one(here).await), account_id);
    assert_eq!(identity.count(LEVEL).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_discarded_adoption_is_the_person_on_the_roster_again() {
    let identity = Identity::start().await;
    let someone = person(1);
    let known = person_id(&identity.import_one(row(1, &someone)).await);
    for _ in 0..2 {
        let (application, account_id) = identity.claim(&someone).await;
        assert_eq!(account_id, known);
        for _ in 0..2 {
            let gone = identity.discard(&application.enrolment_id).await.unwrap();
            assert_eq!(gone.state(), EnrolmentState::Discarded);
        }
        assert_eq!((identity.count(PEOPLE).await, identity.count(NUMBERS).await), (1, 1));
        assert_eq!(identity.count("SELECT count(*) FROM identity.account").await, 0);
        assert_eq!(identity.count(KEYS_OF_PEOPLE).await, 1);
        let shown = identity.roster_people(&[known]).await;
        assert!(!shown[0].registered && shown[0].has_phone);
        let again = identity.import_one(row(1, &someone)).await;
        assert!(!again.new && person_id(&again) == known);
        identity.pass(Duration::MINUTE);
    }
    identity.register(&someone).await;
    let active = "SELECT count(*) FROM identity.account WHERE state = 'ACTIVE'";
    assert_eq!(identity.count(active).await, 1);
    assert!(identity.roster_people(&[known]).await[0].registered);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_forgotten_while_registering_is_nobody_if_it_comes_to_nothing() {
    let identity = Identity::start().await;
    let rows = [row(1, &person(1)), row(2, &person(2))];
    let known: Vec<Uuid> = identity.import(&rows).await.iter().map(person_id).collect();
    let (undone, _) = identity.claim(&person(1)).await;
    let (done, _) = identity.claim(&person(2)).await;
    identity.forget(&known).await;
    assert_eq!(identity.count(PEOPLE).await, 0);
    identity.discard(&undone.enrolment_id).await.unwrap();
    identity.activate(&done.enrolment_id).await.unwrap();
    let shown = identity.roster_people(&known).await;
    assert_eq!((shown.len(), &*shown[0].person_id), (1, &*known[1].to_string()));
    assert_eq!(identity.count(NUMBERS).await, 1);
    assert_eq!(identity.count(KEYS_OF_PEOPLE).await, 1);
    let again = identity.import_one(row(1, &person(1))).await;
    assert!(again.new && person_id(&again) != known[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_imported_while_registering_is_the_same_person_also_if_it_comes_to_nothing() {
    let identity = Identity::start().await;
    let (one, two) = (person(1), person(2));
    let mut ids = Vec::new();
    for someone in [&one, &two] {
        let (application, account_id) = identity.claim(someone).await;
        let differs = RosterRow { name: "另名".into(), update: true, ..row(1, someone) };
        assert_eq!(identity.import_one(differs).await.problem(), RosterProblem::NameDiffers);
        for _ in 0..2 {
            let here = RosterRow { update: true, ..row(1, someone) };
            let verdict = identity.import_one(here).await;
            assert!(!verdict.new && !verdict.registered);
            assert_eq!(person_id(&verdict), account_id);
        }
        ids.push((application.enrolment_id, account_id));
    }
    identity.discard(&ids[0].0).await.unwrap();
    identity.activate(&ids[1].0).await.unwrap();
    let shown = identity.roster_people(&[ids[0].1, ids[1].1]).await;
    let registered: Vec<bool> = shown.iter().map(|person| person.registered).collect();
    assert_eq!(registered, [false, true]);
    assert_eq!((identity.count(PEOPLE).await, identity.count(NUMBERS).await), (1, 2));
    assert_eq!(identity.count(LEVEL).await, 2);
    identity.pass(Duration::MINUTE);
    let (_, account_id) = identity.claim(&one).await;
    assert_eq!(account_id, ids[0].1);
}

/// Guarantee 10.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_who_register_and_import_one_number_at_once_are_one_person() {
    let identity = Identity::start().await;
    let owner = person(1);
    let mut applications = Vec::new();
    for other in 100..150 {
        let mut application = identity.application(&person(other)).await;
        application.name = owner.name.clone();
        application.id_number = owner.id_number.clone();
        applications.push(application);
    }
    let begun = applications.iter().map(|application| identity.begin(application));
    let lower = RosterRow { id_number: owner.id_number.to_lowercase(), ..row(1, &owner) };
    let imported = (0..50).map(|n| {
        let rows = [lower.clone(), without_phone(2, &person(200 + n % 3))];
        let identity = &identity;
        async move { person_id(&identity.import(&rows).await[0]) }
    });
    let (_, ids) = tokio::join!(join_all(begun), join_all(imported));
    assert!(ids.iter().all(|id| *id == ids[0]), "all were told of one person");
    let claimed = identity.first_claimed().await;
    identity.activate(&claimed).await.unwrap();
    identity.pass(Duration::MINUTE);
    for application in &applications {
        identity.settled(&application.enrolment_id).await;
    }
    assert_eq!(identity.count("SELECT count(*) FROM identity.account").await, 1);
    let owned = "SELECT count(DISTINCT account_id) FROM identity.number";
    assert_eq!(identity.count(owned).await, 4);
    let again = identity.import_one(row(1, &owner)).await;
    assert!(again.registered);
    assert_eq!(person_id(&again), ids[0]);
    let ended = identity.told::<RosterPersonEnded>().await;
    assert!(ended.is_empty(), "the names are the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reviewed_person_and_a_minor_take_their_place_too() {
    let identity = Identity::start().await;
    let (rare, young, parent) = (person(1), child(1, 15), person(2));
    let reviewer = person(3);
    identity.register(&reviewer).await;
    let viewer = person_id(&identity.import_one(without_phone(1, &reviewer)).await);
    let known = identity.import(&[row(1, &rare), without_phone(2, &young)]).await;

    let application = identity.application(&rare).await;
    identity.vendors.answer(&["04"]);
    assert_eq!(identity.begin(&application).await.state(), EnrolmentState::Review);
    let enrolment_id = application.enrolment_id.clone();
    let reveal = RevealApplicantRequest {
        enrolment_id: enrolment_id.clone(),
        viewer_account_id: viewer.to_string(),
        purpose: "核对身份证原件".into(),
    };
    identity.enrolments().reveal_applicant(reveal).await.unwrap();
    let decide = DecideEnrolmentRequest {
        enrolment_id: enrolment_id.clone(),
        decision: EnrolmentDecision::Accept.into(),
        decided_by: viewer.to_string(),
    };
    identity.enrolments().decide_enrolment(decide).await.unwrap();
    let active = identity.activate(&enrolment_id).await.unwrap();
    assert_eq!(account(&active), person_id(&known[0]));
    assert_eq!(identity.count(RECORDS).await, 2, "the person reads who looked and decided");

    let application = identity.with_guardian(&young, &parent).await;
    let claimed = identity.begin(&application).await;
    assert_eq!(account(&claimed), person_id(&known[1]));
    identity.activate(&application.enrolment_id).await.unwrap();
    let texts = identity.until_texts(&parent.mobile, 2).await;
    assert!(texts[1].contains("您以监护人身份同意注册"), "{texts:?}");
    let request = GetAccountRequest { account_id: claimed.account_id };
    let shown = AccountServiceClient::new(identity.suite()).get_account(request).await.unwrap();
    assert!(shown.into_inner().guardian_consent.unwrap().masked_phone.contains("****"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_account_leaves_its_number_to_another_person() {
    let identity = Identity::start().await;
    let someone = person(1);
    let known = person_id(&identity.import_one(row(1, &someone)).await);
    let (application, _) = identity.claim(&someone).await;
    // A binary of before activates without looking at rosters.
    sqlx::query("UPDATE identity.account SET state = 'ACTIVE', activated_at = now()")
        .execute(&identity.pool)
        .await
        .unwrap();
    for _ in 0..500 {
        if identity.count(PEOPLE).await == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(identity.count(PEOPLE).await, 0, "the job comes by");
    identity.activate(&application.enrolment_id).await.unwrap();
    sqlx::query("DELETE FROM identity.number").execute(&identity.pool).await.unwrap();
    let next = identity.import_one(row(1, &someone)).await;
    assert!(next.new && person_id(&next) != known);
}

/// A campaign of people of whom the roster has no phone needs nobody's help: they register with
/// whatever phone they have, at level 1, each with the id of the roster.
async fn a_campaign(imported: i32, registered: usize) {
    let identity = Identity::start_with("# CHEAP").await;
    let people: Vec<Person> = (1..=imported).map(|n| person(n.unsigned_abs())).collect();
    let rows: Vec<RosterRow> = (1..).zip(&people).map(|(n, one)| without_phone(n, one)).collect();
    let mut known = Vec::new();
    for rows in rows.chunks(500) {
        known.extend(identity.import(rows).await.iter().map(person_id));
    }
    for (people, known) in people[..registered].chunks(16).zip(known.chunks(16)) {
        let registered = people.iter().zip(known).map(async |(person, known)| {
            let application = identity.application(person).await;
            identity.begin(&application).await;
            let claimed = identity.settled(&application.enrolment_id).await;
            assert_eq!(account(&claimed), *known);
            // Again, where the machine is busy.
            while identity.activate(&application.enrolment_id).await.is_err() {
                tokio::task::yield_now().await;
            }
        });
        join_all(registered).await;
        // Neither the budget of the minute nor work is what this is about.
        identity.pass(Duration::MINUTE);
    }
    let level_1 = "SELECT count(*) FROM identity.account WHERE state = 'ACTIVE' AND level = 1";
    assert_eq!(identity.count(level_1).await, i64::try_from(registered).unwrap());
    let left = i64::from(imported) - i64::try_from(registered).unwrap();
    assert_eq!(identity.count(PEOPLE).await, left);
    assert_eq!(identity.count(NUMBERS).await, i64::from(imported));
    assert_eq!(identity.count(KEYS_OF_PEOPLE).await, i64::from(imported));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_of_whom_the_roster_has_no_phone_register_without_a_claim() {
    a_campaign(1_000, 96).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ten thousand registrations take minutes"]
async fn ten_thousand_of_whom_the_roster_has_no_phone_register_without_a_claim() {
    a_campaign(10_000, 10_000).await;
}
