//! The organizations of the Youth League: where people belong.

pub(crate) mod changing;
mod db;
mod feed;
mod file;
mod grpc;
mod load;
mod search;
mod tree;

pub use file::{Fault, Problem};
pub use load::{LoadError, Loaded};

pub(crate) use db::{alone, find};
pub(crate) use feed::Feed;
pub(crate) use grpc::{Organizations, to_wire};
pub(crate) use load::{Told, load};

/// The demonstration province; the source is told beside the file.
pub(crate) const ANHUI: &[u8] = include_bytes!("../../data/anhui_organizations.csv");
/// Its topmost organization.
pub(crate) const ANHUI_ROOT: &str = "AH";

/// What an organization is. The numbers are those of the contract and of the
/// database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Provincial = 1,
    Municipal = 2,
    County = 3,
    DirectCounty = 4,
    Township = 5,
    University = 6,
    Enterprise = 7,
    WorkCommittee = 8,
    VolunteerGroup = 9,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::Provincial,
        Self::Municipal,
        Self::County,
        Self::DirectCounty,
        Self::Township,
        Self::University,
        Self::Enterprise,
        Self::WorkCommittee,
        Self::VolunteerGroup,
    ];

    /// The name in files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Provincial => "PROVINCIAL",
            Self::Municipal => "MUNICIPAL",
            Self::County => "COUNTY",
            Self::DirectCounty => "DIRECT_COUNTY",
            Self::Township => "TOWNSHIP",
            Self::University => "UNIVERSITY",
            Self::Enterprise => "ENTERPRISE",
            Self::WorkCommittee => "WORK_COMMITTEE",
            Self::VolunteerGroup => "VOLUNTEER_GROUP",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub(crate) fn number(self) -> i16 {
        self as i16
    }

    pub(crate) fn of_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// Whether people register with an organization of this kind. The committees
    /// above lead others, and have no members of their own.
    pub(crate) fn takes_registrations(self) -> bool {
        match self {
            Self::Township
            | Self::University
            | Self::Enterprise
            | Self::WorkCommittee
            | Self::VolunteerGroup => true,
            Self::Provincial | Self::Municipal | Self::County | Self::DirectCounty => false,
        }
    }
}

/// Where an organization stands. The numbers are those of the contract and of the
/// database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Active = 1,
    Closed = 2,
}

impl State {
    pub(crate) const ALL: [Self; 2] = [Self::Active, Self::Closed];

    /// The name in files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Closed => "CLOSED",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    pub(crate) fn number(self) -> i16 {
        self as i16
    }

    pub(crate) fn of_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }
}

/// Whom people ask.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Contacts {
    pub(crate) phone: String,
    pub(crate) group_number: String,
    pub(crate) note: String,
}

impl std::fmt::Debug for Contacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A small organization may well give a person's own number.
        f.write_str("Contacts(***)")
    }
}

/// An organization, as people see it.
#[derive(Debug, Clone)]
pub(crate) struct Organization {
    pub(crate) code: String,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) parent_code: Option<String>,
    pub(crate) region_code: Option<String>,
    pub(crate) state: State,
    pub(crate) successor_code: Option<String>,
    pub(crate) leaf: bool,
    pub(crate) contacts: Contacts,
    /// Of GB 32100; `None` also of one as it was.
    pub(crate) credit_code: Option<String>,
    /// Goes up with each change; `None` of one as it was.
    pub(crate) revision: Option<i64>,
    /// From the root down.
    pub(crate) ancestor_names: Vec<String>,
}

impl Organization {
    /// Whether people can choose it when they register.
    pub(crate) fn takes_registrations(&self) -> bool {
        self.state == State::Active && self.kind.takes_registrations()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.name()), Some(kind));
            assert_eq!(Kind::of_number(kind.number()), Some(kind));
        }
        for state in State::ALL {
            assert_eq!(State::parse(state.name()), Some(state));
            assert_eq!(State::of_number(state.number()), Some(state));
        }
        assert_eq!((Kind::parse("township"), Kind::of_number(10)), (None, None));
        assert_eq!((State::parse(""), State::of_number(0)), (None, None));
    }

    #[test]
    fn only_open_organizations_of_five_kinds_take_registrations() {
        let taking: Vec<Kind> =
            Kind::ALL.into_iter().filter(|kind| kind.takes_registrations()).collect();
        use Kind::{Enterprise, Township, University, VolunteerGroup, WorkCommittee};
        assert_eq!(taking, [Township, University, Enterprise, WorkCommittee, VolunteerGroup]);
        let mut organization = Organization {
            code: "AH-U001".into(),
            name: "共青团中国科学技术大学委员会".into(),
            kind: University,
            parent_code: None,
            region_code: None,
            state: State::Active,
            successor_code: None,
            leaf: true,
            contacts: Contacts::default(),
            credit_code: None,
            revision: Some(1),
            ancestor_names: Vec::new(),
        };
        assert!(organization.takes_registrations());
        organization.state = State::Closed;
        assert!(!organization.takes_registrations());
    }

    #[test]
    fn debug_shows_no_contacts() {
        let contacts = Contacts { phone: "13800000000".into(), ..Contacts::default() };
        assert!(!format!("{contacts:?}").contains("138"));
    }
}
