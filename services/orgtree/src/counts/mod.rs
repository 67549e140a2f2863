//! How many volunteers each organization has, itself and with all below it.
//!
//! Here is what counts where: no database, no calls, no clock. A change of a volunteer
//! is the difference between what the row counted before and what it counts now, so it
//! does not matter in which order, or how often, anything was told.

pub(crate) mod db;
pub(crate) mod grpc;
pub(crate) mod job;
mod projection;
#[cfg(test)]
mod tests;

pub(crate) use projection::FromRegistration;

use std::collections::BTreeMap;
use std::ops::{AddAssign, SubAssign};

use uuid::Uuid;

/// The name of the feed that the figures are made from.
pub(crate) const FEED: &str = "registration";

/// A volunteer, as far as it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Volunteer {
    pub(crate) volunteer_id: Uuid,
    pub(crate) organization_code: String,
    pub(crate) active: bool,
    pub(crate) verified: bool,
    pub(crate) league_member: bool,
    pub(crate) revision: i64,
}

/// The figures of an organization, or a difference of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) volunteers: i64,
    pub(crate) verified_volunteers: i64,
    pub(crate) league_members: i64,
}

impl Figures {
    /// What one volunteer adds to the organization.
    fn of(volunteer: &Volunteer) -> Self {
        let one = |counts: bool| i64::from(volunteer.active && counts);
        Self {
            volunteers: one(true),
            verified_volunteers: one(volunteer.verified),
            league_members: one(volunteer.league_member),
        }
    }
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.volunteers += other.volunteers;
        self.verified_volunteers += other.verified_volunteers;
        self.league_members += other.league_members;
    }
}

impl SubAssign for Figures {
    fn sub_assign(&mut self, other: Self) {
        self.volunteers -= other.volunteers;
        self.verified_volunteers -= other.verified_volunteers;
        self.league_members -= other.league_members;
    }
}

/// Rows of volunteers before a change, by id.
pub(crate) type Before = BTreeMap<Uuid, Volunteer>;

/// Of what was told, the newest of each volunteer that is newer than the row.
pub(crate) fn newer(before: &Before, told: Vec<Volunteer>) -> Vec<Volunteer> {
    let mut newest: BTreeMap<Uuid, Volunteer> = BTreeMap::new();
    for volunteer in told {
        let id = volunteer.volunteer_id;
        let known = newest.get(&id).or_else(|| before.get(&id));
        if known.is_none_or(|known| known.revision < volunteer.revision) {
            newest.insert(id, volunteer);
        }
    }
    newest.into_values().collect()
}

/// The differences that follow by organization, in the order of their codes: f(new) −
/// f(old) over each row.
pub(crate) fn differences(
    before: &Before,
    changed: &[Volunteer],
    removed: &[Uuid],
) -> BTreeMap<String, Figures> {
    let mut differences: BTreeMap<String, Figures> = BTreeMap::new();
    let gone = removed.iter().chain(changed.iter().map(|volunteer| &volunteer.volunteer_id));
    for old in gone.filter_map(|id| before.get(id)) {
        *differences.entry(old.organization_code.clone()).or_default() -= Figures::of(old);
    }
    for new in changed {
        *differences.entry(new.organization_code.clone()).or_default() += Figures::of(new);
    }
    differences.retain(|_code, difference| *difference != Figures::default());
    differences
}
