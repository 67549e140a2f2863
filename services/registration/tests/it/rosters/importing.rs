//! What was looked at is imported.

use zhiyuan_contracts::registration::v1::{
    RosterImportState as State, RosterRowFate as Fate, RosterRowProblem as Problem,
};

use super::{BOTH, EVENTS, MEMBERS, Secretary, counts, fates, file, young};
use crate::fake_orgtree::OTHER_TOWNSHIP;
use crate::fake_rosters::ENDS_IN;
use crate::harness::{Recovery, Service};

/// Row 17: the same file again changes nothing, tells nothing, and the counts are those of a
/// file that has nothing new.
#[tokio::test]
async fn row_17_a_file_that_is_sent_again_changes_nothing() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    let text = file(1..6);
    let first = secretary.import(text.as_bytes()).await;
    assert_eq!((counts(&first), first.rows_done), ([5, 0, 0, 0, 0], 5));
    let all =
        "SELECT string_agg(m::text, ' ' ORDER BY person_id) FROM registration.roster_member m";
    let before = (service.sql(all).await, service.sql(EVENTS).await);
    let again = secretary.import(text.as_bytes()).await;
    assert_eq!(counts(&again), [0, 0, 5, 0, 0]);
    assert_eq!((service.sql(all).await, service.sql(EVENTS).await), before);
}

#[tokio::test]
async fn members_are_on_the_roster_with_the_row_that_brought_them_and_their_names_hidden() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    let id = service.rosters.register(&young(2).id_number, &young(2).name);
    let import = secretary.import(file([1, 2]).as_bytes()).await;
    assert_eq!(counts(&import), [1, 1, 0, 0, 0]);
    let members = secretary.members().await;
    assert_eq!(members.len(), 2);
    for member in &members {
        let registered = member.person_id == id.to_string();
        assert_eq!(member.registered, registered);
        let n = if registered { 2 } else { 1 };
        assert!(young(n).name.starts_with(member.masked_name.chars().next().unwrap()));
        assert!(member.masked_name.ends_with("**"));
        assert_eq!((&*member.ends_in, &*member.import_id), (ENDS_IN, &*import.id));
        assert_eq!(member.row_number, i32::try_from(n).unwrap() + 1);
        assert!(member.since.is_some() && member.return_time.is_none());
    }
    // Told once each, as the first revision.
    let told = "SELECT string_agg(revision::text, ',') FROM registration.outbox
                WHERE type LIKE '%RosterMemberChanged'";
    assert_eq!(service.sql(told).await, "1,1");
}

#[tokio::test]
async fn a_name_is_changed_by_the_roster_that_the_person_is_on_and_by_no_other() {
    let service = Service::start(Recovery::On).await;
    let (secretary, other) =
        (Secretary::new(&service).await, Secretary::at(&service, OTHER_TOWNSHIP, &BOTH).await);
    secretary.import(file([1]).as_bytes()).await;
    let number = young(1).id_number;
    let name = || service.rosters.with(|state| state.people[&number].name.clone());
    let renamed = |name: &str| format!("姓名,身份证号\n{name},{number}\n");
    let refused = other.import(renamed("欧阳二").as_bytes()).await;
    assert_eq!(counts(&refused), [0, 0, 0, 0, 1]);
    assert_eq!(name(), young(1).name);
    let updated = secretary.import(renamed("欧阳一").as_bytes()).await;
    assert_eq!((counts(&updated), name()), ([0, 0, 0, 1, 0], "欧阳一".to_owned()));
    // The membership is what it was.
    assert_eq!(service.sql(EVENTS).await, "1");
}

