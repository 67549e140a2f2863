//! Codes of administrative divisions down to the county.

use crate::width;

/// The provinces of GB/T 2260, ascending.
const PROVINCES: [&str; 34] = [
    "11", "12", "13", "14", "15", "21", "22", "23", "31", "32", "33", "34", "35", "36", "37", "41",
    "42", "43", "44", "45", "46", "50", "51", "52", "53", "54", "61", "62", "63", "64", "65", "71",
    "81", "82",
];

/// Tells whether two digits are those of a province.
pub(crate) fn province_exists(prefix: &str) -> bool {
    PROVINCES.binary_search(&prefix).is_ok()
}

/// Why a region code was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRegionCode {
    /// Not six digits.
    #[error("region code is not six digits")]
    Format,
    /// The first two digits are no province.
    #[error("region code begins with a province that does not exist")]
    Province,
}

impl InvalidRegionCode {
    /// Returns the stable name of the broken rule.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Format => "REGION_CODE_FORMAT",
            Self::Province => "REGION_CODE_PROVINCE",
        }
    }

    /// Returns what to do about it, in zh-CN.
    pub fn message(self) -> &'static str {
        match self {
            Self::Format => "所属地区代码应为 6 位数字，请重新选择所属地区",
            Self::Province => "所属地区代码的省份不存在，请重新选择所属地区",
        }
    }
}

/// A code of GB/T 2260: two digits each for province, city and county. Whether the region exists
/// today is for the tree of regions to say.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionCode([u8; 6]);

impl RegionCode {
    /// Parses six digits; full-width digits and white space are accepted.
    ///
    /// # Errors
    /// Other characters, or a province that does not exist.
    pub fn parse(input: &str) -> Result<Self, InvalidRegionCode> {
        let text = width::compact(input);
        let bytes: [u8; 6] = text.as_bytes().try_into().map_err(|_| InvalidRegionCode::Format)?;
        if !bytes.iter().all(u8::is_ascii_digit) {
            return Err(InvalidRegionCode::Format);
        }
        if !text.get(..2).is_some_and(province_exists) {
            return Err(InvalidRegionCode::Province);
        }
        Ok(Self(bytes))
    }

    /// Returns the six digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Returns the code of the province, e.g. 340000 of 341882.
    pub fn province(&self) -> Self {
        let [first, second, ..] = self.0;
        Self([first, second, b'0', b'0', b'0', b'0'])
    }
}

impl std::fmt::Display for RegionCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::fmt::Debug for RegionCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RegionCode({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_regions_of_every_level() {
        for text in ["340000", "341800", "341882", "441900", "820000", " ３４１８８２ "] {
            let code = RegionCode::parse(text).unwrap();
            assert_eq!(code.as_str(), width::compact(text));
            assert_eq!(code.to_string(), code.as_str());
            assert_eq!(RegionCode::parse(code.as_str()), Ok(code));
        }
    }

    #[test]
    fn knows_its_province() {
        let code = RegionCode::parse("341882").unwrap();
        assert_eq!(code.province(), RegionCode::parse("340000").unwrap());
        assert_eq!(code.province().province(), code.province());
    }

    #[test]
    fn refuses_what_is_not_six_digits() {
        for text in ["", "34188", "3418820", "34188X", "341882001", "安徽", "广德"] {
            assert_eq!(RegionCode::parse(text), Err(InvalidRegionCode::Format), "{text}");
        }
    }

    #[test]
    fn refuses_provinces_that_do_not_exist() {
        for text in ["000000", "160101", "830000", "990000"] {
            assert_eq!(RegionCode::parse(text), Err(InvalidRegionCode::Province), "{text}");
        }
    }

    #[test]
    fn the_provinces_ascend() {
        assert!(PROVINCES.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn every_error_has_a_reason_and_a_message() {
        let (one, two) = (InvalidRegionCode::Format, InvalidRegionCode::Province);
        assert_eq!((one.reason(), two.reason()), ("REGION_CODE_FORMAT", "REGION_CODE_PROVINCE"));
        assert_ne!(one.message(), two.message());
    }
}
