//! Whether what comes follows what was applied: no I/O.

use std::collections::{BTreeMap, BTreeSet};

use prost_types::Any;
use uuid::Uuid;
use zhiyuan_contracts::feed::v1 as wire;
use zhiyuan_rpc::wire::from_timestamp;

use super::Event;
use super::db::CursorRow;
use crate::error::Error;

/// What was applied last in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Applied {
    pub(super) position: i64,
    pub(super) event_id: Option<Uuid>,
}

impl Applied {
    fn at(event: &Event) -> Self {
        Self { position: event.position, event_id: Some(event.event_id) }
    }

    /// Goes on to an event; `false` if it is not the very next one.
    fn step(&mut self, event: &Event) -> bool {
        let follows =
            event.position == self.position + 1 && event.previous_event_id == self.event_id;
        *self = Self::at(event);
        follows
    }
}

/// The partitions of a slot, and how far each is.
#[derive(Debug, Clone, Default)]
pub(super) struct Chain {
    applied: BTreeMap<i16, Applied>,
    heads: BTreeMap<i16, i64>,
    /// By which scope each was told.
    scopes: BTreeMap<i16, String>,
}

impl Chain {
    pub(super) fn new(cursors: &[CursorRow]) -> Self {
        let applied = cursors.iter().map(|cursor| {
            let applied = Applied { position: cursor.position, event_id: cursor.event_id };
            (cursor.partition, applied)
        });
        let scope = |cursor: &CursorRow| (cursor.partition, cursor.scope_version.clone());
        let scopes = cursors.iter().map(scope).collect();
        Self { applied: applied.collect(), heads: BTreeMap::new(), scopes }
    }

    /// The cursors as they are asked with.
    pub(super) fn cursors(&self) -> Vec<wire::Cursor> {
        let cursor = |(partition, applied): (&i16, &Applied)| wire::Cursor {
            partition: i32::from(*partition),
            position: applied.position,
            event_id: applied.event_id.map(|id| id.to_string()).unwrap_or_default(),
            scope_version: self.scopes.get(partition).cloned().unwrap_or_default(),
        };
        self.applied.iter().map(cursor).collect()
    }

    /// Whether all of it was told by this scope.
    pub(super) fn is_of(&self, scope_version: &str) -> bool {
        self.scopes.values().all(|version| version == scope_version)
    }

    /// What was applied last in each of these partitions.
    pub(super) fn applied(&self, partition: i16) -> Option<Applied> {
        self.applied.get(&partition).copied()
    }

    /// Reads events, each of which must follow what was applied, or read, before it in
    /// its partition.
    pub(super) fn read(&self, events: Vec<wire::Event>) -> Result<Vec<Event>, Error> {
        let mut next = self.applied.clone();
        let mut read = Vec::with_capacity(events.len());
        for event in events {
            let event = parse(event)?;
            let partition = event.partition;
            let last = next
                .get_mut(&partition)
                .ok_or(Error::Contract("a partition that was not asked for"))?;
            if !last.step(&event) {
                return Err(Error::Diverged { partition });
            }
            read.push(event);
        }
        Ok(read)
    }

    /// Whether these are the very next events of their partitions.
    pub(super) fn is_followed_by(&self, events: &[Event]) -> bool {
        let mut next = self.applied.clone();
        events
            .iter()
            .all(|event| next.get_mut(&event.partition).is_some_and(|last| last.step(event)))
    }

    /// Goes on: this event was applied.
    pub(super) fn advance(&mut self, event: &Event) {
        self.applied.insert(event.partition, Applied::at(event));
    }

    /// Reads the heads of a heartbeat, which must agree with what was applied. Tells
    /// whether everything up to them was, but for the partitions that are `held` back.
    pub(super) fn meet(
        &mut self,
        heads: &[wire::Head],
        held: &BTreeSet<i16>,
    ) -> Result<bool, Error> {
        for head in heads {
            let partition = i16::try_from(head.partition)
                .map_err(|_range| Error::Contract("a partition out of range"))?;
            let applied = self
                .applied
                .get(&partition)
                .ok_or(Error::Contract("a partition that was not asked for"))?;
            let agrees = match head.position - applied.position {
                0 => id(&head.event_id)? == applied.event_id,
                1 => id(&head.previous_event_id)? == applied.event_id,
                ahead => ahead > 0,
            };
            if !agrees {
                return Err(Error::Diverged { partition });
            }
            self.heads.insert(partition, head.position);
        }
        Ok(self.applied.iter().all(|(partition, applied)| {
            held.contains(partition)
                || self.heads.get(partition).is_some_and(|head| applied.position >= *head)
        }))
    }
}

fn id(text: &str) -> Result<Option<Uuid>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    Uuid::try_parse(text).map(Some).map_err(|_form| Error::Contract("an id that is no UUID"))
}

fn parse(event: wire::Event) -> Result<Event, Error> {
    let empty = event.key.is_empty() && event.revision == 0 && event.payload.is_none();
    Ok(Event {
        partition: i16::try_from(event.partition)
            .map_err(|_range| Error::Contract("a partition out of range"))?,
        position: event.position,
        sequenced_at: event
            .sequence_time
            .as_ref()
            .and_then(from_timestamp)
            .ok_or(Error::Contract("sequence_time"))?,
        event_id: id(&event.event_id)?.ok_or(Error::Contract("event_id"))?,
        previous_event_id: id(&event.previous_event_id)?,
        key: event.key,
        revision: event.revision,
        payload: match event.payload {
            None if empty => Any::default(),
            payload => payload.ok_or(Error::Contract("payload"))?,
        },
        empty,
    })
}

#[cfg(test)]
mod tests;
