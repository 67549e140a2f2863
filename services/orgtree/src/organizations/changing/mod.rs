//! Changing the tree: organizations are made, renamed, moved and closed by who administers them.
//!
//! Here is what is allowed by the tree alone: no database, no clock.

mod changes;
mod closing;
mod db;
mod details;
mod form;
mod founding;
mod grpc;
mod proposals;
mod records;
mod splitting;

use zhiyuan_domain::{CreditCode, OrganizationCode, OrganizationName, RegionCode};

use super::tree::LEVELS;
use super::{Contacts, Kind, State};
use crate::error::{Error, Result};

pub(crate) use changes::Changing;
pub(crate) use details::{Details, kind};
pub(crate) use form::revision_of;
pub(crate) use founding::{Place, check_place, found, tell};
pub(crate) use grpc::OrganizationAdmin;
pub(crate) use splitting::job;

/// Most organizations right below one.
const MOST_CHILDREN: i64 = 5_000;

/// From how many on a change takes two people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mass {
    /// Volunteers of a subtree, or members, whichever are more.
    pub(crate) people: i64,
    /// Organizations, of a subtree.
    pub(crate) organizations: i64,
}

/// How much there is at an organization and below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size {
    organizations: i64,
    /// Of these, below it and open.
    open_below: i64,
    people: i64,
    /// Levels below it.
    height: i32,
}

impl Mass {
    /// Whether one person alone may not do it.
    fn is_reached(self, size: Size) -> bool {
        size.people >= self.people || size.organizations >= self.organizations
    }
}

/// An organization in the tree, while nobody else changes that.
#[derive(Debug, Clone)]
struct Node {
    code: String,
    state: State,
    parent_code: Option<String>,
    ancestors: Vec<String>,
    successor_code: Option<String>,
    folded_name: String,
    revision: i64,
}

impl Node {
    /// Only an open organization changes, and has others put below it.
    fn open(&self) -> Result<()> {
        match self.state {
            State::Active => Ok(()),
            State::Closed => {
                Err(Error::OrganizationClosed { successor: self.successor_code.clone() })
            }
        }
    }

    /// Who changes it has seen it as it is.
    fn seen(&self, revision: i64) -> Result<()> {
        if self.revision == revision { Ok(()) } else { Err(Error::EtagStale) }
    }

    /// The codes above something right below it.
    fn ancestors_below(&self) -> Vec<String> {
        let mut ancestors = self.ancestors.clone();
        ancestors.push(self.code.clone());
        ancestors
    }

    /// Whether something so high has its place right below it.
    fn has_levels_for(&self, height: i32) -> bool {
        let height = usize::try_from(height).unwrap_or(usize::MAX);
        self.ancestors.len().saturating_add(2).saturating_add(height) <= LEVELS
    }

    /// Whether it is another one, or lies below it.
    fn is_within(&self, code: &str) -> bool {
        self.code == code || self.ancestors.iter().any(|above| above == code)
    }
}

/// An organization that is to be.
#[derive(Debug, Clone)]
pub(crate) struct NewOrganization {
    pub(crate) code: OrganizationCode,
    pub(crate) parent: OrganizationCode,
    pub(crate) kind: Kind,
    pub(crate) details: Details,
}

/// What an organization is to say of itself; `None` stays as it is.
#[derive(Debug, Clone, Default)]
struct NewDetails {
    name: Option<OrganizationName>,
    region: Option<Option<RegionCode>>,
    contacts: Option<Contacts>,
    credit_code: Option<Option<CreditCode>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(above: usize) -> Node {
        Node {
            code: "X".to_owned(),
            state: State::Active,
            parent_code: None,
            ancestors: (0..above).map(|level| format!("L{level}")).collect(),
            successor_code: None,
            folded_name: String::new(),
            revision: 3,
        }
    }

    #[test]
    fn twelve_levels_are_not_exceeded() {
        for (above, height, fits) in [
            (0, 0, true),
            (10, 0, true),
            (11, 0, false),
            (9, 1, true),
            (9, 2, false),
            (0, 10, true),
        ] {
            assert_eq!(node(above).has_levels_for(height), fits, "{above} {height}");
        }
        assert!(!node(0).has_levels_for(-1), "what can't be is not let in");
    }

    #[test]
    fn an_organization_is_within_itself_and_those_above() {
        let node = node(2);
        assert!(["X", "L0", "L1"].iter().all(|code| node.is_within(code)));
        assert!(!node.is_within("L2"));
        assert_eq!(node.ancestors_below(), ["L0", "L1", "X"]);
    }

    #[test]
    fn many_people_or_many_organizations_take_two() {
        let mass = Mass { people: 1_000, organizations: 100 };
        let size = |people, organizations| Size { organizations, open_below: 0, people, height: 0 };
        for (size, reached) in [
            (size(999, 99), false),
            (size(1_000, 1), true),
            (size(0, 100), true),
            (size(5_000, 500), true),
        ] {
            assert_eq!(mass.is_reached(size), reached, "{size:?}");
        }
    }

    #[test]
    fn a_closed_one_and_one_that_was_seen_otherwise_do_not_change() {
        let mut node = node(1);
        assert!(node.open().is_ok() && node.seen(3).is_ok());
        assert!(matches!(node.seen(2), Err(Error::EtagStale)));
        node.state = State::Closed;
        node.successor_code = Some("Y".to_owned());
        let refused = node.open();
        assert!(
            matches!(refused, Err(Error::OrganizationClosed { successor: Some(code) }) if code == "Y")
        );
    }
}
