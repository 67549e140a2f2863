//! What is told of enrolments and accounts: that they changed, never whose they are.

pub(crate) mod db;
pub(crate) mod grpc;

use uuid::Uuid;
use zhiyuan_contracts::identity::v1::{
    AccountChanged, AccountState, Consent, ConsentsChanged, EnrolmentChanged, RosterPersonEnded,
};
use zhiyuan_domain::Partition;
use zhiyuan_feed::NewEvent;

use crate::consents::Purpose;
use crate::enrolments::State;

/// An enrolment whose row is locked has another state.
pub(crate) fn enrolment_changed(id: Uuid, revision: i64, state: State) -> NewEvent {
    let changed = EnrolmentChanged { enrolment_id: id.to_string(), state: state.to_wire().into() };
    NewEvent::new(Partition::of(id), id.to_string(), revision, &changed)
}

/// An account whose row is locked is active, or proved by another level.
pub(crate) fn account_changed(id: Uuid, revision: i64, level: i16) -> NewEvent {
    let changed = account(id, level, AccountState::Active);
    NewEvent::new(Partition::of(id), id.to_string(), revision, &changed)
}

/// Somebody on a roster, whose row was deleted, turned out to have another name. The id is never
/// used again.
pub(crate) fn roster_person_ended(id: Uuid) -> NewEvent {
    let ended = RosterPersonEnded { person_id: id.to_string() };
    NewEvent::new(Partition::of(id), id.to_string(), 1, &ended)
}

/// The consents of an account, whose row is locked, are these.
pub(crate) fn consents_changed(id: Uuid, revision: i64, given: &[(Purpose, String)]) -> NewEvent {
    NewEvent::new(Partition::of(id), id.to_string(), revision, &consents(id, given))
}

fn consents(id: Uuid, given: &[(Purpose, String)]) -> ConsentsChanged {
    let consent = |(purpose, version): &(Purpose, String)| Consent {
        purpose: purpose.to_wire().into(),
        version: version.clone(),
    };
    ConsentsChanged { account_id: id.to_string(), given: given.iter().map(consent).collect() }
}

/// An account whose row is locked is closed.
pub(crate) fn account_closed(id: Uuid, revision: i64, level: i16) -> NewEvent {
    let changed = account(id, level, AccountState::Closed);
    NewEvent::new(Partition::of(id), id.to_string(), revision, &changed)
}

fn account(id: Uuid, level: i16, state: AccountState) -> AccountChanged {
    AccountChanged { account_id: id.to_string(), state: state.into(), level: level.into() }
}
