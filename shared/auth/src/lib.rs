#![doc = include_str!("../README.md")]

pub mod callers;
mod jws;
pub mod sessions;
pub mod signer;
pub mod token;
pub mod verifier;

pub use callers::{Caller, CallerConfig, InvalidCallers, TrustedCallers};
pub use sessions::Sessions;
pub use signer::AssertionSigner;
pub use token::{SignedIn, TokenError, TokenVerifier};
pub use verifier::{AssertionError, AssertionVerifier};

#[cfg(test)]
mod tests;
