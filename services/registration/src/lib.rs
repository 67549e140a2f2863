#![doc = include_str!("../README.md")]

mod claims;
mod config;
mod error;
mod following;
mod look_ups;
mod phone_recoveries;
mod profiles;
mod registering;
mod requests;
mod reviews;
mod rosters;
mod run;
mod volunteers;

pub use config::{
    AgeReached, ClaimsConfig, Config, ConfigError, DigestsConfig, PhoneRecoveriesConfig,
    RecoveryConfig, RostersConfig, RulesConfig,
};
pub use run::{Deps, Program, RunError, migrate, run};

/// The migrations of the schema `registration`.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// The defaults of the configuration, as TOML.
pub const DEFAULTS: &str = include_str!("../config.default.toml");
