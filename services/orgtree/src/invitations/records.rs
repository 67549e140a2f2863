//! What the audit has of invitations: neither codes nor numbers, nor what was noted.

use uuid::Uuid;
use zhiyuan_audit::Record;
use zhiyuan_domain::AccountId;

use super::Invitation;
use crate::authority::records::{Right, person};

/// What the audit calls the making of an invitation.
pub(super) const MADE: &str = "orgtree.invitation.made";
/// What it calls that somebody used the code of one.
pub(super) const ACCEPTED: &str = "orgtree.invitation.accepted";
/// What it calls that the role was given; `orgtree.grant.given` stands beside it.
pub(super) const CONFIRMED: &str = "orgtree.invitation.confirmed";
/// What it calls that one was taken back.
pub(super) const WITHDRAWN: &str = "orgtree.invitation.withdrawn";

/// Something was done with an invitation.
pub(super) fn done(
    caller: Uuid,
    action: &'static str,
    invitation: &Invitation,
    right: Option<Right>,
) -> Record {
    let record = about(Record::done(person(caller), action), invitation);
    match right {
        Some(right) => record.with("allowed_by", right.told()),
        None => record,
    }
}

/// Somebody wanted to do something with an invitation and may not; there may be none.
pub(super) fn refused(
    caller: Uuid,
    action: &'static str,
    invitation: Option<&Invitation>,
    reason: &'static str,
) -> Record {
    let record = Record::refused(person(caller), action);
    let record = match invitation {
        Some(invitation) => about(record, invitation),
        None => record,
    };
    record.with("reason", reason)
}

/// Somebody wanted to make an invitation there and may not.
pub(super) fn not_made(caller: Uuid, code: &str, reason: &'static str) -> Record {
    Record::refused(person(caller), MADE).within(code).with("reason", reason)
}

fn about(record: Record, invitation: &Invitation) -> Record {
    let record = match invitation.accepted {
        Some(accepted) => record.about(AccountId::from(accepted.account_id)),
        None => record,
    };
    let record = record
        .within(invitation.organization_code.as_str())
        .with("invitation_id", invitation.id)
        .with("role", invitation.role.name());
    match invitation.delegated_from {
        Some(from) => record.with("delegated_from", from),
        None => record,
    }
}
