//! What the `FeedService` of every service answers.

mod pull;
mod snapshot;

pub use pull::PullStream;
#[cfg(test)]
pub(crate) use pull::is_scope_version;
pub use snapshot::{Snapshot, SnapshotRow};

use uuid::Uuid;
use zhiyuan_contracts::feed::v1::Head;

use crate::writer_db::HeadRow;

/// A head on the wire; position 0 if there is none.
fn head_on_wire(partition: i16, head: Option<&HeadRow>) -> Head {
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    Head {
        partition: i32::from(partition),
        position: head.map_or(0, |head| head.position),
        event_id: text(head.map(|head| head.event_id)),
        previous_event_id: text(head.and_then(|head| head.previous_event_id)),
    }
}
