//! What is told of organizations: what everybody may read of them.

pub(super) mod db;
mod grpc;

use zhiyuan_contracts::orgtree::v1::{OrganizationChanged, OrganizationContacts};
use zhiyuan_domain::Partition;
use zhiyuan_feed::{NewEvent, SnapshotRow};

pub(crate) use grpc::Feed;

/// An organization, as far as it is told of.
pub(super) struct Told {
    code: String,
    revision: i64,
    name: String,
    kind: i16,
    parent_code: Option<String>,
    region_code: Option<String>,
    state: i16,
    successor_code: Option<String>,
    contact_phone: String,
    contact_group_number: String,
    contact_note: String,
    credit_code: Option<String>,
}

/// An organization whose row is locked has changed.
pub(super) fn changed(organization: &Told) -> NewEvent {
    let code = organization.code.as_str();
    let state = state(organization);
    let event = NewEvent::new(Partition::of_key(code), code, organization.revision, &state);
    // It is where it is: what takes it into a scope, or out of it, changes the scope itself.
    event.moved(Some(code), Some(code))
}

/// An organization on a page of a snapshot.
fn row(organization: &Told) -> SnapshotRow {
    let code = organization.code.as_str();
    SnapshotRow::new(code, organization.revision, &state(organization)).at(Some(code))
}

fn state(organization: &Told) -> OrganizationChanged {
    let or_empty = |code: &Option<String>| code.clone().unwrap_or_default();
    OrganizationChanged {
        code: organization.code.clone(),
        name: organization.name.clone(),
        // The numbers of the columns are those of the contract.
        kind: organization.kind.into(),
        parent_code: or_empty(&organization.parent_code),
        region_code: or_empty(&organization.region_code),
        state: organization.state.into(),
        successor_code: or_empty(&organization.successor_code),
        contacts: Some(OrganizationContacts {
            phone: organization.contact_phone.clone(),
            group_number: organization.contact_group_number.clone(),
            note: organization.contact_note.clone(),
        }),
        credit_code: or_empty(&organization.credit_code),
    }
}
