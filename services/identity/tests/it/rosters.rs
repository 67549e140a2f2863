//! People on rosters: who they are, and who they become.

mod adoption;
mod files;

use std::collections::BTreeSet;

use futures_util::future::join_all;
use time::OffsetDateTime;
use tonic::Status;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::roster_service_client::RosterServiceClient;
use zhiyuan_contracts::identity::v1::{
    AccountChanged, BatchGetRosterPeopleRequest, ForgetRosterPeopleRequest,
    ImportRosterRowsRequest, ListRosterPeopleRequest, RosterPerson, RosterProblem, RosterRow,
    RosterVerdict,
};
use zhiyuan_domain::{Clock as _, PersonName};
use zhiyuan_rpc::wire::timestamp;
use zhiyuan_rpc::{Remote, SuiteChannel};
use zhiyuan_testkit::{Person, person};

use crate::account::{PASSWORD, password_of};
use crate::codes::reason;
use crate::guardians::child;
use crate::harness::{Identity, KEYS_OF_PEOPLE, account};
use crate::look_ups::rotate;

pub(crate) const PEOPLE: &str = "SELECT count(*) FROM identity.roster_person";
pub(crate) const NUMBERS: &str = "SELECT count(*) FROM identity.number";
const TOLD: &str = "SELECT payload FROM
         (SELECT type, payload FROM identity.outbox
          UNION ALL SELECT type, payload FROM identity.event) told
     WHERE type = $1";

/// A row with a phone.
pub(crate) fn row(row_number: i32, person: &Person) -> RosterRow {
    RosterRow { phone: person.mobile.clone(), ..without_phone(row_number, person) }
}

pub(crate) fn without_phone(row_number: i32, person: &Person) -> RosterRow {
    RosterRow {
        row_number,
        name: person.name.clone(),
        id_number: person.id_number.clone(),
        ..Default::default()
    }
}

/// The id of who was told of.
pub(crate) fn person_id(verdict: &RosterVerdict) -> Uuid {
    assert_eq!(verdict.problem(), RosterProblem::Unspecified, "{verdict:?}");
    verdict.person_id.parse().unwrap()
}

impl Identity {
    pub(crate) fn rosters(&self) -> RosterServiceClient<SuiteChannel> {
        RosterServiceClient::new(self.suite())
    }

    pub(crate) async fn try_import(
        &self,
        rows: Vec<RosterRow>,
        validate_only: bool,
    ) -> Result<Vec<RosterVerdict>, Status> {
        let request = ImportRosterRowsRequest { rows, validate_only };
        Ok(self.rosters().import_roster_rows(request).await?.into_inner().verdicts)
    }

