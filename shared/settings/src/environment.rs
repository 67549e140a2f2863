//! The environment as a layer.

use config::{Map, Value, ValueKind};

use crate::Error;
use crate::layer::{Layer, value};

/// Returns the variables of this process that belong to a service.
///
/// A variable with a single underscore after the service is somebody else's: Kubernetes sets
/// `ZHIYUAN_IDENTITY_PORT` when a Service object is named `zhiyuan-identity`.
pub(crate) fn of_this_process(service: &str) -> Result<Vec<(String, String)>, Error> {
    let prefix = prefix(service);
    let mut found = Vec::new();
    for (name, value) in std::env::vars_os() {
        // A name that is no UTF-8 can't be one of ours.
        let Ok(name) = name.into_string() else { continue };
        if name.starts_with(&prefix) {
            let value = value
                .into_string()
                .map_err(|_| Error::Variable { name: name.clone(), fault: "is not UTF-8" })?;
            found.push((name, value));
        }
    }
    Ok(found)
}

/// Makes a layer of the variables that begin with the prefix of the service; others are ignored.
pub(crate) fn layer(
    service: &str,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Layer, Error> {
    let prefix = prefix(service);
    let mut tree = Map::new();
    for (name, text) in env {
        let Some(path) = name.strip_prefix(&prefix) else { continue };
        let path = path.to_ascii_lowercase();
        let segments: Vec<&str> = path.split("__").collect();
        if !segments.iter().all(|segment| is_key(segment)) {
            return Err(Error::Variable { name, fault: "is not the name of a key" });
        }
        let origin = format!("the environment variable {name}");
        let leaf = parse(&origin, text);
        insert(&mut tree, &segments, leaf, &origin)
            .map_err(|fault| Error::Variable { name, fault })?;
    }
    Ok(Layer::new(tree))
}

fn prefix(service: &str) -> String {
    format!("ZHIYUAN_{}__", service.replace('-', "_").to_ascii_uppercase())
}

fn is_key(segment: &str) -> bool {
    !segment.is_empty()
        && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// Arrays and inline tables are recognised here. Everything else stays text, which the `config`
/// crate turns into the number or boolean that a field wants; if it were done here, the password
/// `007` or `1e5` would lose its spelling.
fn parse(origin: &String, text: String) -> Value {
    let trimmed = text.trim();
    if trimmed.starts_with('[') || trimmed.starts_with('{') {
        let document = format!("value = {trimmed}");
        if let Ok(mut table) = document.parse::<toml::Table>()
            && table.len() == 1
            && let Some(item @ (toml::Value::Array(_) | toml::Value::Table(_))) =
                table.remove("value")
        {
            return value(origin, item);
        }
    }
    Value::new(Some(origin), ValueKind::String(text))
}

/// Two variables must not say different things about one key: which of them wins would depend on
/// the order of the environment.
fn insert(
    tree: &mut Map<String, Value>,
    segments: &[&str],
    leaf: Value,
    origin: &String,
) -> Result<(), &'static str> {
    const CONTRADICTS: &str = "sets a key that another variable sets too";
    let Some((first, rest)) = segments.split_first() else { return Err(CONTRADICTS) };
    if rest.is_empty() {
        return match tree.insert((*first).to_owned(), leaf) {
            None => Ok(()),
            Some(_) => Err(CONTRADICTS),
        };
    }
    let entry = tree
        .entry((*first).to_owned())
        .or_insert_with(|| Value::new(Some(origin), ValueKind::Table(Map::new())));
    match &mut entry.kind {
        ValueKind::Table(inner) => insert(inner, rest, leaf, origin),
        _ => Err(CONTRADICTS),
    }
}
