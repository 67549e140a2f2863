//! ID numbers of 18 characters: citizens, residence permits, foreign permanent residents.

mod address;
mod error;
mod nationality;
#[cfg(test)]
mod tests;

use time::{Date, Month, macros::date};

pub use self::error::InvalidIdNumber;
use crate::width;

/// Nobody alive was born before; an earlier year is a slip of the finger.
const EARLIEST_BIRTH: Date = date!(1900 - 01 - 01);

/// Whose number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdNumberKind {
    /// 公民身份号码 (GB 11643-1999).
    Citizen,
    /// 港澳台居民居住证, issued since 2018-09-01: the number of a citizen with 810000, 820000 or
    /// 830000 as address.
    ResidencePermit,
    /// 外国人永久居留身份证, 2023 version (GA 2102-2023): 9, province of application, nationality
    /// (ISO 3166-1 numeric), then as a citizen's number.
    ForeignPermanentResident,
}

/// Sex, as the 17th digit tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sex {
    /// Odd.
    Male,
    /// Even.
    Female,
}

/// An ID number whose form, date and check character are right. Whether somebody holds it is for
/// the real-name check to say.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IdNumber {
    /// 17 ASCII digits and a digit or `X`.
    text: String,
    kind: IdNumberKind,
    birth_date: Date,
    sex: Sex,
    address_known: bool,
}

impl IdNumber {
    /// Parses a number as people type it: white space is dropped, full-width characters and a
    /// lower-case `x` are accepted. `today` is the date in Asia/Shanghai.
    ///
    /// An address code that was never in use is accepted, see [`Self::address_known`].
    ///
    /// # Errors
    /// Every rule that can be broken is a variant of [`InvalidIdNumber`]; a 15-digit number is
    /// [`InvalidIdNumber::Legacy`].
    pub fn parse(input: &str, today: Date) -> Result<Self, InvalidIdNumber> {
        let text = normalise(input);
        if is_legacy(&text) {
            return Err(InvalidIdNumber::Legacy);
        }
        if text.chars().count() != 18 {
            return Err(InvalidIdNumber::Length);
        }
        let (Some(first17), Some(check)) = (text.get(..17), text.chars().last()) else {
            return Err(InvalidIdNumber::Characters);
        };
        let Some(expected) = Self::check_character(first17) else {
            return Err(InvalidIdNumber::Characters);
        };
        if !check.is_ascii_digit() && check != 'X' {
            return Err(InvalidIdNumber::Characters);
        }
        let (kind, address_known) = read_address(&text)?;
        let birth_date = read_birth_date(&text, today)?;
        if check != expected {
            return Err(InvalidIdNumber::Checksum);
        }
        let sex = if digits(&text, 16, 17) % 2 == 1 { Sex::Male } else { Sex::Female };
        Ok(Self { text, kind, birth_date, sex, address_known })
    }

    /// Upgrades a 15-digit number, which lacks the century (always 19) and the check character.
    /// For the import of old records only: whoever registers fills in the 18-digit number.
    ///
    /// # Errors
    /// [`InvalidIdNumber::NotLegacy`] for anything but a citizen's 15 digits, else as [`Self::parse`].
    pub fn upgrade_legacy(input: &str, today: Date) -> Result<Self, InvalidIdNumber> {
        let text = normalise(input);
        if !is_legacy(&text) {
            return Err(InvalidIdNumber::NotLegacy);
        }
        let (address, rest) = text.split_at_checked(6).ok_or(InvalidIdNumber::NotLegacy)?;
        let first17 = format!("{address}19{rest}");
        let check = Self::check_character(&first17).ok_or(InvalidIdNumber::NotLegacy)?;
        let number = Self::parse(&format!("{first17}{check}"), today)?;
        // The other two kinds are younger than the 18-digit form.
        if number.kind == IdNumberKind::Citizen {
            Ok(number)
        } else {
            Err(InvalidIdNumber::NotLegacy)
        }
    }

    /// Reads the last 8 characters of a number as people type them, spelled as in
    /// [`Self::parse`]; `None` if no number ends so.
    pub fn parse_end(input: &str) -> Option<String> {
        // No end is longer, whatever surrounds it.
        let text = normalise(input.get(..128).unwrap_or(input));
        let (digits, check) = text.split_at_checked(7)?;
        let is_end = input.len() <= 128
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && check.len() == 1
            && check.bytes().all(|byte| byte.is_ascii_digit() || byte == b'X');
        is_end.then_some(text)
    }

