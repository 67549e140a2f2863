//! Applying events as they come.

use std::convert::Infallible;
use std::time::Duration;

use zhiyuan_contracts::feed::v1::{ErrorReason, Heartbeat, PullRequest, PullResponse};
use zhiyuan_contracts::reason::Reason as _;
use zhiyuan_rpc::Remote;
use zhiyuan_rpc::wire::from_timestamp;

use super::chain::Chain;
use super::{Event, Inner, db};
use crate::error::Error;

/// A service tells every second that it is there.
const SILENCE: Duration = Duration::from_secs(10);

/// Follows the partitions of a slot until something is in the way.
pub(super) async fn follow(
    inner: &Inner,
    slot: i16,
    partitions: &[i16],
) -> Result<Infallible, Error> {
    let cursors = db::cursors(&inner.pool, inner.schema, inner.feed, partitions).await?;
    let mut chain = Chain::new(&cursors);
    let request = PullRequest { cursors: chain.cursors() };
    let mut stream = inner.source.pull(request).await.map_err(read_again)?;
    loop {
        let next = tokio::time::timeout(SILENCE, stream.message()).await;
        let message = next.map_err(|_elapsed| Error::Silent)?;
        let Some(message) = message.map_err(|status| read_again(Remote::from(status).into()))?
        else {
            return Err(Error::Unreachable);
        };
        let PullResponse { events, heartbeat } = message;
        if !events.is_empty() {
            let (events, next) = chain.extend(events)?;
            apply(inner, &chain, &next, &events).await?;
            chain = next;
        }
        if let Some(heartbeat) = heartbeat {
            meet(inner, slot, &mut chain, &heartbeat).await?;
        }
    }
}

/// The effect and the cursors in one transaction. If the events can't be applied
/// together, one by one, so that those before the one in the way are.
async fn apply(inner: &Inner, from: &Chain, to: &Chain, events: &[Event]) -> Result<(), Error> {
    let together = store(inner, from, to, events).await;
    if events.len() < 2 || !matches!(together, Err(Error::Apply(_))) {
        return together;
    }
    let mut chain = from.clone();
    for event in events {
        let next = chain.after(event);
        store(inner, &chain, &next, std::slice::from_ref(event)).await.inspect_err(|_why| {
            tracing::error!(
                feed = inner.feed,
                partition = event.partition,
                position = event.position,
                "this event is in the way of those after it"
            );
        })?;
        chain = next;
    }
    Ok(())
}

async fn store(inner: &Inner, from: &Chain, to: &Chain, events: &[Event]) -> Result<(), Error> {
    let mut partitions: Vec<i16> = events.iter().map(|event| event.partition).collect();
    partitions.sort_unstable();
    partitions.dedup();
    let mut transaction = inner.pool.begin().await?;
    let cursors = db::lock_cursors(&mut transaction, inner.schema, inner.feed, &partitions).await?;
    // Compared under the lock: of two readers of a partition, one finds it moved.
    let unmoved = cursors.len() == partitions.len()
        && cursors.iter().all(|cursor| {
            cursor.rebuild_type.is_none()
                && from.applied(cursor.partition).is_some_and(|applied| {
                    applied.position == cursor.position && applied.event_id == cursor.event_id
                })
        });
    if !unmoved {
        return Err(Error::Outrun);
    }
    inner.projection.apply(&mut transaction, events).await.map_err(Error::Apply)?;
    let (mut positions, mut ids) = (Vec::new(), Vec::new());
    for partition in &partitions {
        let applied = to.applied(*partition).ok_or(Error::Outrun)?;
        positions.push(applied.position);
        ids.push(applied.event_id.ok_or(Error::Outrun)?);
    }
    db::move_cursors(&mut transaction, inner.schema, inner.feed, &partitions, &positions, &ids)
        .await?;
    transaction.commit().await?;
    inner.projection.committed();
    Ok(())
}

/// Keeps the slot, and adopts the watermark once everything up to its heads was applied.
async fn meet(
    inner: &Inner,
    slot: i16,
    chain: &mut Chain,
    heartbeat: &Heartbeat,
) -> Result<(), Error> {
    let watermark = heartbeat
        .watermark
        .as_ref()
        .and_then(from_timestamp)
        .ok_or(Error::Contract("watermark"))?;
    let reached = chain.meet(&heartbeat.heads)?.then_some(watermark);
    let Inner { pool, schema, feed, holder, .. } = inner;
    if db::adopt(pool, schema, feed, slot, *holder, reached).await? {
        Ok(())
    } else {
        Err(Error::Outrun)
    }
}

/// What means that a partition is to be read again, whatever else it is.
fn read_again(error: Error) -> Error {
    let Error::Source(remote) = &error else { return error };
    let again = remote.domain == ErrorReason::DOMAIN
        && (remote.reason == ErrorReason::FeedDiverged.wire()
            || remote.reason == ErrorReason::FeedTrimmed.wire());
    let partition = remote.metadata.get("partition").and_then(|number| number.parse().ok());
    match partition {
        Some(partition) if again => Error::Diverged { partition },
        _ => error,
    }
}
