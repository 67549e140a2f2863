//! Sending events as they are sequenced.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{Stream, unfold};
use prost::Name as _;
use prost_types::Any;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;
use uuid::Uuid;
use zhiyuan_contracts::feed::v1::{
    Cursor, Event, Head, Heartbeat, Left, PullRequest, PullResponse,
};
use zhiyuan_domain::Violation;
use zhiyuan_rpc::wire::timestamp;
use zhiyuan_rpc::{Error, FieldFault};

use super::head_on_wire;
use crate::PARTITIONS;
use crate::error::{answered, diverged, scope_changed, trimmed};
use crate::heads::Heads;
use crate::publisher::Publisher;
use crate::scope::{Follower, Lens, version_of};
use crate::writer_db::{self, EventRow, Place};

/// Events in one message.
const MESSAGE: usize = 500;
/// Heartbeats are not sent more often.
const BEAT: Duration = Duration::from_millis(900);
/// How far a follower is, is noted so often; whoever has it applied is within minutes of
/// it, and events are kept for days.
const NOTE: Duration = Duration::from_secs(60);

/// The answer of `Pull`.
pub type PullStream = Pin<Box<dyn Stream<Item = Result<PullResponse, Status>> + Send>>;

/// What was sent last of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sent {
    position: i64,
    event_id: Option<Uuid>,
}

impl Publisher {
    /// Sends what comes after the cursors of `follower`, until the stop of the process.
    ///
    /// # Errors
    /// `INVALID_FIELDS`, `FEED_NOT_SCOPED`, `FEED_SCOPE_CHANGED`, `FEED_DIVERGED`,
    /// `FEED_TRIMMED`; the stream can end with the latter three as well.
    pub async fn pull(
        &self,
        follower: &Follower,
        request: PullRequest,
    ) -> Result<PullStream, Error> {
        let sent = parse(&request)?;
        let lens = self.lens(follower).await?;
        let version = version_of(lens.as_ref());
        // Whoever was told by another scope has what is not in this one, or not all that is.
        if request.cursors.iter().any(|cursor| cursor.scope_version != version) {
            return Err(scope_changed(version));
        }
        let partitions: Vec<i16> = sent.keys().copied().collect();
        let positions: Vec<i64> = sent.values().map(|sent| sent.position).collect();
        let places = writer_db::places(&self.pool, self.schema, &partitions, &positions)
            .await
            .map_err(answered)?;
        for place in &places {
            check(place, sent.get(&place.partition).and_then(|sent| sent.event_id))?;
        }
        // After the places: heads with this watermark or a later one hold all cursors.
        let (since, _) = writer_db::heads(&self.pool, self.schema).await.map_err(answered)?;
        let now = self.clock.now();
        let name = follower.name.as_str();
        writer_db::note_follower(&self.pool, self.schema, name, &partitions, &positions, now)
            .await
            .map_err(answered)?;
        let stream = Pulling {
            publisher: self.clone(),
            heads: self.heads.clone(),
            follower: name.to_owned(),
            lens,
            noted: Instant::now(),
            sent,
            goal: None,
            since,
            told: BTreeMap::new(),
            beat: None,
            over: false,
        };
        Ok(Box::pin(unfold(stream, |mut stream| async {
            let next = stream.next().await?;
            Some((next.map_err(Status::from), stream))
        })))
    }
}

fn parse(request: &PullRequest) -> Result<BTreeMap<i16, Sent>, Error> {
    let mut faults = Vec::new();
    let mut sent = BTreeMap::new();
    if request.cursors.is_empty() {
        faults.push(fault("cursors", "CURSORS_MISSING", "请至少填写一个分区的读取位置"));
    }
    for (index, cursor) in
        request.cursors.iter().enumerate().take(1 + usize::from(PARTITIONS.unsigned_abs()))
    {
        let field = |name: &str| format!("cursors[{index}].{name}");
        let Some(partition) = partition(cursor.partition) else {
            faults.push(fault(field("partition"), "PARTITION_RANGE", "分区应在 0 至 63 之间"));
            continue;
        };
        if !is_scope_version(&cursor.scope_version) {
            faults.push(scope_fault(field("scope_version")));
        }
        match place_of(cursor) {
            None => faults.push(fault(
                field("event_id"),
                "CURSOR_FORM",
                "读取位置应为不小于 0 的整数，并附该位置事件的编号；位置 0 不附编号",
            )),
            Some(place) => {
                if sent.insert(partition, place).is_some() {
                    faults.push(fault(field("partition"), "PARTITION_REPEATED", "分区重复"));
                }
            }
        }
    }
    if faults.is_empty() { Ok(sent) } else { Err(Error::invalid_fields(faults)) }
}

