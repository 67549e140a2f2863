//! Names of people, as their cards spell them.

use unicode_normalization::UnicodeNormalization;

use crate::width;

/// `·`, the dot between the parts of a name that was transcribed into Chinese.
const DOT: char = '\u{B7}';

/// Why a name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPersonName {
    /// Fewer than two letters.
    #[error("name has fewer than two letters")]
    TooShort,
    /// More than 50 characters.
    #[error("name has more than 50 characters")]
    TooLong,
    /// Has digits.
    #[error("name has digits")]
    Digits,
    /// Has characters that are neither Han nor Latin letters nor separators.
    #[error("name has characters that do not belong in a name")]
    Characters,
    /// A dot, hyphen, apostrophe or full stop at an end, or several in a row.
    #[error("name has a separator that separates nothing")]
    Separators,
}

impl InvalidPersonName {
    /// Returns the stable name of the broken rule.
    pub fn reason(self) -> &'static str {
        match self {
            Self::TooShort => "NAME_TOO_SHORT",
            Self::TooLong => "NAME_TOO_LONG",
            Self::Digits => "NAME_DIGITS",
            Self::Characters => "NAME_CHARACTERS",
            Self::Separators => "NAME_SEPARATORS",
        }
    }

    /// Returns what to do about it, in zh-CN.
    pub fn message(self) -> &'static str {
        match self {
            Self::TooShort => "姓名至少 2 个字，请填写与证件一致的姓名",
            Self::TooLong => "姓名最多 50 个字，请填写与证件一致的姓名",
            Self::Digits => "姓名不能包含数字，请填写与证件一致的姓名",
            Self::Characters => "姓名只能包含汉字、字母和间隔号“·”，请填写与证件一致的姓名",
            Self::Separators => "姓名中的间隔号、连字符等只能用在两个字之间，且不能连用",
        }
    }
}

/// A name in NFC: Han characters, Latin letters, and single separators between them.
///
/// NFC replaces compatibility ideographs by the character they are copies of, so that one name
/// has one spelling.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PersonName(String);

impl PersonName {
    /// Fewest letters.
    const MIN: usize = 2;
    /// Most characters, separators included.
    const MAX: usize = 50;
    /// Longest input that is looked at, in bytes: more than [`Self::MAX`] characters ever need.
    const MAX_BYTES: usize = 1024;

    /// Parses a name as people type it: every spelling of the middle dot becomes `·` (U+00B7),
    /// full-width letters become narrow, spaces at the ends, between Han characters and around
    /// the dot are dropped, other runs of spaces become one.
    ///
    /// # Errors
    /// Too short or too long, digits, other characters, or misplaced separators.
    pub fn parse(input: &str) -> Result<Self, InvalidPersonName> {
        let input = input.trim();
        if input.len() > Self::MAX_BYTES {
            return Err(InvalidPersonName::TooLong);
        }
        let name = settle_separators(&input.chars().map(fold).nfc().collect::<Vec<_>>());
        check_characters(&name)?;
        if name.chars().count() > Self::MAX {
            return Err(InvalidPersonName::TooLong);
        }
        if name.chars().filter(|&c| is_letter(c)).count() < Self::MIN {
            return Err(InvalidPersonName::TooShort);
        }
        Ok(Self(name))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name for screens: its first character, and a star for each other, three at
    /// most.
    pub fn masked(&self) -> String {
        let mut rest = self.0.chars();
        let first = rest.next().map(String::from).unwrap_or_default();
        first + &"*".repeat(rest.count().min(3))
    }

    /// Tells whether a character lies beyond the basic multilingual plane. Registers that
    /// cannot store one send `?` instead, so a mismatch proves nothing then.
    pub fn has_rare_characters(&self) -> bool {
        self.0.chars().any(|c| u32::from(c) > 0xFFFF)
    }
}

impl std::fmt::Debug for PersonName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PersonName(***)")
    }
}

/// Gives every spelling of a separator, space or letter one form.
fn fold(c: char) -> char {
    match width::half(c) {
        '\u{2022}' | '\u{30FB}' | '\u{FF65}' | '\u{2027}' | '\u{2219}' | '\u{22C5}' => DOT,
        '\u{2018}' | '\u{2019}' | '\u{02BC}' | '\u{02BB}' | '`' => '\'',
        '\u{2010}' | '\u{2011}' => '-',
        c if c.is_whitespace() && !c.is_control() => ' ',
        c => c,
    }
}

