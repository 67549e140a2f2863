//! Brings the schema and the data that come with the product up to date.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::PathBuf;
use std::sync::Arc;

use sqlx::{PgConnection, PgPool};
use zhiyuan_audit::Trail;
use zhiyuan_domain::{Clock as _, SystemClock};
use zhiyuan_feed::Outbox;
use zhiyuan_postgres::DatabaseConfig;

use crate::config::{Config, Seed};
use crate::counts::targets;
use crate::organizations::{self, LoadError, Loaded, Told};
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
    /// The regions; none of them was loaded.
    #[error("regions")]
    Regions(#[from] DataError),
    /// A file of regions or organizations can't be read.
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

/// Applies the migrations, loads the regions of `regions_file` or of the product, and the
/// organizations of `seed_organizations`. All as the owner of the schema; may be
/// repeated at any time. When organizations moved, it ends when nothing can take effect any
/// more that was allowed to who administered them from above.
///
/// # Errors
/// When the database can't be reached, a migration fails, or a file is wrong. What
/// was complete before stays.
pub async fn migrate(config: &Config) -> Result<(), MigrateError> {
    zhiyuan_postgres::migrate(owner_of(config), &MIGRATOR).await?;
    let pool = as_owner(config, "zhiyuan-orgtree-migrate").await?;
    let mut connection = pool.acquire().await?;
    let regions = config.regions_file.as_ref().map(|path| {
        fs::read_to_string(path).map_err(|source| MigrateError::File { path: path.clone(), source })
    });
    let regions = regions.transpose()?;
    let changed = regions::load(&mut connection, regions.as_deref()).await?;
    tracing::info!(changed, "regions are loaded");
    if let Some(loaded) = load_seed(&mut connection, &config.seed_organizations, false).await? {
        tracing::info!(loaded = loaded.summary(), "organizations are loaded");
        // Not later: what was taken back is.
        let first = loaded.new.iter().any(|code| code == organizations::ANHUI_ROOT);
        if first && config.seed_organizations == Seed::Anhui {
            let (root, now) = (organizations::ANHUI_ROOT, SystemClock.now());
            targets::make_those_of_the_notice(&mut connection, root, now).await?;
        }
    }
    drop(connection);
    pool.close().await;
    Ok(())
}

/// Loads organizations, all or none, as [`migrate`] does; or tells what that would change.
///
/// # Errors
/// When the database can't be reached, is not migrated, or the file is wrong.
pub async fn load(config: &Config, seed: Seed, dry_run: bool) -> Result<Loaded, MigrateError> {
    let pool = as_owner(config, "zhiyuan-orgtree-load").await?;
    zhiyuan_postgres::ensure_up_to_date(&pool, &MIGRATOR).await?;
    let mut connection = pool.acquire().await?;
    let loaded = load_seed(&mut connection, &seed, dry_run).await?;
    drop(connection);
    pool.close().await;
    Ok(loaded.unwrap_or_default())
}

fn owner_of(config: &Config) -> &str {
    config.database.migration_url.as_deref().unwrap_or(&config.database.url)
}

async fn as_owner(config: &Config, name: &'static str) -> Result<PgPool, zhiyuan_postgres::Error> {
    let url = owner_of(config).to_owned();
    let database = DatabaseConfig { url, max_connections: 1, ..config.database.clone() };
    zhiyuan_postgres::connect(&database, name).await
}

/// `None` if there is nothing to load.
async fn load_seed(
    connection: &mut PgConnection,
    seed: &Seed,
    dry_run: bool,
) -> Result<Option<Loaded>, MigrateError> {
    // The service may be running elsewhere, or not yet: it finds what is told.
    let told = Told {
        outbox: Outbox::unattended(NAME),
        // An operator's command: the time is that of their machine.
        trail: Trail::new(NAME, Arc::new(SystemClock)),
    };
    let loaded = match seed {
        Seed::None => return Ok(None),
        Seed::Anhui => {
            organizations::load(connection, &told, organizations::ANHUI, dry_run).await?
        }
        Seed::File(path) => {
            let file = File::open(path)
                .map_err(|source| MigrateError::File { path: path.clone(), source })?;
            organizations::load(connection, &told, BufReader::new(file), dry_run).await?
        }
    };
    // Whoever administered them from above may have been allowed something just before.
    if !dry_run && !loaded.moved.is_empty() && authority::is_given(connection).await? {
        tracing::info!("organizations moved: waiting until no lease of before counts");
        tokio::time::sleep(authority::OVER_AFTER).await;
    }
    Ok(Some(loaded))
}
