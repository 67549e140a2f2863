//! Numbers of people in what somebody writes in own words.

/// Digits that are no phone, no ID number and no part of one that tells somebody apart.
const MOST: usize = 5;

/// Whether a text holds a number of more than five digits, whatever marks and spaces stand
/// between them: it may be a phone or an ID number, and is none of what is kept for long.
pub fn holds_long_number(text: &str) -> bool {
    let digits = |run: &str| run.chars().filter(|c| c.is_numeric()).count();
    text.split(char::is_alphabetic).any(|run| digits(run) > MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_spaces_hide_no_number() {
        for text in [
            "13900000000",
            "新号139 0000 0000",
            "139-0000-0000",
            "139.0000.0000",
            "139，0000，0000",
            "(139)_0000/0000",
            "１３９００００００００",
            "后六位 12 34 56",
        ] {
            assert!(holds_long_number(text), "{text}");
        }
        for text in ["", "12345", "房间 12-3，窗口 4", "2026年11月25日到窗口", "核对身份证原件"]
        {
            assert!(!holds_long_number(text), "{text}");
        }
    }
}
