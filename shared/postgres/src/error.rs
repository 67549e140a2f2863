//! What can go wrong before a service has a database that it may use.

use sqlx::migrate::MigrateError;

/// A failure to reach, prepare or trust the database.
///
/// None of the messages holds a URL: it would carry the password into the log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL can't be parsed.
    #[error("the database url is not a valid postgres:// url")]
    Url,
    /// No connection could be made.
    #[error("failed to connect to the database")]
    Connect(#[source] sqlx::Error),
    /// A statement failed.
    #[error("failed to {action}")]
    Query {
        /// What was being done.
        action: &'static str,
        /// The database's answer.
        #[source]
        source: sqlx::Error,
    },
    /// The server may forget what it has acknowledged.
    #[error(
        "the database may lose acknowledged writes (fsync={fsync} \
         synchronous_commit={synchronous_commit}): switch both on, or set \
         allow_unsafe_durability where losing data is acceptable"
    )]
    UnsafeDurability {
        /// The server's `fsync`.
        fsync: String,
        /// The session's `synchronous_commit`.
        synchronous_commit: String,
    },
    /// Migrations of this binary are not in the database yet.
    #[error("migrations {versions:?} are pending: run the migrate command first")]
    MigrationsPending {
        /// The versions, oldest first.
        versions: Vec<i64>,
    },
    /// A migration was edited after it had been applied.
    #[error("migration {version} was changed after it had been applied")]
    MigrationModified {
        /// Its version.
        version: i64,
    },
    /// The database has a migration that this binary should know, being older than its newest.
    #[error("migration {version} in the database is unknown here, although newer ones are known")]
    MigrationUnknown {
        /// Its version.
        version: i64,
    },
    /// Applying a migration failed.
    #[error("failed to migrate")]
    Migrate(#[source] MigrateError),
}

impl Error {
    pub(crate) fn query(action: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Query { action, source }
    }
}
