//! What an operator decides about logs and traces.

use serde::Deserialize;

/// Configuration of logs and traces; the section `[telemetry]` of a service.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// Which log lines are written, as `tracing_subscriber::EnvFilter` reads it:
    /// `info,sqlx=warn`. Default `info`.
    pub log: String,
    /// How a log line looks. Default `text`.
    pub format: Format,
    /// The OTLP/gRPC endpoint of the collector, `http://host:4317`. Default none: spans go
    /// nowhere.
    pub otlp_endpoint: Option<String>,
    /// The share of traces begun here that go to the collector, 0 to 1. A trace begun elsewhere
    /// is sampled as its beginner decided. Default 1.
    pub sample_ratio: f64,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            log: "info".to_owned(),
            format: Format::Text,
            otlp_endpoint: None,
            sample_ratio: 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Format, TelemetryConfig};

    #[test]
    fn every_key_has_a_default() {
        let config: TelemetryConfig = toml::from_str("").unwrap();
        assert_eq!(config, TelemetryConfig::default());
        let config: TelemetryConfig = toml::from_str("format = \"json\"").unwrap();
        assert_eq!(config.format, Format::Json);
        assert_eq!(config.log, "info");
    }

    #[test]
    fn rejects_an_unknown_key() {
        assert!(toml::from_str::<TelemetryConfig>("level = \"info\"").is_err());
        assert!(toml::from_str::<TelemetryConfig>("format = \"xml\"").is_err());
    }
}
