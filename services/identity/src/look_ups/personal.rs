//! Phones and ID numbers that stand within other characters.

use time::{Date, Month};
use zhiyuan_domain::{IdNumber, Mobile};

/// Whether a text of letters, digits and `-_.:` holds a phone or an ID number, alone or among
/// other characters, also with separators between its digits.
pub(super) fn is_in(text: &str, today: Date) -> bool {
    // Of random digits; and what hides in one that is well formed was put there on purpose.
    if text.len() == 36 && uuid::Uuid::try_parse(text).is_ok_and(|id| id.get_version().is_some()) {
        return false;
    }
    let joined: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    [text, &joined].into_iter().any(|text| runs(text).any(|run| is_personal(run, today)))
}

/// The longest runs of digits, each with the `X` after it, if there is one.
fn runs(text: &str) -> impl Iterator<Item = &str> {
    let is_digit = |c: char| c.is_ascii_digit();
    text.split_inclusive(move |c: char| !is_digit(c)).filter_map(move |piece| {
        let from = piece.find(is_digit)?;
        let run = piece.get(from..)?;
        Some(run.strip_suffix(|c: char| !is_digit(c) && !matches!(c, 'X' | 'x')).unwrap_or(run))
    })
}

fn is_personal(run: &str, today: Date) -> bool {
    let digits = run.trim_end_matches(['X', 'x']);
    is_phone(digits) || is_old_number(digits) || has_number(run, today)
}

/// With or without the code of the country.
fn is_phone(digits: &str) -> bool {
    let national = ["0086", "86"].into_iter().find_map(|code| digits.strip_prefix(code));
    [Some(digits), national]
        .into_iter()
        .flatten()
        .any(|digits| digits.len() == 11 && Mobile::parse(digits).is_ok())
}

/// An ID number of 18 characters, wherever it begins: its check character leaves hardly any
/// number that is one by chance.
fn has_number(run: &str, today: Date) -> bool {
    let windows = 0..=run.len().saturating_sub(18);
    windows
        .filter_map(|from| run.get(from..from + 18))
        .any(|window| IdNumber::parse(window, today).is_ok())
}

/// An ID number of before 1999 (GB 11643-1989): 15 digits, without a check character. A
/// province and a date in it are all that tells it from another number.
fn is_old_number(digits: &str) -> bool {
    let number = |range: std::ops::Range<usize>| digits.get(range)?.parse::<u8>().ok();
    if digits.len() != 15 {
        return false;
    }
    let (Some(province), Some(year), Some(month), Some(day)) =
        (number(0..2), number(6..8), number(8..10), number(10..12))
    else {
        return false;
    };
    let date = Month::try_from(month)
        .ok()
        .and_then(|month| Date::from_calendar_date(1900 + i32::from(year), month, day).ok());
    matches!(province, 11..=15 | 21..=23 | 31..=37 | 41..=46 | 50..=54 | 61..=65 | 71 | 81 | 82)
        && date.is_some()
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;

    const TODAY: Date = date!(2026 - 11 - 25);

    #[test]
    fn what_is_personal_is_found_among_other_characters() {
        for text in [
            "13800000001",
            "u13800000001",
            "u-13800000001-7",
            "138-0000-0001",
            "8613800000001",
            "u008613800000001x",
            "110101190001010014",
            "id110101190001010014z",
            "1101-0119-0001-0100-14",
            "99110101190001010014",
            "110101900101001",
            "u.110101900101001",
        ] {
            assert!(is_in(text, TODAY), "{text}");
        }
        let with_x = (0..1000)
            .map(|n| format!("11010119900101{n:03}X"))
            .find(|text| IdNumber::parse(text, TODAY).is_ok())
            .unwrap();
        for text in [with_x.clone(), format!("a{with_x}"), format!("a-{}-b", with_x.to_lowercase())]
        {
            assert!(is_in(&text, TODAY), "{text}");
        }
    }

    #[test]
    fn what_platforms_call_people_is_not() {
        for text in [
            "1",
            "u-1_2.3:4",
            "6001001",
            // Of a counter, of a clock, of a clock and a counter.
            "20000000001",
            "1764072000000",
            "1764072000000123456",
            "110101901301001",
            "990101900101001",
            "0193a6e7-c007-4bcd-8ef0-000000000000",
            // Joined, a phone: of random ids one in some hundred has one.
            "a3e7bc1d-5e13-4800-8000-01fbc01d2e3f",
            "a".repeat(64).as_str(),
        ] {
            assert!(!is_in(text, TODAY), "{text}");
        }
    }
}
