//! What rows say, in which order they stand, and what of them is told to whom.

use std::collections::BTreeSet;

use proptest::prelude::*;
use time::macros::{date, datetime};

use super::rendition::{Reader, Rendition, is_open, render};
use super::*;

fn people(members: i64, registered: i64) -> People {
    People {
        members,
        stated_members: 0,
        registered_members: registered,
        volunteers: registered,
        verified_volunteers: registered,
    }
}

fn row(code: &str, people: People) -> Row {
    Row {
        code: code.to_owned(),
        name: format!("组织{code}"),
        people,
        without_administrator: 0,
        stated: None,
        before: None,
    }
}

fn notice(target: i32, previous_is_open: bool) -> Notice {
    Notice {
        id: Uuid::nil(),
        issuer_code: "A".into(),
        issuer_name: "省".into(),
        cut_id: 1,
        as_of: datetime!(2026-11-30 16:00 UTC),
        tree_at: datetime!(2026-11-01 0:00 UTC),
        target,
        deadline: date!(2026 - 12 - 31),
        drafted_at: datetime!(2026-12-01 0:00 UTC),
        previous: None,
        previous_is_open,
        rows: 0,
        issued: None,
    }
}

/// With what is no row.
fn table(mut rows: Vec<Row>, remainder: People) -> Table {
    rows.sort_by(order);
    let mut sum = remainder.columns();
    for row in &rows {
        sum.iter_mut().zip(row.people.columns()).for_each(|(sum, part)| *sum += part);
    }
    Table { total: row("A", People::of(sum)), rows }
}

#[test]
fn the_target_is_met_by_the_numbers_and_not_by_the_rounded_rate() {
    for (members, registered, rate, met, gap) in [
        (10, 9, Some(9_000), Some(true), 0),
        (10, 8, Some(8_000), Some(false), 1),
        (11, 9, Some(8_181), Some(false), 1),
        (11, 10, Some(9_090), Some(true), 0),
        // 89.9999 % is not 90 %, and a hundred thousand of them lack one.
        (1_000_000, 899_999, Some(8_999), Some(false), 1),
        (1_000_001, 900_000, Some(8_999), Some(false), 1),
        (0, 0, None, None, 0),
        // More than were stated.
        (10, 12, Some(12_000), Some(true), 0),
    ] {
        let people = people(members, registered);
        let told = (people.rate(), people.meets(9_000), people.gap(9_000));
        assert_eq!(told, (rate, met, gap), "{registered} of {members}");
    }
    assert_eq!((people(3, 0).gap(1), people(3, 0).meets(1)), (1, Some(false)));
    let most = people(i64::MAX, 0);
    assert_eq!((most.gap(10_000), most.meets(10_000)), (i64::MAX, Some(false)));
}

#[test]
fn the_higher_rate_comes_first_then_more_members_then_the_code() {
    let rows = vec![
        row("A-6", people(0, 0)),
        row("A-5", people(0, 0)),
        // The same rounded rate, and not the same.
        row("A-4", people(30_000, 10_000)),
        row("A-3", people(30_003, 10_000)),
        row("A-2", people(60_000, 20_000)),
        row("A-1", people(60_000, 20_000)),
        row("A-7", people(10, 10)),
    ];
    let table = table(rows, People::default());
    let shown = render(&notice(9_000, true), &table, &Reader::Issuer);
    let places: Vec<(&str, Option<i32>)> =
        shown.rows.iter().map(|row| (row.code.as_str(), row.rank)).collect();
    assert_eq!(
        places,
        [
            ("A-7", Some(1)),
            ("A-1", Some(2)),
            ("A-2", Some(3)),
            ("A-4", Some(4)),
            ("A-3", Some(5)),
            ("A-5", None),
            ("A-6", None)
        ]
    );
}

fn hidden(shown: &Rendition) -> Vec<&str> {
    shown.rows.iter().filter(|row| row.figures.is_none()).map(|row| row.code.as_str()).collect()
}

#[test]
fn small_numbers_are_hidden_from_all_but_the_issuer_and_the_organization_itself() {
    let rows = vec![
        row("A-1", people(100, 90)),
        row("A-2", people(40, 4)),
        row("A-3", people(5, 0)),
        row("A-4", people(50, 50)),
    ];
    let table = table(rows, People::default());
    let notice = notice(9_000, true);
    let all = render(&notice, &table, &Reader::Issuer);
    assert_eq!(hidden(&all), [""; 0]);
    assert_eq!(all.total.figures.as_ref().unwrap().people.members, 195);
    // Another one: neither the row, nor what it could be found by.
    let other = render(&notice, &table, &Reader::Addressed(["A-1".to_owned()].into()));
    assert_eq!(hidden(&other), ["A-2"]);
    assert_eq!(other.total.figures, None);
    let ranks: Vec<_> = other.rows.iter().map(|row| (row.code.as_str(), row.rank)).collect();
    let expected = [("A-4", Some(1)), ("A-1", Some(2)), ("A-3", Some(3)), ("A-2", None)];
    assert_eq!(ranks, expected);
    // Itself: then nothing is hidden, and the total tells nothing new.
    let itself = render(&notice, &table, &Reader::Addressed(["A-2".to_owned()].into()));
    assert_eq!(hidden(&itself), [""; 0]);
    assert!(itself.total.figures.is_some());
    assert!(!is_open(&table));
}