/// Drops the spaces that mean nothing, and reads a full stop between Han characters as the dot.
fn settle_separators(chars: &[char]) -> String {
    let mut name = String::with_capacity(chars.len());
    let mut last = None;
    for (index, &c) in chars.iter().enumerate() {
        let next = chars.iter().skip(index + 1).copied().find(|&c| c != ' ');
        let between_han = last.is_some_and(is_han) && next.is_some_and(is_han);
        let c = match c {
            ' ' => match (last, next) {
                (None | Some(' ' | DOT), _) | (_, None | Some(DOT)) => continue,
                (Some(last), Some('.')) if is_han(last) => continue,
                _ if between_han => continue,
                _ => ' ',
            },
            '.' if between_han => DOT,
            c => c,
        };
        name.push(c);
        last = Some(c);
    }
    name
}

fn check_characters(name: &str) -> Result<(), InvalidPersonName> {
    let mut misplaced = false;
    let mut last = None;
    let mut marks = 0;
    for c in name.chars() {
        if is_letter(c) {
            marks = 0;
        } else if is_mark(c) {
            // Letters of Vietnamese or Yoruba carry two; more only deface what stands above.
            marks += 1;
            if marks > 2 || !last.is_some_and(|last| is_latin(last) || is_mark(last)) {
                return Err(InvalidPersonName::Characters);
            }
        } else if is_separator(c) {
            let after_initial = last == Some('.') && matches!(c, ' ' | '-');
            misplaced |=
                !after_initial && !last.is_some_and(|last| is_letter(last) || is_mark(last));
        } else if c.is_numeric() {
            return Err(InvalidPersonName::Digits);
        } else {
            return Err(InvalidPersonName::Characters);
        }
        last = Some(c);
    }
    if misplaced || last.is_some_and(is_separator) {
        return Err(InvalidPersonName::Separators);
    }
    Ok(())
}

fn is_letter(c: char) -> bool {
    is_han(c) || is_latin(c)
}

fn is_separator(c: char) -> bool {
    matches!(c, DOT | ' ' | '-' | '\'' | '.')
}

fn is_mark(c: char) -> bool {
    matches!(c, '\u{0300}'..='\u{036F}')
}

fn is_latin(c: char) -> bool {
    c.is_ascii_alphabetic()
        || matches!(c, '\u{C0}'..='\u{24F}' | '\u{1E00}'..='\u{1EFF}' if !matches!(c, '×' | '÷'))
}

