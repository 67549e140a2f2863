//! Orgtree through a real gRPC client, against a real PostgreSQL.

#![expect(clippy::unwrap_used, clippy::panic, reason = "whatever fails here fails the test")]

mod applying;
mod audit;
mod authority;
mod changing;
mod dated;
mod feed;
mod following;
mod harness;
mod loading;
mod news;
mod notices;
mod organizations;
mod plans;
mod regions;
mod searching;
mod serving;
