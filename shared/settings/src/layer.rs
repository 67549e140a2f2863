//! One layer of configuration as a tree whose leaves know where they come from.

use config::{ConfigError, Map, Source, Value, ValueKind};

use crate::Error;

/// A tree of values, all from one place.
#[derive(Clone)]
pub(crate) struct Layer(Map<String, Value>);

impl Layer {
    pub(crate) fn new(tree: Map<String, Value>) -> Self {
        Self(tree)
    }

    /// Reads TOML. Parsed here and not by the `config` crate, because its errors quote the line,
    /// and the line may hold a secret.
    pub(crate) fn parse(origin: &str, text: &str) -> Result<Self, Error> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            Error::Syntax { origin: origin.to_owned(), line: before.matches('\n').count() + 1 }
        })?;
        let origin = origin.to_owned();
        Ok(Self(table.into_iter().map(|(key, item)| (key, value(&origin, item))).collect()))
    }
}

/// Values may be secret, so nothing of them is shown.
impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Layer").field(&self.0.len()).finish()
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// Turns a TOML value into one of the `config` crate that remembers its origin.
pub(crate) fn value(origin: &String, item: toml::Value) -> Value {
    let kind = match item {
        toml::Value::String(text) => ValueKind::String(text),
        toml::Value::Integer(number) => ValueKind::I64(number),
        toml::Value::Float(number) => ValueKind::Float(number),
        toml::Value::Boolean(truth) => ValueKind::Boolean(truth),
        toml::Value::Datetime(time) => ValueKind::String(time.to_string()),
        toml::Value::Array(items) => {
            ValueKind::Array(items.into_iter().map(|item| value(origin, item)).collect())
        }
        toml::Value::Table(table) => ValueKind::Table(
            table.into_iter().map(|(key, item)| (key, value(origin, item))).collect(),
        ),
    };
    Value::new(Some(origin), kind)
}
