#![doc = include_str!("../README.md")]

mod environment;
mod error;
mod layer;
mod secret;

use std::path::Path;

use config::Config;
use serde::de::DeserializeOwned;

pub use error::Error;
pub use secret::Secret;

use layer::Layer;

/// Loads the configuration of a service: `defaults_toml`, then `file`, then the environment of
/// this process.
///
/// `service` is the name of the service in kebab case (`credit-export`), which makes the prefix of
/// its variables (`ZHIYUAN_CREDIT_EXPORT__`).
///
/// # Errors
/// See [`load_from`]; and a variable of this service whose value is not UTF-8.
pub fn load<T: DeserializeOwned>(
    service: &str,
    defaults_toml: &str,
    file: Option<&Path>,
) -> Result<T, Error> {
    let variables = environment::of_this_process(service)?;
    load_from(service, defaults_toml, file, variables)
}

/// Loads the configuration of a service like [`load`], from the variables given.
///
/// # Errors
/// A layer that can't be read or is no TOML, a key that `T` doesn't know or doesn't find, a value
/// of another type than `T` wants, variables that contradict each other, and a secret whose file
/// can't be read. No error repeats a value.
pub fn load_from<T: DeserializeOwned>(
    service: &str,
    defaults_toml: &str,
    file: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<T, Error> {
    let mut builder =
        Config::builder().add_source(Layer::parse("the built-in defaults", defaults_toml)?);
    if let Some(path) = file {
        let text = std::fs::read_to_string(path)
            .map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
        builder = builder.add_source(Layer::parse(&path.display().to_string(), &text)?);
    }
    let merged = builder
        .add_source(environment::layer(service, env)?)
        .build()
        .map_err(|error| Error::from_config(error, None))?;
    let tree = merged.cache.clone();
    merged.try_deserialize().map_err(|error| Error::from_config(error, Some(&tree)))
}

#[cfg(test)]
mod tests;
