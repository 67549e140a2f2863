//! What somebody writes in own words for others to read.

/// Characters, at most: as many as an audit record takes.
const LONGEST: usize = 200;

/// Why something is looked at, or what a decision rests on, in the words of who does it: one
/// line of 1 to 200 characters, without numbers that may be a person's.
#[derive(Clone, PartialEq, Eq)]
pub struct Remark(String);

/// Why a text is no [`Remark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRemark {
    /// Nothing is said.
    #[error("nothing is said")]
    Empty,
    /// It is too long.
    #[error("longer than 200 characters")]
    Length,
    /// It has line breaks, or what turns the direction of text.
    #[error("characters that are no text")]
    Characters,
    /// It has a long number, which may be a phone or an ID number.
    #[error("a number of more than 5 digits")]
    Personal,
}

impl InvalidRemark {
    /// The stable name of the rule.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Empty => "REMARK_EMPTY",
            Self::Length => "REMARK_LENGTH",
            Self::Characters => "REMARK_CHARACTERS",
            Self::Personal => "REMARK_PERSONAL",
        }
    }

    /// What to do about it, in zh-CN.
    pub fn message(self) -> &'static str {
        match self {
            Self::Empty => "请填写说明",
            Self::Length => "说明不超过 200 个字",
            Self::Characters => "说明不能换行，也不能包含控制字符",
            Self::Personal => "说明中请勿填写手机号、身份证号码等个人信息",
        }
    }
}

impl Remark {
    /// Parses what was written; spaces around it are none of it.
    ///
    /// # Errors
    /// Tells which rule is broken.
    pub fn parse(text: &str) -> Result<Self, InvalidRemark> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidRemark::Empty);
        }
        if text.chars().count() > LONGEST {
            return Err(InvalidRemark::Length);
        }
        if text.chars().any(|c| c.is_control() || crate::turns_direction(c)) {
            return Err(InvalidRemark::Characters);
        }
        if crate::holds_long_number(text) {
            return Err(InvalidRemark::Personal);
        }
        Ok(Self(text.to_owned()))
    }

    /// Parses what need not be there.
    ///
    /// # Errors
    /// Tells which rule is broken.
    pub fn parse_optional(text: &str) -> Result<Option<Self>, InvalidRemark> {
        match Self::parse(text) {
            Ok(remark) => Ok(Some(remark)),
            Err(InvalidRemark::Empty) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// For those who may read it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// People write what they should not.
impl std::fmt::Debug for Remark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Remark(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_line_of_1_to_200_characters() {
        let longest = "核".repeat(200);
        for text in ["核对身份证原件", " a; -- %s ", &longest] {
            assert_eq!(Remark::parse(text).unwrap().as_str(), text.trim());
        }
        for (text, error) in [
            ("", InvalidRemark::Empty),
            (" \u{3000}", InvalidRemark::Empty),
            (&format!("{longest}对"), InvalidRemark::Length),
            ("核对\n证件", InvalidRemark::Characters),
            ("核对\u{0}", InvalidRemark::Characters),
            ("核对\u{202e}", InvalidRemark::Characters),
            ("核对 139 0000 0000", InvalidRemark::Personal),
        ] {
            assert_eq!(Remark::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(Remark::parse_optional("  "), Ok(None));
        assert_eq!(Remark::parse_optional("a\tb"), Err(InvalidRemark::Characters));
    }

    #[test]
    fn shows_nothing_and_every_error_says_what_to_do() {
        assert_eq!(format!("{:?}", Remark::parse("张三").unwrap()), "Remark(***)");
        for error in [
            InvalidRemark::Empty,
            InvalidRemark::Length,
            InvalidRemark::Characters,
            InvalidRemark::Personal,
        ] {
            assert!(error.reason().starts_with("REMARK_") && !error.message().is_ascii());
        }
    }
}
