//! What a vendor's answer means.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::error::ConfigError;

/// A `response` section: where the result code is, and what each code means. `O` is what a call
/// can come to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResponseShape<O> {
    /// HTTP statuses with a result code in the body, from 200 to 299 or 400 to 499. Any other
    /// status is a failure of the vendor.
    #[serde(default = "default_statuses")]
    pub statuses: Vec<u16>,
    /// Where the code is in the JSON body, as a JSON pointer (RFC 6901). It is text, a number
    /// or a boolean there.
    pub code_pointer: String,
    /// What each code means.
    pub codes: BTreeMap<String, O>,
}

fn default_statuses() -> Vec<u16> {
    vec![200]
}

/// What was found at the place of the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading<O> {
    /// A code with a meaning.
    Meaning(O),
    /// A code that the configuration does not know.
    UnknownCode(CodeLabel),
    /// Not JSON, or nothing that could be a code.
    Malformed,
}

/// A code for the log. A pointer to the wrong place could hit something personal, so only what
/// is too short for that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CodeLabel {
    /// Filled up with spaces.
    shown: Option<[u8; CodeLabel::SHOWN]>,
    bytes: usize,
}

impl CodeLabel {
    /// Shorter than a code sent by text message, a name in pinyin or a part of a phone number.
    const SHOWN: usize = 4;

    fn new(code: &str) -> Self {
        let bytes = code.len();
        let mut shown = [b' '; Self::SHOWN];
        let fits = bytes <= Self::SHOWN && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
        shown.iter_mut().zip(code.bytes()).for_each(|(place, byte)| *place = byte);
        Self { shown: fits.then_some(shown), bytes }
    }
}

impl std::fmt::Display for CodeLabel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.shown.as_ref().and_then(|shown| std::str::from_utf8(shown).ok()) {
            Some(shown) => write!(f, "{:?}", shown.trim_end()),
            None => write!(f, "of {} bytes", self.bytes),
        }
    }
}

impl<O: Copy + PartialEq> ResponseShape<O> {
    /// Checks the shape. `good` is what some code has to mean, else no call could ever succeed.
    pub(crate) fn check(&self, key: &str, good: O) -> Result<(), ConfigError> {
        let problem = |field, text| Err(ConfigError::new(format!("{key}.{field}"), text));
        if self.statuses.is_empty() {
            return problem("statuses", "must not be empty");
        }
        if self.statuses.iter().any(|status| !matches!(status, 200..=299 | 400..=499)) {
            return problem("statuses", "must be from 200 to 299 or from 400 to 499");
        }
        if !is_pointer(&self.code_pointer) {
            return problem("code_pointer", "not a json pointer such as /result/code");
        }
        if !self.codes.values().any(|meaning| *meaning == good) {
            return problem("codes", "no code means success");
        }
        Ok(())
    }

    pub(crate) fn has_code(&self, status: http::StatusCode) -> bool {
        self.statuses.contains(&status.as_u16())
    }

    pub(crate) fn read(&self, body: &[u8]) -> Reading<O> {
        let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) else {
            return Reading::Malformed;
        };
        let code = match body.pointer(&self.code_pointer) {
            Some(serde_json::Value::String(code)) => code.clone(),
            Some(code @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => {
                code.to_string()
            }
            _ => return Reading::Malformed,
        };
        match self.codes.get(&code) {
            Some(meaning) => Reading::Meaning(*meaning),
            None => Reading::UnknownCode(CodeLabel::new(&code)),
        }
    }
}

/// RFC 6901, section 3: empty or begins with `/`; `~` only in `~0` and `~1`.
fn is_pointer(text: &str) -> bool {
    (text.is_empty() || text.starts_with('/'))
        && text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(pointer: &str) -> ResponseShape<bool> {
        let codes = [("0", true), ("true", true), ("1.5", false), ("一致", true)];
        ResponseShape {
            statuses: default_statuses(),
            code_pointer: pointer.to_owned(),
            codes: codes.map(|(code, meaning)| (code.to_owned(), meaning)).into(),
        }
    }

    #[test]
    fn reads_text_numbers_and_booleans_at_any_depth() {
        let nested = shape("/data/0/code");
        for (code, meaning) in
            [("\"0\"", true), ("0", true), ("true", true), ("1.5", false), ("\"一致\"", true)]
        {
            let body = format!(r#"{{"data":[{{"code":{code}}}]}}"#);
            assert_eq!(nested.read(body.as_bytes()), Reading::Meaning(meaning), "{code}");
        }
        assert_eq!(shape("").read(b"0"), Reading::Meaning(true));
        assert_eq!(shape("/a~1b").read(br#"{"a/b":0}"#), Reading::Meaning(true));
    }

    #[test]
    fn whatever_is_no_code_is_malformed() {
        for body in ["", "0 0", "<html>", "{}", r#"{"code":null}"#, r#"{"code":{}}"#, "\u{0}"] {
            assert_eq!(shape("/code").read(body.as_bytes()), Reading::Malformed, "{body}");
        }
        assert_eq!(shape("/code").read(b"{\"code\":\"\xff\"}"), Reading::Malformed);
    }

    #[test]
    fn shows_of_an_unknown_code_only_what_is_too_short_to_be_personal() {
        let label =
            |code: &str| match shape("").read(serde_json::json!(code).to_string().as_bytes()) {
                Reading::UnknownCode(label) => label.to_string(),
                other => panic!("{other:?}"),
            };
        assert_eq!(label("999"), "\"999\"");
        assert_eq!(label("E1"), "\"E1\"");
        assert_eq!(label("张三"), "of 6 bytes");
        assert_eq!(label("123456"), "of 6 bytes");
        assert_eq!(label("a\nb"), "of 3 bytes");
        assert_eq!(label("11010519491231002X"), "of 18 bytes");
    }

    #[test]
    fn names_the_key_that_is_wrong() {
        let broken = |change: fn(&mut ResponseShape<bool>)| {
            let mut shape = shape("/code");
            change(&mut shape);
            shape.check("response", true).unwrap_err().key().to_owned()
        };
        assert_eq!(shape("/code").check("response", true), Ok(()));
        assert_eq!(broken(|shape| shape.statuses.clear()), "response.statuses");
        assert_eq!(broken(|shape| shape.statuses.push(500)), "response.statuses");
        assert_eq!(broken(|shape| shape.code_pointer = "code".into()), "response.code_pointer");
        assert_eq!(broken(|shape| shape.code_pointer = "/a~".into()), "response.code_pointer");
        assert_eq!(broken(|shape| shape.codes.retain(|_, good| !*good)), "response.codes");
    }
}
