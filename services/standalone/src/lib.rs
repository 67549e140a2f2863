#![doc = include_str!("../README.md")]

mod configuration;
mod database;
mod secrets;
pub mod simulators;
mod suite;

pub use configuration::{Addresses, ConfigFiles};
pub use secrets::ACCOUNT;
pub use suite::{Options, RunningSuite, Suite, Surroundings, forget, make_private};
