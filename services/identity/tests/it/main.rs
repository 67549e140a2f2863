//! Identity as a service: real PostgreSQL, real gRPC, vendors that a test controls.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on has failed"
)]

mod account;
mod accounts;
mod activation;
mod audit;
mod challenges;
mod claims;
mod closing;
mod codes;
mod consents;
mod credentials;
mod ending;
mod guardians;
mod guesses;
mod harness;
mod look_ups;
mod notices;
mod on_behalf;
mod race;
mod recoveries;
mod refusals;
mod reviewing;
mod rosters;
mod sealed;
mod service_accounts;
mod sessions;
mod sign_in;
mod vendors;
mod waiting;
