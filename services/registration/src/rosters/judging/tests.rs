use time::macros::date;

use super::*;

const TODAY: Date = date!(2026 - 11 - 23);

/// A number of somebody born on a day.
fn born(birth: &str, serial: u16) -> String {
    let first17 = format!("340822{birth}{serial:03}");
    format!("{first17}{}", IdNumber::check_character(&first17).unwrap())
}

fn person(row_number: u32, name: &str, id_number: &str, phone: &str) -> Person {
    let (name, phone) = (name.to_owned(), phone.to_owned());
    Person { row_number, name, id_number: IdCell::Text(id_number.to_owned()), phone }
}

fn problems(person: &Person) -> Vec<Problem> {
    Looker::default().look(person, TODAY).map_or_else(|judged| judged.problems, |_| Vec::new())
}

#[test]
fn a_row_is_told_all_that_is_wrong_with_it() {
    let good = born("20050601", 123);
    assert_eq!(problems(&person(2, "汪小雨", &good, "13812345678")), []);
    let all = [Problem::Name, Problem::IdNumber, Problem::Phone];
    assert_eq!(problems(&person(2, "", "", "12345")), all);
    let rounded = Person { id_number: IdCell::Rounded, ..person(2, "汪小雨", "", "") };
    assert_eq!(problems(&rounded), [Problem::IdNumberRounded]);
    let zeros = "340822200506020000";
    assert_eq!(problems(&person(2, "汪小雨", zeros, "")), [Problem::IdNumberRounded]);
    for none in NONE {
        assert_eq!(problems(&person(2, "汪小雨", &good, none)), [], "{none}");
    }
}

#[test]
fn numbers_are_made_one_and_those_of_old_brought_up() {
    let mut looker = Looker::default();
    let mut look = |id_number: &str| {
        looker.look(&person(2, "汪小雨", id_number, ""), TODAY).map(|it| it.id_number).ok()
    };
    let number = born("19980601", 14);
    assert_eq!(number.len(), 18);
    assert_eq!(look(&format!(" {} ", number.to_lowercase())).as_deref(), Some(&*number));
    let legacy = format!("{}{}", &number[..6], &number[8..17]);
    assert_eq!(look(&legacy).as_deref(), Some(&*number));
    assert_eq!(look("34082219980601"), None);
}

#[test]
fn membership_ends_with_the_month_of_the_29th_birthday() {
    for (birth, expected) in
        [("19971130", vec![]), ("19971101", vec![]), ("19971031", vec![Problem::TooOld])]
    {
        assert_eq!(problems(&person(2, "汪小雨", &born(birth, 123), "")), expected, "{birth}");
    }
    assert_eq!(month_of(TODAY), "2026-11");
    assert!(is_month("2026-11") && !is_month("2026-13") && !is_month("26-11") && !is_month("x"));
}

/// Row 16: the second row of one person is rejected, and says of which row it is the same.
#[test]
fn the_same_person_twice_in_a_file_is_taken_once() {
    let (mut looker, number) = (Looker::default(), born("20050601", 123));
    let mut look = |row, name: &str| looker.look(&person(row, name, &number, ""), TODAY);
    // One that is rejected itself does not stand in the way.
    assert!(look(2, "").is_err());
    assert_eq!(look(3, "汪小雨").unwrap().row_number, 3);
    let second = look(9, "汪小雨").unwrap_err();
    assert_eq!((second.problems, second.same_as), (vec![Problem::Duplicate], Some(3)));
}

#[test]
fn fates_follow_from_who_the_person_is_and_where() {
    let verdict = |registered, name_changed| RosterVerdict {
        row_number: 7,
        registered,
        name_changed,
        ..RosterVerdict::default()
    };
    for (registered, changed, on, fate) in [
        (false, false, On::None, Fate::New),
        (false, true, On::None, Fate::New),
        (true, false, On::None, Fate::NewRegistered),
        (false, false, On::ThisByThis, Fate::New),
        (true, false, On::ThisByThis, Fate::NewRegistered),
        (false, false, On::This, Fate::Unchanged),
        (true, false, On::This, Fate::Unchanged),
        (false, true, On::This, Fate::Updated),
        (false, false, On::Other, Fate::Rejected),
    ] {
        let judged = judge(&verdict(registered, changed), None, on);
        assert_eq!((judged.fate, judged.row_number), (fate, 7));
        let expected = if on == On::Other { vec![Problem::OnOtherRoster] } else { vec![] };
        assert_eq!(judged.problems, expected);
    }
    let phone = RosterVerdict { phone_changed: true, ..verdict(false, false) };
    assert_eq!(judge(&phone, None, On::This).fate, Fate::Updated);
    for (told, expected) in [
        (RosterProblem::Name, Problem::Name),
        (RosterProblem::IdNumber, Problem::IdNumber),
        (RosterProblem::Phone, Problem::Phone),
        (RosterProblem::NameDiffers, Problem::NameDiffers),
        (RosterProblem::TooYoung, Problem::TooYoung),
    ] {
        let verdict = RosterVerdict { problem: told.into(), ..verdict(false, false) };
        let judged = judge(&verdict, None, On::This);
        assert_eq!((judged.fate, judged.problems), (Fate::Rejected, vec![expected]));
    }
}

#[test]
fn every_problem_says_what_to_do() {
    for number in 1..=9 {
        let problem = Problem::try_from(number).unwrap();
        assert!(!message(&[problem], None).is_ascii(), "{problem:?}");
    }
    let two = message(&[Problem::Name, Problem::Duplicate], Some(3));
    assert!(two.contains('；') && two.contains("第 3 行"), "{two}");
    assert_eq!(message(&[], None), "");
}
