//! The gateway in front of services that are played.
#![cfg(test)]

mod browsers;
mod calls;
mod connect;
mod cross_site;
mod fixture;
mod grpc;
mod h5;
mod h5_paths;
mod hardening;
mod json;
mod keys;
mod pages;
mod policy;
mod signed_in;
mod slow;
mod stalled;
mod streams;
mod suite;
mod traces;
mod wire;
