//! A province or a country of any size, with plausible people, the same for the same seed.
//!
//! Nothing of it is real: no name is meant, and rates and sizes are invented, so that they
//! differ as much as real ones do. It is made while it is read, and takes as much memory as
//! there are siblings on the way down from the root.

mod chance;
mod names;
mod organizations;
mod people;

use std::ops::Range;
use std::sync::Arc;

pub use organizations::Organizations;
pub use people::{Inhabitant, Totals};

/// From so many organizations on it is a country with provinces, else one province.
const COUNTRY: u32 = 20_000;
/// The header of the file that orgtree loads.
pub const HEADER: &str = "code,name,kind,parent_code,region_code";

/// How large, and which of those that are so large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Country {
    /// All of them, the root too; at least 1.
    pub organizations: u32,
    /// All of them, below 4,294,967,296.
    pub people: u64,
    /// Levels from the root down at most, 2 to 12.
    pub levels: u8,
    /// Countries of different seeds differ in everything, codes and ids too.
    pub seed: u32,
}

/// An organization, and how much there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// From the root on, each before those below it; the root is 0.
    pub number: u32,
    /// Such as `C7-000123`.
    pub code: Arc<str>,
    /// No two right below one have the same.
    pub name: String,
    /// Its name in the file of orgtree.
    pub kind: &'static str,
    /// `None` of the root.
    pub parent_code: Option<Arc<str>>,
    /// Levels above it.
    pub level: u8,
    /// Itself and all below.
    pub organizations: u32,
    /// At it and all below.
    pub people_with_below: u64,
    /// At it itself.
    pub own_people: u64,
    /// Their numbers begin here.
    first_person: u64,
    seed: u32,
}

impl Country {
    /// One of the size of a small province.
    #[must_use]
    pub fn of_seed(seed: u32) -> Self {
        Self { organizations: 2_000, people: 100_000, levels: 12, seed }
    }

    /// Its organizations, each before those below it.
    ///
    /// # Panics
    ///
    /// When the sizes are none.
    #[must_use]
    pub fn organizations(&self) -> Organizations {
        assert!(
            self.organizations >= 1
                && self.people <= u64::from(u32::MAX)
                && (2..=12).contains(&self.levels),
            "no country is so large: {self:?}"
        );
        Organizations::of(self)
    }

    /// The code of its root.
    #[must_use]
    pub fn root(&self) -> String {
        self.code(0)
    }

    fn code(&self, number: u32) -> String {
        format!("C{}-{number:06}", self.seed)
    }

    fn is_country(&self) -> bool {
        self.organizations >= COUNTRY
    }
}

impl Organization {
    /// The numbers of its own people.
    #[must_use]
    pub fn people_numbers(&self) -> Range<u64> {
        self.first_person..self.first_person + self.own_people
    }

    /// The line of the file that orgtree loads, without its end.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { code, name, kind, parent_code, .. } = self;
        // Nothing in it needs quotation marks.
        format!("{code},{name},{kind},{},", parent_code.as_deref().unwrap_or_default())
    }
}
