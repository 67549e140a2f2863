//! Brings the schema and the data that come with the product up to date.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;
use std::sync::Arc;

use zhiyuan_audit::Trail;
use zhiyuan_domain::SystemClock;
use zhiyuan_feed::Outbox;
use zhiyuan_postgres::DatabaseConfig;

use crate::config::{Config, Seed};
use crate::organizations::{self, LoadError, Told};
use crate::regions::{self, DataError};
use crate::run::NAME;
use crate::{MIGRATOR, authority};

/// Why the schema or the data could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database, or a migration.
    #[error("database")]
    Database(#[from] zhiyuan_postgres::Error),
    /// A query.
    #[error("database")]
    Query(#[from] sqlx::Error),
    /// The regions that come with the product.
    #[error("regions")]
    Regions(#[from] DataError),
    /// The file of organizations can't be read.
    #[error("failed to open {path}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The organizations were refused; none of them was loaded.
    #[error("organizations")]
    Organizations(#[from] LoadError),
}

/// Applies the migrations, loads the regions of the whole country, and the
/// organizations of `seed_organizations`. All as the owner of the schema; may be
/// repeated at any time. When organizations moved, it ends when nothing can take effect any
/// more that was allowed to who administered them from above.
///
/// # Errors
/// When the database can't be reached, a migration fails, or a file is wrong. What
/// was complete before stays.
pub async fn migrate(config: &Config) -> Result<(), MigrateError> {
    let owner = config.database.migration_url.as_deref().unwrap_or(&config.database.url);
    zhiyuan_postgres::migrate(owner, &MIGRATOR).await?;
    let database =
        DatabaseConfig { url: owner.to_owned(), max_connections: 1, ..config.database.clone() };
    let pool = zhiyuan_postgres::connect(&database, "zhiyuan-orgtree-migrate").await?;
    let mut connection = pool.acquire().await?;
    let changed = regions::load(&mut connection).await?;
    tracing::info!(changed, "regions are loaded");
    // The service may be running elsewhere, or not yet: it finds what is told.
    let told = Told {
        outbox: Outbox::unattended(NAME),
        // An operator's command: the time is that of their machine.
        trail: Trail::new(NAME, Arc::new(SystemClock)),
    };
    let loaded = match &config.seed_organizations {
        Seed::None => None,
        Seed::Anhui => {
            Some(organizations::load(&mut connection, &told, organizations::ANHUI).await?)
        }
        Seed::File(path) => {
            let file = File::open(path)
                .map_err(|source| MigrateError::File { path: path.clone(), source })?;
            Some(organizations::load(&mut connection, &told, BufReader::new(file)).await?)
        }
    };
    if let Some(loaded) = loaded {
        tracing::info!(changed = loaded.changed, "organizations are loaded");
        // Whoever administered them from above may have been allowed something just before.
        if loaded.moved && authority::is_given(&mut connection).await? {
            tracing::info!("organizations moved: waiting until no lease of before counts");
            tokio::time::sleep(authority::OVER_AFTER).await;
        }
    }
    drop(connection);
    pool.close().await;
    Ok(())
}
