//! What is told of volunteers.

use zhiyuan_contracts::registration::v1::{VolunteerChanged, VolunteerStatus};
use zhiyuan_domain::Partition;
use zhiyuan_feed::{NewEvent, SnapshotRow};
use zhiyuan_rpc::wire::timestamp;

use super::Told;

/// A volunteer whose row is locked has changed, and is where he was.
pub(crate) fn changed(volunteer: &Told) -> NewEvent {
    from(Some(&volunteer.organization_code), volunteer)
}

/// A volunteer whose row is locked has come from another organization; from none, if nothing
/// was told of him until now.
pub(crate) fn from(before: Option<&str>, volunteer: &Told) -> NewEvent {
    let (id, state) = (volunteer.volunteer_id, state(volunteer));
    let event = NewEvent::new(Partition::of(id), id.to_string(), volunteer.revision, &state);
    event.moved(before, Some(&volunteer.organization_code))
}

/// A volunteer on a page of a snapshot.
pub(crate) fn row(volunteer: &Told) -> SnapshotRow {
    let (id, state) = (volunteer.volunteer_id.to_string(), state(volunteer));
    SnapshotRow::new(id, volunteer.revision, &state).at(Some(&volunteer.organization_code))
}

fn state(volunteer: &Told) -> VolunteerChanged {
    let status = if volunteer.closed {
        VolunteerStatus::Closed
    } else if volunteer.account_missing {
        VolunteerStatus::AccountMissing
    } else {
        VolunteerStatus::Active
    };
    VolunteerChanged {
        volunteer_id: volunteer.volunteer_id.to_string(),
        volunteer_number: volunteer.volunteer_number.clone(),
        region_code: volunteer.region_code.clone(),
        organization_code: volunteer.organization_code.clone(),
        league_member: volunteer.league_member,
        status: status.into(),
        level: volunteer.level.into(),
        register_time: Some(timestamp(volunteer.registered_at)),
    }
}
