#![doc = include_str!("../README.md")]

mod config;
pub mod cuts;
mod error;
mod heads;
mod outbox;
mod publisher;
pub mod reader;
mod scope;
mod sequencer;
mod server;
mod source;
mod statement;
#[cfg(test)]
mod tests;
mod trim;
mod wake;
mod writer_db;

pub use config::FeedConfig;
pub use cuts::Cuts;
pub use error::Error;
pub use outbox::{NewEvent, Outbox};
pub use publisher::Publisher;
pub use reader::{Event, Page, Projection, Reader, Record};
pub use scope::{Follower, InScope, Scopes};
pub use server::{PullStream, Snapshot, SnapshotRow};
pub use source::Source;

/// The full name of a message, as payloads and snapshots carry it.
pub fn name_of<M: prost::Name>() -> String {
    M::full_name()
}

/// Partitions are numbered from 0 to 63.
pub const PARTITIONS: i16 = 64;
