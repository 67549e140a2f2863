//! What an operator sets.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use zhiyuan_rpc::server::ServerConfig;
use zhiyuan_telemetry::TelemetryConfig;

/// The configuration of the gateway; `config.default.toml` has every default.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// Port, deadlines, limits.
    pub server: ServerConfig,
    /// Addresses (`http://host:port`) by the name of the service, such as `identity`
    /// or `credit-export`.
    pub upstreams: BTreeMap<String, String>,
    /// Sizes of messages.
    pub messages: MessageSizes,
    /// Readiness.
    pub readiness: Readiness,
    /// Sessions of browsers.
    pub cookies: Cookies,
    /// Pages for browsers.
    pub pages: Pages,
}

/// Which pages browsers are given.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pages {
    /// The folder of built pages; empty for those that the program was built with.
    pub folder: PathBuf,
}

/// How the sessions of browsers are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cookies {
    /// Whether cookies are for https alone.
    pub secure: bool,
    /// Where the pages of this site come from (`https://host:port`); none for the host that
    /// is called.
    pub origins: Vec<String>,
}

/// How large messages may be.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageSizes {
    /// A request, in bytes.
    pub request_bytes: usize,
    /// An answer of a unary method, in bytes.
    pub answer_bytes: usize,
}

/// How readiness is found out.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Readiness {
    /// How long to wait for the health of a service, in milliseconds.
    pub wait_ms: u64,
}

impl Readiness {
    /// How long to wait for the health of a service.
    pub fn wait(self) -> Duration {
        Duration::from_millis(self.wait_ms)
    }
}
