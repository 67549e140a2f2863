//! What the audit has of grants: who, about whom, within which organization, and by which
//! right, or for which reason not.

use uuid::Uuid;
use zhiyuan_audit::{Actor, Record};
use zhiyuan_domain::AccountId;

use super::{Grant, Role};

/// What the audit calls the giving of a role.
const GIVEN: &str = "orgtree.grant.given";
/// What it calls the end of a grant before its time.
const REVOKED: &str = "orgtree.grant.revoked";
/// What it calls that refused changes went on, more of them than it has one by one.
const WENT_ON: &str = "orgtree.grant.refusals";

/// By which right somebody changes a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// By this grant of their own.
    Grant(Uuid),
    /// It is theirs, and they give it up.
    Own,
    /// They have the configuration of the service.
    Operator,
    /// The account is closed.
    Closed,
}

impl Right {
    /// How the audit says it.
    pub(crate) fn told(self) -> String {
        match self {
            Self::Grant(id) => id.to_string(),
            Self::Own => "own".to_owned(),
            Self::Operator => "operator".to_owned(),
            Self::Closed => "closed".to_owned(),
        }
    }
}

/// A person who is signed in.
pub(crate) fn person(account_id: Uuid) -> Actor {
    Actor::Person(AccountId::from(account_id))
}

/// A role was given.
pub(crate) fn given(actor: Actor, grant: &Grant, right: Right) -> Record {
    let record = about(Record::done(actor, GIVEN), grant).with("allowed_by", right.told());
    match grant.expires_at {
        Some(end) => record.with("expires_at", end.unix_timestamp()),
        None => record,
    }
}

/// A grant was ended.
pub(crate) fn revoked(actor: Actor, grant: &Grant, right: Right) -> Record {
    about(Record::done(actor, REVOKED), grant).with("allowed_by", right.told())
}

/// A grant was ended, since another one of the same role lasts longer.
pub(crate) fn replaced(actor: Actor, grant: &Grant, right: Right, by: Uuid) -> Record {
    revoked(actor, grant, right).with("replaced_by", by)
}

/// So many changes were refused to somebody within an hour, those not counted that are recorded
/// one by one.
pub(crate) fn went_on(actor: Actor, refused: i64) -> Record {
    Record::refused(actor, WENT_ON).with("refused_within_the_hour", refused)
}

/// Somebody wanted to give a role and may not, for a reason of the contract.
pub(crate) fn not_given(
    actor: Actor,
    account_id: Uuid,
    code: &str,
    role: Role,
    reason: &'static str,
) -> Record {
    Record::refused(actor, GIVEN)
        .about(AccountId::from(account_id))
        .within(code)
        .with("role", role.name())
        .with("reason", reason)
}

/// Somebody wanted to end a grant and may not; there may be none of this id.
pub(crate) fn not_revoked(
    actor: Actor,
    id: Uuid,
    grant: Option<&Grant>,
    reason: &'static str,
) -> Record {
    let refused = Record::refused(actor, REVOKED);
    let refused = match grant {
        Some(grant) => about(refused, grant),
        None => refused.with("grant_id", id),
    };
    refused.with("reason", reason)
}

fn about(record: Record, grant: &Grant) -> Record {
    let record = record
        .about(AccountId::from(grant.account_id))
        .within(grant.organization_code.as_str())
        .with("grant_id", grant.id)
        .with("role", grant.role.name());
    match grant.delegated_from {
        Some(from) => record.with("delegated_from", from),
        None => record,
    }
}
