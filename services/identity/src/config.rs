//! What an operator can set; the defaults stand in `config.default.toml`.

use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

use serde::Deserialize;
use zhiyuan_audit::AuditConfig;
use zhiyuan_auth::CallerConfig;
use zhiyuan_crypto::{BlindIndexKeys, Key32, KeyRing, KeyedDigest, Suite};
use zhiyuan_domain::AgeRule;
use zhiyuan_feed::FeedConfig;
use zhiyuan_postgres::DatabaseConfig;
use zhiyuan_rpc::server::ServerConfig;
use zhiyuan_settings::Secret;
use zhiyuan_telemetry::TelemetryConfig;

use crate::challenges::Rules;
use crate::claims::Limits;
use crate::recoveries::Times;
use crate::sessions::Lifetimes;
use crate::vendors::{CaptchaConfig, RealNameConfig, SmsVendorConfig};

/// The configuration of identity.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// Where and how to serve.
    pub server: ServerConfig,
    /// The database with the schema `identity`.
    pub database: DatabaseConfig,
    /// The database with the schema `keys`: another one, whose backups live shorter.
    pub key_database: DatabaseConfig,
    /// Services that may call, by name.
    pub callers: BTreeMap<String, CallerConfig>,
    /// Keys.
    pub keys: KeysConfig,
    /// How many passwords are hashed at once.
    pub hashing: HashingConfig,
    /// Codes by text message.
    pub sms: SmsConfig,
    /// Work that is asked for while there is more going on than usual.
    pub challenge: ChallengeConfig,
    /// The register of the public security authority.
    pub real_name: RealNameConfig,
    /// Rules of the field that can be set.
    pub rules: RulesConfig,
    /// How long people stay signed in.
    pub sessions: SessionsConfig,
    /// Look-ups of people by platforms.
    pub look_ups: LookUpsConfig,
    /// Accounts whose phone is lost.
    pub recoveries: RecoveriesConfig,
    /// Claims on ID numbers that somebody else holds.
    pub claims: ClaimsConfig,
    /// Beginning with the default password.
    pub default_password: DefaultPasswordConfig,
    /// Background work.
    pub jobs: JobsConfig,
    /// The feed of enrolments and accounts.
    pub feed: FeedConfig,
    /// The audit.
    pub audit: AuditConfig,
}

/// Keys by version, each 32 bytes in base64 or hexadecimal, from files in production.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysConfig {
    /// Wrap the data keys.
    pub key_encryption: BTreeMap<String, Secret>,
    /// The version that wraps new ones.
    pub key_encryption_active: i16,
    /// Make the blind indexes. Which are active is a table, not configuration.
    pub blind_index: BTreeMap<String, Secret>,
    /// Under which codes are compared.
    pub code: BTreeMap<String, Secret>,
    /// The version for new codes.
    pub code_active: i16,
}

/// Bounds of password hashing; a hash costs some 20 ms of a core and 19 MiB.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashingConfig {
    /// Hashes at once; 0 stands for the number of cores.
    pub concurrency: usize,
    /// Callers that wait at most; the next is told to come again.
    pub queue: usize,
}

/// Codes by text message.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmsConfig {
    /// Codes a minute for all phones together.
    pub minute_budget: i32,
    /// Other messages a minute for all phones together.
    pub notice_minute_budget: i32,
    /// Whoever delivers them.
    pub vendor: SmsVendorConfig,
}

/// Work that is asked for while there is more going on than usual.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeConfig {
    /// Codes a minute, of all phones together, that are sent without work.
    pub normal_per_minute: u32,
    /// Failed attempts to sign in a minute, of everybody together, up to which none needs
    /// work.
    pub normal_failures_per_minute: u32,
    /// The work above that: bits of a hash that are zero.
    pub difficulty_bits: u8,
    /// The most work that is ever asked for.
    pub max_bits: u8,
    /// Whoever verifies captchas, which are taken instead of the work.
    #[serde(default)]
    pub captcha: Option<CaptchaConfig>,
}

/// A challenge asks for more than anybody can do, or for less than it began with.
#[derive(Debug, thiserror::Error)]
#[error("challenge: expected difficulty_bits <= max_bits <= {MOST_BITS}")]
pub struct ChallengeBitsError;

/// Half an hour of a good processor: more would shut people out.
const MOST_BITS: u8 = 32;

impl ChallengeConfig {
    pub(crate) fn rules(&self) -> Result<Rules, ChallengeBitsError> {
        if self.difficulty_bits > self.max_bits || self.max_bits > MOST_BITS {
            return Err(ChallengeBitsError);
        }
        Ok(Rules {
            normal_per_minute: self.normal_per_minute,
            normal_failures_per_minute: self.normal_failures_per_minute,
            difficulty_bits: self.difficulty_bits,
            max_bits: self.max_bits,
        })
    }
}

/// Rules of the field that can be set.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesConfig {
    /// From which day on a person has reached an age.
    pub age: AgeReached,
    /// Checks of the register that may fail, a day and phone.
    pub failed_checks_per_phone: i32,
    /// Checks of the register that may fail, a day and ID number.
    pub failed_checks_per_number: i32,
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

