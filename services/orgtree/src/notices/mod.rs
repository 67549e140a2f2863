//! The periodic notice (通报): how the organizations right below one stand, as of a cut.
//!
//! Here is what a row says and in which order rows stand: no database, no calls, no clock. What
//! of it who may see is in [`rendition`].

mod confirming;
mod db;
mod document;
mod drafting;
mod fault;
mod grpc;
mod issuing;
mod keys;
mod reading;
mod records;
mod rendition;
#[cfg(test)]
mod tests;
mod workbook;

use std::cmp::Ordering;

use time::{Date, OffsetDateTime};
use uuid::Uuid;

pub(crate) use fault::Fault;
pub(crate) use grpc::Notices;
pub use keys::InvalidKey;
pub(crate) use keys::Keys;

use crate::counts::Figures;

/// The target of the notice that all this is about: 90 %.
const USUAL_TARGET: i32 = 9_000;
/// A whole, in ten thousandths.
const WHOLE: i32 = 10_000;
/// Drafts of one organization that wait, at most.
const MOST_DRAFTS: i64 = 50;

/// Numbers of people: what a row is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct People {
    /// On rosters, and stated.
    members: i64,
    /// Of those, stated.
    stated_members: i64,
    registered_members: i64,
    volunteers: i64,
    verified_volunteers: i64,
}

impl From<Figures> for People {
    fn from(figures: Figures) -> Self {
        Self {
            members: figures.members + figures.stated_members,
            stated_members: figures.stated_members,
            registered_members: figures.registered_members + figures.stated_registered,
            volunteers: figures.volunteers,
            verified_volunteers: figures.verified_volunteers,
        }
    }
}

impl People {
    /// In the order of the columns.
    fn columns(self) -> [i64; 5] {
        let Self { members, stated_members, registered_members, volunteers, verified_volunteers } =
            self;
        [members, stated_members, registered_members, volunteers, verified_volunteers]
    }

    fn of(columns: [i64; 5]) -> Self {
        let [members, stated_members, registered_members, volunteers, verified_volunteers] =
            columns;
        Self { members, stated_members, registered_members, volunteers, verified_volunteers }
    }

    /// What is left without others.
    fn less<'a>(self, others: impl Iterator<Item = &'a Self>) -> Self {
        let mut left = self.columns();
        for other in others {
            left.iter_mut().zip(other.columns()).for_each(|(mine, theirs)| *mine -= theirs);
        }
        Self::of(left)
    }

    /// How many of ten thousand members have registered, rounded down; none without members.
    fn rate(self) -> Option<i32> {
        share(self.registered_members, self.members)
    }

    /// How many of ten thousand volunteers are verified; none without volunteers.
    fn verified(self) -> Option<i32> {
        share(self.verified_volunteers, self.volunteers)
    }

    /// Whether a target is met, by the numbers alone; none without members.
    fn meets(self, target: i32) -> Option<bool> {
        let (registered, members) = (i128::from(self.registered_members), i128::from(self.members));
        (members > 0).then(|| registered * i128::from(WHOLE) >= members * i128::from(target))
    }

    /// How many more would have to register to meet it.
    fn gap(self, target: i32) -> i64 {
        let wanted = i128::from(self.members) * i128::from(target);
        let wanted = wanted.div_euclid(i128::from(WHOLE))
            + i128::from(wanted.rem_euclid(i128::from(WHOLE)) != 0);
        let gap = (wanted - i128::from(self.registered_members)).max(0);
        i64::try_from(gap).unwrap_or(i64::MAX)
    }
}

fn share(part: i64, of: i64) -> Option<i32> {
    let share = i128::from(part) * i128::from(WHOLE) / i128::from((of > 0).then_some(of)?);
    i32::try_from(share).ok()
}

/// What an organization itself states.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stated {
    source: String,
    on: Date,
}

/// How an organization stands, with everything below it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    code: String,
    name: String,
    people: People,
    without_administrator: i32,
    stated: Option<Stated>,
    /// As in the notice before.
    before: Option<People>,
}

/// The order of rows: the higher rate first, by the fraction and not as it is rounded, then more
/// members, then the code; without members last, by the code.
fn order(a: &Row, b: &Row) -> Ordering {
    let (one, other) = (a.people, b.people);
    let rated = |people: People| people.members > 0;
    rated(other)
        .cmp(&rated(one))
        .then_with(|| {
            if !rated(one) {
                return Ordering::Equal;
            }
            let mine = i128::from(one.registered_members) * i128::from(other.members);
            let theirs = i128::from(other.registered_members) * i128::from(one.members);
            theirs.cmp(&mine).then(other.members.cmp(&one.members))
        })
        .then_with(|| a.code.cmp(&b.code))
}

/// A notice that was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Issued {
    year: i32,
    serial: i32,
    at: OffsetDateTime,
    supersedes: Option<Uuid>,
    superseded_by: Option<Uuid>,
}

impl Issued {
    /// As people write it.
    fn number(&self) -> String {
        format!("〔{}〕{}号", self.year, self.serial)
    }
}

/// A notice, without its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Notice {
    id: Uuid,
    issuer_code: String,
    issuer_name: String,
    cut_id: i64,
    as_of: OffsetDateTime,
    tree_at: OffsetDateTime,
    target: i32,
    deadline: Date,
    drafted_at: OffsetDateTime,
    previous: Option<Uuid>,
    /// Whether nothing of the notice before was hidden from anybody.
    previous_is_open: bool,
    rows: i32,
    issued: Option<Issued>,
}

/// The rows of a notice, and what they add up to with everything that is no row.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Table {
    total: Row,
    /// In their [`order`].
    rows: Vec<Row>,
}