/// The CJK unified and compatibility ideographs of Unicode 17, and `〇`.
pub(crate) fn is_han(c: char) -> bool {
    matches!(c,
        '\u{3007}'
        | '\u{3400}'..='\u{4DBF}'
        | '\u{4E00}'..='\u{9FFF}'
        | '\u{F900}'..='\u{FA6D}' | '\u{FA70}'..='\u{FAD9}'
        | '\u{20000}'..='\u{2A6DF}' // extension B
        | '\u{2A700}'..='\u{2B81D}' // C, D
        | '\u{2B820}'..='\u{2CEAD}' // E
        | '\u{2CEB0}'..='\u{2EBE0}' // F
        | '\u{2EBF0}'..='\u{2EE5D}' // I
        | '\u{2F800}'..='\u{2FA1D}' // compatibility
        | '\u{30000}'..='\u{3134A}' // G
        | '\u{31350}'..='\u{323AF}' // H
        | '\u{323B0}'..='\u{33479}' // J
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(input: &str) -> String {
        PersonName::parse(input).map(|name| name.as_str().to_owned()).unwrap()
    }

    #[test]
    fn accepts_the_names_of_people() {
        for name in [
            "汪洋",
            "欧阳修远",
            "阿卜杜拉·买买提",
            "古丽·阿依·努尔",
            "丁〇",
            "𠮷野",
            "王𬎆",
            "李𫖯",
            "张𪛗",
            "刘𰀀",
            "陈𱍐",
            "Mary Ann O'Neil",
            "Jean-Pierre",
            "J. R. R. Tolkien",
            "J.-P. Sartre",
            "José Núñez",
            "Nguyễn Thị Ánh",
            "李 Anna",
            "Ọ̀ṣun",
        ] {
            let expected: String = name.nfc().collect();
            assert_eq!(parsed(name), expected, "{name}");
        }
    }

    #[test]
    fn every_spelling_of_the_dot_is_one_dot() {
        for dot in ["·", "•", "・", "．", "‧", ".", "･", "∙", "⋅", "\u{387}", " · ", " ."]
        {
            assert_eq!(parsed(&format!("阿卜杜拉{dot}买买提")), "阿卜杜拉·买买提", "{dot}");
        }
    }

    #[test]
    fn spaces_that_mean_nothing_are_dropped() {
        assert_eq!(parsed("\u{3000}张\u{3000}三 \n"), "张三");
        assert_eq!(parsed("Mary\u{A0}  Ann"), "Mary Ann");
        assert_eq!(parsed("Ｍａｒｙ　Ａｎｎ"), "Mary Ann");
        assert_eq!(parsed("Conan O’Brien"), "Conan O'Brien");
    }

    #[test]
    fn composes_letters_and_unifies_compatibility_ideographs() {
        assert_eq!(parsed("Jose\u{301}"), "José");
        assert_eq!(parsed("\u{F9D1}郎"), "六郎");
        assert_eq!(parsed("李\u{2F800}"), "李\u{4E3D}");
    }

    #[test]
    fn has_two_letters_to_fifty_characters() {
        for name in ["", " ", "汪", "A"] {
            assert_eq!(PersonName::parse(name), Err(InvalidPersonName::TooShort), "{name}");
        }
        assert!(PersonName::parse(&"汪".repeat(50)).is_ok());
        for name in ["汪".repeat(51), "𠮷".repeat(51), "汪".repeat(100_000)] {
            assert_eq!(PersonName::parse(&name), Err(InvalidPersonName::TooLong));
        }
    }

    #[test]
    fn refuses_digits() {
        for name in ["张3", "张３", "张三2号", "John 2", "张Ⅳ"] {
            assert_eq!(PersonName::parse(name), Err(InvalidPersonName::Digits), "{name}");
        }
    }

    #[test]
    fn refuses_what_is_no_letter() {
        for name in [
            "张\u{0}三",
            "张\n三",
            "张\u{202E}三",
            "张\u{200B}三",
            "张?三",
            "张_三",
            "张,三",
            "<b>张三</b>",
            "张\u{E000}",
            "张😀",
            "Иван Петров",
            "山田たろう",
            "김철수",
            "张\u{E0100}三",
            "张\u{FE00}三",
            "A×B",
            "Z\u{335}\u{336}\u{337}algo",
            "张\u{301}三",
            "\u{301}Anna",
            "\u{2FF0}亻三",
        ] {
            assert_eq!(PersonName::parse(name), Err(InvalidPersonName::Characters), "{name:?}");
        }
    }

    #[test]
    fn refuses_separators_that_separate_nothing() {
        for name in [
            "·张三",
            "张三·",
            "张··三",
            "张.·三",
            "张三.",
            "-张三",
            "O''Neil",
            "Jean--Pierre",
            "·",
            "a-'b",
        ] {
            assert_eq!(PersonName::parse(name), Err(InvalidPersonName::Separators), "{name}");
        }
    }

    #[test]
    fn shows_the_first_character_at_most() {
        let masked = |name| PersonName::parse(name).unwrap().masked();
        assert_eq!(masked("汪洋"), "汪*");
        assert_eq!(masked("欧阳修"), "欧**");
        assert_eq!(masked("欧阳修远"), "欧***");
        assert_eq!(masked("阿卜杜拉·买买提"), "阿***");
        assert_eq!(masked("𠮷野"), "𠮷*");
        assert_eq!(format!("{:?}", PersonName::parse("汪洋").unwrap()), "PersonName(***)");
    }

    #[test]
    fn tells_rare_characters() {
        assert!(PersonName::parse("王𬎆").unwrap().has_rare_characters());
        assert!(!PersonName::parse("王玥").unwrap().has_rare_characters());
    }

    #[test]
    fn every_error_has_a_reason_and_a_message() {
        use InvalidPersonName::*;
        for (error, reason) in [
            (TooShort, "NAME_TOO_SHORT"),
            (TooLong, "NAME_TOO_LONG"),
            (Digits, "NAME_DIGITS"),
            (Characters, "NAME_CHARACTERS"),
            (Separators, "NAME_SEPARATORS"),
        ] {
            assert_eq!(error.reason(), reason);
            assert!(!error.message().is_ascii());
        }
    }

    proptest! {
        #[test]
        fn a_parsed_name_parses_to_itself(text in any::<String>(), almost in "[汪洋·.．・ 'A-Cé\u{301}𠮷-]{1,12}") {
            for input in [text, almost] {
                if let Ok(name) = PersonName::parse(&input) {
                    prop_assert_eq!(PersonName::parse(name.as_str()), Ok(name));
                }
            }
        }
    }
}