/// How long people stay signed in.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionsConfig {
    /// Without using it, in hours.
    pub idle_hours: u32,
    /// However much it is used, in hours.
    pub longest_hours: u32,
    /// With a second factor, without using it, in minutes.
    pub administrator_idle_minutes: u32,
    /// With a second factor, however much it is used, in minutes.
    pub administrator_longest_minutes: u32,
    /// How long a key signs access tokens, in hours.
    pub key_hours: u32,
}

impl SessionsConfig {
    pub(crate) fn lifetimes(&self) -> Lifetimes {
        Lifetimes {
            idle: time::Duration::hours(self.idle_hours.into()),
            longest: time::Duration::hours(self.longest_hours.into()),
        }
    }

    pub(crate) fn short_lifetimes(&self) -> Lifetimes {
        Lifetimes {
            idle: time::Duration::minutes(self.administrator_idle_minutes.into()),
            longest: time::Duration::minutes(self.administrator_longest_minutes.into()),
        }
    }

    pub(crate) fn key_life(&self) -> time::Duration {
        time::Duration::hours(self.key_hours.into())
    }
}

/// Beginning with the default password.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefaultPasswordConfig {
    /// Whether people on rosters can.
    pub enabled: bool,
}

/// Look-ups of people by platforms.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookUpsConfig {
    /// By ID number or phone, a day and platform that `[callers]` names; a service account has
    /// a number of its own.
    pub per_day: i32,
}

/// Accounts whose phone is lost.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoveriesConfig {
    /// In which one can object, from the approval on.
    pub delay_seconds: NonZeroU32,
    /// After that, in which it can be completed; and before, in which it can be approved.
    pub open_days: NonZeroU16,
}

impl RecoveriesConfig {
    pub(crate) fn times(&self) -> Times {
        Times {
            delay: time::Duration::seconds(self.delay_seconds.get().into()),
            open: time::Duration::days(self.open_days.get().into()),
        }
    }
}

/// Claims on ID numbers that somebody else holds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimsConfig {
    /// Between the second acceptance and what it leads to.
    pub delay_seconds: NonZeroU32,
    /// Claims on one number in 30 days that two have accepted.
    pub per_number: NonZeroU16,
    /// Claims from one phone in 30 days.
    pub per_phone: NonZeroU16,
}

impl ClaimsConfig {
    pub(crate) fn delay(&self) -> time::Duration {
        time::Duration::seconds(self.delay_seconds.get().into())
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits { per_number: self.per_number.get().into(), per_phone: self.per_phone.get().into() }
    }
}

/// How often background work looks, in milliseconds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobsConfig {
    /// Pending checks.
    pub checks_ms: u64,
    /// Queued notices.
    pub notices_ms: u64,
    /// Keys that sign access tokens.
    pub signing_keys_ms: u64,
    /// Rosters whose time is over.
    pub rosters_ms: u64,
}

/// What is wrong with the configured keys; never names a key.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A version is no number.
    #[error("keys.{section}: version {version:?} is no number")]
    Version {
        /// The section.
        section: &'static str,
        /// What stands there.
        version: String,
    },
    /// A key has the wrong form.
    #[error("keys.{section}.{version}: expected 32 bytes in base64 or hexadecimal")]
    Form {
        /// The section.
        section: &'static str,
        /// The version.
        version: i16,
    },
    /// The active version is not there, or there is no key at all.
    #[error("keys.{section}: there is no key of the active version")]
    Missing {
        /// The section.
        section: &'static str,
    },
}

impl KeysConfig {
    pub(crate) fn ring(&self, suite: Arc<dyn Suite>) -> Result<KeyRing, KeysError> {
        let section = "key_encryption";
        let keys = parse(section, &self.key_encryption)?;
        KeyRing::new(suite, self.key_encryption_active, keys)
            .map_err(|_unknown| KeysError::Missing { section })
    }

    pub(crate) fn index(&self, suite: Arc<dyn Suite>) -> Result<BlindIndexKeys, KeysError> {
        let section = "blind_index";
        let keys = parse(section, &self.blind_index)?;
        if keys.is_empty() {
            return Err(KeysError::Missing { section });
        }
        Ok(BlindIndexKeys::new(suite, keys))
    }

    pub(crate) fn codes(&self, suite: Arc<dyn Suite>) -> Result<KeyedDigest, KeysError> {
        let section = "code";
        let keys = parse(section, &self.code)?;
        KeyedDigest::new(suite, self.code_active, keys)
            .map_err(|_unknown| KeysError::Missing { section })
    }
}

fn parse(
    section: &'static str,
    keys: &BTreeMap<String, Secret>,
) -> Result<BTreeMap<i16, Key32>, KeysError> {
    keys.iter()
        .map(|(text, secret)| {
            let version = text
                .parse::<i16>()
                .map_err(|_no_number| KeysError::Version { section, version: text.clone() })?;
            let key = secret
                .expose()
                .parse::<Key32>()
                .map_err(|_form| KeysError::Form { section, version })?;
            Ok((version, key))
        })
        .collect()
}
