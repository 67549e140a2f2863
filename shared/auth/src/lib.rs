#![doc = include_str!("../README.md")]

pub mod callers;
mod jws;
pub mod signer;
pub mod verifier;

pub use callers::{Caller, CallerConfig, InvalidCallers, TrustedCallers};
pub use signer::AssertionSigner;
pub use verifier::{AssertionError, AssertionVerifier};

#[cfg(test)]
mod tests;
