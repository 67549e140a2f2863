//! The `database` section of a service's configuration.

use std::fmt;

use serde::Deserialize;

/// Where a service's database is and how much of it the service may use.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `postgres://user:password@host:port/database` of the runtime role.
    pub url: String,
    /// The same of the owner role; only the `migrate` command reads it.
    #[serde(default)]
    pub migration_url: Option<String>,
    /// Upper bound of open connections of one process.
    #[serde(default = "default_max_connections")]
    pub max_connections: u32,
    /// How long a request waits for a free connection, in milliseconds.
    #[serde(default = "default_acquire_timeout_ms")]
    pub acquire_timeout_ms: u64,
    /// Accepts a server that may lose acknowledged writes. For tests.
    #[serde(default)]
    pub allow_unsafe_durability: bool,
}

impl DatabaseConfig {
    /// Returns the defaults for a URL.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            migration_url: None,
            max_connections: default_max_connections(),
            acquire_timeout_ms: default_acquire_timeout_ms(),
            allow_unsafe_durability: false,
        }
    }
}

impl fmt::Debug for DatabaseConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseConfig")
            .field("url", &without_password(&self.url))
            .field("migration_url", &self.migration_url.as_deref().map(without_password))
            .field("max_connections", &self.max_connections)
            .field("acquire_timeout_ms", &self.acquire_timeout_ms)
            .field("allow_unsafe_durability", &self.allow_unsafe_durability)
            .finish()
    }
}

/// Keeps what locates the database. Whatever it does not understand it hides altogether: a
/// password with an unescaped `@` or one in the query string must not slip through.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "***".to_owned() };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let Some((credentials, location)) = rest.rsplit_once('@') else {
        return format!("{scheme}://{rest}");
    };
    let user = credentials.split(':').next().unwrap_or_default();
    format!("{scheme}://{user}:***@{location}")
}

const fn default_max_connections() -> u32 {
    16
}

const fn default_acquire_timeout_ms() -> u64 {
    3_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_in_the_defaults() {
        let config: DatabaseConfig = toml::from_str("url = 'postgres://a:b@h/d'").unwrap();
        assert_eq!(config.max_connections, 16);
        assert_eq!(config.acquire_timeout_ms, 3_000);
        assert!(!config.allow_unsafe_durability);
        assert!(config.migration_url.is_none());
    }

    #[test]
    fn refuses_a_key_that_it_does_not_know() {
        assert!(toml::from_str::<DatabaseConfig>("url = 'x'\nmax_conections = 3").is_err());
    }

    #[test]
    fn debug_hides_every_form_of_password() {
        for url in [
            "postgres://user:s3cret@host:5432/db",
            "postgres://user:s3@s3cret@host:5432/db",
            "postgres://user@host/db?password=s3cret",
            "host=h password=s3cret",
        ] {
            let mut config = DatabaseConfig::new(url);
            config.migration_url = Some(url.to_owned());
            let shown = format!("{config:?}");
            assert!(!shown.contains("s3cret"), "{shown}");
        }
        let shown = format!("{:?}", DatabaseConfig::new("postgres://user:pw@host:5432/db"));
        assert!(shown.contains("postgres://user:***@host:5432/db"), "{shown}");
    }
}