    /// Returns the check character that follows 17 digits (ISO 7064 MOD 11-2), or `None` if they
    /// are not 17 ASCII digits.
    pub fn check_character(first17: &str) -> Option<char> {
        if first17.len() != 17 {
            return None;
        }
        // Horner's form of the weighted sum: each place weighs twice the next one, modulo 11.
        let mut sum = 0;
        for c in first17.chars() {
            sum = (sum + c.to_digit(10)?) * 2 % 11;
        }
        match (12 - sum) % 11 {
            10 => Some('X'),
            digit => char::from_digit(digit, 10),
        }
    }

    /// Returns the number: 17 digits and a digit or an upper-case `X`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns whose number it is.
    pub fn kind(&self) -> IdNumberKind {
        self.kind
    }

    /// Returns the date of birth.
    pub fn birth_date(&self) -> Date {
        self.birth_date
    }

    /// Returns the sex. For foreigners read as for citizens; that is not confirmed by a
    /// published text.
    pub fn sex(&self) -> Sex {
        self.sex
    }

    /// Returns the first six digits: the county of the first issue, or for a foreigner 9,
    /// province and nationality.
    pub fn address_code(&self) -> &str {
        self.text.get(..6).unwrap_or_default()
    }

    /// Tells whether numbers with this address code were ever issued. One that is not known is
    /// a reason to look, not to refuse; the table cannot be complete. Always true for foreigners.
    pub fn address_known(&self) -> bool {
        self.address_known
    }

    /// Returns the last eight characters.
    pub fn last_eight(&self) -> &str {
        self.text.get(10..).unwrap_or_default()
    }

    /// Returns the number for screens: first and last character, the others as stars. More would
    /// let the rest be found by trying, because the check character narrows it down.
    pub fn masked(&self) -> String {
        let first = self.text.get(..1).unwrap_or_default();
        let last = self.text.get(17..).unwrap_or_default();
        format!("{first}{}{last}", "*".repeat(16))
    }
}

impl std::fmt::Debug for IdNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdNumber(***)")
    }
}

fn normalise(input: &str) -> String {
    let mut text = width::compact(input);
    text.make_ascii_uppercase();
    text
}

fn is_legacy(text: &str) -> bool {
    text.len() == 15 && text.bytes().all(|b| b.is_ascii_digit())
}

/// Reads the digits from one place to before another, which [`IdNumber::parse`] has checked.
fn digits(text: &str, from: usize, to: usize) -> u32 {
    text.get(from..to).and_then(|part| part.parse().ok()).unwrap_or_default()
}

fn read_address(text: &str) -> Result<(IdNumberKind, bool), InvalidIdNumber> {
    let foreign = text.starts_with('9');
    let province = if foreign { text.get(1..3) } else { text.get(..2) };
    if !province.is_some_and(address::province_exists) {
        return Err(InvalidIdNumber::Province);
    }
    if foreign {
        let nationality = u16::try_from(digits(text, 3, 6)).unwrap_or_default();
        if !nationality::exists(nationality) {
            return Err(InvalidIdNumber::Nationality);
        }
        return Ok((IdNumberKind::ForeignPermanentResident, true));
    }
    let code = digits(text, 0, 6);
    if address::is_above_county(code) {
        return Err(InvalidIdNumber::AddressLevel);
    }
    let kind =
        if text.starts_with('8') { IdNumberKind::ResidencePermit } else { IdNumberKind::Citizen };
    Ok((kind, address::is_known(code)))
}

fn read_birth_date(text: &str, today: Date) -> Result<Date, InvalidIdNumber> {
    let small = |from, to| u8::try_from(digits(text, from, to)).unwrap_or_default();
    let year = i32::try_from(digits(text, 6, 10)).unwrap_or_default();
    let date = Month::try_from(small(10, 12))
        .and_then(|month| Date::from_calendar_date(year, month, small(12, 14)))
        .map_err(|_| InvalidIdNumber::BirthDate)?;
    if date < EARLIEST_BIRTH {
        return Err(InvalidIdNumber::BirthDateTooEarly);
    }
    if date > today {
        return Err(InvalidIdNumber::BirthDateInFuture);
    }
    Ok(date)
}
