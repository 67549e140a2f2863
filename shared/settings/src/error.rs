//! What can be wrong with a configuration, told without its values.

use std::path::PathBuf;

use config::{ConfigError, Value, ValueKind};

/// A configuration that can't be used. No text of it repeats a value, since any value may be a
/// secret in the wrong place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file can't be read.
    #[error("failed to read the configuration file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why it can't be read.
        source: std::io::Error,
    },
    /// A layer is no TOML.
    #[error("{origin} is not valid TOML in line {line}")]
    Syntax {
        /// The layer.
        origin: String,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable has the prefix of the service and can't be used.
    #[error("environment variable {name} {fault}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// A key that the service doesn't know.
    #[error("unknown key `{key}` in {origin}")]
    UnknownKey {
        /// The key, with dots between its parts.
        key: String,
        /// The layer that sets it.
        origin: String,
    },
    /// A key that the service needs and no layer sets.
    #[error("missing key `{key}`")]
    MissingKey {
        /// The key, with dots between its parts.
        key: String,
    },
    /// A value that the key can't take.
    #[error("invalid value of key `{key}` in {origin}: {fault}")]
    InvalidValue {
        /// The key, with dots between its parts.
        key: String,
        /// The layer that sets it.
        origin: String,
        /// What was expected instead.
        fault: String,
    },
}

/// How [`crate::Secret`] marks its own messages, which are safe to show.
pub(crate) const SECRET_FAULT: &str = "secret file ";

impl Error {
    /// Strips the values from an error of the `config` crate. `tree` is the merged configuration,
    /// which tells the layer of a key.
    pub(crate) fn from_config(error: ConfigError, tree: Option<&Value>) -> Self {
        match error {
            ConfigError::NotFound(key) => Self::MissingKey { key },
            ConfigError::At { error, key, .. } => {
                let parent = key.unwrap_or_default();
                match *error {
                    ConfigError::NotFound(field) => Self::MissingKey { key: join(&parent, &field) },
                    ConfigError::Type { expected, key, .. } => {
                        let key = key.map_or(parent.clone(), |inner| join(&parent, &inner));
                        Self::invalid(key, tree, format!("expected {expected}"))
                    }
                    ConfigError::Message(message) => Self::from_message(parent, tree, &message),
                    _ => Self::invalid(parent, tree, NOT_ACCEPTED.to_owned()),
                }
            }
            ConfigError::Type { expected, key, .. } => {
                Self::invalid(key.unwrap_or_default(), tree, format!("expected {expected}"))
            }
            ConfigError::Message(message) => Self::from_message(String::new(), tree, &message),
            _ => Self::invalid(String::new(), tree, NOT_ACCEPTED.to_owned()),
        }
    }

    fn from_message(parent: String, tree: Option<&Value>, message: &str) -> Self {
        if let Some(rest) = message.strip_prefix("unknown field `") {
            let field = rest.split('`').next().unwrap_or_default();
            let key = join(&parent, field);
            let origin = origin(tree, &key);
            return Self::UnknownKey { key, origin };
        }
        if message.starts_with(SECRET_FAULT) {
            return Self::invalid(parent, tree, message.to_owned());
        }
        // Messages of serde end in what the type expected, and the value stands before it: the
        // last occurrence, because the value may contain the words too. Any other message may
        // end in the value.
        let of_serde =
            ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant `"]
                .iter()
                .any(|start| message.starts_with(start));
        let fault = match message.rfind(", expected ").filter(|_| of_serde) {
            Some(at) => message.get(at + 2..).unwrap_or(NOT_ACCEPTED).to_owned(),
            None => NOT_ACCEPTED.to_owned(),
        };
        Self::invalid(parent, tree, fault)
    }

    fn invalid(key: String, tree: Option<&Value>, fault: String) -> Self {
        let origin = origin(tree, &key);
        Self::InvalidValue { key, origin, fault }
    }
}

const NOT_ACCEPTED: &str = "not one that this key accepts";

fn join(parent: &str, field: &str) -> String {
    if parent.is_empty() { field.to_owned() } else { format!("{parent}.{field}") }
}

/// Finds the layer of a key; of a table, the layer of one of its leaves, because a merged table
/// comes from several.
fn origin(tree: Option<&Value>, key: &str) -> String {
    let mut found = tree;
    for segment in key.split('.') {
        // An index (`regions[2]`) doesn't matter: one array comes from one layer.
        let name = segment.split('[').next().unwrap_or_default();
        found = match found.map(|value| &value.kind) {
            Some(ValueKind::Table(table)) => table.get(name),
            _ => found,
        };
    }
    found.and_then(leaf_origin).unwrap_or("the configuration").to_owned()
}

fn leaf_origin(value: &Value) -> Option<&str> {
    match &value.kind {
        ValueKind::Table(table) => table.values().find_map(leaf_origin).or_else(|| value.origin()),
        _ => value.origin(),
    }
}
