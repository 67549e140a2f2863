//! Following the feed of another service.
//!
//! A [`Projection`] says what an event does; this module sees to it that each event
//! does it once, that everything is read again when the service that is followed was
//! restored to an older state, and that what is stamped after an open cut waits until the
//! cut is taken ([`crate::cuts`]).

mod chain;
mod db;
mod follow;
mod rebuild;

use std::sync::Arc;
use std::time::Duration;

use prost::{Message, Name};
use prost_types::Any;
use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use zhiyuan_contracts::reason::Reason as _;
use zhiyuan_contracts::rpc::v1::ErrorReason as Common;
use zhiyuan_domain::{SharedClock, new_id};
use zhiyuan_lifecycle::Tasks;
use zhiyuan_rpc::chain as told;

use crate::error::Error;
use crate::source::Source;

/// The partitions are shared out in so many slots; as many processes can follow a feed
/// at once.
pub(crate) const SLOTS: i16 = 4;
const AGAIN: Duration = Duration::from_millis(50);
const RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(15);
/// How often a process asks for a slot that another one has.
const ASK: Duration = Duration::from_secs(2);

/// A change, as it was sequenced.
#[derive(Debug, Clone)]
pub struct Event {
    /// The partition, 0 to 63.
    pub partition: i16,
    /// The position in the partition.
    pub position: i64,
    /// When it was sequenced: figures "as of" a time mean this one.
    pub sequenced_at: OffsetDateTime,
    /// What changed.
    pub key: String,
    /// Of the key.
    pub revision: i64,
    /// The state after the change; [`Left`](zhiyuan_contracts::feed::v1::Left) of what left the
    /// scope of a reader who is restricted.
    pub payload: Any,
    /// Nothing is told but that there is one.
    pub(crate) empty: bool,
    pub(crate) event_id: Uuid,
    pub(crate) previous_event_id: Option<Uuid>,
}

/// The present state of a key.
#[derive(Debug, Clone)]
pub struct Record {
    /// The key.
    pub key: String,
    /// Of the last change that the state holds.
    pub revision: i64,
    /// The state.
    pub payload: Any,
}

/// All there is of one kind, between two keys of a partition.
#[derive(Debug, Clone)]
pub struct Page {
    /// The partition, 0 to 63.
    pub partition: i16,
    /// The full name of the message.
    pub kind: &'static str,
    /// The page begins after this key; `None`: with the first of the partition.
    pub after: Option<String>,
    /// The last key of the page; `None`: the page ends with the partition.
    pub until: Option<String>,
    /// In the order of their keys, by bytes.
    pub records: Vec<Record>,
}

/// The payload as a message, if it is of that kind.
///
/// # Errors
/// When the bytes are no such message.
pub fn decode<M: Message + Name + Default>(payload: &Any) -> Result<Option<M>, prost::DecodeError> {
    let name = payload.type_url.rsplit('/').next().unwrap_or_default();
    if name == M::full_name() { M::decode(payload.value.as_slice()).map(Some) } else { Ok(None) }
}

/// Why an effect failed.
pub type EffectError = Box<dyn std::error::Error + Send + Sync>;

/// What the events of a feed do here.
#[async_trait::async_trait]
pub trait Projection: Send + Sync + 'static {
    /// The full names of the messages of which there are snapshots, in the order in
    /// which they are read.
    fn snapshots(&self) -> &'static [&'static str];

    /// Applies events in the transaction that moves the cursors. An event of a key whose
    /// revision is here already must change nothing. Kinds that are not known are passed
    /// over: a service may tell more tomorrow. Whoever is restricted to organizations hears
    /// with `Left` that a key is to be forgotten; of what concerns others it hears nothing.
    ///
    /// # Errors
    /// Whatever keeps the effect from being stored; the events come again.
    async fn apply(
        &self,
        transaction: &mut PgConnection,
        events: &[Event],
    ) -> Result<(), EffectError>;

    /// Makes everything between the ends of a page what the page says, whatever
    /// revisions are here, and removes, or marks, what is not on it.
    ///
    /// # Errors
    /// Whatever keeps it from being stored; the page comes again.
    async fn replace(&self, transaction: &mut PgConnection, page: &Page)
    -> Result<(), EffectError>;

    /// Hears that a transaction of the above was committed.
    fn committed(&self) {}
}

/// Follows one feed for a service.
#[derive(Clone)]
pub struct Reader {
    inner: Arc<Inner>,
}

struct Inner {
    pool: PgPool,
    schema: &'static str,
    feed: &'static str,
    source: Source,
    projection: Box<dyn Projection>,
    holder: Uuid,
}

impl Inner {
    /// Keeps a slot, and adopts a watermark if there is one.
    async fn keep(&self, slot: i16, watermark: Option<OffsetDateTime>) -> Result<(), Error> {
        let Self { pool, schema, feed, holder, .. } = self;
        if db::adopt(pool, schema, feed, slot, *holder, watermark).await? {
            Ok(())
        } else {
            Err(Error::Outrun)
        }
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("feed", &self.inner.feed).finish_non_exhaustive()
    }
}

impl Reader {
    /// Follows `feed`, the name of a service, from a schema that has the tables of
    /// `sql/reader.sql`.
    pub fn new(
        schema: &'static str,
        feed: &'static str,
        pool: PgPool,
        source: Source,
        clock: &SharedClock,
        projection: impl Projection,
    ) -> Self {
        let holder = new_id(clock.as_ref());
        let projection = Box::new(projection);
        Self { inner: Arc::new(Inner { pool, schema, feed, source, projection, holder }) }
    }

