//! How many volunteers and members each organization has, itself and with all below it.
//!
//! Here is what counts where: no database, no calls, no clock. A change of a volunteer
//! is the difference between what the row counted before and what it counts now, so it
//! does not matter in which order, or how often, anything was told.

mod children;
pub(crate) mod db;
pub(crate) mod grpc;
pub(crate) mod job;
mod projection;
pub(crate) mod statements;
pub(crate) mod targets;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod whole;

pub(crate) use projection::FromRegistration;

use std::collections::BTreeMap;
use std::ops::{AddAssign, SubAssign};

use uuid::Uuid;

/// The name of the feed that the figures are made from.
pub(crate) const FEED: &str = "registration";

/// A person, as far as it counts: as a volunteer at the organization that was chosen, as a
/// member at the one whose roster it is on. Feeds have no order among each other, so each part
/// has the revision that set it, and there may be one without the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Volunteer {
    pub(crate) volunteer_id: Uuid,
    pub(crate) chosen: Chosen,
    pub(crate) roster: Roster,
}

/// What a volunteer is and chose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// Empty before the person has registered.
    pub(crate) organization_code: String,
    pub(crate) active: bool,
    pub(crate) verified: bool,
    pub(crate) league_member: bool,
    /// 0 if nothing was told.
    pub(crate) revision: i64,
}

/// The roster that somebody is on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Roster {
    pub(crate) organization_code: Option<String>,
    /// 0 if nothing was told.
    pub(crate) revision: i64,
}

impl Volunteer {
    /// Somebody of whom nothing was told.
    fn unknown(volunteer_id: Uuid) -> Self {
        Self { volunteer_id, chosen: Chosen::default(), roster: Roster::default() }
    }

    /// Whether nothing is told of the person any more.
    fn is_unknown(&self) -> bool {
        self.chosen.revision == 0 && self.roster.revision == 0
    }

    /// What the person adds to the figures of organizations.
    fn figures(&self) -> impl Iterator<Item = (&str, Figures)> {
        let Chosen { organization_code, active, verified, league_member, .. } = &self.chosen;
        let one = |counts: bool| i64::from(*active && counts);
        let as_volunteer = Figures {
            volunteers: one(true),
            verified_volunteers: one(*verified),
            league_members: one(*league_member),
            ..Figures::default()
        };
        let as_member = Figures { members: 1, registered_members: one(true), ..Figures::default() };
        let roster = self.roster.organization_code.as_deref();
        std::iter::once((organization_code.as_str(), as_volunteer))
            .chain(roster.map(|code| (code, as_member)))
    }
}

/// What is told of a part of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Chosen(Chosen),
    Roster(Roster),
}

/// The figures of an organization, or a difference of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) volunteers: i64,
    pub(crate) verified_volunteers: i64,
    pub(crate) league_members: i64,
    /// On rosters.
    pub(crate) members: i64,
    /// Of those, who are volunteers, wherever.
    pub(crate) registered_members: i64,
    /// What organizations without a roster state.
    pub(crate) stated_members: i64,
    /// The volunteers of those organizations who say that they are members.
    pub(crate) stated_registered: i64,
}

impl Figures {
    fn each(&mut self, other: Self, add: impl Fn(&mut i64, i64)) {
        add(&mut self.volunteers, other.volunteers);
        add(&mut self.verified_volunteers, other.verified_volunteers);
        add(&mut self.league_members, other.league_members);
        add(&mut self.members, other.members);
        add(&mut self.registered_members, other.registered_members);
        add(&mut self.stated_members, other.stated_members);
        add(&mut self.stated_registered, other.stated_registered);
    }

    /// How many of ten thousand members have registered, rounded down, on rosters and as
    /// stated together: numerator and denominator are of the same organizations. `None`
    /// without members.
    pub(crate) fn rate(&self) -> Option<i32> {
        let members = self.members + self.stated_members;
        let registered = self.registered_members + self.stated_registered;
        // More may register than an organization stated to have.
        let rate = i128::from(registered) * 10_000 / i128::from((members > 0).then_some(members)?);
        i32::try_from(rate).ok()
    }
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.each(other, |mine, other| *mine += other);
    }
}

impl SubAssign for Figures {
    fn sub_assign(&mut self, other: Self) {
        self.each(other, |mine, other| *mine -= other);
    }
}

/// Rows before a change, by id.
pub(crate) type Before = BTreeMap<Uuid, Volunteer>;

/// The rows that follow from what was told: of each part the newest, if it is newer than
/// what the row has. Rows that stay as they are are left out.
pub(crate) fn newer(before: &Before, told: Vec<(Uuid, Part)>) -> Vec<Volunteer> {
    let mut rows: BTreeMap<Uuid, Volunteer> = BTreeMap::new();
    for (id, part) in told {
        let old = || before.get(&id).cloned().unwrap_or_else(|| Volunteer::unknown(id));
        let row = rows.entry(id).or_insert_with(old);
        match part {
            Part::Chosen(new) if new.revision > row.chosen.revision => row.chosen = new,
            Part::Roster(new) if new.revision > row.roster.revision => row.roster = new,
            Part::Chosen(_) | Part::Roster(_) => {}
        }
    }
    rows.into_values().filter(|row| before.get(&row.volunteer_id) != Some(row)).collect()
}

/// The differences that follow by organization, in the order of their codes: f(new) −
/// f(old) over each row.
pub(crate) fn differences(before: &Before, changed: &[Volunteer]) -> BTreeMap<String, Figures> {
    let mut differences: BTreeMap<String, Figures> = BTreeMap::new();
    for old in changed.iter().filter_map(|new| before.get(&new.volunteer_id)) {
        for (code, figures) in old.figures() {
            *differences.entry(code.to_owned()).or_default() -= figures;
        }
    }
    for (code, figures) in changed.iter().flat_map(Volunteer::figures) {
        *differences.entry(code.to_owned()).or_default() += figures;
    }
    differences.retain(|_code, difference| *difference != Figures::default());
    differences
}
