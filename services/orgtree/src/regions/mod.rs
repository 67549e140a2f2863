//! Administrative divisions (GB/T 2260): where people live. The whole country comes
//! with the product.

mod db;
mod grpc;
mod load;

pub use load::DataError;

pub(crate) use db::{codes, find, successors};
pub(crate) use grpc::Regions;
pub(crate) use load::load;

use time::Date;

/// The level of a region. The numbers are those of the contract and of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Province = 1,
    City = 2,
    County = 3,
}

impl Level {
    const ALL: [Self; 3] = [Self::Province, Self::City, Self::County];

    /// The name in `regions.csv`.
    fn parse(name: &str) -> Option<Self> {
        match name {
            "province" => Some(Self::Province),
            "city" => Some(Self::City),
            "county" => Some(Self::County),
            _ => None,
        }
    }

    pub(crate) fn number(self) -> i16 {
        self as i16
    }

    pub(crate) fn of_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.number() == number)
    }
}

/// A region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Region {
    /// Six digits.
    pub(crate) code: String,
    pub(crate) name: String,
    pub(crate) level: Level,
    /// `None` for a province.
    pub(crate) parent_code: Option<String>,
    /// Whether nothing lies below it today: only a leaf is a region of residence. Counties
    /// are, and so are cities without counties, Hong Kong, Macao and Taiwan.
    pub(crate) leaf: bool,
    /// The first day on which it is no more.
    pub(crate) abolished_on: Option<Date>,
    /// What came instead, where somebody has said; which may be no more by now.
    pub(crate) successors: Vec<String>,
}

impl Region {
    /// Whether it is no more on a day.
    pub(crate) fn is_abolished(&self, today: Date) -> bool {
        self.abolished_on.is_some_and(|day| day <= today)
    }
}
