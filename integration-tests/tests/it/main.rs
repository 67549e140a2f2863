//! Tests of the whole suite: its parts as they are, a real PostgreSQL, and simulators
//! where the outside world would be.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "whatever fails in a helper fails the test, at the place where it is"
)]
#![expect(
    clippy::result_large_err,
    reason = "a refusal is kept whole, and moved a few thousand times in all"
)]

mod access;
mod administrators;
mod applications;
mod architecture;
mod audit;
mod bad_inputs;
mod canary;
mod claims;
mod concurrency;
mod counts;
mod crash_points;
mod crashloop;
mod durability;
mod faults;
mod feeds;
mod guardians;
mod harness;
mod journey;
mod lost_phone;
mod mine;
mod outside;
mod processes;
mod province;
mod public_readers;
mod register_down;
mod reviews;
mod roles;
mod rosters;
mod sizes;
mod sms;
mod trace;
mod uniform;
