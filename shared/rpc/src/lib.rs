#![doc = include_str!("../README.md")]

pub mod arrival;
pub mod authority;
pub mod client;
pub mod deadline;
mod error;
mod fields;
mod guard;
pub mod limits;
pub mod page;
mod remote;
pub mod retry;
pub mod revocations;
pub mod server;
mod streamed;
pub mod wire;

pub use client::{OpenEnded, SuiteChannel, connect_lazy};
pub use error::{Code, Error, FieldFault, chain};
pub use fields::Fields;
pub use guard::{CallerIdentity, Guard, PersonIdentity, Verifiers};
pub use remote::Remote;
