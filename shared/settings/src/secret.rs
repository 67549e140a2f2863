//! A value that nobody should read by accident.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use zeroize::Zeroizing;

use crate::error::SECRET_FAULT;

/// A secret: a password, a key, a token. It isn't shown by `Debug`, and its memory is overwritten
/// when it is dropped (the layers it was read from are not: give secrets by file).
///
/// In configuration it is either the text itself or `{ file = "/path" }`, whose text is read when
/// the configuration is loaded, without the newline at its end.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Returns the text, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn read<E: de::Error>(path: &str) -> Result<Self, E> {
        let mut text = Zeroizing::new(std::fs::read_to_string(path).map_err(|error| {
            // The kind, because the whole message may come from a path that is a secret itself.
            E::custom(format_args!("{SECRET_FAULT}can't be read: {}", error.kind()))
        })?);
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        if text.is_empty() {
            return Err(E::custom(format_args!("{SECRET_FAULT}is empty")));
        }
        Ok(Self(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}

struct SecretVisitor;

impl<'de> Visitor<'de> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or { file = \"/path\" }")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret::new(text))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Secret, E> {
        Ok(Secret::new(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
        let mut path: Option<String> = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == "file" {
                path = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
                return Err(de::Error::unknown_field(&key, &["file"]));
            }
        }
        Secret::read(&path.ok_or_else(|| de::Error::missing_field("file"))?)
    }
}
