//! What an operator sets of a server.

use std::time::Duration;

use serde::Deserialize;

use crate::deadline::Bounds;
use crate::limits::ClassSizes;

/// With lame-duck and drain time below the 30 seconds that a process has to end.
const REST: Duration = Duration::from_secs(3);

/// How a process serves; each service compiles its defaults in
/// (`config.default.toml`).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Where to listen, such as `0.0.0.0:9000`.
    pub listen: String,
    /// Connections at once; never more than half of the files that the process may
    /// open. Past it the connection goes that has been idle longest.
    pub max_connections: usize,
    /// Calls at once on one connection.
    pub max_concurrent_streams: u32,
    /// How long a connection may take to say what it speaks, in milliseconds.
    pub handshake_ms: u64,
    /// How long an HTTP/2 connection may be silent before it is asked for a sign of
    /// life, in milliseconds. It has a third of that to answer. An HTTP/1.1 connection
    /// has this time for the head of each request, from the end of the last one.
    pub keepalive_ms: u64,
    /// How long a connection lives before it is asked to leave, in milliseconds; each
    /// up to a tenth more or less, so that they don't all come back at once.
    pub max_age_ms: u64,
    /// How long an answer may wait for a caller that doesn't read it, in milliseconds;
    /// then its connection is cut.
    pub stall_ms: u64,
    /// The deadline of a call that names none, in milliseconds.
    pub default_deadline_ms: u64,
    /// The longest deadline, in milliseconds.
    pub max_deadline_ms: u64,
    /// How long to go on serving after a stop was asked for, while health says
    /// `NOT_SERVING`, in milliseconds: until nobody sends calls here any more.
    pub lame_duck_ms: u64,
    /// How long calls may take to end after that, in milliseconds.
    pub drain_ms: u64,
    /// Whether callers may ask which methods there are (gRPC reflection).
    pub reflection: bool,
    /// Calls at once, by class.
    pub limits: ClassSizes,
}

impl ServerConfig {
    /// The bounds of deadlines.
    pub fn bounds(&self) -> Bounds {
        Bounds {
            default: Duration::from_millis(self.default_deadline_ms),
            max: Duration::from_millis(self.max_deadline_ms),
        }
    }

    /// How long to serve on after a stop was asked for.
    pub(crate) fn lame_duck(&self) -> Duration {
        Duration::from_millis(self.lame_duck_ms)
    }

    /// How long calls may take to end.
    pub fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }

    /// How long background work may take to end after the calls have: it was told of the
    /// stop when they were.
    pub fn rest(&self) -> Duration {
        REST.min(self.drain())
    }

    pub(super) fn handshake(&self) -> Duration {
        Duration::from_millis(self.handshake_ms)
    }

    pub(super) fn keepalive(&self) -> Duration {
        Duration::from_millis(self.keepalive_ms)
    }

    pub(super) fn max_age(&self) -> Duration {
        Duration::from_millis(self.max_age_ms)
    }

    pub(super) fn stall(&self) -> Duration {
        Duration::from_millis(self.stall_ms)
    }
}
