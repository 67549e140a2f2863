//! Who administers nothing founds an organization by applying to the one that is to be above it,
//! the superior: it is accepted there, returned to be corrected, or rejected.
//!
//! Here is how an application goes from one state to the next: no database, no clock.

mod db;
mod deciding;
mod fault;
mod form;
mod grpc;
pub(crate) mod job;
mod records;
mod revealing;
mod submitting;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

pub(crate) use db::follow;
pub(crate) use fault::{Fault, to_return};
pub(crate) use grpc::Applications;
pub(crate) use job::lapse;

use crate::error::Error;
use crate::organizations::{Contacts, Kind};

/// How long an application waits after each step.
const WAITS: Duration = Duration::days(30);
/// Open applications of one account, at most.
const MOST_OPEN: i64 = 3;
/// Applications of one account that are handed in on a day, at most.
const MOST_PER_DAY: i64 = 5;

/// An answer that was kept is none.
const BROKEN: Error = Error::Inconsistent("orgtree.request");

/// Where an application stands. The numbers are those of the contract and of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Submitted = 1,
    Returned = 2,
    Accepted = 3,
    Rejected = 4,
    Withdrawn = 5,
    Expired = 6,
    Lapsed = 7,
}

/// What is done with an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// By the applicant, who has corrected it.
    Resubmit,
    /// By the applicant; or because there is none any more.
    Withdraw,
    /// By the superior.
    Accept,
    Return,
    Reject,
    /// By nobody: its time is over.
    Expire,
    /// By nobody: its superior is closed.
    Lapse,
}

impl State {
    const ALL: [Self; 7] = [
        Self::Submitted,
        Self::Returned,
        Self::Accepted,
        Self::Rejected,
        Self::Withdrawn,
        Self::Expired,
        Self::Lapsed,
    ];

    fn number(self) -> i16 {
        self as i16
    }

    fn of_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// The name in the contract, without its prefix.
    fn name(self) -> &'static str {
        match self {
            Self::Submitted => "SUBMITTED",
            Self::Returned => "RETURNED",
            Self::Accepted => "ACCEPTED",
            Self::Rejected => "REJECTED",
            Self::Withdrawn => "WITHDRAWN",
            Self::Expired => "EXPIRED",
            Self::Lapsed => "LAPSED",
        }
    }

    fn is_open(self) -> bool {
        matches!(self, Self::Submitted | Self::Returned)
    }

    /// Where a step leads to: the one table.
    fn after(self, step: Step) -> Result<Self, Fault> {
        match (self, step) {
            (Self::Submitted, Step::Accept) => Ok(Self::Accepted),
            (Self::Submitted, Step::Return) => Ok(Self::Returned),
            (Self::Submitted, Step::Reject) => Ok(Self::Rejected),
            (Self::Returned, Step::Resubmit) => Ok(Self::Submitted),
            (Self::Submitted | Self::Returned, Step::Withdraw) => Ok(Self::Withdrawn),
            (Self::Submitted | Self::Returned, Step::Expire) => Ok(Self::Expired),
            (Self::Submitted | Self::Returned, Step::Lapse) => Ok(Self::Lapsed),
            (Self::Submitted, Step::Resubmit)
            | (Self::Returned, Step::Accept | Step::Return | Step::Reject) => {
                Err(Fault::NotWithCaller)
            }
            (
                Self::Accepted | Self::Rejected | Self::Withdrawn | Self::Expired | Self::Lapsed,
                _,
            ) => Err(Fault::Ended(self)),
        }
    }
}

/// What the organization is to say of itself, as it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    name: String,
    region_code: Option<String>,
    credit_code: Option<String>,
    contacts: Contacts,
}

/// An application.
#[derive(Clone, PartialEq, Eq)]
struct Application {
    id: Uuid,
    applicant: Uuid,
    superior_code: String,
    /// Whether the superior is closed, and nobody follows it.
    superior_gone: bool,
    kind: Kind,
    said: Said,
    purpose: String,
    /// As it is kept; see [`Application::standing`].
    state: State,
    revision: i64,
    submitted_at: OffsetDateTime,
    changed_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    /// What the superior wrote last; may be empty.
    note: String,
    decided_by: Option<Uuid>,
    /// What was made, once it is accepted.
    made: Option<Made>,
}

/// What accepting has made.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Made {
    organization_code: String,
    grant_id: Uuid,
}

impl std::fmt::Debug for Application {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Application").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Application {
    /// Where it stands now: what is over is so before that is written down.
    fn standing(&self, now: OffsetDateTime) -> State {
        match self.state {
            open if open.is_open() && self.expires_at <= now => State::Expired,
            open if open.is_open() && self.superior_gone => State::Lapsed,
            state => state,
        }
    }

    /// Takes a step that may be taken now. What has ended says no more whom to ask.
    fn step(&mut self, step: Step, now: OffsetDateTime) -> Result<(), Fault> {
        // What ends by itself is ended from where it was.
        let from = match step {
            Step::Expire | Step::Lapse => self.state,
            _ => self.standing(now),
        };
        self.state = from.after(step)?;
        self.revision += 1;
        self.changed_at = now;
        if self.state.is_open() {
            self.expires_at = now + WAITS;
        } else {
            self.said.contacts = Contacts::default();
        }
        Ok(())
    }

    /// Who does something with it has seen it as it is.
    fn seen(&self, revision: i64) -> Result<(), Fault> {
        if self.revision == revision { Ok(()) } else { Err(Fault::Changed) }
    }
}

#[cfg(test)]
mod tests;
