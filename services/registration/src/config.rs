//! What an operator can set; the defaults stand in `config.default.toml`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use zhiyuan_audit::AuditConfig;
use zhiyuan_auth::{AssertionSigner, CallerConfig};
use zhiyuan_crypto::{International, Key32, KeyedDigest, SigningKey};
use zhiyuan_domain::{AgeRule, SharedClock};
use zhiyuan_feed::FeedConfig;
use zhiyuan_postgres::DatabaseConfig;
use zhiyuan_rpc::server::ServerConfig;
use zhiyuan_rpc::{SuiteChannel, connect_lazy};
use zhiyuan_settings::Secret;
use zhiyuan_telemetry::TelemetryConfig;

use crate::phone_recoveries::Limits;
use crate::rosters::ImportLimits;
use crate::run::Deps;

/// The configuration of registration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where identity is, such as `http://identity:9001`.
    pub identity_address: String,
    /// Where orgtree is.
    pub orgtree_address: String,
    /// The Ed25519 seed in base64 that proves to others who calls.
    pub signing_key: Secret,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// Where and how to serve.
    pub server: ServerConfig,
    /// The database with the schema `registration`.
    pub database: DatabaseConfig,
    /// Services that may call methods that are not for everybody, by name.
    pub callers: BTreeMap<String, CallerConfig>,
    /// Keys of the digests of forms.
    pub digests: DigestsConfig,
    /// Rules of the field that can be set.
    pub rules: RulesConfig,
    /// The recovery task.
    pub recovery: RecoveryConfig,
    /// Lost phones.
    pub phone_recoveries: PhoneRecoveriesConfig,
    /// Claims on ID numbers that somebody else holds.
    pub claims: ClaimsConfig,
    /// Rosters.
    pub rosters: RostersConfig,
    /// The feed of volunteers.
    pub feed: FeedConfig,
    /// The audit.
    pub audit: AuditConfig,
}

/// Keys by version, each 32 bytes in base64 or hexadecimal, from files in production.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DigestsConfig {
    /// The version for new registrations.
    pub active: i16,
    /// Old ones stay until the last registration under them is 30 days finished.
    pub keys: BTreeMap<String, Secret>,
}

/// Rules of the field that can be set.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesConfig {
    /// From which day on a person has reached an age.
    pub age: AgeReached,
}

/// From which day on a person has reached an age.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgeReached {
    /// From the birthday on.
    OnBirthday,
    /// From the day after it on.
    DayAfterBirthday,
}

impl From<AgeReached> for AgeRule {
    fn from(reached: AgeReached) -> Self {
        match reached {
            AgeReached::OnBirthday => Self::OnBirthday,
            AgeReached::DayAfterBirthday => Self::DayAfterBirthday,
        }
    }
}

/// How often the recovery task looks, in milliseconds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoveryConfig {
    /// For registrations that nobody carries on.
    pub interval_ms: u64,
    /// For accounts that no registration knows.
    pub sweep_ms: u64,
}

/// Lost phones.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhoneRecoveriesConfig {
    /// Recoveries that one administrator may start in 24 hours.
    pub per_administrator: u32,
    /// That may be started of one volunteer in 30 days.
    pub per_volunteer: u32,
    /// Days in which none is started after the volunteer has objected to one.
    pub objection_pause_days: u8,
    /// Days for which an administrator has held the grant by which one is started or
    /// approved, unless the operator gave it.
    pub grant_age_days: u16,
}

/// Claims on ID numbers that somebody else holds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimsConfig {
    /// Days for which an administrator has held the grants by which a claim is accepted, unless
    /// the operator gave them.
    pub grant_age_days: u16,
}

impl ClaimsConfig {
    pub(crate) fn grant_age(&self) -> time::Duration {
        time::Duration::days(self.grant_age_days.into())
    }
}

/// Rosters.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RostersConfig {
    /// How often to look for imports that nobody carries on, in milliseconds.
    pub interval_ms: u64,
    /// Imports that one administrator may begin in 24 hours.
    pub per_administrator: u32,
    /// That may be begun of one organization in 24 hours.
    pub per_organization: u32,
}

