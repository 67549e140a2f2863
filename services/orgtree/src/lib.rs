#![doc = include_str!("../README.md")]

mod applications;
mod authority;
mod config;
mod counts;
mod error;
mod forgetting;
mod invitations;
mod migrate;
mod news;
mod notices;
mod operator;
mod organizations;
mod regions;
mod requests;
mod run;

pub use authority::{GrantError, OperatorGrant, Role, grant};
pub use config::{ChangesConfig, Config, ConfigError, CountsConfig, NoticesConfig, Seed};
pub use migrate::{MigrateError, load, migrate};
pub use notices::InvalidKey as InvalidNoticesKey;
pub use operator::{Operation, OperatorLoad};
pub use organizations::{Fault, LoadError, Loaded, Problem};
pub use regions::DataError;
pub use run::{Deps, Program, RunError, VerifyError, run, verify};

/// The migrations of the schema `orgtree`.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// The defaults of the configuration, as TOML.
pub const DEFAULTS: &str = include_str!("../config.default.toml");