/// Nothing about somebody who is known is changed for a roster that the person is not on.
#[tokio::test]
async fn identity_changes_people_for_the_roster_they_are_on_and_for_no_other() {
    let service = Service::start(Recovery::On).await;
    let (secretary, other) =
        (Secretary::new(&service).await, Secretary::at(&service, OTHER_TOWNSHIP, &BOTH).await);
    let registered = young(1);
    service.rosters.register(&registered.id_number, &registered.name);
    // Known by a file of somebody else, which took no effect.
    service.rosters.know(&young(2).id_number, "欧阳二", false);
    let text = file([1, 2]);
    assert_eq!(counts(&secretary.import(text.as_bytes()).await), [1, 1, 0, 0, 0]);
    let raised = || service.rosters.with(|state| state.raised.clone());
    assert_eq!(raised(), [registered.id_number]);
    let known = || service.rosters.with(|state| state.people[&young(2).id_number].clone());
    assert_eq!((known().name, known().phone), (young(2).name, young(2).mobile));
    assert_eq!(counts(&other.import(text.as_bytes()).await), [0, 0, 0, 0, 2]);
    assert_eq!(raised().len(), 1);
}

#[tokio::test]
async fn another_phone_is_an_update_and_none_is_not() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    secretary.import(file([1]).as_bytes()).await;
    let young = young(1);
    let phone = || service.rosters.with(|state| state.people[&young.id_number].phone.clone());
    let without = format!("姓名,身份证号\n{},{}\n", young.name, young.id_number);
    let unchanged = secretary.import(without.as_bytes()).await;
    assert_eq!((counts(&unchanged), phone()), ([0, 0, 1, 0, 0], young.mobile.clone()));
    let other = file([1]).replace(&young.mobile, "13800138000");
    let updated = secretary.import(other.as_bytes()).await;
    assert_eq!((counts(&updated), &*phone()), ([0, 0, 0, 1, 0], "13800138000"));
}

/// Who was looked at may be elsewhere by the time the rows are imported: what is true then
/// counts.
#[tokio::test]
async fn the_fate_that_counts_is_that_of_the_import() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    let other = Secretary::at(&service, OTHER_TOWNSHIP, &BOTH).await;
    let import = secretary.checked(file([1, 2, 3]).as_bytes()).await;
    assert_eq!(counts(&import), [3, 0, 0, 0, 0]);
    other.import(file([2]).as_bytes()).await;
    service.rosters.register(&young(3).id_number, &young(3).name);
    secretary.go_on(&import.id).await;
    let done = secretary.until(&import.id, State::Done).await;
    assert_eq!((counts(&done), done.rows_done), ([1, 1, 0, 0, 1], 3));
    let rows = secretary.rows(&import.id, false).await.unwrap();
    assert_eq!(fates(&rows), [(2, Fate::New), (3, Fate::Rejected), (4, Fate::NewRegistered)]);
    assert_eq!(rows[1].problems().collect::<Vec<_>>(), [Problem::OnOtherRoster]);
}

/// Two organizations import the same people at the same time, in different orders: each person
/// is on one roster.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_imports_with_the_same_people_one_has_each() {
    let service = Service::start(Recovery::On).await;
    service.start_another().await;
    let secretary = Secretary::new(&service).await;
    let other = Secretary::at(&service, OTHER_TOWNSHIP, &BOTH).await;
    let one = secretary.checked(file(0..60).as_bytes()).await;
    let two = other.checked(file((0..60).rev()).as_bytes()).await;
    // Both have asked identity before either has stored anything.
    let gate = service.rosters.hold("import");
    secretary.go_on(&one.id).await;
    other.go_on(&two.id).await;
    service.until("both ask", async |it| it.rosters.calls("import") == 2).await;
    gate.add_permits(1000);
    let one = counts(&secretary.until(&one.id, State::Done).await);
    let two = counts(&other.until(&two.id, State::Done).await);
    assert_eq!(
        (one[0] + one[4], two[0] + two[4], one[0] + two[0]),
        (60, 60, 60),
        "{one:?} {two:?}"
    );
    assert_eq!((service.sql(MEMBERS).await, service.sql(EVENTS).await), ("60".into(), "60".into()));
    assert_eq!(secretary.members().await.len(), usize::try_from(one[0]).unwrap());
}

#[tokio::test]
async fn a_large_file_is_imported_in_batches_of_500() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    let import = secretary.import(file(0..1201).as_bytes()).await;
    assert_eq!((counts(&import), import.rows), ([1201, 0, 0, 0, 0], 1201));
    assert_eq!(service.rosters.with(|state| state.imported.clone()), [500, 500, 201]);
    assert_eq!(service.sql(EVENTS).await, "1201");
}
