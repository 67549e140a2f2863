//! Finding organizations by part of a name.
//!
//! A name is cut into all its strings of one and two characters ("grams"), which an
//! index knows. A query of one or two characters is a gram itself; of a longer one
//! all pairs must be in the name, and then the query as a whole.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization as _;
use zhiyuan_domain::{Violation, turns_direction};

/// Longest query, in characters.
const MAX: usize = 50;

/// A parsed query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    folded: String,
}

/// Why a query was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvalidQuery {
    Length,
    Characters,
}

impl From<InvalidQuery> for Violation {
    fn from(error: InvalidQuery) -> Self {
        let (reason, message) = match error {
            InvalidQuery::Length => ("QUERY_LENGTH", "查询内容不能超过 50 个字，请缩短后再查询"),
            InvalidQuery::Characters => {
                ("QUERY_CHARACTERS", "查询内容含有无法识别的字符，请删除后再查询")
            }
        };
        Self { reason, message: message.to_owned() }
    }
}

impl Query {
    /// Parses a query; `None` when nothing is asked for. No character has a special
    /// meaning.
    ///
    /// # Errors
    /// More than 50 characters, control characters, or such as turn the direction of text.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, InvalidQuery> {
        if text.chars().count() > MAX {
            return Err(InvalidQuery::Length);
        }
        if text.chars().any(|c| c.is_control() || turns_direction(c)) {
            return Err(InvalidQuery::Characters);
        }
        let folded = fold(text);
        Ok(if folded.is_empty() { None } else { Some(Self { folded }) })
    }

    /// What the folded name must contain.
    pub(crate) fn folded(&self) -> &str {
        &self.folded
    }

    /// The fewest grams that every name with the query in it has.
    pub(crate) fn grams(&self) -> Vec<String> {
        let pairs = pairs(&self.folded);
        if pairs.is_empty() { vec![self.folded.clone()] } else { pairs.into_iter().collect() }
    }
}

/// A name as it is searched: compatibility forms are made one (NFKC of Unicode
/// Standard Annex 15, so full-width letters and brackets become narrow), letters are
/// small, white space is dropped.
pub(crate) fn fold(name: &str) -> String {
    name.nfkc().flat_map(char::to_lowercase).filter(|c| !c.is_whitespace()).collect()
}

/// All strings of one and two characters in a folded name, ascending.
pub(crate) fn grams(folded: &str) -> BTreeSet<String> {
    let mut grams = pairs(folded);
    grams.extend(folded.chars().map(String::from));
    grams
}

fn pairs(folded: &str) -> BTreeSet<String> {
    let following = folded.chars().skip(1);
    folded
        .chars()
        .zip(following)
        .map(|(first, second)| String::from_iter([first, second]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(text).unwrap().unwrap()
    }

    #[test]
    fn folds_width_case_and_spaces() {
        assert_eq!(fold("马钢（集团）\u{3000}ＡＢc １"), "马钢(集团)abc1");
        assert_eq!(fold("共青团"), "共青团");
    }

    #[test]
    fn cuts_a_name_into_one_and_two_characters() {
        let all: Vec<String> = grams("广德市").into_iter().collect();
        assert_eq!(all, ["市", "广", "广德", "德", "德市"]);
        assert!(grams("").is_empty());
        assert_eq!(grams("𠮷𠮷").len(), 2, "beyond the BMP, and each only once");
    }

    #[test]
    fn a_query_asks_for_the_longest_grams_it_has() {
        assert_eq!(query("大").grams(), ["大"]);
        assert_eq!(query("广德").grams(), ["广德"]);
        assert_eq!(query("广 德 市").grams(), ["广德", "德市"]);
    }

    #[test]
    fn every_part_of_a_name_asks_for_grams_of_the_name() {
        let name = fold("共青团马钢（集团）控股有限公司 X委员会");
        let all = grams(&name);
        let chars: Vec<char> = name.chars().collect();
        for start in 0..chars.len() {
            for end in start + 1..=chars.len() {
                let part: String = chars[start..end].iter().collect();
                assert!(query(&part).grams().iter().all(|gram| all.contains(gram)), "{part}");
            }
        }
    }

    #[test]
    fn nothing_is_asked_for_by_spaces() {
        assert_eq!(Query::parse(""), Ok(None));
        assert_eq!(Query::parse(" \u{3000}"), Ok(None));
    }

    #[test]
    fn refuses_long_queries_and_control_characters() {
        assert!(Query::parse(&"团".repeat(50)).is_ok());
        assert_eq!(Query::parse(&"团".repeat(51)), Err(InvalidQuery::Length));
        for text in ["广\u{0}德", "广\n", "\u{7f}", "\u{202e}德广"] {
            assert_eq!(Query::parse(text), Err(InvalidQuery::Characters));
        }
        assert_eq!(Violation::from(InvalidQuery::Length).reason, "QUERY_LENGTH");
        assert_eq!(Violation::from(InvalidQuery::Characters).reason, "QUERY_CHARACTERS");
    }

    #[test]
    fn signs_of_patterns_are_characters_like_others() {
        assert_eq!(query("%_\\*").folded(), "%_\\*");
    }
}