/// A partition of the wire.
pub(super) fn partition(number: i32) -> Option<i16> {
    i16::try_from(number).ok().filter(|partition| (0..PARTITIONS).contains(partition))
}

fn place_of(cursor: &Cursor) -> Option<Sent> {
    match (cursor.position, cursor.event_id.as_str()) {
        (0, "") => Some(Sent { position: 0, event_id: None }),
        (position, id) if (1..i64::MAX).contains(&position) => {
            Some(Sent { position, event_id: Some(Uuid::try_parse(id).ok()?) })
        }
        _ => None,
    }
}

/// Whether it is a version of a scope, as far as its form tells.
pub(crate) fn is_scope_version(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() <= 64 && text.bytes().all(fits)
}

pub(super) fn scope_fault(field: impl Into<String>) -> FieldFault {
    fault(field, "SCOPE_VERSION_FORM", "范围版本应为服务先前应答中的值，没有则留空")
}

pub(super) fn fault(
    field: impl Into<String>,
    reason: &'static str,
    message: &'static str,
) -> FieldFault {
    FieldFault::new(field, Violation { reason, message: message.to_owned() })
}

/// Whether the service still has what the cursor names.
fn check(place: &Place, id: Option<Uuid>) -> Result<(), Error> {
    if place.position < place.trimmed_to {
        return Err(trimmed(place.partition));
    }
    if place.position == 0 {
        return Ok(());
    }
    // Just trimmed: only the event after it still names it.
    let known =
        place.found.or(if place.position == place.trimmed_to { place.told_by_next } else { None });
    if place.position <= place.head && known == id {
        Ok(())
    } else {
        Err(diverged(place.partition))
    }
}

/// A stream on its way.
struct Pulling {
    publisher: Publisher,
    heads: watch::Receiver<Heads>,
    follower: String,
    lens: Option<Lens>,
    /// When it was noted last how far the follower is.
    noted: Instant,
    sent: BTreeMap<i16, Sent>,
    /// The heads that are sent up to.
    goal: Option<Heads>,
    /// Heads that this process read before may not hold what the follower has from
    /// another one.
    since: OffsetDateTime,
    /// The heads of the last heartbeat.
    told: BTreeMap<i16, Head>,
    beat: Option<Instant>,
    over: bool,
}

impl Pulling {
    async fn next(&mut self) -> Option<Result<PullResponse, Error>> {
        if self.over {
            return None;
        }
        let next = self.try_next().await;
        self.over = next.is_err();
        Some(next)
    }

    async fn try_next(&mut self) -> Result<PullResponse, Error> {
        loop {
            if self.goal.is_none() {
                let heads = self.heads.borrow_and_update().clone();
                self.goal = Some(heads).filter(|heads| heads.watermark >= self.since);
            }
            // Up to there first, and its heartbeat, however much has come meanwhile: who
            // only just keeps up hears how far it is.
            if let Some(heads) = self.goal.clone() {
                let behind = self.behind(&heads)?;
                if !behind.is_empty() {
                    let events = self.fetch(&behind).await?;
                    return Ok(self.response(events, None));
                }
                self.goal = None;
                if let Some(heartbeat) = self.heartbeat(&heads) {
                    // Where nothing happens, too, nobody goes on by a scope that was.
                    if let Some(lens) = &self.lens {
                        lens.look(BTreeSet::new()).await?;
                    }
                    self.note(Instant::now()).await?;
                    return Ok(self.response(Vec::new(), Some(heartbeat)));
                }
            }
            if self.heads.changed().await.is_err() {
                return Err(Error::draining());
            }
        }
    }

    fn response(&self, events: Vec<Event>, heartbeat: Option<Heartbeat>) -> PullResponse {
        let scope_version = version_of(self.lens.as_ref()).to_owned();
        PullResponse { events, heartbeat, scope_version }
    }

    /// The partitions with something to send, up to where.
    fn behind(&self, heads: &Heads) -> Result<Vec<(i16, i64, i64)>, Error> {
        let mut behind = Vec::new();
        for (partition, sent) in &self.sent {
            let head = heads.of(*partition);
            let position = head.map_or(0, |head| head.position);
            if position > sent.position {
                behind.push((*partition, sent.position, position));
            } else if position < sent.position || head.map(|head| head.event_id) != sent.event_id {
                // Restored to an older state while the stream was open.
                return Err(diverged(*partition));
            }
        }
        Ok(behind)
    }

