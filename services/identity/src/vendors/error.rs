//! What is wrong with the configuration of a vendor.

/// A key of a vendor's configuration whose value cannot be used.
///
/// Never holds the value itself: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct ConfigError {
    key: String,
    problem: String,
}

impl ConfigError {
    pub(crate) fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into() }
    }

    /// Puts the name of the section in front of the key, for whoever holds several.
    #[must_use]
    pub fn within(self, section: &str) -> Self {
        Self { key: format!("{section}.{}", self.key), ..self }
    }

    /// Returns the key, dotted, such as `request.body.mobile`.
    pub fn key(&self) -> &str {
        &self.key
    }
}
