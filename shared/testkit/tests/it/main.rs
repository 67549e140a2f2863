//! The country, and the `sql-cache` command on a small workspace of its own.

#![expect(clippy::unwrap_used, reason = "tests")]

mod country;
mod sql_cache;
