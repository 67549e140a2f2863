//! registration as its callers see it: a real database, and identity and orgtree as
//! a script says.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "whatever fails here fails the test"
)]

mod activation;
mod audit;
mod claims;
mod end;
mod fake_accounts;
mod fake_authority;
mod fake_claims;
mod fake_feed;
mod fake_identity;
mod fake_orgtree;
mod fake_recoveries;
mod fake_rosters;
mod harness;
mod memberships;
mod phone_recoveries;
mod platforms;
mod privacy;
mod profiles;
mod recovery;
mod refusals;
mod register;
mod replay;
mod reviews;
mod rosters;
mod two_administrators;
