//! The address part of an ID number: the county of the first issue, GB/T 2260.

use std::sync::LazyLock;

/// County codes that were ever in use, ascending; see `data/README.md`.
static COUNTIES: LazyLock<Vec<u32>> = LazyLock::new(|| {
    let mut codes: Vec<u32> = include_str!("../../data/historical_county_codes.txt")
        .lines()
        .filter_map(|line| line.trim().parse().ok())
        .collect();
    codes.sort_unstable();
    codes
});

/// Cities that have no county below them, or had none for years: 东莞, 中山, 海口, 三亚, 三沙,
/// 儋州, 嘉峪关. Numbers issued there carry the code of the city.
const CITIES_WITHOUT_COUNTIES: [u32; 7] = [441900, 442000, 460100, 460200, 460300, 460400, 620200];

/// The codes of the residence permits of Hong Kong, Macau and Taiwan residents.
const RESIDENCE_PERMITS: [u32; 3] = [810000, 820000, 830000];

/// Tells whether a prefix of two digits is a province; 83 exists in residence permits only.
pub(super) fn province_exists(prefix: &str) -> bool {
    crate::region_code::province_exists(prefix) || prefix == "83"
}

/// Tells whether a code is that of a province or city that has counties.
pub(super) fn is_above_county(code: u32) -> bool {
    code.is_multiple_of(100)
        && !CITIES_WITHOUT_COUNTIES.contains(&code)
        && !RESIDENCE_PERMITS.contains(&code)
}

/// Tells whether numbers with this code were ever issued, as far as is known.
pub(super) fn is_known(code: u32) -> bool {
    COUNTIES.binary_search(&code).is_ok() || CITIES_WITHOUT_COUNTIES.contains(&code)
}

#[cfg(test)]
pub(super) fn all() -> &'static [u32] {
    &COUNTIES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_file_is_a_county_of_a_province() {
        let lines = include_str!("../../data/historical_county_codes.txt").lines();
        assert_eq!(lines.clone().count(), all().len());
        assert!(all().is_sorted_by(|a, b| a < b));
        for line in lines {
            assert_eq!(line.len(), 6, "{line}");
            assert!(province_exists(&line[..2]), "{line}");
            assert!(!is_above_county(line.parse().unwrap()), "{line}");
        }
    }

    #[test]
    fn knows_the_codes_that_a_county_had_over_the_years() {
        // 广德 as county of Xuancheng prefecture, county, city; 宿松 before and after 1988.
        for code in [342523, 341822, 341882, 342826, 340826, 830000] {
            assert!(is_known(code), "{code}");
        }
        assert!(!is_known(340199));
    }

    #[test]
    fn a_city_without_counties_stands_for_its_county() {
        for code in CITIES_WITHOUT_COUNTIES {
            assert!(is_known(code) && !is_above_county(code), "{code}");
        }
        for code in [340000, 340100, 440300, 710000, 810100] {
            assert!(is_above_county(code), "{code}");
        }
    }
}
