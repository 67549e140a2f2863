//! What an operator can set; the defaults stand in `config.default.toml`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use zhiyuan_audit::AuditConfig;
use zhiyuan_auth::{AssertionSigner, CallerConfig};
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::SharedClock;
use zhiyuan_feed::FeedConfig;
use zhiyuan_postgres::DatabaseConfig;
use zhiyuan_rpc::server::ServerConfig;
use zhiyuan_rpc::{SuiteChannel, connect_lazy};
use zhiyuan_settings::Secret;
use zhiyuan_telemetry::TelemetryConfig;

use crate::run::Deps;

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
    /// The file of regions that `migrate` loads; else those that come with the product.
    #[serde(default)]
    pub regions_file: Option<PathBuf>,
    /// The organizations that `migrate` loads after the regions.
    pub seed_organizations: Seed,
    /// Where registration is, such as `http://registration:9003`.
    pub registration_address: String,
    /// Where identity is, such as `http://identity:9001`.
    pub identity_address: String,
    /// The Ed25519 seed in base64 that proves to others who calls.
    pub signing_key: Secret,
    /// The figures of organizations.
    pub counts: CountsConfig,
    /// Changes of the tree.
    pub changes: ChangesConfig,
    /// Decisions that take two people.
    pub voices: VoicesConfig,
    /// Periodic notices.
    pub notices: NoticesConfig,
    /// The feed of organizations.
    pub feed: FeedConfig,
    /// The audit.
    pub audit: AuditConfig,
}

/// How often the figures are looked after, in milliseconds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountsConfig {
    /// Folded at least so often; changes wake the fold.
    pub fold_ms: u64,
    /// Recounted so often.
    pub verify_ms: u64,
}

/// What periodic notices are signed with.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoticesConfig {
    /// The Ed25519 seed in base64, of a key for this alone.
    pub signing_key: Secret,
}

/// From how many on a change of the tree takes two people.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangesConfig {
    /// Volunteers at an organization and below it, or members, whichever are more.
    pub mass_people: i64,
    /// Organizations, itself and below it.
    pub mass_organizations: i64,
}

/// Whether two people who decide something together are two.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoicesConfig {
    /// How old the grants of both are, where the same person stands behind them.
    pub common_giver_days: u16,
}

impl VoicesConfig {
    pub(crate) fn common_giver(self) -> time::Duration {
        time::Duration::days(self.common_giver_days.into())
    }
}

/// What is wrong with the configuration; never holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The signing key has the wrong form.
    #[error("signing_key: expected 32 bytes in base64")]
    SigningKey,
    /// An address is none.
    #[error("{key}: not an address")]
    Address {
        /// Which.
        key: &'static str,
        /// What is wrong with it.
        #[source]
        source: tonic::transport::Error,
    },
}

impl Config {
    /// Makes what [`run`](crate::run) is handed in: the time, and the channels to
    /// registration and identity.
    ///
    /// # Errors
    /// When the signing key or an address has the wrong form. Nobody is called.
    pub fn deps(&self, clock: SharedClock) -> Result<Deps, ConfigError> {
        let key = SigningKey::from_base64(self.signing_key.expose())
            .map_err(|_form| ConfigError::SigningKey)?;
        let signer = Arc::new(AssertionSigner::new(crate::run::NAME, key, clock.clone()));
        let channel = |key, address: &str, audience| {
            let channel =
                connect_lazy(address).map_err(|source| ConfigError::Address { key, source })?;
            Ok(SuiteChannel::new(channel, audience, Arc::clone(&signer)))
        };
        Ok(Deps {
            registration: channel(
                "registration_address",
                &self.registration_address,
                "registration",
            )?,
            identity: channel("identity_address", &self.identity_address, "identity")?,
            clock,
        })
    }
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
