use std::time::Duration;

use serde::Deserialize;

/// The `feed` section of a service's configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedConfig {
    /// How often the sequencer and the heads are looked at when nothing wakes them, in
    /// milliseconds; also how often followers hear a heartbeat.
    pub poll_ms: u64,
    /// Events given positions in one pass, at most.
    pub pass: i64,
    /// The clocks of this process and of the database may differ by this, in
    /// milliseconds; beyond it nothing is sequenced.
    pub max_skew_ms: u64,
    /// Events younger than this are never trimmed, in hours.
    pub keep_hours: u32,
    /// Events older than this are trimmed even if a follower has not come for them, in
    /// days.
    pub retention_days: u32,
}

impl FeedConfig {
    pub(crate) fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms.max(10))
    }
}

impl Default for FeedConfig {
    fn default() -> Self {
        Self {
            poll_ms: 1000,
            pass: 5000,
            max_skew_ms: 60_000,
            keep_hours: 7 * 24,
            retention_days: 35,
        }
    }
}
