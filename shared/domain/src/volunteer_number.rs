//! The number that people see.

use crate::{RegionCode, width};

/// Why a volunteer number was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVolunteerNumber {
    /// Not 15 digits.
    #[error("volunteer number is not 15 digits")]
    Format,
    /// The first six digits are no region.
    #[error("volunteer number begins with a region that does not exist")]
    Region,
    /// The serial number has more than eight digits.
    #[error("serial of the volunteer number has more than eight digits")]
    Serial,
    /// The last digit does not follow from the others.
    #[error("volunteer number has a wrong check digit")]
    Checksum,
}

impl InvalidVolunteerNumber {
    /// Returns the stable name of the broken rule.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Format => "VOLUNTEER_NUMBER_FORMAT",
            Self::Region => "VOLUNTEER_NUMBER_REGION",
            Self::Serial => "VOLUNTEER_NUMBER_SERIAL",
            Self::Checksum => "VOLUNTEER_NUMBER_CHECKSUM",
        }
    }

    /// Returns what to do about it, in zh-CN.
    pub fn message(self) -> &'static str {
        match self {
            Self::Format => "志愿者编号应为 15 位数字，请检查后重新填写",
            Self::Region => "志愿者编号的地区代码不存在，请检查前 6 位数字",
            Self::Serial => "该地区的志愿者编号已用完，请联系平台管理员",
            Self::Checksum => "志愿者编号校验未通过，请逐位检查后重新填写",
        }
    }
}

/// A number of 15 digits: the region at registration (6), a serial number in it (8), and a check
/// digit (ISO 7064 MOD 11,10). It stays with the volunteer who moves, so the region in it means
/// nothing later. The format is this product's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolunteerNumber(String);

impl VolunteerNumber {
    /// The largest serial number of a region.
    pub const MAX_SERIAL: u32 = 99_999_999;

    /// Makes the number of a serial in a region.
    ///
    /// # Errors
    /// [`InvalidVolunteerNumber::Serial`] beyond [`Self::MAX_SERIAL`].
    pub fn new(region: RegionCode, serial: u32) -> Result<Self, InvalidVolunteerNumber> {
        if serial > Self::MAX_SERIAL {
            return Err(InvalidVolunteerNumber::Serial);
        }
        let first14 = format!("{region}{serial:08}");
        let check = check_digit(&first14).ok_or(InvalidVolunteerNumber::Format)?;
        Ok(Self(format!("{first14}{check}")))
    }

    /// Parses a number as people type it; full-width digits and white space are accepted.
    ///
    /// # Errors
    /// Other characters, a region that does not exist, or a wrong check digit.
    pub fn parse(input: &str) -> Result<Self, InvalidVolunteerNumber> {
        let text = width::compact(input);
        if text.len() != 15 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidVolunteerNumber::Format);
        }
        let (first14, last) = text.split_at_checked(14).ok_or(InvalidVolunteerNumber::Format)?;
        first14
            .get(..6)
            .and_then(|region| RegionCode::parse(region).ok())
            .ok_or(InvalidVolunteerNumber::Region)?;
        if !check_digit(first14).is_some_and(|check| last.starts_with(check)) {
            return Err(InvalidVolunteerNumber::Checksum);
        }
        Ok(Self(text))
    }

    /// Returns the 15 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for VolunteerNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// ISO 7064 MOD 11,10: the product starts at 10 and is never left at 0.
fn check_digit(digits: &str) -> Option<char> {
    let mut product = 10;
    for c in digits.chars() {
        let sum = match (product + c.to_digit(10)?) % 10 {
            0 => 10,
            sum => sum,
        };
        product = sum * 2 % 11;
    }
    char::from_digit((11 - product) % 10, 10)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn region(code: &str) -> RegionCode {
        RegionCode::parse(code).unwrap()
    }

    #[test]
    fn makes_the_numbers_of_a_region() {
        let number = |code, serial| VolunteerNumber::new(region(code), serial).unwrap().to_string();
        assert_eq!(number("341882", 1), "341882000000017");
        assert_eq!(number("340826", 2), "340826000000022");
        assert_eq!(number("341882", VolunteerNumber::MAX_SERIAL).len(), 15);
    }

    #[test]
    fn refuses_a_serial_that_does_not_fit() {
        let refused = VolunteerNumber::new(region("341882"), VolunteerNumber::MAX_SERIAL + 1);
        assert_eq!(refused, Err(InvalidVolunteerNumber::Serial));
    }

    #[test]
    fn spelling_does_not_matter() {
        let number = VolunteerNumber::parse("341882000000017").unwrap();
        assert_eq!(VolunteerNumber::parse(" ３４１８８２ 0000 0001 7"), Ok(number));
    }

    #[test]
    fn refuses_what_is_no_number() {
        use InvalidVolunteerNumber::*;
        for (text, error) in [
            ("", Format),
            ("34188200000001", Format),
            ("3418820000000170", Format),
            ("34188200000001X", Format),
            ("志愿者编号五", Format),
            ("991882000000017", Region),
            ("341882000000018", Checksum),
        ] {
            assert_eq!(VolunteerNumber::parse(text), Err(error), "{text}");
            assert!(error.reason().starts_with("VOLUNTEER_NUMBER_"));
            assert!(!error.message().is_ascii());
        }
        assert_eq!(Serial.reason(), "VOLUNTEER_NUMBER_SERIAL");
    }

    proptest! {
        #[test]
        fn reads_what_it_made_and_no_other_digit(
            serial in 0..=VolunteerNumber::MAX_SERIAL,
            place in 0..15_usize,
            shift in 1..10_u32,
        ) {
            let number = VolunteerNumber::new(region("340826"), serial).unwrap();
            let mut wrong: Vec<char> = number.as_str().chars().collect();
            prop_assert_eq!(VolunteerNumber::parse(number.as_str()), Ok(number));
            let digit = (wrong[place].to_digit(10).unwrap() + shift) % 10;
            wrong[place] = char::from_digit(digit, 10).unwrap();
            prop_assert!(VolunteerNumber::parse(&wrong.iter().collect::<String>()).is_err());
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = VolunteerNumber::parse(&text);
        }
    }
}
