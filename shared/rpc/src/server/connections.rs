//! The connections of a server: how many there are, which of them has to go.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ServerConfig;
use crate::deadline::Bounds;

/// The length of the first words of HTTP/2.
const PREFACE: u64 = 24;

/// Bytes of messages that all connections together may keep in memory, arriving or
/// waiting to be read. Past it the connection is cut that keeps most.
const HELD_BYTES: usize = 64 << 20;

/// How long a request may take to arrive before its connection makes room for others, if
/// it has nothing else to do.
const ARRIVAL: Duration = Duration::from_secs(1);

/// Watchers of health at once, and streams of reflection. They take no place of the
/// calls, nor of each other: a few idle watchers would keep all of a class.
const STANDARD_STREAMS: usize = 64;

/// All connections of a server.
#[derive(Debug)]
pub(crate) struct Connections {
    cap: usize,
    handshake: Duration,
    stall: Duration,
    opened: AtomicU64,
    open: Mutex<BTreeMap<u64, Arc<Connection>>>,
    held_bytes: AtomicUsize,
    /// Told whenever one has ended.
    ended: Notify,
    /// The stop was asked for: health says so.
    pub(super) stopping: CancellationToken,
    /// Connections are asked to leave.
    pub(super) leaving: CancellationToken,
    /// Whatever is left is dropped.
    pub(super) cut: CancellationToken,
    watch_places: Arc<Semaphore>,
    reflection_places: Arc<Semaphore>,
    /// The deadlines of health and reflection.
    bounds: Bounds,
}

/// One connection, as its calls see it.
#[derive(Debug)]
pub(crate) struct Connection {
    number: u64,
    since: Instant,
    all: Arc<Connections>,
    /// It is asked to leave: no new calls, and long-lived streams end.
    pub(crate) leaving: CancellationToken,
    /// It ends now, and all its calls.
    pub(super) cut: CancellationToken,
    read_bytes: AtomicU64,
    called: AtomicBool,
    calls: AtomicUsize,
    /// Calls whose requests are still on their way, and since when.
    arriving: Mutex<Arrivals>,
    active: Mutex<Instant>,
    blocked: Mutex<Option<Instant>>,
    held: Mutex<HeldBytes>,
}

#[derive(Debug, Default)]
struct Arrivals {
    begun: u64,
    since: BTreeMap<u64, Instant>,
}

#[derive(Debug, Default)]
struct HeldBytes {
    bytes: usize,
    begun: u64,
    /// Since when what was not read yet waits, in the order in which it came.
    unread: BTreeMap<u64, Instant>,
}

/// The counters are plain numbers: a panic while one is held leaves them whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connections {
    pub(super) fn new(config: &ServerConfig, cap: usize, stopping: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            cap,
            handshake: config.handshake(),
            stall: config.stall(),
            opened: AtomicU64::new(0),
            open: Mutex::default(),
            held_bytes: AtomicUsize::new(0),
            ended: Notify::new(),
            stopping,
            leaving: CancellationToken::new(),
            cut: CancellationToken::new(),
            watch_places: Arc::new(Semaphore::new(STANDARD_STREAMS)),
            reflection_places: Arc::new(Semaphore::new(STANDARD_STREAMS)),
            bounds: config.bounds(),
        })
    }

    /// Takes a new connection in, until the value is dropped.
    pub(super) fn open(self: &Arc<Self>) -> Open {
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let connection = Arc::new(Connection {
            number,
            since: now,
            all: Arc::clone(self),
            leaving: self.leaving.child_token(),
            cut: self.cut.child_token(),
            read_bytes: AtomicU64::new(0),
            called: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
            arriving: Mutex::default(),
            active: Mutex::new(now),
            blocked: Mutex::default(),
            held: Mutex::default(),
        });
        lock(&self.open).insert(number, Arc::clone(&connection));
        Open(connection)
    }

    /// Waits until there is room for one more. Who has been idle longest makes room; who
    /// never called goes first, and who does nothing but send slowly goes last. A call
    /// that is worked on, or a stream, keeps its connection.
    pub(super) async fn room(&self) {
        loop {
            if lock(&self.open).len() < self.cap {
                return;
            }
            if !self.evict() {
                tracing::warn!(connections = self.cap, "full: every connection has calls open");
            }
            // After a second the log says again that it is full, and requests are late.
            let _late = tokio::time::timeout(ARRIVAL, self.ended.notified()).await;
        }
    }

    /// Cuts the connection that is missed least, if there is one.
    pub(super) fn evict(&self) -> bool {
        let open = lock(&self.open);
        let now = Instant::now();
        let least = open
            .values()
            .filter_map(|connection| Some((connection.worth(now)?, connection)))
            .min_by_key(|(worth, _)| *worth);
        let Some((_, least)) = least else { return false };
        tracing::debug!(connection = least.number, "a connection made room");
        least.cut.cancel();
        true
    }

    /// Cuts who misbehaves, until it is dropped.
    pub(super) async fn watch(&self) {
        let pause = (self.handshake.min(self.stall) / 4)
            .clamp(Duration::from_millis(10), Duration::from_millis(250));
        let mut ticks = tokio::time::interval(pause);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let now = ticks.tick().await;
            for connection in lock(&self.open).values() {
                if let Some(why) = connection.fault(now) {
                    tracing::info!(connection = connection.number, why, "connection cut");
                    connection.cut.cancel();
                }
            }
        }
    }

    fn cut_greediest(&self) {
        let open = lock(&self.open);
        let Some((bytes, most)) = open
            .values()
            .filter(|connection| !connection.cut.is_cancelled())
            .map(|connection| (lock(&connection.held).bytes, connection))
            .max_by_key(|(bytes, _)| *bytes)
        else {
            return;
        };
        tracing::warn!(connection = most.number, bytes, "memory for messages is full: cut");
        most.cut.cancel();
    }
}

