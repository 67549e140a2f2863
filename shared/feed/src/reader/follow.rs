//! Applying events as they come.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use sqlx::PgConnection;
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;
use zhiyuan_contracts::feed::v1::{
    self as wire, ErrorReason, Heartbeat, PullRequest, PullResponse,
};
use zhiyuan_rpc::Remote;
use zhiyuan_rpc::wire::from_timestamp;

use super::chain::Chain;
use super::{Event, Inner, db};
use crate::cuts;
use crate::error::Error;

/// A service tells every second that it is there.
const SILENCE: Duration = Duration::from_secs(10);
/// A slot is kept at least so often; its lease is three times as long.
const RENEW: Duration = Duration::from_secs(5);

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
    let (mut held, mut renewed) = (Held::default(), Instant::now());
    loop {
        let next = tokio::time::timeout(SILENCE, stream.message()).await;
        let message = next.map_err(|_elapsed| Error::Silent)?;
        let Some(message) = message.map_err(|status| read_again(Remote::from(status).into()))?
        else {
            return Err(Error::Unreachable);
        };
        let PullResponse { mut events, heartbeat, scope_version } = message;
        if !chain.is_of(&scope_version) {
            return Err(Error::ScopeChanged { version: Some(scope_version) });
        }
        // They come again once the cut is taken.
        events.retain(|event| !held.holds(event.partition));
        if !events.is_empty() {
            apply(inner, &mut chain, &mut held, events).await?;
        }
        if let Some(heartbeat) = heartbeat {
            meet(inner, slot, &mut chain, &held, &heartbeat).await?;
            renewed = Instant::now();
        } else if renewed.elapsed() > RENEW {
            // Much to apply, and no heartbeat before it is.
            inner.keep(slot, None).await?;
            renewed = Instant::now();
        }
    }
}

/// What waits until an open cut is taken.
#[derive(Debug, Default)]
struct Held {
    /// The time of the cut.
    at: Option<OffsetDateTime>,
    /// The partitions that have something later.
    partitions: BTreeSet<i16>,
}

impl Held {
    fn holds(&self, partition: i32) -> bool {
        i16::try_from(partition).is_ok_and(|partition| self.partitions.contains(&partition))
    }
}

/// The effect and the cursors in one transaction. If the events can't be applied
/// together, one by one, so that those before the one in the way are.
async fn apply(
    inner: &Inner,
    chain: &mut Chain,
    held: &mut Held,
    events: Vec<wire::Event>,
) -> Result<(), Error> {
    let events = chain.read(events)?;
    let together = store(inner, chain, held, &events).await;
    if !matches!(together, Err(Error::Apply(_))) {
        return together;
    }
    for event in &events {
        // The cut may have been taken since an event before it was held back.
        if held.partitions.contains(&event.partition) {
            continue;
        }
        store(inner, chain, held, std::slice::from_ref(event)).await.inspect_err(|_why| {
            tracing::error!(
                feed = inner.feed,
                partition = event.partition,
                position = event.position,
                "this event is in the way of those after it"
            );
        })?;
    }
    Ok(())
}

/// Applies those of the events that are not stamped after an open cut.
async fn store(
    inner: &Inner,
    chain: &mut Chain,
    held: &mut Held,
    events: &[Event],
) -> Result<(), Error> {
    let mut transaction = inner.pool.begin().await?;
    let hold = cuts::db::hold(&mut transaction, inner.schema).await?;
    let later = |event: &Event| hold.is_some_and(|at| event.sequenced_at > at);
    // Stamps rise within a partition: what is held back is the end of each.
    let now: Cow<'_, [Event]> = if events.iter().any(later) {
        events.iter().filter(|event| !later(event)).cloned().collect()
    } else {
        Cow::Borrowed(events)
    };
    if !chain.is_followed_by(&now) {
        return Err(Error::Outrun);
    }
    if !now.is_empty() {
        let mut last: BTreeMap<i16, &Event> = BTreeMap::new();
        for event in now.iter() {
            last.insert(event.partition, event);
        }
        let partitions: Vec<i16> = last.keys().copied().collect();
        unmoved(inner, &mut transaction, chain, &partitions).await?;
        // Of what is none of a reader's who is restricted, only the position moves.
        let told: Cow<'_, [Event]> = if now.iter().any(|event| event.empty) {
            now.iter().filter(|event| !event.empty).cloned().collect()
        } else {
            Cow::Borrowed(&now)
        };
        if !told.is_empty() {
            inner.projection.apply(&mut transaction, &told).await.map_err(Error::Apply)?;
        }
        let positions: Vec<i64> = last.values().map(|event| event.position).collect();
        let ids: Vec<Uuid> = last.values().map(|event| event.event_id).collect();
        let stamps: Vec<OffsetDateTime> = last.values().map(|event| event.sequenced_at).collect();
        let Inner { schema, feed, .. } = inner;
        db::move_cursors(&mut transaction, schema, feed, &partitions, &positions, &ids, &stamps)
            .await?;
    }
    transaction.commit().await?;
    if !now.is_empty() {
        inner.projection.committed();
    }
    now.iter().for_each(|event| chain.advance(event));
    for event in events.iter().filter(|event| later(event)) {
        held.at = hold;
        held.partitions.insert(event.partition);
    }
    Ok(())
}

/// Locks the cursors, and sees that they are where the chain is: of two readers of a
/// partition, one finds it moved.
async fn unmoved(
    inner: &Inner,
    transaction: &mut PgConnection,
    chain: &Chain,
    partitions: &[i16],
) -> Result<(), Error> {
    let cursors = db::lock_cursors(transaction, inner.schema, inner.feed, partitions).await?;
    let unmoved = cursors.len() == partitions.len()
        && cursors.iter().all(|cursor| {
            cursor.rebuild_type.is_none()
                && chain.applied(cursor.partition).is_some_and(|applied| {
                    applied.position == cursor.position && applied.event_id == cursor.event_id
                })
        });
    if unmoved { Ok(()) } else { Err(Error::Outrun) }
}

/// Keeps the slot, and adopts the watermark once everything up to its heads was applied;
/// the time of the cut instead, if something later is held back.
async fn meet(
    inner: &Inner,
    slot: i16,
    chain: &mut Chain,
    held: &Held,
    heartbeat: &Heartbeat,
) -> Result<(), Error> {
    let watermark = heartbeat
        .watermark
        .as_ref()
        .and_then(from_timestamp)
        .ok_or(Error::Contract("watermark"))?;
    let all = chain.meet(&heartbeat.heads, &held.partitions)?;
    let until = held.at.unwrap_or(watermark);
    let reached = (all && until <= watermark).then_some(until);
    inner.keep(slot, reached).await?;
    if held.at.is_some() && cuts::db::open(&inner.pool, inner.schema).await? != held.at {
        return Err(Error::CutTaken);
    }
    Ok(())
}

/// What means that a partition is to be read again, whatever else it is.
pub(super) fn read_again(error: Error) -> Error {
    let Error::Source(remote) = &error else { return error };
    if remote.is(ErrorReason::FeedScopeChanged) {
        return Error::ScopeChanged { version: remote.metadata.get("scope_version").cloned() };
    }
    let again = remote.is(ErrorReason::FeedDiverged) || remote.is(ErrorReason::FeedTrimmed);
    let partition = remote.metadata.get("partition").and_then(|number| number.parse().ok());
    match partition {
        Some(partition) if again => Error::Diverged { partition },
        _ => error,
    }
}
