//! Ages in completed years, and what they mean for registering.

use time::{Date, Month};

/// When a person has completed a year of age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AgeRule {
    /// On the birthday itself.
    #[default]
    OnBirthday,
    /// On the day after the birthday, the stricter reading that some authorities apply.
    DayAfterBirthday,
}

/// What an age means for registering as a volunteer (中国注册志愿者管理办法).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgeClass {
    /// Under 14: may not register.
    TooYoung,
    /// 14 and 15: registers with the consent of a guardian.
    Minor,
    /// 16 and 17: as a minor, unless living mainly on own income from work (民法典,
    /// article 18).
    WorkingAge,
    /// 18 and over.
    Adult,
}

impl AgeClass {
    /// Tells whether a guardian has to consent.
    pub fn needs_guardian(self, own_income: bool) -> bool {
        match self {
            Self::Minor => true,
            Self::WorkingAge => !own_income,
            Self::TooYoung | Self::Adult => false,
        }
    }
}

/// Returns the completed years on a day, both dates those of Asia/Shanghai; 0 before the birth.
///
/// Who was born on a 29 February completes the year on 1 March where there is no such day.
pub fn age_on(birth: Date, day: Date, rule: AgeRule) -> u8 {
    let day = match rule {
        AgeRule::OnBirthday => day,
        AgeRule::DayAfterBirthday => day.previous_day().unwrap_or(day),
    };
    let in_year = |date: Date| (u8::from(date.month()), date.day());
    let begun = in_year(day) < in_year(birth);
    let years = day.year() - birth.year() - i32::from(begun);
    u8::try_from(years.max(0)).unwrap_or(u8::MAX)
}

/// Membership of the League ends in the month of this birthday (团章: 14 to 28).
const LEAGUE_MEMBER_UNTIL: i32 = 29;

/// Returns the month in which membership of the League (团员) ends by age: that of the 29th
/// birthday, such as `2027-05`.
///
/// Who was born on a 29 February has that birthday on 1 March, as [`age_on`] counts.
pub fn league_membership_ends_in(birth: Date) -> String {
    let month = match (birth.month(), birth.day()) {
        (Month::February, 29) => Month::March,
        (month, _) => month,
    };
    year_and_month(birth.year() + LEAGUE_MEMBER_UNTIL, month)
}

/// Returns the month of a day as it is told, such as `2027-05`; later ones come later as text.
pub fn month_of(day: Date) -> String {
    year_and_month(day.year(), day.month())
}

fn year_and_month(year: i32, month: Month) -> String {
    format!("{year:04}-{:02}", u8::from(month))
}

/// Tells whether a person may register on a day (Asia/Shanghai).
pub fn registration_age(birth: Date, today: Date, rule: AgeRule) -> AgeClass {
    match age_on(birth, today, rule) {
        0..14 => AgeClass::TooYoung,
        14..16 => AgeClass::Minor,
        16..18 => AgeClass::WorkingAge,
        18.. => AgeClass::Adult,
    }
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::AgeRule::{DayAfterBirthday, OnBirthday};
    use super::*;

    #[test]
    fn a_year_is_complete_on_the_birthday() {
        let birth = date!(2008 - 11 - 23);
        assert_eq!(age_on(birth, date!(2026 - 11 - 22), OnBirthday), 17);
        assert_eq!(age_on(birth, date!(2026 - 11 - 23), OnBirthday), 18);
        assert_eq!(age_on(birth, date!(2027 - 01 - 01), OnBirthday), 18);
    }

    #[test]
    fn the_stricter_rule_waits_a_day() {
        let birth = date!(2008 - 12 - 31);
        assert_eq!(age_on(birth, date!(2026 - 12 - 31), DayAfterBirthday), 17);
        assert_eq!(age_on(birth, date!(2027 - 01 - 01), DayAfterBirthday), 18);
    }

    #[test]
    fn a_leap_day_child_waits_for_march_in_common_years() {
        let birth = date!(2008 - 02 - 29);
        assert_eq!(age_on(birth, date!(2026 - 02 - 28), OnBirthday), 17);
        assert_eq!(age_on(birth, date!(2026 - 03 - 01), OnBirthday), 18);
        assert_eq!(age_on(birth, date!(2028 - 02 - 28), OnBirthday), 19);
        assert_eq!(age_on(birth, date!(2028 - 02 - 29), OnBirthday), 20);
        assert_eq!(age_on(birth, date!(2028 - 02 - 29), DayAfterBirthday), 19);
    }

    #[test]
    fn nobody_has_an_age_before_the_birth() {
        assert_eq!(age_on(date!(2026 - 11 - 24), date!(2026 - 11 - 23), OnBirthday), 0);
        assert_eq!(age_on(date!(2026 - 11 - 23), date!(2026 - 11 - 23), DayAfterBirthday), 0);
        assert_eq!(age_on(Date::MIN, Date::MAX, OnBirthday), u8::MAX);
    }

    #[test]
    fn registering_begins_at_14_and_needs_no_guardian_from_18() {
        let today = date!(2026 - 11 - 23);
        let class = |birth| registration_age(birth, today, OnBirthday);
        assert_eq!(class(date!(2012 - 11 - 24)), AgeClass::TooYoung);
        assert_eq!(class(date!(2012 - 11 - 23)), AgeClass::Minor);
        assert_eq!(class(date!(2010 - 11 - 24)), AgeClass::Minor);
        assert_eq!(class(date!(2010 - 11 - 23)), AgeClass::WorkingAge);
        assert_eq!(class(date!(2008 - 11 - 24)), AgeClass::WorkingAge);
        assert_eq!(class(date!(2008 - 11 - 23)), AgeClass::Adult);
        assert_eq!(
            registration_age(date!(2012 - 11 - 23), today, DayAfterBirthday),
            AgeClass::TooYoung
        );
    }

    #[test]
    fn own_income_counts_from_16_on() {
        assert!(AgeClass::Minor.needs_guardian(true) && AgeClass::Minor.needs_guardian(false));
        assert!(AgeClass::WorkingAge.needs_guardian(false));
        assert!(!AgeClass::WorkingAge.needs_guardian(true));
        assert!(!AgeClass::Adult.needs_guardian(false));
    }

    #[test]
    fn the_default_counts_from_the_birthday() {
        assert_eq!(AgeRule::default(), OnBirthday);
    }

    #[test]
    fn membership_ends_in_the_month_of_the_29th_birthday() {
        assert_eq!(league_membership_ends_in(date!(1998 - 05 - 31)), "2027-05");
        assert_eq!(league_membership_ends_in(date!(2000 - 02 - 28)), "2029-02");
        assert_eq!(league_membership_ends_in(date!(2000 - 02 - 29)), "2029-03");
        assert_eq!(league_membership_ends_in(date!(1999 - 12 - 01)), "2028-12");
    }
}
