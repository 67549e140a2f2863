//! The gateway in front of services that are played.
#![cfg(test)]

mod calls;
mod connect;
mod fixture;
mod grpc;
mod hardening;
mod json;
mod pages;
mod policy;
mod slow;
mod stalled;
mod streams;
mod suite;
mod traces;
mod wire;
