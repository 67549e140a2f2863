//! Synthetic persons: the same person for the same number, another one for another.

use std::fmt;

use time::{Date, Duration, Month};
use zhiyuan_domain::IdNumber;

const SURNAMES: [&str; 20] = [
    "王", "李", "张", "刘", "陈", "杨", "黄", "赵", "吴", "周", "徐", "孙", "马", "朱", "胡", "郭",
    "何", "林", "欧阳", "诸葛",
];
const GIVEN_NAMES: [&str; 24] = [
    "伟", "芳", "娜", "敏", "静", "磊", "洋", "勇", "艳", "杰", "子涵", "欣怡", "浩然", "雨桐",
    "思远", "梓萱", "一诺", "嘉懿", "明轩", "佳琪", "志强", "晓东", "海燕", "建国",
];
/// Counties of Anhui (GB/T 2260).
const COUNTIES: [&str; 8] =
    ["340102", "340104", "340111", "340203", "340826", "341102", "341222", "341822"];

/// Birthdays from 1990-01-01 to 2006-12-31.
const ADULT_DAYS: u32 = 6_209;
/// Birthdays of those who are members.
const MEMBER_DAYS: u32 = 5_000;
/// Sequence codes 001 to 999 of one day in one county (GB 11643-1999).
const SEQUENCES: u32 = 999;

/// A person who, with any luck, doesn't exist.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// Two to four Han characters.
    pub name: String,
    /// 18 characters with a valid check character (GB 11643-1999).
    pub id_number: String,
    /// 11 digits.
    pub mobile: String,
}

impl fmt::Debug for Person {
    /// Synthetic, but a log that shows these would show real ones as well.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Person(***)")
    }
}

/// Returns the `n`-th adult, of a county in Anhui; born 1990 to 2006.
///
/// ID numbers are distinct for `n` below 6 million, mobile numbers below 100 million.
#[must_use]
pub fn person(n: u32) -> Person {
    person_of(pick(&COUNTIES, n), n)
}

/// Returns the `n`-th adult with an ID number of this county: six digits (GB/T 2260).
///
/// # Panics
///
/// When the county isn't six digits.
#[must_use]
pub fn person_of(county: &str, n: u32) -> Person {
    let birth = first_birthday() + Duration::days(i64::from(n % ADULT_DAYS));
    build(county, birth, n, n / ADULT_DAYS, 13_800_000_000)
}

/// Returns the `n`-th person who has completed `age` years on `today` and not one more, by any way
/// of counting: the last birthday is 2 to 361 days ago.
///
/// ID numbers are distinct for `n` below 300,000 and one `age` and `today`; mobile numbers differ
/// from those of [`person`].
///
/// # Panics
///
/// When the birthday would be before the first year that [`Date`] knows.
#[must_use]
pub fn minor(n: u32, age: u8, today: Date) -> Person {
    let year = today.year() - i32::from(age);
    // From a 29 February to a year without one.
    let years_ago = today
        .replace_year(year)
        .or_else(|_| Date::from_calendar_date(year, Month::February, 28))
        .unwrap_or(Date::MIN);
    let birth = years_ago - Duration::days(i64::from(2 + n % 360));
    build(pick(&COUNTIES, n), birth, n, n / 360, 13_900_000_000)
}

/// Returns the `n`-th person of the age of members of the League on `today`: 14 to 27 completed
/// years, by any way of counting.
///
/// ID numbers are distinct for `n` below 4.9 million and one `today`, and for `n` below 2 million
/// none is that of a [`person`] below 3 million; mobile numbers differ from those of both others.
///
/// # Panics
///
/// When the birthday would be before the first year that [`Date`] knows.
#[must_use]
pub fn member(n: u32, today: Date) -> Person {
    // 14 years and 28 years less a day, with whatever leap days there are.
    let youngest = 14 * 366;
    let birth = today - Duration::days(i64::from(youngest + n % MEMBER_DAYS));
    // From the highest sequence codes down.
    let round = SEQUENCES - 1 - n / MEMBER_DAYS % SEQUENCES;
    build(pick(&COUNTIES, n), birth, n, round, 13_700_000_000)
}

