//! Suites to test, and ways to speak to them.

pub(crate) mod caller;
pub(crate) mod client;
pub(crate) mod collector;
pub(crate) mod database;
pub(crate) mod door;
pub(crate) mod http;
pub(crate) mod postgres;
pub(crate) mod processes;
pub(crate) mod refusal;
pub(crate) mod scratch;
pub(crate) mod simulators;
pub(crate) mod site;
pub(crate) mod suite;
pub(crate) mod tmpfs;
pub(crate) mod wire;

pub(crate) use client::Client;
pub(crate) use door::Door;
pub(crate) use postgres::Postgres;
pub(crate) use processes::{Processes, Settings};
pub(crate) use refusal::Refusal;
pub(crate) use site::Site;
pub(crate) use suite::{Own, shared};
pub(crate) use tmpfs::Tmpfs;
