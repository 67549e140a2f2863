//! How a form becomes a volunteer: a saga with one row for each `request_id` that
//! anybody may carry on at any step.
//!
//! Here are its steps and what may follow which: no database, no calls, no clock.

pub(crate) mod answer;
pub(crate) mod db;
pub(crate) mod digest;
pub(crate) mod enrolments;
pub(crate) mod form;
pub(crate) mod grpc;
mod guardian;
pub(crate) mod job;
pub(crate) mod organizations;
pub(crate) mod refusal;
pub(crate) mod saga;
pub(crate) mod schedule;
mod telling;
#[cfg(test)]
mod tests;

pub(crate) use refusal::Refusal;

use time::OffsetDateTime;
use zhiyuan_domain::{AccountId, EnrolmentId, OrganizationCode, RegionCode, RequestId};

/// How far a registration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// The row is there. Whether identity has the applicant is not known, and only
    /// the client can send the form again.
    Started,
    /// identity has the applicant and waits for the register.
    Pending,
    /// identity has the applicant and waits for a person to decide.
    Review,
    /// The account is there and owns the ID number; the volunteer is not there yet.
    Claimed,
    /// The volunteer is there, hidden until the account is active.
    Registered,
    /// Account active, volunteer visible. Final.
    Done,
    /// Decided to be refused; identity has yet to let go of the enrolment.
    Undoing,
    /// Refused. Final.
    Refused,
}

impl Step {
    /// All steps.
    pub(crate) const ALL: [Self; 8] = [
        Self::Started,
        Self::Pending,
        Self::Review,
        Self::Claimed,
        Self::Registered,
        Self::Done,
        Self::Undoing,
        Self::Refused,
    ];

    /// Whether nothing follows.
    pub(crate) fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Refused)
    }

    /// Whether only time helps: the answer to the client is "later".
    pub(crate) fn waits(self) -> bool {
        matches!(self, Self::Pending | Self::Review)
    }

    /// As in the column `step`.
    pub(crate) fn as_column(self) -> &'static str {
        match self {
            Self::Started => "STARTED",
            Self::Pending => "PENDING",
            Self::Review => "REVIEW",
            Self::Claimed => "CLAIMED",
            Self::Registered => "REGISTERED",
            Self::Done => "DONE",
            Self::Undoing => "UNDOING",
            Self::Refused => "REFUSED",
        }
    }

    /// From the column `step`.
    pub(crate) fn from_column(column: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.as_column() == column)
    }
}

/// What was learnt while working on a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// identity does not know the enrolment.
    Unknown,
    /// identity found the code right and has not kept the applicant.
    Accepted,
    /// The register has not answered; identity knows more at `retry_at`.
    Pending { retry_at: OffsetDateTime },
    /// A person decides until `retry_at`.
    Review {
        retry_at: OffsetDateTime,
        /// Two do, whether the number is the applicant's, which this account holds.
        claim: Option<AccountId>,
    },
    /// The account owns the ID number.
    Claimed { account: AccountId },
    /// The account is active.
    Active { account: AccountId },
    /// identity refused the applicant.
    Refused { refusal: Refusal },
    /// The applicant has an active account that no volunteer goes with.
    Adoptable { account: AccountId },
    /// identity has let go of the enrolment.
    Discarded,
    /// The organization takes the volunteer.
    OrganizationStands,
    /// The organization takes nobody any more.
    OrganizationGone { refusal: Refusal },
    /// Nobody has called for so long that the form won't come again.
    Abandoned,
}

/// The change that follows from what was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// To `Pending`, or a later `retry_at` for it.
    Pending { retry_at: OffsetDateTime },
    /// To `Review`, or a later `retry_at` for it.
    Review { retry_at: OffsetDateTime, claim: Option<AccountId> },
    /// To `Claimed`. `adopted`: the account was there before.
    Claimed { account: AccountId, adopted: bool },
    /// To `Registered`, with the volunteer and the number.
    Registered,
    /// To `Done`, which shows the volunteer.
    Done,
    /// To `Undoing`, which voids a volunteer that is there already.
    Undoing { refusal: Refusal },
    /// To `Refused`: there is nothing to undo.
    Refused { refusal: Refusal },
    /// From `Undoing` to `Refused`, with the refusal decided before.
    Undone,
}