fn build(county: &str, birth: Date, n: u32, round: u32, mobiles: u64) -> Person {
    let (year, month, day) = (birth.year(), u8::from(birth.month()), birth.day());
    let first17 = format!("{county}{year:04}{month:02}{day:02}{:03}", 1 + round % SEQUENCES);
    let check = check_character(&first17);
    // 20 surnames: every pair comes up before one returns.
    let name = format!("{}{}", pick(&SURNAMES, n), pick(&GIVEN_NAMES, n / 20));
    Person {
        name,
        id_number: format!("{first17}{check}"),
        mobile: (mobiles + u64::from(n % 100_000_000)).to_string(),
    }
}

#[expect(clippy::expect_used, reason = "a test that names no county must fail")]
fn check_character(first17: &str) -> char {
    IdNumber::check_character(first17).expect("a county code of six digits")
}

fn first_birthday() -> Date {
    Date::from_calendar_date(1990, Month::January, 1).unwrap_or(Date::MIN)
}

fn pick(list: &[&'static str], n: u32) -> &'static str {
    let index = usize::try_from(n).unwrap_or_default() % list.len();
    list.get(index).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use time::macros::date;
    use zhiyuan_domain::{AgeRule, Mobile, PersonName, age_on};

    use super::*;

    const TODAY: Date = date!(2026 - 11 - 23);

    #[test]
    fn everybody_passes_every_rule() {
        for n in (0..20_000).step_by(7).chain([6_202_790, u32::MAX]) {
            let person = person(n);
            let id = IdNumber::parse(&person.id_number, TODAY).unwrap();
            assert!(id.address_known(), "{n}");
            assert!(age_on(id.birth_date(), TODAY, AgeRule::DayAfterBirthday) >= 18, "{n}");
            assert!(Mobile::parse(&person.mobile).unwrap().segment_known(), "{n}");
            PersonName::parse(&person.name).unwrap();
        }
    }

    #[test]
    fn no_two_share_a_number() {
        let people: Vec<_> = (0..20_000).map(person).collect();
        let ids: BTreeSet<_> = people.iter().map(|person| &person.id_number).collect();
        let mobiles: BTreeSet<_> = people.iter().map(|person| &person.mobile).collect();
        let names: BTreeSet<_> = people.iter().map(|person| &person.name).collect();
        assert_eq!((ids.len(), mobiles.len()), (20_000, 20_000));
        assert_eq!(names.len(), SURNAMES.len() * GIVEN_NAMES.len());
        assert_eq!(person(123), person(123));
    }

    #[test]
    fn the_county_is_the_one_asked_for() {
        assert!(person_of("341882", 5).id_number.starts_with("341882"));
    }

    #[test]
    fn a_minor_is_of_that_age_however_it_is_counted() {
        for today in [TODAY, date!(2024 - 02 - 29), date!(2026 - 03 - 01), date!(2026 - 01 - 01)] {
            for age in [0, 13, 14, 15, 17] {
                for n in 0..800 {
                    let person = minor(n, age, today);
                    let birth = IdNumber::parse(&person.id_number, today).unwrap().birth_date();
                    for rule in [AgeRule::OnBirthday, AgeRule::DayAfterBirthday] {
                        assert_eq!(age_on(birth, today, rule), age, "{n} on {today}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_member_is_of_the_age_of_members_and_nobody_else() {
        let mut ids = BTreeSet::new();
        for today in [TODAY, date!(2028 - 02 - 29), date!(2027 - 01 - 01)] {
            for n in (0..20_000).chain(4_890_000..4_900_000) {
                let person = member(n, today);
                let birth = IdNumber::parse(&person.id_number, today).unwrap().birth_date();
                for rule in [AgeRule::OnBirthday, AgeRule::DayAfterBirthday] {
                    assert!((14..28).contains(&age_on(birth, today, rule)), "{n} on {today}");
                }
                assert!(today != TODAY || ids.insert(person.id_number), "{n}");
            }
        }
        assert!(Mobile::parse(&member(7, TODAY).mobile).unwrap().segment_known());
    }

    #[test]
    fn debug_shows_nothing_personal() {
        assert_eq!(format!("{:?}", person(1)), "Person(***)");
    }
}