    /// Starts following, until the soft stop of `tasks`.
    pub fn start(&self, tasks: &Tasks) {
        for slot in 0..SLOTS {
            let (reader, stop) = (self.clone(), tasks.stop().soft());
            let name = format!("feed.{}.{slot}", self.inner.feed);
            tasks.start(&name, async move {
                reader.run(slot, stop).await;
                Ok::<(), std::convert::Infallible>(())
            });
        }
    }

    /// Follows the partitions of a slot that somebody else holds: as a process does that
    /// has lost it and does not know it yet.
    #[cfg(test)]
    pub(crate) async fn trespass(&self, slot: i16) -> Result<(), Error> {
        let partitions: Vec<i16> =
            (0..crate::PARTITIONS).filter(|partition| partition % SLOTS == slot).collect();
        follow::follow(&self.inner, slot, &partitions).await.map(|never| match never {})
    }

    /// Holds a slot whenever it can be had, and follows its partitions.
    async fn run(self, slot: i16, stop: CancellationToken) {
        let inner = &self.inner;
        let mut wait = RETRY;
        while !stop.is_cancelled() {
            let before = tokio::time::Instant::now();
            let pause = match self.hold(slot, &stop).await {
                Ok(Held::Elsewhere) => ASK,
                Ok(Held::Stopped) => break,
                // One partition is read again each time: no reason to wait longer and longer.
                Err(
                    error @ (Error::Diverged { .. }
                    | Error::ScopeChanged { .. }
                    | Error::Outrun
                    | Error::CutTaken),
                ) => {
                    report(inner.feed, slot, &error);
                    AGAIN
                }
                // Nothing is down: a stream ends with its connection.
                Err(Error::Source(remote)) if remote.reason == Common::Draining.wire() => {
                    remote.retry_after.unwrap_or(AGAIN)
                }
                Err(error) => {
                    // Long on the way: what went wrong is not what went wrong before.
                    if before.elapsed() > LONGEST_RETRY {
                        wait = RETRY;
                    }
                    report(inner.feed, slot, &error);
                    let pause = wait;
                    wait = (wait * 2).min(LONGEST_RETRY);
                    pause
                }
            };
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                break;
            }
        }
        if let Err(error) =
            db::release(&inner.pool, inner.schema, inner.feed, slot, inner.holder).await
        {
            tracing::debug!(error = told(&error), "failed to give a slot back");
        }
    }

    /// Takes the slot, brings its partitions to where events can be applied, and applies
    /// them until something is in the way.
    async fn hold(&self, slot: i16, stop: &CancellationToken) -> Result<Held, Error> {
        let inner = &self.inner;
        let work = async {
            if !db::claim(&inner.pool, inner.schema, inner.feed, slot, inner.holder).await? {
                return Ok(Held::Elsewhere);
            }
            let partitions: Vec<i16> =
                (0..crate::PARTITIONS).filter(|partition| partition % SLOTS == slot).collect();
            let followed = async {
                rebuild::where_needed(inner, slot, &partitions).await?;
                follow::follow(inner, slot, &partitions).await
            };
            match followed.await {
                Err(Error::ScopeChanged { version }) => {
                    tracing::warn!(
                        feed = inner.feed,
                        slot,
                        "what may be seen of the feed has changed: reading everything again"
                    );
                    let Inner { pool, schema, feed, .. } = &**inner;
                    let to = version.as_deref();
                    db::mark_other_scopes(pool, schema, feed, &partitions, to).await?;
                    Err(Error::ScopeChanged { version })
                }
                Err(Error::Diverged { partition }) => {
                    tracing::warn!(
                        feed = inner.feed,
                        partition,
                        "the feed was cut or restored to an older state: reading everything again"
                    );
                    db::mark_for_rebuild(&inner.pool, inner.schema, inner.feed, partition).await?;
                    Err(Error::Diverged { partition })
                }
                other => other.map(|never| match never {}),
            }
        };
        stop.run_until_cancelled(work).await.unwrap_or(Ok(Held::Stopped))
    }
}

enum Held {
    /// Another process has the slot.
    Elsewhere,
    /// This process stops.
    Stopped,
}

fn report(feed: &str, slot: i16, error: &Error) {
    match error {
        Error::Apply(_) | Error::Contract(_) => {
            tracing::error!(feed, slot, error = told(error), "an event can't be applied");
        }
        Error::Outrun | Error::CutTaken | Error::Diverged { .. } | Error::ScopeChanged { .. } => {
            tracing::debug!(feed, slot, error = told(error), "following again");
        }
        Error::Database(_)
        | Error::Skew { .. }
        | Error::Source(_)
        | Error::Unreachable
        | Error::Silent => {
            tracing::warn!(feed, slot, error = told(error), "failed to follow");
        }
    }
}

/// Until when everything was applied, of all these feeds; `None` while one was never
/// read to its head.
///
/// # Errors
/// Those of the database.
pub async fn as_of(
    executor: impl PgExecutor<'_>,
    schema: &'static str,
    feeds: &[&str],
) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    db::as_of(executor, schema, feeds, SLOTS).await
}
