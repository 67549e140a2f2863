#![doc = include_str!("../README.md")]

mod config;
mod line;
pub mod propagation;
mod setup;

pub use config::{Format, TelemetryConfig};
pub use setup::{Error, Telemetry, init, init_to_file};
