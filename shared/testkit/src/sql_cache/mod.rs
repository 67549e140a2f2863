//! `.sqlx`: what the database answered about each `query!`, so that a clone compiles without one.

mod answers;
mod schema;
mod workspace;

use std::{ffi::OsString, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

pub use answers::Difference;
use schema::Database;
use workspace::Workspace;

/// A database with all migrations applied, for as long as this lives.
pub struct Served {
    database: Database,
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Served")
    }
}

impl Served {
    /// Returns the URL for `DATABASE_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        self.database.url()
    }

    /// Stops the server and deletes its folder.
    ///
    /// # Errors
    ///
    /// When it does not stop.
    pub async fn stop(self) -> Result<()> {
        self.database.stop().await
    }
}

/// Starts a private server and applies every migration of the workspace around `folder`.
///
/// # Errors
///
/// When there is no workspace, no PostgreSQL, or a migration fails.
pub async fn serve(folder: &Path) -> Result<Served> {
    let workspace = Workspace::around(folder)?;
    Ok(Served { database: Database::start(&workspace).await? })
}

/// Compiles the workspace, or the named packages, against a database, and brings `.sqlx` up to
/// date. With packages named, files that nobody needs any more stay.
///
/// # Errors
///
/// As [`serve`], and when a query does not compile; `.sqlx` is as it was then.
pub async fn write(folder: &Path, packages: &[String]) -> Result<Vec<Difference>> {
    let workspace = Workspace::around(folder)?;
    let fresh = ask(&workspace, packages).await?;
    answers::replace(&workspace.cache(), fresh.path(), packages.is_empty())
}

/// Compiles the workspace against a database and returns where `.sqlx` differs from its answers.
///
/// # Errors
///
/// As [`write()`].
pub async fn check(folder: &Path, packages: &[String]) -> Result<Vec<Difference>> {
    let workspace = Workspace::around(folder)?;
    let fresh = ask(&workspace, packages).await?;
    answers::compare(&workspace.cache(), fresh.path(), packages.is_empty())
}

async fn ask(workspace: &Workspace, packages: &[String]) -> Result<tempfile::TempDir> {
    let fresh = tempfile::tempdir().context("failed to make a temporary folder")?;
    let database = Database::start(workspace).await?;
    // The compiler doesn't know that a macro's answer hangs on the database.
    workspace.touch_crates_with_queries()?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(&workspace.root).args(["check", "--all-targets"]);
    if packages.is_empty() {
        cargo.arg("--workspace");
    }
    for package in packages {
        cargo.args(["-p", package]);
    }
    // `cargo run` says to what it runs which package that is. Build scripts look at it, so that
    // half of what the workspace depends on would be built anew, here and then outside again.
    for name in std::env::vars_os().map(|(name, _)| name).filter(of_this_package) {
        cargo.env_remove(name);
    }
    cargo
        .env("DATABASE_URL", database.url())
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", fresh.path());
    let compiled = tokio::task::spawn_blocking(move || cargo.status()).await?;
    database.stop().await?;
    if !compiled.context("failed to run cargo")?.success() {
        bail!("the workspace does not compile against its own migrations");
    }
    Ok(fresh)
}

/// Whether a variable tells a program of its own package.
fn of_this_package(name: &OsString) -> bool {
    let name = name.to_string_lossy();
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}
