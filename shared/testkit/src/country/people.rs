//! Who is at an organization.

use std::ops::AddAssign;

use time::Date;
use uuid::Uuid;

use super::Organization;
use super::chance::{Draw, below, draw};
use crate::people::{Person, member};

/// Milliseconds since 1970 from which ids are counted: later than any that a suite makes now.
const IDS_FROM: u128 = 0x01a2_0000_0000;
/// So many have ids of one millisecond.
const IN_A_MILLISECOND: u64 = 16;

/// Somebody, who is on the roster of the organization, or registered with it, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inhabitant {
    /// In the country, from 0 on.
    pub number: u64,
    /// A UUIDv7.
    pub id: Uuid,
    /// On the roster.
    pub member: bool,
    /// A volunteer.
    pub registered: bool,
    /// A volunteer whose name and number match the register.
    pub verified: bool,
    /// A volunteer who says to be a member of the League.
    pub league_member: bool,
}

/// What people add to the figures of an organization.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Who has registered.
    pub volunteers: i64,
    /// Of those, the verified ones.
    pub verified_volunteers: i64,
    /// Of volunteers, those who say to be members.
    pub league_members: i64,
    /// Who is on a roster.
    pub members: i64,
    /// Of those, who has registered.
    pub registered_members: i64,
}

impl Organization {
    /// Who is at it itself.
    pub fn people(&self) -> impl Iterator<Item = Inhabitant> + use<> {
        let (seed, number) = (self.seed, u64::from(self.number));
        let rate =
            |what, least: u64, most: u64| least + below(most - least + 1, seed, what, number);
        // How many of a thousand; each organization has rates of its own. Few have convinced
        // nearly nobody, and many nearly all.
        let roster = rate(Draw::RosterRate, 700, 1_000);
        let missed = rate(Draw::RegisteredRate, 0, 900);
        let registered = 980 - missed * missed / 1_000;
        let league = rate(Draw::LeagueRate, 100, 600);
        self.people_numbers().map(move |number| {
            let among = |what, of_thousand| below(1_000, seed, what, number) < of_thousand;
            let member = among(Draw::Member, roster);
            // Who is on no roster is known by having registered.
            let registered = !member || among(Draw::Registered, registered);
            Inhabitant {
                number,
                id: id(seed, number),
                member,
                registered,
                verified: registered && among(Draw::Verified, 950),
                league_member: registered && (member || among(Draw::League, league)),
            }
        })
    }

    /// What its own people add to its figures.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.people().for_each(|who| totals += who.totals());
        totals
    }
}

impl Inhabitant {
    /// The row of a roster that is about them, on a day on which they are of that age.
    #[must_use]
    pub fn person(&self, today: Date) -> Person {
        member(u32::try_from(self.number).unwrap_or(u32::MAX), today)
    }

    /// What they add.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            volunteers: self.registered.into(),
            verified_volunteers: self.verified.into(),
            league_members: self.league_member.into(),
            members: self.member.into(),
            registered_members: (self.member && self.registered).into(),
        }
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.volunteers += other.volunteers;
        self.verified_volunteers += other.verified_volunteers;
        self.league_members += other.league_members;
        self.members += other.members;
        self.registered_members += other.registered_members;
    }
}

/// Of version 7 and the variant of RFC 9562. Numbers below 2^32 and seeds below 2^24 have ids
/// of their own; the last bits, which tell the partition, are random.
fn id(seed: u32, number: u64) -> Uuid {
    let random = draw(seed, Draw::Id, number);
    let millis = IDS_FROM + u128::from(number / IN_A_MILLISECOND);
    let tail = (u128::from(seed & 0xff_ffff) << 38) | (u128::from(number) << 6);
    let version_and_variant = (7 << 76) | (2 << 62);
    let (first, last) = (u128::from(random >> 52), u128::from(random & 63));
    Uuid::from_u128((millis << 80) | version_and_variant | (first << 64) | tail | last)
}