    /// Imports, and sends it again as a caller would that was told to come again.
    pub(crate) async fn import(&self, rows: &[RosterRow]) -> Vec<RosterVerdict> {
        for _ in 0..100 {
            match self.try_import(rows.to_vec(), false).await {
                Ok(verdicts) => return verdicts,
                Err(status) if Remote::from(status.clone()).is_transient() => {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
                Err(status) => panic!("{status:?}"),
            }
        }
        panic!("the service did not come back");
    }

    pub(crate) async fn import_one(&self, row: RosterRow) -> RosterVerdict {
        self.import(&[row]).await.remove(0)
    }

    pub(crate) async fn roster_people(&self, ids: &[Uuid]) -> Vec<RosterPerson> {
        let person_ids = ids.iter().map(Uuid::to_string).collect();
        let request = BatchGetRosterPeopleRequest { person_ids };
        self.rosters().batch_get_roster_people(request).await.unwrap().into_inner().people
    }

    pub(crate) async fn forget(&self, ids: &[Uuid]) {
        let person_ids = ids.iter().map(Uuid::to_string).collect();
        let request = ForgetRosterPeopleRequest { person_ids };
        self.rosters().forget_roster_people(request).await.unwrap();
    }

    /// What was told of a kind.
    pub(crate) async fn told<M: prost::Message + prost::Name + Default>(&self) -> Vec<M> {
        let rows: Vec<Vec<u8>> =
            sqlx::query_scalar(TOLD).bind(M::full_name()).fetch_all(&self.pool).await.unwrap();
        rows.iter().map(|payload| M::decode(payload.as_slice()).unwrap()).collect()
    }
}

fn masked(person: &Person) -> String {
    PersonName::parse(&person.name).unwrap().masked()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_rows_again_are_the_same_people_and_nothing_of_them_is_in_clear() {
    let identity = Identity::start().await;
    let people: Vec<Person> = (1..=40).map(person).collect();
    let rows: Vec<RosterRow> = (2..).zip(&people).map(|(n, person)| row(n, person)).collect();
    let first = identity.import(&rows).await;
    let numbers: Vec<i32> = first.iter().map(|verdict| verdict.row_number).collect();
    assert_eq!(numbers, (2..42).collect::<Vec<_>>(), "in the order of the rows");
    assert!(first.iter().all(|v| v.new && !v.registered && !v.name_changed));
    let birth = &people[0].id_number[6..12];
    let year: i32 = birth[..4].parse().unwrap();
    assert_eq!(first[0].ends_in, format!("{}-{}", year + 29, &birth[4..]));
    let ids: BTreeSet<Uuid> = first.iter().map(person_id).collect();
    assert_eq!(ids.len(), 40);

    let again = identity.import(&rows).await;
    for (first, again) in first.iter().zip(&again) {
        assert_eq!(first.person_id, again.person_id);
        assert!(!again.new && !again.registered && !again.name_changed);
    }
    assert_eq!(identity.count(PEOPLE).await, 40);
    assert_eq!(identity.count(NUMBERS).await, 40);
    assert_eq!(identity.count(KEYS_OF_PEOPLE).await, 40);

    let sql = "SELECT string_agg(t::text, ' ') FROM identity.roster_person t";
    let dump: String = sqlx::query_scalar(sql).fetch_one(&identity.pool).await.unwrap();
    for person in &people {
        for clear in [&person.name, &person.id_number, &person.mobile] {
            let hex: String = clear.bytes().map(|byte| format!("{byte:02x}")).collect();
            assert!(!dump.contains(clear.as_str()) && !dump.contains(&hex));
        }
    }
    // Nobody of them can do anything: it is as if nobody was known.
    let mut answers = Vec::new();
    for identifier in [&people[0].mobile, &people[0].id_number, &person(99).mobile] {
        let tail = &people[0].id_number[10..];
        let status = identity.sign_in(password_of(identifier, tail)).await.unwrap_err();
        answers.push((status.code(), status.message().to_owned(), status.details().to_vec()));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    assert_eq!(identity.count("SELECT count(*) FROM identity.session").await, 0);
}

#[tokio::test]
async fn what_is_wrong_with_a_row_is_told_and_the_others_are_imported() {
    let identity = Identity::start().await;
    let good = person(1);
    let rows = [
        RosterRow { name: "汪".into(), ..row(2, &person(2)) },
        RosterRow { id_number: "341882199912310018".into(), ..row(3, &person(3)) },
        RosterRow { phone: "055112345".into(), ..row(4, &person(4)) },
        row(5, &child(1, 13)),
        row(6, &good),
        without_phone(7, &child(1, 14)),
    ];
    let verdicts = identity.import(&rows).await;
    let problems: Vec<RosterProblem> = verdicts.iter().map(RosterVerdict::problem).collect();
    let none = RosterProblem::Unspecified;
    let expected = [
        RosterProblem::Name,
        RosterProblem::IdNumber,
        RosterProblem::Phone,
        RosterProblem::TooYoung,
        none,
        none,
    ];
    assert_eq!(problems, expected);
    let empty =
        RosterVerdict { row_number: 2, problem: RosterProblem::Name.into(), ..Default::default() };
    assert_eq!(verdicts[0], empty, "there is nothing else");
    assert_eq!(identity.count(PEOPLE).await, 2);
    let ids = [person_id(&verdicts[4]), person_id(&verdicts[5])];
    let shown = identity.roster_people(&ids).await;
    assert_eq!(shown[0].masked_name, masked(&good));
    assert!(shown[0].has_phone && !shown[1].has_phone);
}

#[tokio::test]
async fn validating_changes_nothing_and_answers_what_would_be() {
    let identity = Identity::start().await;
    let known = identity.import_one(row(1, &person(1))).await;
    let renamed = RosterRow { name: "另名".into(), update: true, ..row(1, &person(1)) };
    let twice = [renamed, row(2, &person(2)), row(3, &person(2))];
    let before = identity.count(KEYS_OF_PEOPLE).await;
    let told = identity.try_import(twice.to_vec(), true).await.unwrap();
    assert_eq!(told[0].person_id, known.person_id);
    assert!(told[0].name_changed && !told[0].new);
    assert!(told[1].person_id.is_empty() && told[1].new && !told[1].ends_in.is_empty());
    assert!(told[2].person_id.is_empty() && !told[2].new);
    assert_eq!(identity.count(PEOPLE).await, 1);
    assert_eq!(identity.count(KEYS_OF_PEOPLE).await, before);
    let shown = identity.roster_people(&[person_id(&known)]).await;
    assert_eq!(shown[0].masked_name, masked(&person(1)));
    // As it is done, then.
    let done = identity.import(&twice).await;
    assert!(done[1].new && done[1].person_id == done[2].person_id);
    assert_eq!(identity.roster_people(&[person_id(&known)]).await[0].masked_name, "另*");
    // A roster without phones takes none away.
    let without = RosterRow { phone: String::new(), ..twice[0].clone() };
    assert!(!identity.import_one(without).await.phone_changed);
    assert!(identity.roster_people(&[person_id(&known)]).await[0].has_phone);
    let other = RosterRow { phone: person(2).mobile, ..twice[0].clone() };
    assert!(identity.import_one(other.clone()).await.phone_changed);
    assert!(!identity.import_one(other).await.phone_changed);
    // Without being asked to, nobody becomes what another row says.
    let kept = identity.import_one(row(1, &person(1))).await;
    assert!(kept.name_changed);
    assert_eq!(identity.roster_people(&[person_id(&known)]).await[0].masked_name, "另*");
}

#[tokio::test]
async fn people_are_listed_in_the_order_in_which_they_were_made_known() {
    let identity = Identity::start().await;
    let list = async |after_person_id: &str, before: OffsetDateTime| {
        let made_before = Some(timestamp(before));
        let request =
            ListRosterPeopleRequest { after_person_id: after_person_id.to_owned(), made_before };
        identity.rosters().list_roster_people(request).await
    };
    let people =
        async |after: &str, before| list(after, before).await.unwrap().into_inner().person_ids;
    let mut all = Vec::new();
    for n in 1..=3 {
        all.push(identity.import_one(row(2, &person(n))).await.person_id);
        identity.clock.advance(std::time::Duration::from_secs(60));
    }
    let now = identity.clock.now();
    assert_eq!(people("", now).await, all);
    assert_eq!(people(&all[0], now).await, all[1..]);
    assert_eq!(people("", now - time::Duration::seconds(90)).await, all[..2]);
    assert_eq!(people(&all[2], now).await, [""; 0]);
    identity.forget(&[all[1].parse().unwrap()]).await;
    assert_eq!(people("", now).await, [all[0].clone(), all[2].clone()]);

    assert_eq!(reason(&list("somebody", now).await.unwrap_err()), "INVALID_FIELDS");
    let no_time = ListRosterPeopleRequest::default();
    let status = identity.rosters().list_roster_people(no_time).await.unwrap_err();
    assert_eq!(reason(&status), "INVALID_FIELDS");
}

#[tokio::test]
async fn a_request_is_of_1_to_500_rows_each_with_a_number_of_its_own() {
    let identity = Identity::start().await;
    let rows = |count: i32| (1..=count).map(|n| without_phone(n, &person(1))).collect::<Vec<_>>();
    for refused in [rows(0), rows(501), [rows(2), rows(1)].concat()] {
        let status = identity.try_import(refused, true).await.unwrap_err();
        assert_eq!(reason(&status), "INVALID_FIELDS");
    }
    assert_eq!(identity.try_import(rows(500), true).await.unwrap().len(), 500);
    let zero = vec![without_phone(0, &person(1))];
    assert_eq!(reason(&identity.try_import(zero, true).await.unwrap_err()), "INVALID_FIELDS");
    for person_ids in [vec![], vec!["canary".to_owned()], vec![Uuid::nil().to_string(); 501]] {
        let get = BatchGetRosterPeopleRequest { person_ids: person_ids.clone() };
        let status = identity.rosters().batch_get_roster_people(get).await.unwrap_err();
        assert_eq!(reason(&status), "INVALID_FIELDS");
        let forget = ForgetRosterPeopleRequest { person_ids };
        let status = identity.rosters().forget_roster_people(forget).await.unwrap_err();
        assert_eq!(reason(&status), "INVALID_FIELDS");
    }
}

/// Guarantee 10: one natural person is one person, whoever names it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_imports_the_same_people_at_the_same_time_gets_the_same_ids() {
    let identity = Identity::start().await;
    let rows: Vec<RosterRow> = (1..=200).map(|n| row(n, &person(n.unsigned_abs()))).collect();
    let imports = (0..12).map(|caller| {
        let mut rows = rows.clone();
        if caller % 2 == 1 {
            rows.reverse();
        }
        rows.rotate_left(caller * 17);
        let identity = &identity;
        async move {
            let mut verdicts = identity.import(&rows).await;
            verdicts.sort_by_key(|verdict| verdict.row_number);
            verdicts
        }
    });
    let answers = join_all(imports).await;
    for answer in &answers {
        assert!(answer.iter().zip(&answers[0]).all(|(a, b)| a.person_id == b.person_id));
    }
    let made = answers.iter().flatten().filter(|verdict| verdict.new).count();
    assert_eq!(made, 200, "each was made by one of them");
    assert_eq!(identity.count(PEOPLE).await, 200);
    assert_eq!(identity.count(NUMBERS).await, 200);
    assert_eq!(identity.count(KEYS_OF_PEOPLE).await, 200, "no key was made in vain and left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_of_the_same_name_and_phone_is_raised_to_level_2_once() {
    let identity = Identity::start().await;
    let (one, two) = (person(1), person(2));
    identity.register(&one).await;
    let account_id = account(&{
        let application = identity.application(&two).await;
        identity.begin(&application).await;
        identity.activate(&application.enrolment_id).await.unwrap()
    });
    let level = "SELECT level::bigint FROM identity.account WHERE level > 1";
    // Of another name, or without the phone, it stays.
    let other = RosterRow { name: "另名".into(), update: true, ..row(1, &two) };
    assert_eq!(identity.import_one(other).await.problem(), RosterProblem::NameDiffers);
    let known = identity.import_one(without_phone(1, &two)).await;
    assert_eq!(person_id(&known), account_id);
    assert!(known.registered && !known.new);
    let shared = RosterRow { phone: one.mobile.clone(), ..row(1, &two) };
    assert!(identity.import_one(shared).await.registered);
    let validated = identity.try_import(vec![row(1, &two)], true).await.unwrap();
    assert!(validated[0].registered);
    assert_eq!(identity.told::<AccountChanged>().await.len(), 2);

    // By the roster of another organization it stays, too.
    assert!(identity.import_one(row(1, &two)).await.registered);
    assert_eq!(identity.told::<AccountChanged>().await.len(), 2);

    for _ in 0..2 {
        identity.import_one(RosterRow { update: true, ..row(1, &two) }).await;
        assert_eq!(identity.count(level).await, 2);
    }
    let told = identity.told::<AccountChanged>().await;
    let raised: Vec<&AccountChanged> = told.iter().filter(|told| told.level == 2).collect();
    assert_eq!((told.len(), raised.len()), (3, 1));
    assert_eq!(raised[0].account_id, account_id.to_string());
    let shown = identity.roster_people(&[account_id]).await;
    assert!(shown[0].registered && !shown[0].has_phone);
    assert_eq!(identity.count(PEOPLE).await, 0);
    identity.by_password(&two.mobile, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn who_is_forgotten_is_nobody_and_who_has_registered_stays() {
    let identity = Identity::start().await;
    let registered = person(1);
    identity.register(&registered).await;
    let rows = [row(1, &registered), row(2, &person(2)), row(3, &person(3))];
    let ids: Vec<Uuid> = identity.import(&rows).await.iter().map(person_id).collect();
    let stranger = Uuid::from_u128(7);
    let asked = [ids[1], stranger, ids[0], ids[2]];
    let shown = identity.roster_people(&asked).await;
    let names: Vec<String> = shown.iter().map(|person| person.masked_name.clone()).collect();
    assert_eq!(names, [masked(&person(2)), masked(&registered), masked(&person(3))]);
    for _ in 0..2 {
        identity.forget(&[ids[1], stranger, ids[0]]).await;
    }
    let shown = identity.roster_people(&asked).await;
    let left: Vec<String> = shown.iter().map(|person| person.person_id.clone()).collect();
    assert_eq!(left, [ids[0].to_string(), ids[2].to_string()]);
    assert_eq!(identity.count(KEYS_OF_PEOPLE).await, 2);
    // The number is free, for another person.
    let again = identity.import_one(row(2, &person(2))).await;
    assert!(again.new && person_id(&again) != ids[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_index_keys_rotate_people_hold_their_number_under_both() {
    let mut identity = Identity::start().await;
    let before = identity.import_one(row(1, &person(1))).await;
    let _tasks = rotate(&mut identity).await;
    let after = identity.import_one(row(2, &person(2))).await;
    assert_eq!(identity.count(NUMBERS).await, 3);
    for (known, person) in [(&before, person(1)), (&after, person(2))] {
        assert_eq!(identity.import_one(row(1, &person)).await.person_id, known.person_id);
        let application = identity.application(&person).await;
        let claimed = identity.begin(&application).await;
        assert_eq!(claimed.account_id, known.person_id);
        identity.discard(&application.enrolment_id).await.unwrap();
        assert_eq!(identity.import_one(row(1, &person)).await.person_id, known.person_id);
    }
    assert_eq!(identity.count("SELECT count(DISTINCT account_id) FROM identity.number").await, 2);
}
