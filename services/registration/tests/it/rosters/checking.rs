//! Files are uploaded, and looked at row by row.

use zhiyuan_contracts::identity::v1::RosterProblem;
use zhiyuan_contracts::registration::v1::{
    RosterFailure, RosterImportState as State, RosterRowFate as Fate, RosterRowProblem as Problem,
};

use super::{ACTS, EVENTS, MEMBERS, PIECE, Secretary, counts, fates, file, line, sha256, young};
use crate::fake_orgtree::OTHER_TOWNSHIP;
use crate::harness::{Recovery, Service};

/// Row 14: a bad row in the middle is told by itself, and changes nothing about the others.
#[tokio::test]
async fn row_14_every_row_is_told_what_becomes_of_it_and_nothing_is_changed() {
    let service = Service::start(Recovery::On).await;
    let other = Secretary::at(&service, OTHER_TOWNSHIP, &super::BOTH).await;
    other.import(file([5]).as_bytes()).await;
    let secretary = Secretary::new(&service).await;
    secretary.import(file([3, 4]).as_bytes()).await;
    let before = (service.sql(MEMBERS).await, service.sql(EVENTS).await);

    service.rosters.register(&young(2).id_number, &young(2).name);
    let mut problems = [RosterProblem::NameDiffers, RosterProblem::TooYoung].into_iter();
    for n in [6, 7] {
        let problem = problems.next().unwrap();
        service.rosters.with(|state| state.problems.insert(young(n).id_number, problem));
    }
    let renamed = format!("欧阳一,{},\n", young(4).id_number);
    let text = file([1, 2, 3])
        + &renamed
        + &line(5)
        + &line(6)
        + &line(7)
        + "张三,34082219990101123,123\n"
        + ",,\n"
        + &line(1)
        + "李四,3.40822E+17,\n";
    let import = secretary.checked(text.as_bytes()).await;
    assert_eq!(counts(&import), [1, 1, 1, 1, 6]);
    assert_eq!((import.rows, import.rows_done), (10, 10));
    let rows = secretary.rows(&import.id, false).await.unwrap();
    let told: Vec<_> = rows.iter().map(|row| (row.row_number, row.fate())).collect();
    let rejected = |row| (row, Fate::Rejected);
    let expected = [
        (2, Fate::New),
        (3, Fate::NewRegistered),
        (4, Fate::Unchanged),
        (5, Fate::Updated),
        rejected(6),
        rejected(7),
        rejected(8),
        rejected(9),
        // Row 10 is empty.
        rejected(11),
        rejected(12),
    ];
    assert_eq!(told, expected);
    let rejected = secretary.rows(&import.id, true).await.unwrap();
    let problems: Vec<(Vec<Problem>, i32)> =
        rejected.iter().map(|row| (row.problems().collect(), row.same_as_row)).collect();
    let expected = [
        (vec![Problem::OnOtherRoster], 0),
        (vec![Problem::NameDiffers], 0),
        (vec![Problem::TooYoung], 0),
        (vec![Problem::IdNumber, Problem::Phone], 0),
        // Row 16 of the list: the same person twice.
        (vec![Problem::Duplicate], 2),
        (vec![Problem::IdNumberRounded], 0),
    ];
    assert_eq!(problems, expected);
    assert!(rejected.iter().all(|row| !row.message.is_empty()));
    assert!(rows[0].message.is_empty());
    // Looking changes nothing.
    assert_eq!((service.sql(MEMBERS).await, service.sql(EVENTS).await), before);
    assert_eq!(
        service.rosters.with(|state| state.people[&young(4).id_number].name.clone()),
        young(4).name
    );
    assert!(!service.rosters.with(|state| state.people.contains_key(&young(1).id_number)));
}

/// Row 15: GB18030, and a mark before UTF-8.
#[tokio::test]
async fn row_15_files_of_all_encodings_are_read() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    let marked = "\u{feff}".to_owned() + &file([1, 2]);
    let (gb18030, _, _) = encoding_rs::GB18030.encode(&marked[3..]);
    for bytes in [marked.as_bytes(), &gb18030] {
        assert_eq!(counts(&secretary.checked(bytes).await), [2, 0, 0, 0, 0]);
    }
}