impl RostersConfig {
    pub(crate) fn limits(&self) -> ImportLimits {
        ImportLimits {
            per_administrator: self.per_administrator,
            per_organization: self.per_organization,
        }
    }
}

impl PhoneRecoveriesConfig {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            per_administrator: self.per_administrator,
            per_volunteer: self.per_volunteer,
            objection_pause: time::Duration::days(self.objection_pause_days.into()),
            grant_age: time::Duration::days(self.grant_age_days.into()),
        }
    }
}

/// What is wrong with the configuration; never holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A version is no number.
    #[error("digests.keys: version {version:?} is no number")]
    Version {
        /// What stands there.
        version: String,
    },
    /// A key has the wrong form.
    #[error("digests.keys.{version}: expected 32 bytes in base64 or hexadecimal")]
    DigestKey {
        /// The version.
        version: i16,
    },
    /// There is no key of the active version.
    #[error("digests.active: there is no key of version {version}")]
    NoDigestKey {
        /// The version.
        version: i16,
    },
    /// The signing key has the wrong form.
    #[error("signing_key: expected 32 bytes in base64")]
    SigningKey,
    /// An address is none.
    #[error("{key}: not an address")]
    Address {
        /// The key of the configuration.
        key: &'static str,
        /// What is wrong with it.
        #[source]
        source: tonic::transport::Error,
    },
}

impl DigestsConfig {
    pub(crate) fn parse(&self) -> Result<KeyedDigest, ConfigError> {
        let mut keys = BTreeMap::new();
        for (text, secret) in &self.keys {
            let version = text
                .parse::<i16>()
                .map_err(|_no_number| ConfigError::Version { version: text.clone() })?;
            let key = secret
                .expose()
                .parse::<Key32>()
                .map_err(|_form| ConfigError::DigestKey { version })?;
            keys.insert(version, key);
        }
        KeyedDigest::new(Arc::new(International), self.active, keys)
            .map_err(|_unknown| ConfigError::NoDigestKey { version: self.active })
    }
}

impl Config {
    /// Makes what [`run`](crate::run) is handed in: the time, and channels to the
    /// services at the configured addresses.
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
            identity: channel("identity_address", &self.identity_address, "identity")?,
            orgtree: channel("orgtree_address", &self.orgtree_address, "orgtree")?,
            clock,
        })
    }
}

#[cfg(test)]
mod tests {
    use zhiyuan_domain::SystemClock;

    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn load(changes: &[(&str, &str)]) -> Config {
        let given = [
            ("SIGNING_KEY", KEY),
            ("DIGESTS__KEYS__1", KEY),
            ("DATABASE__URL", "x"),
            ("AUDIT__SIGNING_KEY", KEY),
        ];
        // What is said again goes over what was said before.
        let mut environment = BTreeMap::new();
        for (key, value) in given.iter().chain(changes) {
            environment.insert(format!("ZHIYUAN_REGISTRATION__{key}"), (*value).to_owned());
        }
        zhiyuan_settings::load_from(crate::run::NAME, crate::DEFAULTS, None, environment).unwrap()
    }

    fn check(config: &Config) -> Result<(), ConfigError> {
        config.digests.parse()?;
        config.deps(Arc::new(SystemClock)).map(drop)
    }

    #[tokio::test]
    async fn the_defaults_lack_nothing_but_keys_and_the_database() {
        check(&load(&[])).unwrap();
    }

    #[tokio::test]
    async fn names_the_key_that_is_wrong_and_never_its_value() {
        for (key, value, told) in [
            ("SIGNING_KEY", "hunter2", "signing_key"),
            ("DIGESTS__KEYS__1", "hunter2", "digests.keys.1"),
            ("DIGESTS__KEYS__NEW", KEY, "digests.keys"),
            ("DIGESTS__ACTIVE", "2", "digests.active"),
            ("IDENTITY_ADDRESS", "not an address", "identity_address"),
        ] {
            let error = check(&load(&[(key, value)])).unwrap_err().to_string();
            assert!(error.starts_with(told), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
