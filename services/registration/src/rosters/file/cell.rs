//! What stands in a cell.

use std::borrow::Cow;

/// What a spreadsheet keeps of a number: 15 digits.
const EXACT: f64 = 1e15;

/// A cell. Not for logs.
#[derive(Clone, PartialEq)]
pub(in crate::rosters) enum Cell {
    Text(String),
    Number(f64),
}

impl std::fmt::Debug for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cell")
    }
}

impl Cell {
    /// Of what somebody wrote, without what keeps a spreadsheet from taking it for something
    /// else.
    pub(super) fn of_text(text: &str) -> Self {
        Self::Text(clean(text).to_owned())
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty())
    }

    /// As text; a number as its digits.
    pub(super) fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            // Never in scientific notation: nobody could mend that.
            Self::Number(number) => Cow::Owned(number.to_string()),
        }
    }

    /// Whether a spreadsheet has taken it for a number and rounded it.
    pub(super) fn is_rounded(&self) -> bool {
        match self {
            Self::Text(text) => is_scientific(text),
            Self::Number(number) => number.abs() >= EXACT || number.fract() != 0.0,
        }
    }
}

/// Spaces of all kinds, and the apostrophe or tab that people put before a number to keep it
/// as text.
fn clean(text: &str) -> &str {
    let aside = |c: char| c.is_whitespace() || c == '\u{FEFF}' || c == '\u{200B}';
    let before = |c: char| aside(c) || "'\u{2018}\u{2019}\u{FF07}".contains(c);
    text.trim_start_matches(before).trim_end_matches(aside)
}

/// Such as `3.40822E+17`: what is left of 18 digits in a file that was saved as text.
fn is_scientific(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['E', 'e']) else { return false };
    let exponent = exponent.strip_prefix('+').unwrap_or(exponent);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, rest) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    digits(whole) && digits(rest) && digits(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_number_as_text_is_no_part_of_it() {
        for text in ["'1", "\t1", "1\t", "\u{a0}1\u{3000}", "\u{feff}' 1", "’1", "1"] {
            assert_eq!(Cell::of_text(text), Cell::Text("1".into()), "{text:?}");
        }
        assert_eq!(Cell::of_text("O'Neill"), Cell::Text("O'Neill".into()));
        assert!(Cell::of_text(" ' \t").is_empty());
    }

    #[test]
    fn numbers_show_all_their_digits_and_tell_when_they_lost_some() {
        let number = Cell::Number(13_812_345_678.0);
        assert_eq!((&*number.text(), number.is_rounded()), ("13812345678", false));
        // 15 digits are all there: an ID number of old.
        assert!(!Cell::Number(340_822_880_815_123.0).is_rounded());
        let rounded = Cell::Number(340_822_198_808_150_000.0);
        assert_eq!((&*rounded.text(), rounded.is_rounded()), ("340822198808150000", true));
        for (text, expected) in [
            ("3.40822E+17", true),
            ("3E17", true),
            ("3.4e+17", true),
            ("34082219880815123X", false),
            ("E+17", false),
            ("3.4E", false),
            ("张E3", false),
        ] {
            assert_eq!(Cell::of_text(text).is_rounded(), expected, "{text}");
        }
    }
}
