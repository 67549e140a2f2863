use std::sync::Arc;

use prost::{Message, Name};
use sqlx::PgConnection;
use tokio::sync::Notify;
use zhiyuan_domain::Partition;

use crate::writer_db;

/// A change to tell of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    pub(crate) partition: i16,
    pub(crate) key: String,
    pub(crate) revision: i64,
    pub(crate) kind: String,
    pub(crate) payload: Vec<u8>,
    /// Where the key was before and is after it; empty for at none. `None`: not known.
    pub(crate) places: Option<(String, String)>,
}

impl NewEvent {
    /// The state of `key` after the change that gave it `revision`.
    pub fn new<M: Message + Name>(
        partition: Partition,
        key: impl Into<String>,
        revision: i64,
        state: &M,
    ) -> Self {
        Self {
            partition: partition.get(),
            key: key.into(),
            revision,
            kind: M::full_name(),
            payload: state.encode_to_vec(),
            places: None,
        }
    }

    /// The organization at which the key was before the change, as it was told last, and at
    /// which it is after it; `None` for at none. Readers who are restricted see by these what
    /// is theirs, and read everything again where they are not said.
    #[must_use]
    pub fn moved(self, before: Option<&str>, after: Option<&str>) -> Self {
        let or_empty = |code: Option<&str>| code.unwrap_or_default().to_owned();
        Self { places: Some((or_empty(before), or_empty(after))), ..self }
    }
}

/// Where transactions leave what they changed. Clones are the same outbox.
#[derive(Debug, Clone)]
pub struct Outbox {
    schema: &'static str,
    woken: Arc<Notify>,
}

impl Outbox {
    /// The outbox of a schema, in a process that does not run its feed, such as one that
    /// loads data. Nobody is woken: whoever runs it finds the events a second later.
    pub fn unattended(schema: &'static str) -> Self {
        Self::new(schema, Arc::default())
    }

    pub(crate) fn new(schema: &'static str, woken: Arc<Notify>) -> Self {
        Self { schema, woken }
    }

    /// Tells of changes in the transaction that makes them. The rows of all keys must
    /// be locked by then and their revisions raised: the order in the feed is that of
    /// this call.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn append(
        &self,
        transaction: &mut PgConnection,
        events: &[NewEvent],
    ) -> Result<(), sqlx::Error> {
        if events.is_empty() {
            Ok(())
        } else {
            writer_db::append(transaction, self.schema, events).await
        }
    }

    /// To be called after the commit; what nobody calls for is found a second later.
    pub fn wake(&self) {
        self.woken.notify_one();
    }
}
