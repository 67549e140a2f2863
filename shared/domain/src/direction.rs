//! Characters that turn the direction in which text is shown.

/// Tells whether a character is one of those that turn the direction of what follows (Unicode
/// Standard Annex 9): nobody types them, and what is shown is not what is there.
pub fn turns_direction(c: char) -> bool {
    matches!(
        c,
        '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_overrides_and_isolates_are_found_and_letters_are_not() {
        assert!("\u{200F}\u{202E}\u{2066}\u{2069}".chars().all(turns_direction));
        assert!(!"团a1·\u{200D}\u{301}א".chars().any(turns_direction));
    }
}
