//! The server and the guard in front of a service that is played.
#![cfg(test)]

mod accounts;
mod authority;
mod connections;
mod draining;
mod files;
mod fixture;
mod floods;
mod gone;
mod messages;
mod people;
mod retries;
mod served;
mod slow;
mod streams;
mod transport;
