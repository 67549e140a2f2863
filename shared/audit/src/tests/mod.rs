//! A service that acts, on a real PostgreSQL, and somebody who changes what it recorded.

mod heads;
mod leases;
mod migrations;
mod reading;
mod sealing;
mod tampering;
mod toy;
