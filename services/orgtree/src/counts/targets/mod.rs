//! What is asked of organizations: how many of their members are to have registered, by when.
//!
//! Here is what follows from a target: no database, no clock. All is integers: a target is met
//! or not, whatever a percentage is rounded to.

mod db;
mod grpc;
mod setting;

pub(super) use grpc::progress_on_wire;
pub(super) use setting::Targets;

use sqlx::PgConnection;
use time::{Date, Month, OffsetDateTime};
use zhiyuan_domain::shanghai_date;

use super::Figures;
use crate::organizations::Kind;

/// Of whom the notice that the demonstration is of asks something: 「各地市、高校90%以上」, within
/// the year.
const OF_THE_NOTICE: [Kind; 2] = [Kind::Municipal, Kind::University];
const NINETY_PERCENT: i32 = 9_000;

/// Makes the targets of the notice, by the end of the year, where there are none: of those below
/// an organization.
///
/// # Errors
/// Those of the database.
pub(crate) async fn make_those_of_the_notice(
    connection: &mut PgConnection,
    organization_code: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let this_year = shanghai_date(now).year();
    let deadline = Date::from_calendar_date(this_year, Month::December, 31).unwrap_or(Date::MAX);
    let target = Target { per_ten_thousand: NINETY_PERCENT, deadline };
    db::insert_given(connection, (organization_code, &OF_THE_NOTICE), target, now).await
}

/// What is asked of an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// Of ten thousand members: 1 to 10,000.
    pub(crate) per_ten_thousand: i32,
    /// The last day.
    pub(crate) deadline: Date,
}

/// What an organization lacks to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// `None` without members.
    pub(super) met: Option<bool>,
    pub(super) lacking: i64,
    /// Today counts.
    pub(super) days_left: i32,
    /// `None` when the last day is over.
    pub(super) lacking_per_day: Option<i64>,
}

impl Target {
    /// What is lacking today.
    pub(super) fn progress(self, figures: &Figures, today: Date) -> Progress {
        let members = figures.members + figures.stated_members;
        let registered = figures.registered_members + figures.stated_registered;
        let wanted = i128::from(members) * i128::from(self.per_ten_thousand);
        let met = i128::from(registered) * 10_000 >= wanted;
        // As many as there are members at most.
        let wanted = i64::try_from(wanted.max(0).div_euclid(10_000)).unwrap_or(i64::MAX)
            + i64::from(wanted.rem_euclid(10_000) > 0);
        let lacking = (wanted - registered).max(0);
        let days = (self.deadline - today).whole_days() + 1;
        let days_left = i32::try_from(days.max(0)).unwrap_or(i32::MAX);
        let per_day = |days: i64| lacking / days + i64::from(lacking % days > 0);
        Progress {
            met: (members > 0).then_some(met),
            lacking,
            days_left,
            lacking_per_day: (days > 0).then(|| per_day(days)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::date;

    use super::*;

    const TODAY: Date = date!(2026 - 12 - 01);

    fn figures(members: i64, registered_members: i64) -> Figures {
        Figures { members, registered_members, ..Figures::default() }
    }

    fn ninety(deadline: Date) -> Target {
        Target { per_ten_thousand: 9_000, deadline }
    }

    #[test]
    fn ninety_percent_is_met_by_the_member_who_makes_it_ninety() {
        for (members, registered, met, lacking) in [
            (10, 8, Some(false), 1),
            (10, 9, Some(true), 0),
            // 9.9 of 11.
            (11, 9, Some(false), 1),
            (11, 10, Some(true), 0),
            (1, 0, Some(false), 1),
            (0, 0, None, 0),
            (100_000_000, 89_999_999, Some(false), 1),
        ] {
            let told = ninety(TODAY).progress(&figures(members, registered), TODAY);
            assert_eq!((told.met, told.lacking), (met, lacking), "{registered} of {members}");
        }
    }

    #[test]
    fn what_is_stated_counts_with_the_rosters() {
        let both = Figures { stated_members: 10, stated_registered: 10, ..figures(10, 8) };
        let told = ninety(TODAY).progress(&both, TODAY);
        assert_eq!((told.met, told.lacking), (Some(true), 0));
    }

    #[test]
    fn the_days_that_are_left_count_today_and_end_with_the_last_day() {
        let open = figures(100, 59);
        for (deadline, days_left, per_day) in [
            (date!(2026 - 12 - 31), 31, Some(1)),
            (date!(2026 - 12 - 03), 3, Some(11)),
            (TODAY, 1, Some(31)),
            (date!(2026 - 11 - 30), 0, None),
        ] {
            let told = ninety(deadline).progress(&open, TODAY);
            assert_eq!((told.days_left, told.lacking_per_day), (days_left, per_day));
        }
    }

    proptest! {
        /// Registering what is lacking meets the target, and one fewer does not.
        #[test]
        fn what_is_lacking_is_exactly_what_is_needed(
            members in 0..20_000_000_i64,
            share in 0..=10_000_i64,
            per_ten_thousand in 1..=10_000_i32,
        ) {
            let target = Target { per_ten_thousand, deadline: TODAY };
            let registered = members * share / 10_000;
            let told = target.progress(&figures(members, registered), TODAY);
            prop_assert_eq!(told.met.unwrap_or(true), told.lacking == 0);
            let with = |more: i64| target.progress(&figures(members, registered + more), TODAY);
            prop_assert_eq!(with(told.lacking).lacking, 0);
            prop_assert!(with(told.lacking).met != Some(false));
            if told.lacking > 0 {
                prop_assert_eq!(with(told.lacking - 1).met, Some(false));
            }
        }
    }
}