#[test]
fn a_total_is_hidden_where_it_tells_of_few_people_that_are_no_row() {
    let rows = || vec![row("A-1", people(100, 90)), row("A-2", people(40, 30))];
    let reader = Reader::Addressed(BTreeSet::new());
    for (members, registered, told) in
        [(0, 0, true), (1, 0, false), (4, 0, false), (5, 0, true), (9, 4, false), (9, 9, true)]
    {
        let table = table(rows(), people(members, registered));
        let shown = render(&notice(9_000, true), &table, &reader);
        assert_eq!(shown.total.figures.is_some(), told, "{registered} of {members}");
        assert_eq!(is_open(&table), told);
    }
}

#[test]
fn a_change_does_not_tell_what_was_hidden_before() {
    let mut one = row("A-1", people(10, 9));
    one.before = Some(people(10, 4));
    let mut other = row("A-2", people(10, 9));
    other.before = Some(people(10, 5));
    let mut table = table(vec![one, other], People::default());
    table.total.before = Some(people(20, 9));
    let changes = |reader: &Reader, open: bool| -> Vec<Option<i64>> {
        let shown = render(&notice(9_000, open), &table, reader);
        let rows = shown.rows.iter().chain([&shown.total]);
        rows.map(|row| row.figures.as_ref().unwrap().registered_change).collect()
    };
    let reader = Reader::Addressed(["A-2".to_owned()].into());
    assert_eq!(changes(&Reader::Issuer, false), [Some(5), Some(4), Some(9)]);
    assert_eq!(changes(&reader, false), [None, Some(4), None]);
    let reader = Reader::Addressed(["A-1".to_owned()].into());
    assert_eq!(changes(&reader, true), [Some(5), Some(4), Some(9)]);
}

fn any_people() -> impl Strategy<Value = People> {
    let few = 0_i64..8;
    let number = prop_oneof![few, 0_i64..200];
    (number.clone(), number.clone(), number.clone(), number.clone(), number).prop_map(
        |(members, stated, registered, volunteers, verified)| People {
            members,
            stated_members: stated.min(members),
            registered_members: registered,
            volunteers,
            verified_volunteers: verified.min(volunteers),
        },
    )
}

fn small_people() -> impl Strategy<Value = People> {
    (any_people(), 1_i64..5).prop_map(|(mut people, few)| {
        people.registered_members = few;
        people
    })
}

proptest! {
    /// Whatever is hidden from a reader may be anything else: what is told is the same. So
    /// nothing that is told, and no reckoning with it, tells what is hidden.
    #[test]
    fn what_is_told_does_not_depend_on_what_is_hidden(
        rows in prop::collection::vec(
            (any_people(), prop::option::of(any_people()), any::<bool>()), 1..8),
        instead in prop::collection::vec((small_people(), small_people()), 9),
        remainder in any_people(),
        total_before in any_people(),
        previous_is_open in any::<bool>(),
    ) {
        let small = |people: People| {
            let table = table(vec![row("A-1", people)], People::default());
            !is_open(&table)
        };
        let own: BTreeSet<String> = rows.iter().zip(1..)
            .filter(|((_, _, own), _)| *own).map(|(_, number)| format!("A-{number}")).collect();
        let make = |changed: bool| {
            let mut any_hidden = false;
            let made = rows.iter().zip(&instead).zip(1..).map(|((one, other), number)| {
                let (mut people, mut before, is_own) = (one.0, one.1, one.2);
                if !is_own && small(people) {
                    any_hidden = true;
                    if changed {
                        (people, before) = (other.0, Some(other.1));
                    }
                } else if !is_own && changed && before.is_some_and(small) {
                    before = Some(other.1);
                }
                Row { before, ..row(&format!("A-{number}"), people) }
            });
            let made: Vec<Row> = made.collect();
            let left = if changed && small(remainder) { instead[8].0 } else { remainder };
            let mut table = table(made, left);
            let other = changed && !previous_is_open;
            table.total.before = Some(if other { instead[8].1 } else { total_before });
            (table, any_hidden)
        };
        let ((real, _), (other, _)) = (make(false), make(true));
        let notice = notice(9_000, previous_is_open);
        let reader = Reader::Addressed(own);
        prop_assert_eq!(render(&notice, &real, &reader), render(&notice, &other, &reader));
        // And the issuer is told all.
        let whole = render(&notice, &real, &Reader::Issuer);
        prop_assert!(whole.rows.iter().chain([&whole.total]).all(|row| row.figures.is_some()));
    }
}