#[tokio::test]
async fn pieces_come_in_any_order_and_again_and_none_of_them_is_kept_here() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    // Three pieces.
    let text = file([1]) + &"\n".repeat(2 * PIECE);
    let bytes = text.as_bytes();
    let pieces: Vec<&[u8]> = bytes.chunks(PIECE).collect();
    let import = secretary.create(&secretary.form(bytes)).await.unwrap();
    assert_eq!((import.state(), &*import.missing_pieces), (State::Uploading, &[0, 1, 2][..]));
    assert_eq!(import.file_expire_time, None);
    let after = secretary.put(&import.id, 2, pieces[2]).await.unwrap();
    assert_eq!(after.missing_pieces, [0, 1]);
    assert!(after.file_expire_time.is_some());
    secretary.put(&import.id, 0, pieces[0]).await.unwrap();
    let after = secretary.put(&import.id, 2, pieces[2]).await.unwrap();
    assert_eq!((after.state(), &*after.missing_pieces), (State::Uploading, &[1][..]));
    let after = secretary.put(&import.id, 1, pieces[1]).await.unwrap();
    assert!(after.missing_pieces.is_empty());
    let import = secretary.until(&import.id, State::Checked).await;
    assert_eq!(counts(&import), [1, 0, 0, 0, 0]);
    // Whose answer was lost sends it again.
    secretary.put(&import.id, 1, pieces[1]).await.unwrap();
    assert_eq!(secretary.imports().await.unwrap(), [secretary.get(&import.id).await.unwrap()]);
    assert_nothing_personal(&service, &[1]).await;
}

/// Nothing of anybody is anywhere in the tables.
async fn assert_nothing_personal(service: &Service, people: &[u32]) {
    for table in ["roster_import", "roster_import_row", "roster_member", "request", "audit_pending"]
    {
        let query = format!("SELECT string_agg(t::text, ' ') FROM registration.{table} t");
        let all = service.sql(&query).await;
        for n in people {
            let person = young(*n);
            for value in [&person.name, &person.id_number, &person.mobile] {
                assert!(!all.contains(&**value), "{table}");
            }
        }
    }
}

#[tokio::test]
async fn a_file_that_can_not_be_read_says_why() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    for (text, expected) in [
        (&b"\xff\xff\x80\x81"[..], RosterFailure::Format),
        (b"PK\x03\x04 and no more", RosterFailure::Format),
        ("姓名,手机\n张三,\n".as_bytes(), RosterFailure::Headings),
        ("姓名,身份证号\n".as_bytes(), RosterFailure::Empty),
        (&["姓名,身份证号\n".as_bytes(), &b"x,".repeat(80)].concat(), RosterFailure::Rows),
    ] {
        let import = secretary.upload(text).await;
        let failed = secretary.until(&import.id, State::Failed).await;
        assert_eq!(failed.failure(), expected);
        assert!(failed.end_time.is_some());
    }
    let mut form = secretary.form(file([1]).as_bytes());
    form.sha256 = sha256(b"another one");
    let import = secretary.create(&form).await.unwrap();
    secretary.put(&import.id, 0, file([1]).as_bytes()).await.unwrap();
    let failed = secretary.until(&import.id, State::Failed).await;
    assert_eq!(failed.failure(), RosterFailure::Digest);
    // Gone before it was looked at.
    let gate = service.rosters.hold("get");
    let import = secretary.upload(file([1]).as_bytes()).await;
    service.rosters.with(|state| state.pieces.clear());
    gate.add_permits(1000);
    let failed = secretary.until(&import.id, State::Failed).await;
    assert_eq!(failed.failure(), RosterFailure::Gone);
}

#[tokio::test]
async fn while_identity_is_down_an_import_waits_and_then_goes_on() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    service.rosters.fail("get", &[false, true]);
    service.rosters.fail("validate", &[false]);
    service.rosters.fail("import", &[false, true]);
    let import = secretary.import(file(1..4).as_bytes()).await;
    assert_eq!(counts(&import), [3, 0, 0, 0, 0]);
    assert_eq!((service.sql(MEMBERS).await, service.sql(EVENTS).await), ("3".into(), "3".into()));
    let acts = service.sql(ACTS).await;
    let expected = "registration.roster.import_begun DONE,registration.roster.checked DONE,\
                    registration.roster.import_started DONE,registration.roster.rows_imported DONE,\
                    registration.roster.imported DONE";
    assert_eq!(acts, expected);
    assert_eq!(fates(&secretary.rows(&import.id, true).await.unwrap()), []);
}