impl Connection {
    /// How much it would be missed, the least first; nothing when it is in use, or about
    /// to end.
    fn worth(&self, now: Instant) -> Option<(bool, bool, Instant)> {
        if self.cut.is_cancelled() {
            return None;
        }
        let calls = self.calls.load(Ordering::Relaxed);
        if calls == 0 {
            return Some((false, self.called.load(Ordering::Relaxed), *lock(&self.active)));
        }
        let arriving = lock(&self.arriving);
        let (_, since) = arriving.since.first_key_value()?;
        let late = now.saturating_duration_since(*since) >= ARRIVAL;
        (late && arriving.since.len() >= calls).then_some((true, true, *since))
    }

    fn fault(&self, now: Instant) -> Option<&'static str> {
        let longer = |since: Instant, limit| now.saturating_duration_since(since) > limit;
        let silent = self.read_bytes.load(Ordering::Relaxed) < PREFACE
            && !self.called.load(Ordering::Relaxed);
        if silent && longer(self.since, self.all.handshake) {
            return Some("said nothing");
        }
        if lock(&self.blocked).is_some_and(|since| longer(since, self.all.stall)) {
            return Some("does not take what is sent");
        }
        let oldest = lock(&self.held).unread.first_key_value().map(|(_, since)| *since);
        if oldest.is_some_and(|since| longer(since, self.all.stall)) {
            return Some("does not read an answer");
        }
        None
    }

    /// Whether there has been no call for a while, and no answer waits to be read.
    pub(super) fn is_quiet_for(&self, time: Duration) -> bool {
        self.calls.load(Ordering::Relaxed) == 0
            && lock(&self.active).elapsed() >= time
            && lock(&self.held).unread.is_empty()
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn stopping(&self) -> &CancellationToken {
        &self.all.stopping
    }

    pub(super) fn watch_places(&self) -> Arc<Semaphore> {
        Arc::clone(&self.all.watch_places)
    }

    pub(super) fn reflection_places(&self) -> Arc<Semaphore> {
        Arc::clone(&self.all.reflection_places)
    }

    pub(super) fn bounds(&self) -> Bounds {
        self.all.bounds
    }

    pub(super) fn was_read(&self, bytes: usize) {
        self.read_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Whether what is sent is not taken just now.
    pub(super) fn is_blocked(&self, blocked: bool) {
        let mut since = lock(&self.blocked);
        match (blocked, *since) {
            (true, None) => *since = Some(Instant::now()),
            (false, Some(_)) => *since = None,
            _ => {}
        }
    }

    /// A call begins; it lasts until the value is dropped.
    pub(super) fn call(self: &Arc<Self>) -> OpenCall {
        self.called.store(true, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
        OpenCall(Arc::clone(self))
    }

    /// The request of a call is on its way, until the value is dropped.
    pub(crate) fn arriving(self: &Arc<Self>) -> Arriving {
        let mut arriving = lock(&self.arriving);
        arriving.begun += 1;
        let number = arriving.begun;
        arriving.since.insert(number, Instant::now());
        Arriving(Arc::clone(self), number)
    }

    /// Counts bytes that are kept in memory, until the value is dropped.
    pub(crate) fn keep(self: &Arc<Self>, bytes: usize) -> Held {
        self.hold(bytes, false)
    }

    /// Notes that something waits to be read, until the value is dropped.
    pub(super) fn unread(self: &Arc<Self>) -> Held {
        self.hold(0, true)
    }

    fn hold(self: &Arc<Self>, bytes: usize, unread: bool) -> Held {
        let number = {
            let mut held = lock(&self.held);
            held.bytes += bytes;
            held.begun += 1;
            let number = held.begun;
            if unread {
                held.unread.insert(number, Instant::now());
            }
            number
        };
        if self.all.held_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > HELD_BYTES {
            self.all.cut_greediest();
        }
        Held { connection: Arc::clone(self), bytes, number }
    }
}

/// A connection that has its place.
#[derive(Debug)]
pub(super) struct Open(Arc<Connection>);

impl Deref for Open {
    type Target = Arc<Connection>;

    fn deref(&self) -> &Arc<Connection> {
        &self.0
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        lock(&self.0.all.open).remove(&self.0.number);
        self.0.all.ended.notify_one();
    }
}

/// A call that is open on a connection.
#[derive(Debug)]
pub(super) struct OpenCall(Arc<Connection>);

impl Drop for OpenCall {
    fn drop(&mut self) {
        *lock(&self.0.active) = Instant::now();
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A call whose request is still on its way.
#[derive(Debug)]
pub(crate) struct Arriving(Arc<Connection>, u64);

impl Drop for Arriving {
    fn drop(&mut self) {
        lock(&self.0.arriving).since.remove(&self.1);
    }
}

/// Bytes of a connection that are kept in memory.
#[derive(Debug)]
pub(crate) struct Held {
    connection: Arc<Connection>,
    bytes: usize,
    number: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        {
            let mut held = lock(&self.connection.held);
            held.bytes = held.bytes.saturating_sub(self.bytes);
            held.unread.remove(&self.number);
        }
        self.connection.all.held_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
