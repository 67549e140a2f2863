//! Text with places that are filled in for each call.

use std::collections::BTreeMap;

use zhiyuan_settings::Secret;

/// How a value is written so that it stays a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escape {
    /// Inside the quotes of a JSON string (RFC 8259, section 7).
    Json,
    /// In `application/x-www-form-urlencoded` (WHATWG URL standard, section 5), UTF-8.
    Form,
}

impl Escape {
    pub(crate) fn apply(self, value: &str) -> String {
        match self {
            Self::Json => {
                let quoted = serde_json::Value::from(value).to_string();
                let inside = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                inside.unwrap_or_default().to_owned()
            }
            Self::Form => {
                let mut text = String::with_capacity(value.len() * 3);
                for byte in value.bytes() {
                    match byte {
                        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
                            text.push(char::from(byte));
                        }
                        b' ' => text.push('+'),
                        _ => text.push_str(&format!("%{byte:02X}")),
                    }
                }
                text
            }
        }
    }
}

/// What may stand in braces.
#[derive(Clone, Copy)]
pub(crate) struct Vocabulary<'a> {
    /// Filled in for each call, by position.
    pub(crate) names: &'a [&'static str],
    /// Filled in at start, as `{secret.<key>}`.
    pub(crate) secrets: &'a BTreeMap<String, Secret>,
}

enum Piece {
    Fixed(String),
    Value(usize),
}

/// A template whose placeholders are all known. No `Debug`: it may hold a secret.
pub(crate) struct Template {
    pieces: Vec<Piece>,
    escape: Escape,
}

impl Template {
    pub(crate) fn empty(escape: Escape) -> Self {
        Self { pieces: Vec::new(), escape }
    }

    pub(crate) fn push_fixed(&mut self, text: impl Into<String>) {
        self.pieces.push(Piece::Fixed(text.into()));
    }

    /// Appends `text`. What is outside of placeholders goes through `fixed`.
    ///
    /// A placeholder is a word in braces. Braces around anything else are just braces, which
    /// JSON is full of.
    ///
    /// # Errors
    /// A placeholder that is not in the vocabulary, as a phrase that names it.
    pub(crate) fn push(
        &mut self,
        text: &str,
        vocabulary: Vocabulary<'_>,
        fixed: impl Fn(&str) -> String,
    ) -> Result<(), String> {
        let mut rest = text;
        while let Some((before, name, after)) = next_placeholder(rest) {
            self.push_fixed(fixed(before));
            if let Some(index) = vocabulary.names.iter().position(|known| *known == name) {
                self.pieces.push(Piece::Value(index));
            } else if let Some(secret) =
                name.strip_prefix("secret.").and_then(|key| vocabulary.secrets.get(key))
            {
                self.push_fixed(self.escape.apply(secret.expose()));
            } else {
                return Err(format!("unknown placeholder {{{name}}}, {}", known(vocabulary)));
            }
            rest = after;
        }
        self.push_fixed(fixed(rest));
        Ok(())
    }

    /// Fills in the values, which stand in the order of the vocabulary.
    pub(crate) fn render(&self, values: &[&str]) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Fixed(fixed) => text.push_str(fixed),
                Piece::Value(index) => {
                    text.push_str(&self.escape.apply(values.get(*index).unwrap_or(&"")));
                }
            }
        }
        text
    }

    /// Tells whether the template has a place for a value.
    pub(crate) fn uses(&self, wanted: usize) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Value(index) if *index == wanted))
    }
}

/// Splits at the first placeholder: what is before, its name, what is after.
fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    for (open, _) in text.match_indices('{') {
        let (before, rest) = (text.get(..open)?, text.get(open + 1..)?);
        let (inside, after) = rest.split_once('}')?;
        let name = inside.trim();
        // Wider than the names that exist, so that a slip is reported instead of sent.
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if !name.is_empty() && name.chars().all(word) {
            return Some((before, name, after));
        }
    }
    None
}

fn known(vocabulary: Vocabulary<'_>) -> String {
    let names = vocabulary.names.iter().map(|name| format!("{{{name}}}"));
    let secrets = vocabulary.secrets.keys().map(|key| format!("{{secret.{key}}}"));
    format!("known are {}", names.chain(secrets).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str, escape: Escape, values: &[&str]) -> Result<String, String> {
        let secrets = BTreeMap::new();
        let vocabulary = Vocabulary { names: &["name", "phone"], secrets: &secrets };
        let mut template = Template::empty(escape);
        template.push(text, vocabulary, str::to_owned)?;
        Ok(template.render(values))
    }

    #[test]
    fn fills_in_every_place_and_leaves_other_braces() {
        let text = r#"{"a":{},"b":"{name}/{ phone }/{name}","c":{"d":[{}]}}"#;
        let filled = render(text, Escape::Json, &["甲", "1"]).unwrap();
        assert_eq!(filled, r#"{"a":{},"b":"甲/1/甲","c":{"d":[{}]}}"#);
    }

    #[test]
    fn a_value_is_not_read_as_a_template() {
        assert_eq!(render("{name}", Escape::Json, &["{phone}", "1"]).unwrap(), "{phone}");
    }

    #[test]
    fn names_an_unknown_placeholder() {
        for text in ["{nmae}", "x{Name}", "{name", "{secret.none}", "{na-me}"] {
            let result = render(text, Escape::Form, &["a", "b"]);
            match text {
                "{name" => assert_eq!(result.unwrap(), "{name", "not a placeholder"),
                _ => assert!(result.unwrap_err().starts_with("unknown placeholder {"), "{text}"),
            }
        }
    }

    #[test]
    fn escapes_what_would_end_a_value() {
        let hostile = "a\"b\\c\n\u{1}\t&=+ %𠮷·{}";
        let json = format!("\"{}\"", Escape::Json.apply(hostile));
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), hostile);
        assert_eq!(
            Escape::Form.apply(hostile),
            "a%22b%5Cc%0A%01%09%26%3D%2B+%25%F0%A0%AE%B7%C2%B7%7B%7D"
        );
    }
}
