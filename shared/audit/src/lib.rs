#![doc = include_str!("../README.md")]

mod canonical;
mod chain;
mod config;
mod db;
mod finding;
mod head;
mod record;
mod sealer;
mod statement;
#[cfg(test)]
mod tests;
mod trail;
mod verify;

pub use config::{AuditConfig, InvalidKeys, TrustedKeys};
pub use head::{Head, InvalidHead};
pub use record::{Actor, Outcome, Record};
pub use sealer::Sealer;
pub use trail::{Entry, Trail, operator};
pub use verify::verify;
