//! The private PostgreSQL of a standalone suite: roles, schemas, migrations.

use anyhow::Context as _;
use sqlx::{Connection as _, PgConnection};
use zhiyuan_postgres::private::PrivateServer;
use zhiyuan_postgres::{ServiceRoles, create_database_if_missing, provision};

use crate::secrets::Secrets;

/// The database of the services' schemas.
pub(crate) const MAIN: &str = "zhiyuan";
/// The database of wrapped data keys.
pub(crate) const KEYS: &str = "zhiyuan_keys";

/// Schemas, and the database that each lies in.
const SCHEMAS: [(&str, &str); 4] =
    [("identity", MAIN), ("registration", MAIN), ("orgtree", MAIN), ("keys", KEYS)];

/// Makes databases, roles and schemas where they are not there yet.
pub(crate) async fn prepare(server: &PrivateServer, secrets: &Secrets) -> anyhow::Result<()> {
    let mut admin = connect(server, "postgres").await?;
    create_database_if_missing(&mut admin, MAIN).await?;
    create_database_if_missing(&mut admin, KEYS).await?;
    admin.close().await?;
    for (schema, database) in SCHEMAS {
        let mut admin = connect(server, database).await?;
        provision(&mut admin, &roles(schema, secrets)?).await?;
        admin.close().await?;
    }
    Ok(())
}

async fn connect(server: &PrivateServer, database: &str) -> anyhow::Result<PgConnection> {
    PgConnection::connect(&server.admin_url(database)).await.context("the private PostgreSQL")
}

fn roles(schema: &str, secrets: &Secrets) -> anyhow::Result<ServiceRoles> {
    Ok(ServiceRoles::new(
        schema,
        secrets.password(schema, "owner")?,
        secrets.password(schema, "runtime")?,
    ))
}

/// The URLs by which a service reaches its schema: at run time, and to migrate.
#[derive(Debug)]
pub(crate) struct Urls {
    pub(crate) runtime: String,
    pub(crate) owner: String,
}

/// The URLs of a schema.
pub(crate) fn urls(
    server: &PrivateServer,
    secrets: &Secrets,
    schema: &str,
) -> anyhow::Result<Urls> {
    let database = SCHEMAS
        .iter()
        .find(|(known, _)| *known == schema)
        .map(|(_, database)| *database)
        .with_context(|| format!("no schema {schema}"))?;
    let roles = roles(schema, secrets)?;
    Ok(Urls {
        runtime: server.url(&roles.runtime_role, &roles.runtime_password, database),
        owner: server.url(&roles.owner_role, &roles.owner_password, database),
    })
}
