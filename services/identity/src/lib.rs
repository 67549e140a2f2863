#![doc = include_str!("../README.md")]

mod accounts;
mod activations;
mod audit;
mod challenges;
mod claims;
mod clock;
mod closing;
mod config;
mod consents;
mod credentials;
mod delays;
mod devices;
mod enrolments;
mod error;
mod feed;
mod keys;
mod look_ups;
mod notices;
mod recoveries;
mod rosters;
mod run;
mod service_accounts;
mod sessions;
mod sign_in;
mod signing_keys;
mod sms_codes;
mod vendors;

pub use config::{
    AgeReached, ChallengeBitsError, ChallengeConfig, ClaimsConfig, Config, DefaultPasswordConfig,
    HashingConfig, JobsConfig, KeysConfig, KeysError, LookUpsConfig, RecoveriesConfig, RulesConfig,
    SessionsConfig, SmsConfig,
};
pub use run::{Deps, Program, RunError, key_migrator, migrate, operate, run};
pub use service_accounts::Kind;
pub use service_accounts::operator::{
    Add, AddKey, Change, Command as ServiceAccountCommand, Operation, OperatorError,
};
pub use vendors::{
    Body, BreakerConfig, CaptchaConfig, CaptchaOutcome, ClientConfig, ConfigError, ContentType,
    Method, RealNameConfig, RequestShape, ResponseShape, SmsOutcome, SmsVendorConfig, Verdict,
};

/// The migrations of the schema `identity`.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// The defaults of the configuration, as TOML.
pub const DEFAULTS: &str = include_str!("../config.default.toml");
