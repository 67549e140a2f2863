//! What an operator can set; the defaults stand in `config.default.toml`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use zhiyuan_auth::CallerConfig;
use zhiyuan_postgres::DatabaseConfig;
use zhiyuan_rpc::server::ServerConfig;
use zhiyuan_telemetry::TelemetryConfig;

/// The configuration of orgtree.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// Where and how to serve.
    pub server: ServerConfig,
    /// The database with the schema `orgtree`.
    pub database: DatabaseConfig,
    /// Services that may call what only services may, by name.
    pub callers: BTreeMap<String, CallerConfig>,
    /// The organizations that `migrate` loads after the regions.
    pub seed_organizations: Seed,
}

/// Which organizations `migrate` loads.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Seed {
    /// None: they are loaded already, or will be.
    None,
    /// The demonstration province.
    Anhui,
    /// A CSV file; its form is told in the crate's README.
    File(PathBuf),
}

impl From<String> for Seed {
    fn from(text: String) -> Self {
        match text.as_str() {
            "none" => Self::None,
            "anhui" => Self::Anhui,
            _ => Self::File(text.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_nothing_the_demonstration_or_a_file() {
        for (text, seed) in [
            ("none", Seed::None),
            ("anhui", Seed::Anhui),
            ("/srv/organizations.csv", Seed::File("/srv/organizations.csv".into())),
        ] {
            assert_eq!(Seed::from(text.to_owned()), seed);
        }
    }
}
