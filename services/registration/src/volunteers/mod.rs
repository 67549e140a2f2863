//! Volunteers: who was registered, where, and under which number.

pub(crate) mod db;
pub(crate) mod feed;
pub(crate) mod grpc;

use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::{OrganizationCode, RegionCode, VolunteerId, VolunteerNumber};

/// Where a volunteer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The account is not active yet: shown to nobody.
    Inactive,
    /// Registered.
    Active,
    /// The account was lost before it was ever active: shown to nobody.
    Void,
}

impl State {
    /// As in the column `state`.
    pub(crate) fn as_column(self) -> &'static str {
        match self {
            Self::Inactive => "INACTIVE",
            Self::Active => "ACTIVE",
            Self::Void => "VOID",
        }
    }

    /// From the column `state`.
    pub(crate) fn from_column(column: &str) -> Option<Self> {
        [Self::Inactive, Self::Active, Self::Void]
            .into_iter()
            .find(|state| state.as_column() == column)
    }
}

/// A volunteer. Name, ID number and phone are known to identity alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Volunteer {
    pub(crate) id: VolunteerId,
    pub(crate) number: VolunteerNumber,
    pub(crate) region: RegionCode,
    pub(crate) organization: OrganizationCode,
    pub(crate) league_member: bool,
    pub(crate) state: State,
    /// The account was closed by its owner, for good.
    pub(crate) closed: bool,
    pub(crate) registered_at: OffsetDateTime,
}

/// What a registration makes a volunteer of; the number comes with the row.
#[derive(Debug, Clone)]
pub(crate) struct NewVolunteer {
    pub(crate) id: VolunteerId,
    pub(crate) region: RegionCode,
    pub(crate) organization: OrganizationCode,
    pub(crate) league_member: bool,
    pub(crate) registered_at: OffsetDateTime,
}

/// What is told of a volunteer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) volunteer_id: Uuid,
    pub(crate) volunteer_number: String,
    pub(crate) region_code: String,
    pub(crate) organization_code: String,
    pub(crate) league_member: bool,
    pub(crate) registered_at: OffsetDateTime,
    /// How well the person has proved the ID number.
    pub(crate) level: i16,
    pub(crate) account_missing: bool,
    /// The account was closed by its owner.
    pub(crate) closed: bool,
    pub(crate) revision: i64,
}

#[cfg(test)]
mod tests {
    use super::State;

    #[test]
    fn states_survive_their_column() {
        for state in [State::Inactive, State::Active, State::Void] {
            assert_eq!(State::from_column(state.as_column()), Some(state));
        }
        assert_eq!(State::from_column("GONE"), None);
    }
}
