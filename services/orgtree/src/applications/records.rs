//! What the audit has of applications: who did what with which one, and neither what it says nor
//! what was written about it.

use uuid::Uuid;
use zhiyuan_audit::{Actor, Record};
use zhiyuan_domain::AccountId;

use super::db::Lapsed;
use super::{Application, Step};
use crate::authority::records::person;
use crate::run::NAME;

/// What it calls that an application was handed in first.
pub(super) const SUBMITTED: &str = "orgtree.application.submitted";

/// What it calls that somebody looked at whom to ask.
pub(super) const REVEALED: &str = "orgtree.application.revealed";

/// Why an application ends whose superior is closed.
pub(super) const SUPERIOR_CLOSED: &str = "superior_closed";

impl Step {
    /// What the audit calls it.
    pub(super) fn action(self) -> &'static str {
        match self {
            Self::Resubmit => "orgtree.application.resubmitted",
            Self::Withdraw => "orgtree.application.withdrawn",
            Self::Accept => "orgtree.application.accepted",
            Self::Return => "orgtree.application.returned",
            Self::Reject => "orgtree.application.rejected",
            Self::Expire => "orgtree.application.expired",
            Self::Lapse => "orgtree.application.lapsed",
        }
    }
}

/// Somebody did something with an application: by a grant, or because it is the own one.
pub(super) fn done(
    caller: Uuid,
    action: &'static str,
    application: &Application,
    allowed_by: impl ToString,
) -> Record {
    let record = about(Record::done(person(caller), action), application);
    record.with("allowed_by", allowed_by)
}

/// It ended by itself.
pub(super) fn ended(step: Step, application: &Application, why: &'static str) -> Record {
    let record = Record::done(Actor::Service(NAME.to_owned()), step.action());
    about(record, application).with("why", why)
}

/// It ended with its superior.
pub(super) fn lapsed(one: &Lapsed) -> Record {
    let action = Step::Lapse.action();
    Record::done(Actor::Service(NAME.to_owned()), action)
        .about(AccountId::from(one.applicant))
        .within(one.superior_code.as_str())
        .with("application", one.id)
        .with("why", SUPERIOR_CLOSED)
}

/// Somebody wanted to do something with an application and may not; there may be none.
pub(super) fn refused(
    caller: Uuid,
    action: &'static str,
    application: Option<&Application>,
    reason: &'static str,
) -> Record {
    let record = Record::refused(person(caller), action);
    let record = match application {
        Some(application) => about(record, application),
        None => record,
    };
    record.with("reason", reason)
}

fn about(record: Record, application: &Application) -> Record {
    record
        .about(AccountId::from(application.applicant))
        .within(application.superior_code.as_str())
        .with("application", application.id)
}
