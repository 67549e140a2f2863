use time::macros::datetime;

use super::*;
use crate::authority::Role;

const NOW: OffsetDateTime = datetime!(2026-11-25 12:00 UTC);
const WEEK: Duration = Duration::days(7);
const LONG: Duration = Duration::days(30);

fn account(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// A grant of so old, behind which these stand; of the operator, if nobody does.
type Given<'a> = (Duration, &'a [u128]);

/// The voice of somebody who holds each right by one of these grants.
fn voice(who: u128, rights: &[&[Given<'_>]]) -> Voice {
    let (mut held, mut behind) = (Vec::new(), HashMap::new());
    for given in rights {
        let mut grants = Vec::new();
        for (age, makers) in *given {
            let id = Uuid::from_u128(1_000 * who + 100 * held.len() as u128 + grants.len() as u128);
            behind.insert(id, makers.iter().copied().map(account).collect());
            grants.push(Grant {
                id,
                account_id: account(who),
                organization_code: "A".to_owned(),
                role: Role::Administrator,
                created_at: NOW - *age,
                expires_at: None,
                granted_by: makers.first().copied().map(account),
                delegated_from: None,
            });
        }
        held.push(grants);
    }
    Voice { account: account(who), held, behind }
}

/// Asked in both orders, which have to agree.
fn are(one: &Voice, other: &Voice) -> Voices {
    let ages = Some(Ages::new(NOW - WEEK, NOW, LONG));
    let there = together(one, other, ages);
    let mirrored = match there {
        Voices::None => Voices::NoneOfOther,
        Voices::NoneOfOther => Voices::None,
        same => same,
    };
    assert_eq!(together(other, one, ages), mirrored, "{one:?} {other:?}");
    there
}

#[test]
fn two_are_two_if_neither_made_the_other_and_nobody_both_of_late() {
    let days = Duration::days;
    let young = LONG - Duration::SECOND;
    for (mine, theirs, expected) in [
        // By the operator both, or one of them, however new.
        ((days(0), &[][..]), (days(0), &[][..]), Voices::Independent),
        ((days(0), &[]), (days(7), &[3]), Voices::Independent),
        // By two.
        ((days(7), &[3]), (days(7), &[4]), Voices::Independent),
        // One by the other, directly, and over somebody.
        ((days(90), &[2]), (days(90), &[]), Voices::Dependent),
        ((days(90), &[3, 2]), (days(90), &[]), Voices::Dependent),
        ((days(90), &[3, 2]), (days(90), &[4]), Voices::Dependent),
        // Two whom the same has made: this month, and before.
        ((days(7), &[3]), (days(7), &[3]), Voices::Dependent),
        ((young, &[3]), (days(90), &[3]), Voices::Dependent),
        ((LONG, &[3]), (LONG, &[3]), Voices::Independent),
        // The same over others.
        ((days(8), &[4, 3]), (days(8), &[5, 3]), Voices::Dependent),
        ((LONG, &[4, 3]), (LONG, &[5, 3]), Voices::Independent),
        ((days(8), &[4, 3]), (LONG, &[3]), Voices::Dependent),
        // Since less than a week.
        ((days(7) - Duration::SECOND, &[3]), (days(90), &[4]), Voices::None),
    ] {
        let (one, other) = (voice(1, &[&[mine]]), voice(2, &[&[theirs]]));
        assert_eq!(are(&one, &other), expected, "{mine:?} {theirs:?}");
    }
    let one = voice(1, &[&[(days(90), &[])]]);
    assert_eq!(are(&one, &voice(1, &[&[(days(90), &[])]])), Voices::Dependent, "the same");
}

#[test]
fn one_grant_that_will_do_is_enough_for_a_right_and_each_right_takes_one() {
    let old = Duration::days(20);
    let other = voice(2, &[&[(old, &[3])], &[(old, &[3])]]);
    let by = |first: &[Given<'_>], second: &[Given<'_>]| voice(1, &[first, second]);
    let both: &[Given<'_>] = &[(old, &[3]), (old, &[4])];
    assert_eq!(are(&by(both, both), &other), Voices::Independent);
    let of_operator: &[Given<'_>] = &[(old, &[3]), (Duration::ZERO, &[])];
    assert_eq!(are(&by(of_operator, both), &other), Voices::Independent);
    assert_eq!(are(&by(both, &[(old, &[3])]), &other), Voices::Dependent);
    assert_eq!(are(&by(both, &[(old, &[4, 2])]), &other), Voices::Dependent);
    assert_eq!(are(&by(both, &[]), &other), Voices::None);
    // Through whoever gave them, somebody stands behind all.
    let through: &[Given<'_>] = &[(old, &[4, 3]), (old, &[5, 3])];
    assert_eq!(are(&by(through, both), &other), Voices::Dependent);
    // What is too new helps nobody out.
    let new: &[Given<'_>] = &[(old, &[3]), (Duration::days(6), &[4])];
    assert_eq!(are(&by(new, both), &other), Voices::Dependent);
}

#[test]
fn without_ages_it_matters_alone_whether_one_made_the_other() {
    let new = Duration::ZERO;
    let (one, other) = (voice(1, &[&[(new, &[3])]]), voice(2, &[&[(new, &[3])]]));
    assert_eq!(together(&one, &other, None), Voices::Independent);
    let made = voice(2, &[&[(new, &[3, 1])]]);
    assert_eq!(together(&one, &made, None), Voices::Dependent);
    assert_eq!(together(&made, &one, None), Voices::Dependent);
    assert_eq!(together(&one, &voice(2, &[&[]]), None), Voices::NoneOfOther);
}

#[test]
fn a_common_maker_is_never_looked_at_less_far_back_than_the_grants_are() {
    let before = NOW - Duration::days(60);
    let ages = Some(Ages::new(before, NOW, LONG));
    let of = |who, days| voice(who, &[&[(Duration::days(days), &[3])]]);
    assert_eq!(together(&of(1, 60), &of(2, 60), ages), Voices::Independent);
    assert_eq!(together(&of(1, 59), &of(2, 60), ages), Voices::None);
}
