use time::macros::datetime;

use super::*;

const RULES: Rules = Rules {
    normal_per_minute: 100,
    normal_failures_per_minute: 10,
    difficulty_bits: 20,
    max_bits: 26,
};

fn bits(need: Option<Need>) -> Option<u8> {
    need.map(|need| need.bits)
}

#[test]
fn at_normal_rates_nobody_works() {
    assert_eq!(RULES.required(0, 0, false), None);
    assert_eq!(RULES.required(99, 6, false), None);
    assert_eq!(RULES.required_for_sign_in(9, false), None);
}

#[test]
fn each_doubling_of_the_load_costs_a_bit_and_there_is_a_bound() {
    let at = |load| bits(RULES.required(load, 0, false));
    let expected = [
        (100, 20),
        (199, 20),
        (200, 21),
        (399, 21),
        (400, 22),
        (800, 23),
        (6_400, 26),
        (12_800, 26),
        (u32::MAX, 26),
    ];
    for (load, bits) in expected {
        assert_eq!(at(load), Some(bits), "{load}");
    }
    assert_eq!(bits(RULES.required_for_sign_in(10, false)), Some(20));
    assert_eq!(bits(RULES.required_for_sign_in(40, false)), Some(22));
}

#[test]
fn the_last_three_codes_of_a_phone_cost_clearly_more_at_any_load() {
    assert_eq!(bits(RULES.required(0, 7, false)), Some(24));
    assert_eq!(bits(RULES.required(100, 7, false)), Some(24));
    assert_eq!(bits(RULES.required(200, 9, false)), Some(25));
    // What was asked for because of the load alone is not enough for them.
    let kept = RULES.required(0, 7, false).unwrap();
    assert!(!kept.is_met_by(23));
    assert!(kept.is_met_by(24));
}

#[test]
fn a_known_device_does_not_work() {
    assert_eq!(RULES.required(u32::MAX, 9, true), None);
    assert_eq!(RULES.required_for_sign_in(u32::MAX, true), None);
}

#[test]
fn a_challenge_is_taken_although_the_load_has_doubled_once_since() {
    let need = RULES.required(400, 0, false).unwrap();
    assert!(need.is_met_by(22) && need.is_met_by(21));
    assert!(!need.is_met_by(20));
    assert!(!RULES.required(100, 0, false).unwrap().is_met_by(19));
}

#[test]
fn with_nothing_normal_everybody_works() {
    let rules = Rules { normal_per_minute: 0, ..RULES };
    assert_eq!(bits(rules.required(0, 0, false)), Some(20));
}

#[test]
fn the_minute_before_counts_for_as_long_as_it_is_within_the_last_60_seconds() {
    let at = |second| datetime!(2026-11-23 12:00 UTC) + Duration::seconds(second);
    assert_eq!(within_a_minute(60, 5, at(0)), 65);
    assert_eq!(within_a_minute(60, 5, at(45)), 20);
    assert_eq!(within_a_minute(60, 5, at(59)), 6);
    assert_eq!(within_a_minute(u32::MAX, u32::MAX, at(0)), u32::MAX);
}

#[test]
fn a_minute_begins_with_its_second_zero() {
    let at = datetime!(2026-11-23 23:59:59.999_999_999 +8);
    assert_eq!(minute_of(at), datetime!(2026-11-23 15:59 UTC));
}

#[test]
fn counts_the_zeros_at_the_beginning() {
    for (hash, zeros) in
        [(&[0x80_u8, 0][..], 0), (&[0x01], 7), (&[0, 0x40], 9), (&[0, 0, 0], 24), (&[], 0)]
    {
        assert_eq!(leading_zero_bits(hash), zeros, "{hash:?}");
    }
}
