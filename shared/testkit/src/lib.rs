#![doc = include_str!("../README.md")]

pub mod database;
pub mod people;
pub mod raw;
pub mod sql_cache;

pub use database::TestDatabase;
pub use people::{Person, minor, person, person_of};
