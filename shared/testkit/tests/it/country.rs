use std::collections::{BTreeMap, BTreeSet};

use time::macros::date;
use zhiyuan_domain::{AgeRule, IdNumber, OrganizationCode, OrganizationName, Partition, age_on};
use zhiyuan_testkit::Country;
use zhiyuan_testkit::country::{Inhabitant, Organization, Totals};

/// With which people register.
const TAKING: [&str; 4] = ["TOWNSHIP", "UNIVERSITY", "ENTERPRISE", "WORK_COMMITTEE"];

fn of_size(organizations: u32, people: u64) -> Country {
    Country { organizations, people, ..Country::of_seed(7) }
}

fn people(country: &Country) -> Vec<Inhabitant> {
    country.organizations().flat_map(|one| one.people()).collect()
}

#[test]
fn a_country_of_any_size_is_a_tree_that_the_product_takes() {
    for (organizations, crowd) in [(1, 3), (2, 0), (700, 9_000), (19_999, 1), (120_000, 2_400_000)]
    {
        let country = of_size(organizations, crowd);
        let mut below: BTreeMap<String, usize> = BTreeMap::new();
        let mut names = BTreeSet::new();
        let mut levels: BTreeMap<String, u8> = BTreeMap::new();
        for (number, one) in country.organizations().enumerate() {
            assert_eq!(usize::try_from(one.number).unwrap(), number);
            assert_eq!(OrganizationCode::parse(&one.code).unwrap().as_str(), &*one.code);
            assert_eq!(OrganizationName::parse(&one.name).unwrap().as_str(), one.name);
            let level = one.parent_code.as_deref().map_or(0, |above| levels[above] + 1);
            assert_eq!(one.level, level);
            assert!(level < 12, "{one:?}");
            assert!(levels.insert(one.code.to_string(), level).is_none(), "{one:?}");
            let above = one.parent_code.as_deref().unwrap_or_default().to_owned();
            assert!(names.insert((above.clone(), one.name.clone())), "{one:?}");
            *below.entry(above).or_default() += 1;
            assert!(one.own_people == 0 || TAKING.contains(&one.kind), "{one:?}");
            assert!(one.organizations > 1 || TAKING.contains(&one.kind), "{one:?}");
        }
        assert_eq!(levels.len(), usize::try_from(organizations).unwrap());
        assert_eq!(below[""], 1);
        assert!(below.values().all(|children| *children <= 5_000));
        assert!(organizations < 100_000 || levels.values().any(|level| *level == 11));
    }
}

#[test]
fn what_an_organization_says_of_those_below_it_adds_up() {
    let country = of_size(25_000, 300_000);
    let all: Vec<Organization> = country.organizations().collect();
    let mut sums: BTreeMap<&str, (u32, u64)> = BTreeMap::new();
    for one in all.iter().rev() {
        let (organizations, people) = sums.get(&*one.code).copied().unwrap_or_default();
        assert_eq!(one.organizations, organizations + 1, "{one:?}");
        assert_eq!(one.people_with_below, people + one.own_people, "{one:?}");
        if let Some(above) = &one.parent_code {
            let sum = sums.entry(&**above).or_default();
            *sum = (sum.0 + one.organizations, sum.1 + one.people_with_below);
        }
    }
    assert_eq!((all[0].organizations, all[0].people_with_below), (25_000, 300_000));
    let people = people(&country);
    assert!(people.iter().map(|who| who.number).eq(0..300_000));
    let (mut one_by_one, mut together) = (Totals::default(), Totals::default());
    people.iter().for_each(|who| one_by_one += who.totals());
    all.iter().for_each(|one| together += one.totals());
    assert_eq!(one_by_one, together);
}

#[test]
fn sizes_and_rates_differ_as_they_do() {
    let country = of_size(25_000, 300_000);
    // Of the level below the root.
    let mut sizes: Vec<u64> = country
        .organizations()
        .filter(|one| one.level == 1)
        .map(|one| one.people_with_below)
        .collect();
    sizes.sort_unstable();
    assert!(sizes[0] * 5 < sizes[sizes.len() - 1], "{sizes:?}");
    let rates: Vec<i64> = country
        .organizations()
        .map(|one| one.totals())
        .filter(|totals| totals.members > 50)
        .map(|totals| totals.registered_members * 100 / totals.members)
        .collect();
    assert!(rates.len() > 100, "{}", rates.len());
    assert!(rates.iter().any(|rate| *rate < 40) && rates.iter().any(|rate| *rate > 90));
    for who in people(&country) {
        assert!(who.member || who.registered, "{who:?}");
        assert!(who.registered || !who.verified && !who.league_member, "{who:?}");
    }
}

#[test]
fn the_same_seed_is_the_same_country_and_no_other_is() {
    let (one, other) = (Country::of_seed(1), Country::of_seed(2));
    let lines = |country: &Country| -> BTreeSet<String> {
        country.organizations().map(|one| one.line()).collect()
    };
    assert_eq!(lines(&one), lines(&one));
    assert!(lines(&one).is_disjoint(&lines(&other)));
    let shape = |country: &Country| -> Vec<(u8, u64)> {
        country.organizations().map(|one| (one.level, one.own_people)).collect()
    };
    assert_ne!(shape(&one), shape(&other));
    let ids = |country: &Country| -> BTreeSet<_> {
        people(country).into_iter().map(|who| who.id).collect()
    };
    assert_eq!(ids(&one).len(), 100_000);
    assert!(ids(&one).is_disjoint(&ids(&other)));
    assert_eq!(people(&one), people(&one));
}

#[test]
fn ids_are_those_of_the_product_and_spread_over_all_partitions() {
    let mut partitions: BTreeMap<i16, u32> = BTreeMap::new();
    for who in people(&of_size(300, 64_000)) {
        assert_eq!(who.id.get_version_num(), 7);
        assert_eq!(who.id.get_variant(), uuid::Variant::RFC4122);
        *partitions.entry(Partition::of(who.id).get()).or_default() += 1;
    }
    assert_eq!(partitions.len(), 64);
    assert!(partitions.values().all(|count| (800..1_200).contains(count)), "{partitions:?}");
}

#[test]
fn a_row_of_a_roster_is_somebody_of_the_age_of_members() {
    let today = date!(2026 - 11 - 30);
    let mut numbers = BTreeSet::new();
    for who in people(&of_size(300, 5_000)) {
        let person = who.person(today);
        let birth = IdNumber::parse(&person.id_number, today).unwrap().birth_date();
        assert!((14..28).contains(&age_on(birth, today, AgeRule::OnBirthday)));
        assert!(numbers.insert(person.id_number));
    }
}

#[test]
fn fewer_levels_are_kept() {
    let country = Country { levels: 6, ..of_size(25_000, 0) };
    assert_eq!(country.organizations().map(|one| one.level).max(), Some(5));
    assert_eq!(country.organizations().count(), 25_000);
}
