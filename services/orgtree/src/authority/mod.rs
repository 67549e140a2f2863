//! Who administers what. An administrator is a grant: an account, an organization and a
//! role; it reaches the organization and everything below it (`orgtree.is_within`).

mod admitting;
mod changes;
mod closed;
pub(crate) mod db;
pub(crate) mod ending;
pub(crate) mod giving;
pub(crate) mod grpc;
mod holding;
mod operator;
pub(crate) mod records;
pub(crate) mod refusals;
pub(crate) mod scopes;
pub(crate) mod voices;

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) use admitting::admit;
pub(crate) use closed::end_of as end_of_closed;
pub(crate) use db::{is_given, reaching};
pub(crate) use grpc::Authority;
pub(crate) use holding::{holding, holding_own, is_held, require};
pub use operator::{GrantError, OperatorGrant, grant};

/// How long others may rely on an answer, from when they asked.
const LEASE: Duration = Duration::from_secs(3);

/// A revoked grant, and one of an organization that moved away, is over when a lease that was
/// asked for just before has ended, and what was begun under it has committed (2 s after its
/// lease at the latest) or can't any more; and a little later, since no two clocks run alike.
pub(crate) const OVER_AFTER: Duration = Duration::from_millis(5_050);

/// What an administrator may do. The numbers are those of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    Grant = 1,
    ManageOrganization = 2,
    ManageMembers = 3,
    Review = 4,
    Reveal = 5,
    View = 6,
    Audit = 7,
}

impl Permission {
    pub(crate) const ALL: [Self; 7] = [
        Self::Grant,
        Self::ManageOrganization,
        Self::ManageMembers,
        Self::Review,
        Self::Reveal,
        Self::View,
        Self::Audit,
    ];
}

/// A fixed set of permissions. The numbers are those of the contract and of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything, granting included.
    Administrator = 1,
    /// Members, reviews, and what is personal.
    Manager = 2,
    /// Lists and figures.
    Viewer = 3,
    /// Lists and figures, and who did what.
    Auditor = 4,
}

impl Role {
    const ALL: [Self; 4] = [Self::Administrator, Self::Manager, Self::Viewer, Self::Auditor];

    /// What the role may do: the one table.
    pub(crate) fn permissions(self) -> &'static [Permission] {
        match self {
            Self::Administrator => &Permission::ALL,
            Self::Manager => &[
                Permission::ManageMembers,
                Permission::Review,
                Permission::Reveal,
                Permission::View,
            ],
            Self::Viewer => &[Permission::View],
            Self::Auditor => &[Permission::View, Permission::Audit],
        }
    }

    /// The name that an operator types.
    pub fn name(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Manager => "manager",
            Self::Viewer => "viewer",
            Self::Auditor => "auditor",
        }
    }

    /// The role of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    pub(crate) fn number(self) -> i16 {
        self as i16
    }

    pub(crate) fn of_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.number() == number)
    }

    /// The numbers of the roles that may do something.
    pub(crate) fn with(permission: Permission) -> Vec<i16> {
        let may = |role: &Self| role.permissions().contains(&permission);
        Self::ALL.into_iter().filter(may).map(Self::number).collect()
    }
}

/// Somebody's role at an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) id: Uuid,
    pub(crate) account_id: Uuid,
    pub(crate) organization_code: String,
    pub(crate) role: Role,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) expires_at: Option<OffsetDateTime>,
    /// `None` if the operator of the suite gave it.
    pub(crate) granted_by: Option<Uuid>,
    /// The grant of whoever gave it, with which it ends; `None` if it stands by itself.
    pub(crate) delegated_from: Option<Uuid>,
}

impl Grant {
    /// Whether it allows something. What is delegated gives no roles: they would outlast it.
    fn allows(&self, permission: Permission) -> bool {
        let gives = self.delegated_from.is_none() || permission != Permission::Grant;
        gives && self.role.permissions().contains(&permission)
    }

    /// Whether it counts for as long as something that it is to allow.
    pub(crate) fn lasts_until(&self, wanted: Option<OffsetDateTime>) -> bool {
        match (self.expires_at, wanted) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(end), Some(wanted)) => wanted <= end,
        }
    }

    /// Whether it ends later than another one, or not at all.
    fn outlasts(&self, other: &Self) -> bool {
        match (self.expires_at, other.expires_at) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(mine), Some(theirs)) => mine >= theirs,
        }
    }
}

/// Whether an account may do something at an organization.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    /// By this grant.
    Allowed(&'a Grant),
    /// It administers the organization, in another role.
    Forbidden,
    /// It does not administer the organization, or there is none.
    OutOfScope,
}

/// Decides by the grants of one account that reach one organization, the nearest first.
pub(crate) fn decide(reaching: &[Grant], permission: Permission) -> Verdict<'_> {
    if reaching.is_empty() {
        return Verdict::OutOfScope;
    }
    reaching
        .iter()
        .find(|grant| grant.allows(permission))
        .map_or(Verdict::Forbidden, Verdict::Allowed)
}

/// Whether who holds these grants at an organization holds every permission of a role.
fn holds_all(reaching: &[Grant], role: Role) -> bool {
    let holds =
        |permission: &Permission| matches!(decide(reaching, *permission), Verdict::Allowed(_));
    role.permissions().iter().all(holds)
}

/// Whether the root has its administrators for as long without one of them as with it.
fn stays_administered(without: &Grant, others: &[Grant]) -> bool {
    others.iter().any(|other| other.outlasts(without))
}

/// How long others may rely on a grant that counts now.
fn lease(grant: &Grant, now: OffsetDateTime) -> Duration {
    let left = grant.expires_at.map_or(LEASE, |end| (end - now).try_into().unwrap_or_default());
    left.min(LEASE)
}

#[cfg(test)]
mod tests;
