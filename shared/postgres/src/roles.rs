//! One schema, one owner, one runtime role per service: nobody reaches what another one owns.

use std::fmt;

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::Error;

/// The roles of one service and the schema that they share.
#[derive(Clone)]
pub struct ServiceRoles {
    /// The schema, such as `identity`.
    pub schema: String,
    /// Owns the schema and runs the migrations; may create objects there and nowhere else.
    pub owner_role: String,
    /// The owner's password.
    pub owner_password: String,
    /// Reads and writes rows of the schema; no DDL, no TRUNCATE.
    pub runtime_role: String,
    /// The runtime role's password.
    pub runtime_password: String,
}

impl ServiceRoles {
    /// Names the roles after the schema: `zhiyuan_<schema>_owner` and `zhiyuan_<schema>`.
    #[must_use]
    pub fn new(
        schema: impl Into<String>,
        owner_password: impl Into<String>,
        runtime_password: impl Into<String>,
    ) -> Self {
        let schema = schema.into();
        Self {
            owner_role: format!("zhiyuan_{schema}_owner"),
            owner_password: owner_password.into(),
            runtime_role: format!("zhiyuan_{schema}"),
            runtime_password: runtime_password.into(),
            schema,
        }
    }
}

impl fmt::Debug for ServiceRoles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceRoles")
            .field("schema", &self.schema)
            .field("owner_role", &self.owner_role)
            .field("runtime_role", &self.runtime_role)
            .finish_non_exhaustive()
    }
}

/// Creates a service's roles and schema in the database that `admin` is connected to, or brings
/// them back to what they should be. May be repeated at any time.
///
/// Besides, PUBLIC loses every right on the database and on its schema `public`, so that a role of
/// another service can't even connect unless it was provisioned here too.
///
/// # Errors
///
/// [`Error::Query`] when `admin` may not create roles, or when one of the roles exists with more
/// power than a service may have.
pub async fn provision(admin: &mut PgConnection, service: &ServiceRoles) -> Result<(), Error> {
    let action = || Error::query("provision the roles of a service");
    let mut transaction = admin.begin().await.map_err(action())?;
    for (name, value) in [
        ("zhiyuan.schema", &service.schema),
        ("zhiyuan.owner_role", &service.owner_role),
        ("zhiyuan.owner_password", &service.owner_password),
        ("zhiyuan.runtime_role", &service.runtime_role),
        ("zhiyuan.runtime_password", &service.runtime_password),
    ] {
        sqlx::query("SELECT set_config($1, $2, true)")
            .bind(name)
            .bind(value)
            .execute(&mut *transaction)
            .await
            .map_err(action())?;
    }
    sqlx::raw_sql(include_str!("provision.sql"))
        .execute(&mut *transaction)
        .await
        .map_err(action())?;
    let database: String = sqlx::query_scalar("SELECT current_database()")
        .fetch_one(&mut *transaction)
        .await
        .map_err(action())?;
    admit(&mut transaction, &database, std::slice::from_ref(service)).await?;
    transaction.commit().await.map_err(action())
}

/// Lets the roles of these services, and nobody else, connect to a database. What a copy made from
/// a template lacks: all other rights are copied with it.
///
/// # Errors
///
/// [`Error::Query`] when `admin` does not own the database or a role is missing.
pub async fn admit(
    admin: &mut PgConnection,
    database: &str,
    services: &[ServiceRoles],
) -> Result<(), Error> {
    let database = quoted(database);
    let mut sql = format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC");
    for service in services {
        let (owner, runtime) = (quoted(&service.owner_role), quoted(&service.runtime_role));
        sql.push_str(&format!("; GRANT CONNECT ON DATABASE {database} TO {owner}, {runtime}"));
    }
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(admin)
        .await
        .map(drop)
        .map_err(Error::query("let the roles of a service connect"))
}

/// Creates a UTF-8 database unless there is one of that name.
///
/// # Errors
///
/// [`Error::Query`] when `admin` may not create databases.
pub async fn create_database_if_missing(admin: &mut PgConnection, name: &str) -> Result<(), Error> {
    let action = || Error::query("create the database");
    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(name)
            .fetch_one(&mut *admin)
            .await
            .map_err(action())?;
    if exists {
        return Ok(());
    }
    // template0: what somebody left in template1 is none of ours, and it allows any encoding.
    let sql = format!("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'", quoted(name));
    match sqlx::raw_sql(AssertSqlSafe(sql)).execute(admin).await {
        // Somebody else was faster: a duplicate, seen by name or by the catalogue's index.
        Err(sqlx::Error::Database(error))
            if matches!(error.code().as_deref(), Some("42P04" | "23505")) =>
        {
            Ok(())
        }
        other => other.map(drop).map_err(action()),
    }
}

/// Quotes an identifier (PostgreSQL documentation, 4.1.1).
fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_inside_identifiers_are_doubled() {
        assert_eq!(quoted(r#"a"; DROP ROLE b"#), r#""a""; DROP ROLE b""#);
    }

    #[test]
    fn debug_shows_no_password() {
        let shown = format!("{:?}", ServiceRoles::new("identity", "own3r-pw", "runt1me-pw"));
        assert!(shown.contains("zhiyuan_identity_owner"), "{shown}");
        assert!(!shown.contains("-pw"), "{shown}");
    }
}