impl Change {
    /// The step that it leads to.
    pub(crate) fn step(&self) -> Step {
        match self {
            Self::Pending { .. } => Step::Pending,
            Self::Review { .. } => Step::Review,
            Self::Claimed { .. } => Step::Claimed,
            Self::Registered => Step::Registered,
            Self::Done => Step::Done,
            Self::Undoing { .. } => Step::Undoing,
            Self::Refused { .. } | Self::Undone => Step::Refused,
        }
    }
}

/// What follows at a step; `None` if nothing does.
///
/// The caller applies it only if the step still is the one it asked for. What is
/// heard too late for a step therefore changes nothing.
pub(crate) fn follow(step: Step, heard: &Heard) -> Option<Change> {
    match step {
        Step::Started => of_applicant(heard).or_else(|| {
            // Not known yet is no reason: the call may be on its way.
            matches!(heard, Heard::Abandoned)
                .then_some(Change::Undoing { refusal: Refusal::Expired })
        }),
        Step::Pending | Step::Review => of_applicant(heard).or_else(|| {
            // identity was restored to an older state, and nobody here has the form.
            matches!(heard, Heard::Unknown | Heard::Accepted)
                .then_some(Change::Undoing { refusal: Refusal::Expired })
        }),
        Step::Claimed => match heard {
            Heard::OrganizationStands => Some(Change::Registered),
            Heard::OrganizationGone { refusal } => {
                Some(Change::Undoing { refusal: refusal.clone() })
            }
            _ => None,
        },
        Step::Registered => match heard {
            Heard::Active { .. } => Some(Change::Done),
            // identity was restored to an older state: the account will never be.
            Heard::Unknown | Heard::Discarded | Heard::Refused { .. } => {
                Some(Change::Undoing { refusal: Refusal::Expired })
            }
            _ => None,
        },
        // Refused: the account was adopted, and the enrolment never had one.
        Step::Undoing => match heard {
            Heard::Discarded | Heard::Refused { .. } => Some(Change::Undone),
            _ => None,
        },
        Step::Done | Step::Refused => None,
    }
}

/// What the state of an applicant means while there is no account yet.
fn of_applicant(heard: &Heard) -> Option<Change> {
    match heard {
        Heard::Pending { retry_at } => Some(Change::Pending { retry_at: *retry_at }),
        Heard::Review { retry_at, claim } => {
            Some(Change::Review { retry_at: *retry_at, claim: *claim })
        }
        Heard::Claimed { account } | Heard::Active { account } => {
            Some(Change::Claimed { account: *account, adopted: false })
        }
        Heard::Adoptable { account } => Some(Change::Claimed { account: *account, adopted: true }),
        Heard::Refused { refusal } => Some(Change::Refused { refusal: refusal.clone() }),
        Heard::Discarded => Some(Change::Refused { refusal: Refusal::Expired }),
        Heard::Unknown
        | Heard::Accepted
        | Heard::OrganizationStands
        | Heard::OrganizationGone { .. }
        | Heard::Abandoned => None,
    }
}

/// One registration, as its row has it.
#[derive(Debug, Clone)]
pub(crate) struct Saga {
    pub(crate) request_id: RequestId,
    pub(crate) digest: Vec<u8>,
    pub(crate) digest_version: i16,
    pub(crate) enrolment_id: EnrolmentId,
    pub(crate) account_id: Option<AccountId>,
    pub(crate) adopted: bool,
    pub(crate) region: RegionCode,
    pub(crate) organization: OrganizationCode,
    pub(crate) league_member: bool,
    pub(crate) step: Step,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) retry_at: Option<OffsetDateTime>,
    pub(crate) next_step_at: Option<OffsetDateTime>,
    pub(crate) last_call_at: OffsetDateTime,
    pub(crate) attempts: i32,
}
