#![doc = include_str!("../README.md")]

pub mod again;
pub mod config;
pub mod constraint;
mod error;
pub mod migrate;
pub mod pool;
#[cfg(feature = "private-server")]
pub mod private;
pub mod roles;

pub use again::{again, lost};
pub use config::DatabaseConfig;
pub use constraint::{DatabaseFault, classify, constraint_of, ensure_affected};
pub use error::Error;
pub use migrate::{ensure_up_to_date, migrate};
pub use pool::{close, connect, ping};
pub use roles::{ServiceRoles, create_database_if_missing, provision};
