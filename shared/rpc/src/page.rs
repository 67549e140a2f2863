//! Pages of lists (AIP-158).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use zhiyuan_contracts::rpc::v1::ErrorReason as Common;

use crate::error::{Code, Error, FieldFault};

const DEFAULT: i64 = 100;
const MAX: i64 = 500;
const CHECK: usize = 8;

/// Which page is asked for.
#[derive(Debug, Clone)]
pub struct Page {
    /// How many entries.
    pub size: i64,
    /// The key of the last entry before the page.
    pub after: Option<String>,
    filter: String,
}

impl Page {
    /// Parses `page_size` and `page_token`. `filter` is all that the list is made
    /// by: a token of another list is refused.
    ///
    /// # Errors
    /// A negative size is `INVALID_FIELDS`; a token that is not of this list is
    /// `PAGE_TOKEN_INVALID`.
    pub fn parse(page_size: i32, page_token: &str, filter: &[&str]) -> Result<Self, Error> {
        let size = match i64::from(page_size) {
            size if size < 0 => {
                return Err(Error::invalid_fields(vec![FieldFault {
                    field: "page_size".into(),
                    reason: "PAGE_SIZE_NEGATIVE".into(),
                    message: "每页条数不能为负数".into(),
                }]));
            }
            0 => DEFAULT,
            size => size.min(MAX),
        };
        let filter = filter.join("\u{1f}");
        let after = if page_token.is_empty() {
            None
        } else {
            Some(decode(page_token, &filter).ok_or_else(invalid)?)
        };
        Ok(Self { size, after, filter })
    }

    /// The key to go on after, parsed. Anybody can make a token that is well formed: what
    /// is in it is a key of the list, or refused. Taken for the first page, it would have
    /// a client read the list again and again.
    ///
    /// # Errors
    /// `PAGE_TOKEN_INVALID`.
    pub fn after_key<T>(&self, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Error> {
        self.after.as_deref().map(|key| parse(key).ok_or_else(invalid)).transpose()
    }

    /// How many rows to fetch: one more than the page holds shows whether another
    /// follows.
    pub fn fetch(&self) -> i64 {
        self.size + 1
    }

    /// The token that goes on after a key, for a page that is shorter than it may be and not
    /// the last.
    pub fn go_on_after(&self, key: &str) -> String {
        encode(key, &self.filter)
    }

    /// Cuts what was fetched to the page and makes the next token.
    pub fn cut<T>(&self, mut rows: Vec<T>, key: impl Fn(&T) -> String) -> (Vec<T>, String) {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        if rows.len() <= size {
            return (rows, String::new());
        }
        rows.truncate(size);
        let token = rows.last().map(|row| encode(&key(row), &self.filter)).unwrap_or_default();
        (rows, token)
    }
}

fn invalid() -> Error {
    Error::new(Code::InvalidInput, Common::PageTokenInvalid, "翻页标记无效，请从第一页重新查询")
}

fn check(key: &str, filter: &str) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update((key.len() as u64).to_be_bytes());
    hash.update(key);
    hash.update(filter);
    hash.finalize().iter().take(CHECK).copied().collect()
}

fn encode(key: &str, filter: &str) -> String {
    let mut bytes = check(key, filter);
    bytes.extend_from_slice(key.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(token: &str, filter: &str) -> Option<String> {
    if token.len() > 1024 {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (found, key) = bytes.split_at_checked(CHECK)?;
    let key = std::str::from_utf8(key).ok()?;
    (check(key, filter) == found).then(|| key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_a_list_to_its_end() {
        let all: Vec<u32> = (0..7).collect();
        let mut seen = Vec::new();
        let mut token = String::new();
        loop {
            let page = Page::parse(3, &token, &["AH"]).unwrap();
            let after: Option<u32> = page.after.as_deref().map(|key| key.parse().unwrap());
            let rows: Vec<u32> = all
                .iter()
                .copied()
                .filter(|row| after.is_none_or(|after| *row > after))
                .take(usize::try_from(page.fetch()).unwrap())
                .collect();
            let (rows, next) = page.cut(rows, ToString::to_string);
            seen.extend(rows);
            if next.is_empty() {
                break;
            }
            token = next;
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn refuses_tokens_of_other_lists_and_forged_ones() {
        let page = Page::parse(1, "", &["AH"]).unwrap();
        let (_, token) = page.cut(vec![1, 2], ToString::to_string);
        assert!(Page::parse(1, &token, &["AH"]).is_ok());
        for (token, filter) in [(token.as_str(), "BJ"), ("x", "AH"), ("AAAAAAAAAAAAAAAA", "AH")] {
            let error = Page::parse(1, token, &[filter]).unwrap_err();
            assert_eq!(error.reason(), "PAGE_TOKEN_INVALID");
        }
    }

    #[test]
    fn a_key_that_is_none_of_the_list_is_refused() {
        let number = |key: &str| key.parse::<u32>().ok();
        let first = Page::parse(1, "", &["AH"]).unwrap();
        assert_eq!(first.after_key(number).unwrap(), None);
        for (key, told) in [("7", Ok(Some(7))), ("seven", Err("PAGE_TOKEN_INVALID"))] {
            let (_, token) = first.cut(vec![key, key], |key| (*key).to_owned());
            let page = Page::parse(1, &token, &["AH"]).unwrap();
            assert_eq!(page.after_key(number).map_err(|error| error.reason()), told);
        }
    }

    #[test]
    fn clamps_large_pages_and_refuses_negative_ones() {
        assert_eq!(Page::parse(100_000, "", &[]).unwrap().size, 500);
        assert_eq!(Page::parse(0, "", &[]).unwrap().size, 100);
        assert_eq!(Page::parse(-1, "", &[]).unwrap_err().reason(), "INVALID_FIELDS");
    }
}
