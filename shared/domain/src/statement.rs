//! What one side of a claim says to it, in own words.

/// Characters, at most.
const LONGEST: usize = 500;

/// What somebody says to who decides: 1 to 500 characters, in lines. It may well be personal, and
/// is kept sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct Statement(String);

/// Why a text is no [`Statement`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStatement {
    /// Nothing is said.
    #[error("nothing is said")]
    Empty,
    /// It is too long.
    #[error("longer than 500 characters")]
    Length,
    /// It has what is neither text nor a line break, or what turns the direction of text.
    #[error("characters that are no text")]
    Characters,
}

impl InvalidStatement {
    /// The stable name of the rule.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Empty => "STATEMENT_EMPTY",
            Self::Length => "STATEMENT_LENGTH",
            Self::Characters => "STATEMENT_CHARACTERS",
        }
    }

    /// What to do about it, in zh-CN.
    pub fn message(self) -> &'static str {
        match self {
            Self::Empty => "请填写情况说明",
            Self::Length => "情况说明不超过 500 个字",
            Self::Characters => "情况说明可以换行，但不能包含其他控制字符",
        }
    }
}

impl Statement {
    /// Parses what was written; spaces and lines around it are none of it, and every line break is
    /// one character.
    ///
    /// # Errors
    /// Tells which rule is broken.
    pub fn parse(text: &str) -> Result<Self, InvalidStatement> {
        let text = text.replace("\r\n", "\n");
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidStatement::Empty);
        }
        if text.chars().count() > LONGEST {
            return Err(InvalidStatement::Length);
        }
        let wrong = |c: char| (c.is_control() && c != '\n') || crate::turns_direction(c);
        if text.chars().any(wrong) {
            return Err(InvalidStatement::Characters);
        }
        Ok(Self(text.to_owned()))
    }

    /// For those who may read it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// People write who they are.
impl std::fmt::Debug for Statement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Statement(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_lines_of_1_to_500_characters() {
        let longest = "冒".repeat(500);
        for (text, kept) in [
            (
                " 有人冒用我的身份证号。\r\n我的电话是 13900000000 ",
                "有人冒用我的身份证号。\n我的电话是 13900000000",
            ),
            ("<b>'; --</b>", "<b>'; --</b>"),
            (&longest, &longest),
        ] {
            assert_eq!(Statement::parse(text).unwrap().as_str(), kept);
        }
        for (text, error) in [
            ("", InvalidStatement::Empty),
            (" \n\u{3000}", InvalidStatement::Empty),
            (&format!("{longest}用"), InvalidStatement::Length),
            ("冒\u{0}用", InvalidStatement::Characters),
            ("冒\t用", InvalidStatement::Characters),
            ("冒用\u{202e}x", InvalidStatement::Characters),
        ] {
            assert_eq!(Statement::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn shows_nothing_and_every_error_says_what_to_do() {
        assert_eq!(format!("{:?}", Statement::parse("张三").unwrap()), "Statement(***)");
        for error in
            [InvalidStatement::Empty, InvalidStatement::Length, InvalidStatement::Characters]
        {
            assert!(error.reason().starts_with("STATEMENT_") && !error.message().is_ascii());
        }
    }
}
