//! What the audit has of notices: who did what with which one.

use uuid::Uuid;
use zhiyuan_audit::Record;

use super::Notice;
use crate::authority::records::person;

/// What it calls that a notice was drafted.
pub(super) const DRAFTED: &str = "orgtree.notice.drafted";
/// What it calls that one was issued.
pub(super) const ISSUED: &str = "orgtree.notice.issued";
/// What it calls that a draft was deleted.
pub(super) const DELETED: &str = "orgtree.notice.deleted";
/// What it calls that a file was handed out.
pub(super) const DOWNLOADED: &str = "orgtree.notice.downloaded";
/// What it calls that an organization confirmed that it was read there.
pub(super) const CONFIRMED: &str = "orgtree.notice.confirmed";

/// Somebody did something with a notice.
pub(super) fn done(caller: Uuid, action: &'static str, notice: &Notice) -> Record {
    Record::done(person(caller), action)
        .within(notice.issuer_code.as_str())
        .with("notice", notice.id)
}

/// Somebody wanted to and may not; there may be no such notice.
pub(super) fn refused(
    caller: Uuid,
    action: &'static str,
    code: Option<&str>,
    id: Option<Uuid>,
    reason: &'static str,
) -> Record {
    let record = Record::refused(person(caller), action).with("reason", reason);
    let record = match code {
        Some(code) => record.within(code),
        None => record,
    };
    match id {
        Some(id) => record.with("notice", id),
        None => record,
    }
}
