//! Migrations: applied by the owner role, checked by everybody else.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    time::{Duration, Instant},
};

use sqlx::{
    AssertSqlSafe, Connection, PgConnection, PgPool,
    migrate::{Migrate as _, MigrateError, Migrator},
};

use crate::{Error, pool::parse};

/// No statement of a migration waits longer for a lock: whoever comes to the table after it, to read
/// too, waits behind it.
const LOCK_WAIT: &str = "3s";
/// Then the others go first, and it tries again, for so long.
const PAUSE: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(600);

/// Applies what is pending, as the role of `url` (the owner of the schema).
///
/// Several processes may try at once: the first holds an advisory lock, the others wait and then
/// find nothing to do. A database that is ahead of this binary is left alone, so that going back
/// one release stays possible. Where a migration would have to wait long behind somebody's
/// transaction, it steps back and tries again, for ten minutes. The table of applied migrations is read-only for everybody but its
/// owner afterwards.
///
/// # Errors
///
/// [`Error::MigrationModified`] and [`Error::MigrationUnknown`] when the history in the database
/// isn't ours, [`Error::Migrate`] when a migration fails, besides the errors of connecting.
pub async fn migrate(url: &str, migrator: &Migrator) -> Result<(), Error> {
    let options = parse(url)?.application_name("zhiyuan-migrate").options([("timezone", "UTC")]);
    let mut connection = PgConnection::connect_with(&options).await.map_err(Error::Connect)?;
    let result = run(&mut connection, migrator).await;
    // The server ends the session anyway when the socket closes.
    let _ = connection.close().await;
    result
}

async fn run(connection: &mut PgConnection, migrator: &Migrator) -> Result<(), Error> {
    pending(connection, migrator).await?;
    let runner = Migrator {
        migrations: migrator.migrations.clone(),
        // Newer ones have just been looked at, and are none of our business.
        ignore_missing: true,
        create_schemas: Cow::Owned(missing_schemas(connection, migrator).await?),
        table_name: migrator.table_name.clone(),
        // It is locked here.
        locking: false,
        ..Migrator::DEFAULT
    };
    // Whoever migrates is waited for, however long it takes.
    connection.lock().await.map_err(Error::Migrate)?;
    wait_for_locks(connection, LOCK_WAIT).await?;
    let began = Instant::now();
    // `run` takes an `Acquire`, whose future is not `Send` for a borrowed connection.
    while let Err(error) = runner.run_direct(None, connection, false).await {
        if !has_waited(&error) || began.elapsed() > PATIENCE {
            return Err(Error::Migrate(error));
        }
        tracing::warn!("a migration waits for others, and lets them go first");
        tokio::time::sleep(PAUSE).await;
    }
    wait_for_locks(connection, "0").await?;
    connection.unlock().await.map_err(Error::Migrate)?;
    protect_history(connection, &migrator.table_name).await
}

async fn wait_for_locks(connection: &mut PgConnection, most: &str) -> Result<(), Error> {
    sqlx::query("SELECT set_config('lock_timeout', $1, false)")
        .bind(most)
        .execute(connection)
        .await
        .map_err(Error::query("bound the waiting for locks"))?;
    Ok(())
}

/// Whether a migration has waited for a lock too long.
fn has_waited(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else {
        return false;
    };
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code == "55P03")
}

/// Refuses a database that lacks a migration of this binary, or whose history is another one.
///
/// Newer migrations than this binary's are fine: schema N works with the binaries of N-1.
///
/// # Errors
///
/// [`Error::MigrationsPending`], [`Error::MigrationModified`], [`Error::MigrationUnknown`], and
/// [`Error::Query`] when the database can't be asked.
pub async fn ensure_up_to_date(pool: &PgPool, migrator: &Migrator) -> Result<(), Error> {
    let mut connection = pool.acquire().await.map_err(Error::Connect)?;
    match pending(&mut connection, migrator).await? {
        versions if versions.is_empty() => Ok(()),
        versions => Err(Error::MigrationsPending { versions }),
    }
}

/// Compares the history in the database with ours; returns what is missing there.
async fn pending(connection: &mut PgConnection, migrator: &Migrator) -> Result<Vec<i64>, Error> {
    let applied = applied(connection, &migrator.table_name).await?;
    let newest = migrator.iter().map(|migration| migration.version).max().unwrap_or(0);
    if let Some((&version, _)) = applied
        .iter()
        .find(|(version, _)| **version <= newest && !migrator.version_exists(**version))
    {
        return Err(Error::MigrationUnknown { version });
    }
    let mut missing = Vec::new();
    for migration in migrator.iter().filter(|one| !one.migration_type.is_down_migration()) {
        match applied.get(&migration.version) {
            None => missing.push(migration.version),
            Some(checksum) if checksum.as_slice() != &*migration.checksum => {
                return Err(Error::MigrationModified { version: migration.version });
            }
            Some(_) => {}
        }
    }
    Ok(missing)
}

async fn applied(
    connection: &mut PgConnection,
    table: &str,
) -> Result<BTreeMap<i64, Vec<u8>>, Error> {
    let action = || Error::query("read the applied migrations");
    let exists: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(table)
        .fetch_one(&mut *connection)
        .await
        .map_err(action())?;
    if !exists {
        return Ok(BTreeMap::new());
    }
    // The table's name comes from the binary, not from outside.
    let sql = format!("SELECT version, checksum FROM {table} WHERE success");
    let rows: Vec<(i64, Vec<u8>)> =
        sqlx::query_as(AssertSqlSafe(sql)).fetch_all(connection).await.map_err(action())?;
    Ok(rows.into_iter().collect())
}

/// PostgreSQL asks for the right to create schemas even where `CREATE SCHEMA IF NOT EXISTS` finds
/// one, and the owner role has no such right: only what is really missing is asked for.
async fn missing_schemas(
    connection: &mut PgConnection,
    migrator: &Migrator,
) -> Result<Vec<Cow<'static, str>>, Error> {
    let mut missing = Vec::new();
    for schema in migrator.create_schemas.iter() {
        let exists: bool = sqlx::query_scalar("SELECT to_regnamespace($1) IS NOT NULL")
            .bind(&**schema)
            .fetch_one(&mut *connection)
            .await
            .map_err(Error::query("look for the schema"))?;
        if !exists {
            missing.push(schema.clone());
        }
    }
    Ok(missing)
}

/// Default privileges give the runtime role every new table of the schema, this one included.
async fn protect_history(connection: &mut PgConnection, table: &str) -> Result<(), Error> {
    let action = || Error::query("protect the table of migrations");
    // One after the other: two that revoke at once fail with "tuple concurrently updated".
    let mut transaction = connection.begin().await.map_err(action())?;
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(table)
        .execute(&mut *transaction)
        .await
        .map_err(action())?;
    let statements: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT format('REVOKE INSERT, UPDATE, DELETE ON %s FROM %I', t.oid::regclass, r.rolname)
         FROM pg_class t, aclexplode(t.relacl) a JOIN pg_roles r ON r.oid = a.grantee
         WHERE t.oid = to_regclass($1) AND a.grantee <> t.relowner
           AND a.privilege_type IN ('INSERT', 'UPDATE', 'DELETE')",
    )
    .bind(table)
    .fetch_all(&mut *transaction)
    .await
    .map_err(action())?;
    for statement in statements {
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut *transaction)
            .await
            .map_err(action())?;
    }
    transaction.commit().await.map_err(action())
}
