//! A database with all that the migrations on disk make.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use sqlx::{Connection, PgConnection, migrate::Migrator};
use zhiyuan_postgres::{
    ServiceRoles, create_database_if_missing, migrate,
    private::{self, Options, PrivateServer, scratch_folder},
    provision,
};

use super::workspace::{Migrations, Workspace};

const NAME: &str = "zhiyuan";

pub(super) struct Database {
    server: PrivateServer,
    data_dir: PathBuf,
}

impl Database {
    pub(super) async fn start(workspace: &Workspace) -> Result<Self> {
        let data_dir = scratch_folder("sql-cache");
        let options = Options { data_dir: data_dir.clone(), durable: false };
        let server = PrivateServer::start(options, |_| ()).await?;
        let mut admin = PgConnection::connect(&server.admin_url("postgres")).await?;
        create_database_if_missing(&mut admin, NAME).await?;
        let mut admin = PgConnection::connect(&server.admin_url(NAME)).await?;
        for one in workspace.migrations()? {
            apply(&server, &mut admin, &one)
                .await
                .with_context(|| format!("failed to apply {}", one.folder.display()))?;
        }
        Ok(Self { server, data_dir })
    }

    /// The superuser's: one URL for the queries of all services.
    pub(super) fn url(&self) -> String {
        self.server.admin_url(NAME)
    }

    pub(super) async fn stop(self) -> Result<()> {
        self.server.stop().await?;
        Ok(private::remove(&self.data_dir)?)
    }
}

/// As the owner role: a migration that needs more rights than it will have fails here already.
async fn apply(server: &PrivateServer, admin: &mut PgConnection, one: &Migrations) -> Result<()> {
    let service = ServiceRoles::new(&one.schema, "owner", "runtime");
    provision(admin, &service).await?;
    let mut migrator = Migrator::new(one.folder.clone()).await?;
    let schema = one.schema.replace('"', "\"\"");
    migrator.dangerous_set_table_name(format!("\"{schema}\"._sqlx_migrations"));
    migrate(&server.url(&service.owner_role, &service.owner_password, NAME), &migrator).await?;
    Ok(())
}
