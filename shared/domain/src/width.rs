//! Full-width forms, as Chinese input methods produce them.

/// Turns a full-width ASCII character (U+FF01–U+FF5E) or the ideographic space into its
/// half-width form; leaves everything else alone.
pub(crate) fn half(c: char) -> char {
    match c {
        '\u{3000}' => ' ',
        '\u{FF01}'..='\u{FF5E}' => {
            u32::from(c).checked_sub(0xFEE0).and_then(char::from_u32).unwrap_or(c)
        }
        _ => c,
    }
}

/// Half-width form of a number as people type or paste it: white space of any kind is dropped,
/// and so are the invisible direction marks that phones put around a copied number.
pub(crate) fn compact(input: &str) -> String {
    input.chars().map(half).filter(|&c| !c.is_whitespace() && !is_invisible(c)).collect()
}

fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrows_digits_letters_and_signs() {
        assert_eq!(compact("＋８６\u{3000}１３８ Ｘ\tｘ\u{00A0}－"), "+86138Xx-");
    }

    #[test]
    fn drops_the_marks_around_a_copied_number() {
        assert_eq!(compact("\u{202D}138\u{200B}0000\u{202C}\u{FEFF}"), "1380000");
    }

    #[test]
    fn leaves_chinese_alone() {
        assert_eq!(half('汪'), '汪');
    }
}
