#![doc = include_str!("../README.md")]

pub mod country;
pub mod database;
pub mod people;
pub mod raw;
pub mod sql_cache;

pub use country::Country;
pub use database::TestDatabase;
pub use people::{Person, member, minor, person, person_of};
