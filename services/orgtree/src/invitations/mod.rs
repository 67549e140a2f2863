//! How a role comes to somebody whose account nobody else knows the id of: by a code that is
//! handed over, a number that is heard, and a confirmation. What a role is, who may give it and
//! how it ends is told in `authority`.

mod accepting;
mod changes;
mod codes;
mod confirming;
mod db;
mod fault;
mod grpc;
pub(crate) mod job;
mod making;
mod records;
mod wrong_codes;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

pub(crate) use codes::Codes;
pub(crate) use fault::Fault;
pub(crate) use grpc::Invitations;

use crate::authority::Role;
use crate::authority::giving::Place;

/// A code is good for so many days, unless for fewer.
const VALID_DAYS: i32 = 20;
/// Who accepted is confirmed within so long.
const CONFIRMED_WITHIN: Duration = Duration::days(7);
/// With so many wrong check numbers an invitation is withdrawn; the database knows it too.
const WRONG_NUMBERS: i16 = 5;
/// What is delegated lasts so long at most; the database knows it too.
const DELEGATED_FOR: Duration = Duration::days(30);
/// Open invitations of one account, at most.
const MOST_OPEN: i64 = 200;

/// A role that waits for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Invitation {
    id: Uuid,
    organization_code: String,
    role: Role,
    invited_by: Uuid,
    /// The grant that is delegated; `None` if the role is given for good.
    delegated_from: Option<Uuid>,
    /// May be empty.
    note: String,
    created_at: OffsetDateTime,
    /// The code is good until then.
    expires_at: OffsetDateTime,
    grant_expires_at: Option<OffsetDateTime>,
    accepted: Option<Acceptance>,
    /// The grant that was made.
    grant_id: Option<Uuid>,
    /// The grant of the inviter that ended with it.
    handed_over: Option<Uuid>,
    withdrawn: bool,
}

/// Who accepted, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Acceptance {
    account_id: Uuid,
    at: OffsetDateTime,
}

/// Where an invitation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Its code waits for somebody.
    Open,
    /// Somebody waits to be confirmed.
    Accepted(Acceptance),
    /// The role is given.
    Confirmed,
    Withdrawn,
    Expired,
}

impl Invitation {
    /// Until when the next step can be taken: the code used, or who accepted confirmed.
    fn ends_at(&self) -> OffsetDateTime {
        let step = match self.accepted {
            None => self.expires_at,
            Some(accepted) => accepted.at + CONFIRMED_WITHIN,
        };
        self.grant_expires_at.map_or(step, |end| end.min(step))
    }

    fn standing(&self, now: OffsetDateTime) -> Standing {
        match self.accepted {
            _ if self.grant_id.is_some() => Standing::Confirmed,
            _ if self.withdrawn => Standing::Withdrawn,
            _ if self.ends_at() <= now => Standing::Expired,
            None => Standing::Open,
            Some(accepted) => Standing::Accepted(accepted),
        }
    }

    /// What is given.
    fn place(&self) -> Place<'_> {
        let (code, role) = (self.organization_code.as_str(), self.role);
        Place { code, role, expires_at: self.grant_expires_at }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const MADE: OffsetDateTime = datetime!(2026-11-23 0:00 UTC);

    fn invitation() -> Invitation {
        Invitation {
            id: Uuid::from_u128(1),
            organization_code: "A".into(),
            role: Role::Viewer,
            invited_by: Uuid::from_u128(2),
            delegated_from: None,
            note: String::new(),
            created_at: MADE,
            expires_at: MADE + Duration::days(20),
            grant_expires_at: None,
            accepted: None,
            grant_id: None,
            handed_over: None,
            withdrawn: false,
        }
    }

    #[test]
    fn a_code_is_good_until_its_end_and_who_accepted_waits_for_a_week() {
        let open = invitation();
        let at = |days| MADE + Duration::days(days) - Duration::SECOND;
        assert_eq!((open.standing(at(20)), open.ends_at()), (Standing::Open, open.expires_at));
        assert_eq!(open.standing(open.expires_at), Standing::Expired);
        // At the last moment.
        let acceptance = Acceptance { account_id: Uuid::from_u128(3), at: at(20) };
        let accepted = Invitation { accepted: Some(acceptance), ..open };
        assert_eq!(accepted.standing(at(26)), Standing::Accepted(acceptance));
        assert_eq!(accepted.standing(at(27)), Standing::Expired);
        let confirmed = Invitation { grant_id: Some(Uuid::from_u128(4)), ..accepted.clone() };
        assert_eq!(confirmed.standing(at(99)), Standing::Confirmed);
        let withdrawn = Invitation { withdrawn: true, ..accepted };
        assert_eq!(withdrawn.standing(at(1)), Standing::Withdrawn);
    }

    #[test]
    fn nothing_is_given_for_a_time_that_has_passed() {
        let end = MADE + Duration::days(2);
        let short = Invitation { grant_expires_at: Some(end), ..invitation() };
        assert_eq!((short.standing(MADE), short.ends_at()), (Standing::Open, end));
        assert_eq!(short.standing(end), Standing::Expired);
    }
}
