//! A service whose feed is followed, on a real PostgreSQL and over a real port.

mod cuts;
mod migrations;
mod once;
mod restored;
mod scoped;
mod sequencing;
mod served;
mod toy;
mod tree;
