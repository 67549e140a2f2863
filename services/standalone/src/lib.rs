#![doc = include_str!("../README.md")]

mod administrator;
mod configuration;
mod database;
pub mod pages;
mod secrets;
pub mod simulators;
mod suite;

pub use administrator::Administrator;
pub use configuration::{Addresses, ConfigFiles};
pub use secrets::ACCOUNT;
pub use suite::{Options, RunningSuite, Suite, Surroundings, forget, make_private};
