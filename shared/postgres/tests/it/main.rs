//! Everything here runs on a real PostgreSQL.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod constraint;
mod migrate;
mod pool;
mod private;
mod roles;
mod server;
