use proptest::prelude::*;

use super::*;

fn volunteer(id: u8, organization: u8, flags: u8, revision: i64) -> Volunteer {
    Volunteer {
        volunteer_id: Uuid::from_u128(id.into()),
        organization_code: format!("AH-{organization}"),
        active: flags & 1 > 0,
        verified: flags & 2 > 0,
        league_member: flags & 4 > 0,
        revision,
    }
}

/// What is told, in batches: any order, anything twice.
fn told() -> impl Strategy<Value = Vec<Vec<Volunteer>>> {
    let one = (0_u8..6, 1_i64..6).prop_map(|(id, revision)| {
        // One revision of one volunteer is one state.
        let mix = u8::try_from(revision).unwrap().wrapping_mul(31).wrapping_add(id * 7);
        volunteer(id, mix % 4, mix % 8, revision)
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
            for (code, difference) in differences(&rows, &changed, &[]) {
                *sums.entry(code).or_default() += difference;
            }
            rows.extend(changed.into_iter().map(|new| (new.volunteer_id, new)));
        }
        let mut recount: BTreeMap<String, Figures> = BTreeMap::new();
        for row in rows.values().filter(|row| row.active) {
            let figures = recount.entry(row.organization_code.clone()).or_default();
            figures.volunteers += 1;
            figures.verified_volunteers += i64::from(row.verified);
            figures.league_members += i64::from(row.league_member);
        }
        sums.retain(|_, figures| *figures != Figures::default());
        prop_assert_eq!(sums, recount);
    }
}

#[test]
fn a_transfer_takes_from_one_and_gives_to_the_other() {
    let old = volunteer(1, 1, 7, 1);
    let before = Before::from([(old.volunteer_id, old)]);
    let changed = newer(&before, vec![volunteer(1, 2, 3, 2)]);
    let figures = |sign: i64, league_members| Figures {
        volunteers: sign,
        verified_volunteers: sign,
        league_members,
    };
    let expected =
        BTreeMap::from([("AH-1".into(), figures(-1, -1)), ("AH-2".into(), figures(1, 0))]);
    assert_eq!(differences(&before, &changed, &[]), expected);
    let removed = [Uuid::from_u128(1)];
    let expected = BTreeMap::from([("AH-1".into(), figures(-1, -1))]);
    assert_eq!(differences(&before, &[], &removed), expected);
}

#[test]
fn what_is_not_newer_changes_nothing() {
    let old = volunteer(1, 1, 7, 3);
    let before = Before::from([(old.volunteer_id, old)]);
    assert!(newer(&before, vec![volunteer(1, 2, 7, 3), volunteer(1, 3, 7, 2)]).is_empty());
    // Of several, the newest.
    let told = vec![volunteer(1, 2, 7, 4), volunteer(1, 3, 7, 6), volunteer(1, 1, 7, 5)];
    assert_eq!(newer(&before, told), [volunteer(1, 3, 7, 6)]);
}
