#![doc = include_str!("../README.md")]

mod accounts;
#[cfg_attr(not(test), expect(dead_code, reason = "for signing in"))]
mod challenges;
mod config;
mod consents;
#[cfg_attr(not(test), expect(dead_code, reason = "for signing in"))]
mod delays;
#[cfg_attr(not(test), expect(dead_code, reason = "for signing in"))]
mod devices;
mod enrolments;
mod error;
mod feed;
mod keys;
mod notices;
mod run;
mod sms_codes;
mod vendors;

pub use config::{
    AgeReached, ChallengeBitsError, ChallengeConfig, Config, HashingConfig, JobsConfig, KeysConfig,
    KeysError, RulesConfig, SmsConfig,
};
pub use run::{Deps, Program, RunError, key_migrator, migrate, run};
pub use vendors::{
    Body, BreakerConfig, CaptchaConfig, CaptchaOutcome, ClientConfig, ConfigError, ContentType,
    Method, RealNameConfig, RequestShape, ResponseShape, SmsOutcome, SmsVendorConfig, Verdict,
};

/// The migrations of the schema `identity`.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// The defaults of the configuration, as TOML.
pub const DEFAULTS: &str = include_str!("../config.default.toml");
