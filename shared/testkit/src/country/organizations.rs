//! The tree, from the root down.

use std::sync::Arc;

use super::chance::{Draw, below, draw, share_out};
use super::names::name;
use super::{Country, Organization};

/// What an organization is, by which it is named and has others below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rank {
    Country,
    Province,
    City,
    County,
    DirectCounty,
    Township,
    University,
    Enterprise,
    Branch,
}

impl Rank {
    /// How many are right below one, as far as there are so many.
    fn children(self) -> (u64, u64) {
        match self {
            Self::Country => (31, 34),
            Self::Province => (12, 20),
            Self::City => (8, 16),
            Self::County | Self::DirectCounty => (12, 30),
            Self::Township => (3, 20),
            Self::University => (6, 20),
            Self::Enterprise => (3, 12),
            Self::Branch => (1, 6),
        }
    }

    /// What stands below: mostly what comes next, and now and then something else.
    fn below(self, chance: u64) -> Self {
        match (self, chance % 12) {
            (Self::Country, _) => Self::Province,
            (Self::Province, 0..9) => Self::City,
            (Self::Province, 9..11) => Self::University,
            (Self::Province, _) => Self::DirectCounty,
            (Self::City, 0..9) => Self::County,
            (Self::City, 9) => Self::University,
            (Self::County | Self::DirectCounty, 0..10) => Self::Township,
            (Self::City | Self::County | Self::DirectCounty, _) => Self::Enterprise,
            (Self::Township | Self::University | Self::Enterprise | Self::Branch, _) => {
                Self::Branch
            }
        }
    }

    /// The kind in the file of orgtree, which knows none above a province. Where people are,
    /// it has to be one that they can register with.
    fn kind(self, leaf: bool) -> &'static str {
        match self {
            Self::Township => "TOWNSHIP",
            Self::University => "UNIVERSITY",
            Self::Enterprise => "ENTERPRISE",
            Self::Branch => "WORK_COMMITTEE",
            _ if leaf => "WORK_COMMITTEE",
            Self::Country | Self::Province => "PROVINCIAL",
            Self::City => "MUNICIPAL",
            Self::County => "COUNTY",
            Self::DirectCounty => "DIRECT_COUNTY",
        }
    }

    /// Parts of a thousand of those in its subtree who are at itself, at most.
    fn own_people(self) -> u64 {
        match self {
            Self::Township | Self::University | Self::Enterprise | Self::Branch => 100,
            Self::Country | Self::Province | Self::City | Self::County | Self::DirectCounty => 0,
        }
    }
}

/// An organization that comes later.
#[derive(Debug)]
struct Waiting {
    parent: Option<(u32, Arc<str>)>,
    /// Among its siblings.
    place: usize,
    rank: Rank,
    level: u8,
    organizations: u32,
    people: u64,
}

/// The organizations of a [`Country`], each before those below it.
#[derive(Debug)]
pub struct Organizations {
    country: Country,
    next: u32,
    first_person: u64,
    /// The next one last.
    waiting: Vec<Waiting>,
}

impl Organizations {
    pub(super) fn of(country: &Country) -> Self {
        let root = Waiting {
            parent: None,
            place: 0,
            rank: if country.is_country() { Rank::Country } else { Rank::Province },
            level: 0,
            organizations: country.organizations,
            people: country.people,
        };
        Self { country: *country, next: 0, first_person: 0, waiting: vec![root] }
    }

    /// Those right below one, and how many people are at itself.
    fn below(&self, number: u32, code: &Arc<str>, one: &Waiting) -> (Vec<Waiting>, u64) {
        let seed = self.country.seed;
        let rest = u64::from(one.organizations.saturating_sub(1));
        let drawn = |what, limit| below(limit, seed, what, number.into());
        let (least, most) = one.rank.children();
        // On the level before the last one nothing goes any deeper.
        let count = if one.level + 2 >= self.country.levels {
            rest
        } else {
            (least + drawn(Draw::Children, most - least + 1)).min(rest)
        };
        if count == 0 {
            return (Vec::new(), one.people);
        }
        let own = one.people * drawn(Draw::Own, one.rank.own_people() + 1) / 1_000;
        // Of each child its own, and the same wherever else it is asked for.
        let child = |what, place| draw(seed, what, (u64::from(number) << 32) | place);
        // Squares: few are large, most are small.
        let sizes: Vec<u64> =
            (0..count).map(|place| (16 + child(Draw::Size, place) % 240).pow(2)).collect();
        let crowds: Vec<u64> = (0..count)
            .zip(&sizes)
            .map(|(place, size)| size * (50 + child(Draw::People, place) % 100))
            .collect();
        let organizations = share_out(rest - count, &sizes);
        let people = share_out(one.people - own, &crowds);
        let children = (0..count).zip(organizations.into_iter().zip(people)).map(
            |(place, (organizations, people))| Waiting {
                parent: Some((number, Arc::clone(code))),
                place: usize::try_from(place).unwrap_or(usize::MAX),
                rank: one.rank.below(child(Draw::Rank, place)),
                level: one.level + 1,
                // No more than there were.
                organizations: u32::try_from(organizations + 1).unwrap_or(u32::MAX),
                people,
            },
        );
        (children.collect(), own)
    }
}

impl Iterator for Organizations {
    type Item = Organization;

    fn next(&mut self) -> Option<Organization> {
        let one = self.waiting.pop()?;
        let number = self.next;
        let code: Arc<str> = self.country.code(number).into();
        let (children, own_people) = self.below(number, &code, &one);
        let leaf = children.is_empty();
        self.waiting.extend(children.into_iter().rev());
        let (above, parent_code) = one.parent.unzip();
        let seed = self.country.seed;
        let organization = Organization {
            number,
            code,
            name: name(seed, above.unwrap_or_default(), one.place, one.rank, leaf),
            kind: one.rank.kind(leaf),
            parent_code,
            level: one.level,
            organizations: one.organizations,
            people_with_below: one.people,
            own_people,
            first_person: self.first_person,
            seed,
        };
        self.next += 1;
        self.first_person += own_people;
        Some(organization)
    }
}
