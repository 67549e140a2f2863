use proptest::prelude::*;

use super::*;

fn chosen(organization: u8, flags: u8, revision: i64) -> Chosen {
    Chosen {
        organization_code: format!("AH-{organization}"),
        active: flags & 1 > 0,
        verified: flags & 2 > 0,
        league_member: flags & 4 > 0,
        revision,
    }
}

fn roster(organization: Option<u8>, revision: i64) -> Roster {
    Roster { organization_code: organization.map(|code| format!("AH-{code}")), revision }
}

fn id(id: u8) -> Uuid {
    Uuid::from_u128(id.into())
}

/// Who has registered, and is on no roster.
fn volunteer(number: u8, chosen: Chosen) -> Volunteer {
    Volunteer { chosen, ..Volunteer::unknown(id(number)) }
}

/// What is told, in batches: any order, anything twice.
fn told() -> impl Strategy<Value = Vec<Vec<(Uuid, Part)>>> {
    let one = (0_u8..6, 1_i64..6, any::<bool>()).prop_map(|(number, revision, of_roster)| {
        // One revision of one part of somebody is one state.
        let mix = u8::try_from(revision).unwrap().wrapping_mul(31).wrapping_add(number * 7);
        let part = if of_roster {
            Part::Roster(roster((mix % 5 < 4).then_some(mix % 4), revision))
        } else {
            Part::Chosen(chosen(mix % 4, mix % 8, revision))
        };
        (id(number), part)
    });
    proptest::collection::vec(proptest::collection::vec(one, 0..8), 0..12)
}

proptest! {
    #[test]
    fn the_sum_of_all_differences_is_what_the_rows_count(batches in told()) {
        let mut rows = Before::new();
        let mut sums: BTreeMap<String, Figures> = BTreeMap::new();
        for batch in batches {
            let changed = newer(&rows, batch);
            for (code, difference) in differences(&rows, &changed) {
                *sums.entry(code).or_default() += difference;
            }
            rows.extend(changed.into_iter().map(|new| (new.volunteer_id, new)));
        }
        let mut recount: BTreeMap<String, Figures> = BTreeMap::new();
        for Volunteer { chosen, roster, .. } in rows.values() {
            if chosen.active {
                let figures = recount.entry(chosen.organization_code.clone()).or_default();
                figures.volunteers += 1;
                figures.verified_volunteers += i64::from(chosen.verified);
                figures.league_members += i64::from(chosen.league_member);
            }
            if let Some(code) = &roster.organization_code {
                let figures = recount.entry(code.clone()).or_default();
                figures.members += 1;
                figures.registered_members += i64::from(chosen.active);
            }
        }
        sums.retain(|_, figures| *figures != Figures::default());
        prop_assert_eq!(sums, recount);
    }

    /// Feeds have no order among each other.
    #[test]
    fn in_which_order_parts_are_told_does_not_matter(batches in told(), seed in any::<u64>()) {
        let in_turn = |told: Vec<(Uuid, Part)>| {
            let mut rows = Before::new();
            for one in told {
                let changed = newer(&rows, vec![one]);
                rows.extend(changed.into_iter().map(|new| (new.volunteer_id, new)));
            }
            rows
        };
        let told: Vec<_> = batches.into_iter().flatten().collect();
        let mut mixed = told.clone();
        mixed.sort_by_key(|(id, part)| {
            let revision = match part {
                Part::Chosen(chosen) => chosen.revision.unsigned_abs(),
                Part::Roster(roster) => roster.revision.unsigned_abs() + 100,
            };
            (u64::from(id.as_bytes()[15]) * 1_000 + revision).wrapping_mul(seed | 1)
        });
        prop_assert_eq!(in_turn(told.clone()), in_turn(mixed));
        let at_once: Before =
            newer(&Before::new(), told.clone()).into_iter().map(|row| (row.volunteer_id, row)).collect();
        prop_assert_eq!(in_turn(told), at_once);
    }
}

#[test]
fn a_transfer_takes_from_one_and_gives_to_the_other() {
    let old = volunteer(1, chosen(1, 7, 1));
    let before = Before::from([(old.volunteer_id, old)]);
    let changed = newer(&before, vec![(id(1), Part::Chosen(chosen(2, 3, 2)))]);
    let figures = |sign: i64, league_members| Figures {
        volunteers: sign,
        verified_volunteers: sign,
        league_members,
        ..Figures::default()
    };
    let expected =
        BTreeMap::from([("AH-1".into(), figures(-1, -1)), ("AH-2".into(), figures(1, 0))]);
    assert_eq!(differences(&before, &changed), expected);
    let expected = BTreeMap::from([("AH-1".into(), figures(-1, -1))]);
    assert_eq!(differences(&before, &[Volunteer::unknown(id(1))]), expected);
}

#[test]
fn who_registers_elsewhere_counts_as_registered_where_the_roster_is() {
    let rostered = newer(&Before::new(), vec![(id(1), Part::Roster(roster(Some(1), 1)))]);
    let member = Figures { members: 1, ..Figures::default() };
    let expected = BTreeMap::from([("AH-1".to_owned(), member)]);
    assert_eq!(differences(&Before::new(), &rostered), expected);
    let before: Before = rostered.into_iter().map(|row| (row.volunteer_id, row)).collect();
    let registered = newer(&before, vec![(id(1), Part::Chosen(chosen(2, 1, 1)))]);
    let expected = BTreeMap::from([
        ("AH-1".to_owned(), Figures { registered_members: 1, ..Figures::default() }),
        ("AH-2".to_owned(), Figures { volunteers: 1, ..Figures::default() }),
    ]);
    assert_eq!(differences(&before, &registered), expected);
}

#[test]
fn what_is_not_newer_changes_nothing() {
    let old = volunteer(1, chosen(1, 7, 3));
    let before = Before::from([(old.volunteer_id, old)]);
    let told = |told: &[(u8, i64)]| -> Vec<(Uuid, Part)> {
        let part = |(code, revision): &(u8, i64)| Part::Chosen(chosen(*code, 7, *revision));
        told.iter().map(|one| (id(1), part(one))).collect()
    };
    assert!(newer(&before, told(&[(2, 3), (3, 2)])).is_empty());
    // Of several, the newest.
    let newest = newer(&before, told(&[(2, 4), (3, 6), (1, 5)]));
    assert_eq!(newest, [volunteer(1, chosen(3, 7, 6))]);
}

/// Row 4.3.23 of the bad inputs: no members, no rate.
#[test]
fn a_rate_is_rounded_down_and_absent_without_members() {
    let rate = |members, registered, stated, stated_registered| {
        let figures = Figures {
            members,
            registered_members: registered,
            stated_members: stated,
            stated_registered,
            ..Figures::default()
        };
        figures.rate()
    };
    assert_eq!(rate(0, 0, 0, 0), None);
    assert_eq!(rate(3, 2, 0, 0), Some(6_666));
    assert_eq!(rate(10, 9, 0, 0), Some(9_000));
    assert_eq!(rate(100_000_000, 99_999_999, 0, 0), Some(9_999));
    assert_eq!(rate(1, 1, 1, 2), Some(15_000));
    assert_eq!(rate(i64::MAX, i64::MAX, 0, 0), Some(10_000));
}
