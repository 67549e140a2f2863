//! What a person proves an account with: changing and forgetting it.
//!
//! Every change is proved by what it changes, ends the other sessions, and is told by
//! text message to the phone that was there before.

mod changing;
mod grpc;

pub(crate) use changing::Credentials;
pub(crate) use grpc::CredentialRpc;
