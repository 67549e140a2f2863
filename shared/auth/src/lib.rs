#![doc = include_str!("../README.md")]

pub mod accounts;
pub mod callers;
mod jws;
pub mod quota;
pub mod sessions;
pub mod signer;
pub mod token;
pub mod verifier;

pub use accounts::{AccountKey, Accounts, ServiceAccount};
pub use callers::{Caller, CallerConfig, InvalidCallers, TrustedCallers};
pub use quota::Quota;
pub use sessions::Sessions;
pub use signer::AssertionSigner;
pub use token::{SignedIn, TokenError, TokenVerifier};
pub use verifier::{AssertionError, AssertionVerifier};

#[cfg(test)]
mod tests;