    async fn fetch(&mut self, behind: &[(i16, i64, i64)]) -> Result<Vec<Event>, Error> {
        let partitions: Vec<i16> = behind.iter().map(|(partition, ..)| *partition).collect();
        let after: Vec<i64> = behind.iter().map(|(_, after, _)| *after).collect();
        let upto: Vec<i64> = behind.iter().map(|(.., upto)| *upto).collect();
        let limit = i64::try_from(MESSAGE).unwrap_or(i64::MAX);
        let Publisher { pool, schema, .. } = &self.publisher;
        let how = (limit, self.lens.is_some());
        let rows = writer_db::events(pool, schema, &partitions, &after, &upto, how)
            .await
            .map_err(answered)?;
        let Some(first) = behind.first() else { return Ok(Vec::new()) };
        if rows.is_empty() {
            return Err(trimmed(first.0));
        }
        let seen = match &self.lens {
            None => None,
            Some(lens) => Some(lens.look(places_of(&rows)).await?),
        };
        rows.into_iter().map(|row| self.send(row, seen.as_ref())).collect()
    }

    /// Notes an event as sent, if it follows the one before; of one who is restricted, as far
    /// as it is `seen`.
    fn send(&mut self, row: EventRow, seen: Option<&HashSet<String>>) -> Result<Event, Error> {
        let Some(sent) = self.sent.get_mut(&row.partition) else {
            return Err(Error::internal("an event of a partition that was not asked for"));
        };
        if row.position != sent.position + 1 {
            return Err(trimmed(row.partition));
        }
        if row.previous_event_id != sent.event_id {
            return Err(diverged(row.partition));
        }
        *sent = Sent { position: row.position, event_id: Some(row.event_id) };
        match seen {
            None => Ok(on_wire(row)),
            Some(seen) => restricted(row, seen),
        }
    }

    /// Notes how far the follower is, so that what it has passed can be trimmed.
    async fn note(&mut self, now: Instant) -> Result<(), Error> {
        if now.duration_since(self.noted) < NOTE {
            return Ok(());
        }
        self.noted = now;
        let partitions: Vec<i16> = self.sent.keys().copied().collect();
        let positions: Vec<i64> = self.sent.values().map(|sent| sent.position).collect();
        let Publisher { pool, schema, clock, .. } = &self.publisher;
        let at = clock.now();
        writer_db::note_follower(pool, schema, &self.follower, &partitions, &positions, at)
            .await
            .map_err(answered)
    }

    /// A heartbeat, unless the last one was just now.
    fn heartbeat(&mut self, heads: &Heads) -> Option<Heartbeat> {
        let now = Instant::now();
        if self.beat.is_some_and(|last| now.duration_since(last) < BEAT) {
            return None;
        }
        self.beat = Some(now);
        let mut changed = Vec::new();
        for partition in self.sent.keys() {
            let head = head_on_wire(*partition, heads.of(*partition));
            if self.told.get(partition) != Some(&head) {
                self.told.insert(*partition, head.clone());
                changed.push(head);
            }
        }
        Some(Heartbeat { watermark: Some(timestamp(heads.watermark)), heads: changed })
    }
}

/// All organizations at which keys were before these events, or are after them.
fn places_of(rows: &[EventRow]) -> BTreeSet<String> {
    let places = rows.iter().flat_map(|row| [&row.place_before, &row.place_after]);
    places.flatten().filter(|place| !place.is_empty()).cloned().collect()
}

/// What somebody who is restricted is told of an event: the state, if its key is in the scope
/// after it; that it left, if it only was before; otherwise that there is one.
///
/// Where it is not known, it can't be told, and neither what comes after it.
fn restricted(row: EventRow, seen: &HashSet<String>) -> Result<Event, Error> {
    let (Some(before), Some(after)) = (&row.place_before, &row.place_after) else {
        return Err(trimmed(row.partition));
    };
    let (before, after) = (seen.contains(before), seen.contains(after));
    if after {
        return Ok(on_wire(row));
    }
    if before {
        let left = Left { r#type: row.kind };
        let (kind, payload) = (Left::full_name(), prost::Message::encode_to_vec(&left));
        return Ok(on_wire(EventRow { kind, payload, ..row }));
    }
    let nothing = EventRow { key: String::new(), revision: 0, payload: Vec::new(), ..row };
    Ok(Event { payload: None, ..on_wire(nothing) })
}

fn on_wire(row: EventRow) -> Event {
    Event {
        partition: i32::from(row.partition),
        position: row.position,
        event_id: row.event_id.to_string(),
        previous_event_id: row.previous_event_id.map(|id| id.to_string()).unwrap_or_default(),
        sequence_time: Some(timestamp(row.sequenced_at)),
        key: row.key,
        revision: row.revision,
        payload: Some(Any { type_url: type_url(&row.kind), value: row.payload }),
    }
}

pub(super) fn type_url(kind: &str) -> String {
    format!("type.googleapis.com/{kind}")
}
