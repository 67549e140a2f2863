//! People on rosters of organizations, as far as they tell who somebody is: level 0.
//!
//! Who is on a roster and has not registered holds an ID number, and nothing else: no account,
//! no password, nothing that anybody could sign in with. Whoever registers with that number and
//! that name takes the person's place, under the same id. Which organization a roster is of is
//! not known here.

pub(crate) mod db;
mod files;
mod grpc;
mod importing;
pub(crate) mod job;
mod people;
mod plan;

pub(crate) use grpc::RosterRpc;

use sqlx::PgPool;
use time::Date;
use uuid::Uuid;
use zhiyuan_audit::Trail;
use zhiyuan_contracts::identity::v1 as wire;
use zhiyuan_domain::{
    AgeClass, AgeRule, IdNumber, Mobile, PersonName, SharedClock, registration_age,
};
use zhiyuan_feed::Outbox;

use crate::keys::Vault;

/// Rows, or people, of one call.
pub(crate) const MOST: usize = 500;

/// Rosters, and what they need.
#[derive(Debug, Clone)]
pub(crate) struct Rosters {
    pub(crate) pool: PgPool,
    pub(crate) vault: Vault,
    pub(crate) clock: SharedClock,
    pub(crate) outbox: Outbox,
    pub(crate) trail: Trail,
    pub(crate) age_rule: AgeRule,
}

/// A row of a roster that is in order. Not for logs.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) name: PersonName,
    pub(crate) id_number: IdNumber,
    pub(crate) phone: Option<Mobile>,
    /// Whether the person is on the roster of the row, which then counts: name and phone of
    /// somebody who has not registered become those of the row, an account may be raised.
    pub(crate) update: bool,
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    Name,
    IdNumber,
    Phone,
    NameDiffers,
    TooYoung,
}

impl Problem {
    pub(crate) fn to_wire(self) -> wire::RosterProblem {
        match self {
            Self::Name => wire::RosterProblem::Name,
            Self::IdNumber => wire::RosterProblem::IdNumber,
            Self::Phone => wire::RosterProblem::Phone,
            Self::NameDiffers => wire::RosterProblem::NameDiffers,
            Self::TooYoung => wire::RosterProblem::TooYoung,
        }
    }
}

impl Row {
    /// Parses a row; the first thing that is wrong with it.
    pub(crate) fn parse(
        row: &wire::RosterRow,
        today: Date,
        rule: AgeRule,
    ) -> std::result::Result<Self, Problem> {
        let name = PersonName::parse(&row.name).map_err(|_invalid| Problem::Name)?;
        let id_number =
            IdNumber::parse(&row.id_number, today).map_err(|_invalid| Problem::IdNumber)?;
        let phone = match row.phone.trim() {
            "" => None,
            phone => Some(Mobile::parse(phone).map_err(|_invalid| Problem::Phone)?),
        };
        if registration_age(id_number.birth_date(), today, rule) == AgeClass::TooYoung {
            return Err(Problem::TooYoung);
        }
        Ok(Self { name, id_number, phone, update: row.update })
    }
}

/// Who somebody on a roster is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Nobody yet, where a person would be made.
    pub(crate) person_id: Option<Uuid>,
    pub(crate) new: bool,
    pub(crate) registered: bool,
    pub(crate) name_changed: bool,
    pub(crate) phone_changed: bool,
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;

    const TODAY: Date = date!(2026 - 11 - 23);

    fn row(name: &str, id_number: &str, phone: &str) -> wire::RosterRow {
        wire::RosterRow {
            row_number: 2,
            name: name.into(),
            id_number: id_number.into(),
            phone: phone.into(),
            update: false,
        }
    }

    fn problem(row: &wire::RosterRow) -> Option<Problem> {
        Row::parse(row, TODAY, AgeRule::OnBirthday).err()
    }

    #[test]
    fn the_first_thing_that_is_wrong_with_a_row_is_told() {
        let good = row(" 汪洋", "34188219991231001９", "");
        let parsed = Row::parse(&good, TODAY, AgeRule::OnBirthday).ok().unwrap();
        assert_eq!(parsed.name.as_str(), "汪洋");
        assert_eq!((parsed.id_number.as_str(), parsed.phone), ("341882199912310019", None));
        assert_eq!(problem(&row("", "", "x")), Some(Problem::Name));
        assert_eq!(problem(&row("汪洋", "341882199912310018", "x")), Some(Problem::IdNumber));
        assert_eq!(problem(&row("汪洋", "340826780915011", "")), Some(Problem::IdNumber));
        assert_eq!(problem(&row("汪洋", "341882199912310019", "055112345")), Some(Problem::Phone));
    }

    #[test]
    fn nobody_is_on_a_roster_before_14() {
        let young = zhiyuan_testkit::minor(1, 13, TODAY);
        assert_eq!(problem(&row(&young.name, &young.id_number, "")), Some(Problem::TooYoung));
        let member = zhiyuan_testkit::minor(1, 14, TODAY);
        assert_eq!(problem(&row(&member.name, &member.id_number, &member.mobile)), None);
    }
}
