#![doc = include_str!("../README.md")]

mod ready;
pub mod signals;
mod stop;
mod tasks;

pub use ready::{NeverReady, Ready, ReadySignal, ReadyWait};
pub use stop::Stop;
pub use tasks::{Failure, Tasks};
