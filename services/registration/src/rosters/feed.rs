//! What is told of members on rosters.

use zhiyuan_contracts::registration::v1::RosterMemberChanged;
use zhiyuan_domain::Partition;
use zhiyuan_feed::{NewEvent, SnapshotRow};

use super::db::Member;

/// Somebody whose row is locked came on a roster, or went off it.
pub(crate) fn changed(member: &Member) -> NewEvent {
    let id = member.person_id;
    let event = NewEvent::new(Partition::of(id), id.to_string(), member.revision, &state(member));
    event.moved(member.left.as_deref(), member.organization_code.as_deref())
}

/// Somebody on a page of a snapshot; who is on none any more, too, since the revisions go on.
pub(crate) fn row(member: &Member) -> SnapshotRow {
    let place = member.organization_code.as_deref();
    SnapshotRow::new(member.person_id.to_string(), member.revision, &state(member)).at(place)
}

fn state(member: &Member) -> RosterMemberChanged {
    RosterMemberChanged {
        person_id: member.person_id.to_string(),
        organization_code: member.organization_code.clone().unwrap_or_default(),
    }
}
