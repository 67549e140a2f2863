//! A database per test, on one server per test process.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "whatever fails here fails the test, with the reason"
)]

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
};

use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, migrate::Migrator};
use tokio::sync::{Mutex, OnceCell};
use zhiyuan_postgres::{
    DatabaseConfig, ServiceRoles, create_database_if_missing,
    private::{Options, PrivateServer, scratch_folder},
    provision,
};

/// Neither is bound to the runtime of the test that comes first: no connection outlives a call.
static SERVER: OnceCell<PrivateServer> = OnceCell::const_new();
/// The template of each set of schemas. The lock also keeps two tests from changing the same roles
/// at once, as roles belong to the whole server.
static TEMPLATES: Mutex<BTreeMap<String, String>> = Mutex::const_new(BTreeMap::new());
static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A migrated database that no other test sees, with the roles of production.
///
/// It is not deleted before the server's folder is, by the next test process.
#[derive(Debug, Clone)]
pub struct TestDatabase {
    name: String,
    services: Vec<ServiceRoles>,
}

impl TestDatabase {
    /// Creates a database with the schema of one service.
    ///
    /// # Panics
    ///
    /// When there is no PostgreSQL on this machine, or a migration fails.
    pub async fn create(schema: &'static str, migrator: &'static Migrator) -> Self {
        Self::create_many(&[(schema, migrator)]).await
    }

    /// Creates a database with the schemas of several services. What the other methods return
    /// without naming a schema belongs to the first.
    ///
    /// # Panics
    ///
    /// As [`TestDatabase::create`].
    pub async fn create_many(schemas: &[(&'static str, &'static Migrator)]) -> Self {
        let server = server().await;
        let services: Vec<_> = schemas.iter().map(|(schema, _)| roles(schema)).collect();
        let template = template(server, schemas, &services).await;
        let name = unique("test");
        let mut admin = connect(&server.admin_url("postgres")).await;
        // Both names are ours and need no quotes.
        let copy = format!("CREATE DATABASE {name} TEMPLATE {template}");
        sqlx::raw_sql(AssertSqlSafe(copy)).execute(&mut admin).await.expect("a copied database");
        zhiyuan_postgres::roles::admit(&mut admin, &name, &services)
            .await
            .expect("roles that may connect");
        Self { name, services }
    }

    /// Returns the URL of the service's runtime role.
    #[must_use]
    pub fn runtime_url(&self) -> String {
        self.url_of(self.first(), false)
    }

    /// Returns the URL of the service's owner role, who may change the schema.
    #[must_use]
    pub fn owner_url(&self) -> String {
        self.url_of(self.first(), true)
    }

    /// Returns the superuser's URL.
    #[must_use]
    pub fn admin_url(&self) -> String {
        running().admin_url(&self.name)
    }

    /// Returns the configuration of a service on this database.
    #[must_use]
    pub fn config(&self) -> DatabaseConfig {
        self.config_for(self.first())
    }

    /// Opens a pool as the service's runtime role.
    ///
    /// # Panics
    ///
    /// When no connection can be made.
    pub async fn pool(&self) -> PgPool {
        open(&self.config()).await
    }

    /// Returns [`TestDatabase::runtime_url`] of another of the schemas.
    ///
    /// # Panics
    ///
    /// When the database was created without it.
    #[must_use]
    pub fn runtime_url_of(&self, schema: &str) -> String {
        self.url_of(self.service(schema), false)
    }

    /// Returns [`TestDatabase::owner_url`] of another of the schemas.
    ///
    /// # Panics
    ///
    /// When the database was created without it.
    #[must_use]
    pub fn owner_url_of(&self, schema: &str) -> String {
        self.url_of(self.service(schema), true)
    }

    /// Returns [`TestDatabase::config`] for another of the schemas.
    ///
    /// # Panics
    ///
    /// When the database was created without it.
    #[must_use]
    pub fn config_of(&self, schema: &str) -> DatabaseConfig {
        self.config_for(self.service(schema))
    }

    /// Opens a pool as the runtime role of another of the schemas.
    ///
    /// # Panics
    ///
    /// When the database was created without it, or no connection can be made.
    pub async fn pool_of(&self, schema: &str) -> PgPool {
        open(&self.config_of(schema)).await
    }

    fn first(&self) -> &ServiceRoles {
        self.services.first().expect("a database with at least one schema")
    }

    fn service(&self, schema: &str) -> &ServiceRoles {
        self.services
            .iter()
            .find(|service| service.schema == schema)
            .unwrap_or_else(|| panic!("this database was created without schema {schema}"))
    }

    fn url_of(&self, service: &ServiceRoles, owner: bool) -> String {
        let (role, password) = if owner {
            (&service.owner_role, &service.owner_password)
        } else {
            (&service.runtime_role, &service.runtime_password)
        };
        running().url(role, password, &self.name)
    }

    fn config_for(&self, service: &ServiceRoles) -> DatabaseConfig {
        DatabaseConfig {
            migration_url: Some(self.url_of(service, true)),
            // Many tests share the server's 200 connections, and its processor.
            max_connections: 10,
            acquire_timeout_ms: 20_000,
            allow_unsafe_durability: true,
            ..DatabaseConfig::new(self.url_of(service, false))
        }
    }
}

fn roles(schema: &str) -> ServiceRoles {
    ServiceRoles::new(schema, "owner-of-a-test", "runtime-of-a-test")
}

async fn server() -> &'static PrivateServer {
    let start = || async {
        let options = Options { data_dir: scratch_folder("test"), durable: false };
        match PrivateServer::start(options, |_| ()).await {
            Ok(server) => server,
            Err(error) => panic!("tests need a PostgreSQL of their own: {error}"),
        }
    };
    SERVER.get_or_init(start).await
}

fn running() -> &'static PrivateServer {
    SERVER.get().expect("the server that every test database is on")
}

async fn template(
    server: &PrivateServer,
    schemas: &[(&'static str, &'static Migrator)],
    services: &[ServiceRoles],
) -> String {
    let key: String = schemas
        .iter()
        .map(|(schema, migrator)| format!("{schema}@{:p} ", std::ptr::from_ref(*migrator)))
        .collect();
    let mut templates = TEMPLATES.lock().await;
    if let Some(name) = templates.get(&key) {
        return name.clone();
    }
    let name = unique("template");
    let mut admin = connect(&server.admin_url("postgres")).await;
    create_database_if_missing(&mut admin, &name).await.expect("a template database");
    let mut admin = connect(&server.admin_url(&name)).await;
    for (service, (schema, migrator)) in services.iter().zip(schemas) {
        provision(&mut admin, service).await.expect("the roles of a service");
        let owner = server.url(&service.owner_role, &service.owner_password, &name);
        if let Err(error) = zhiyuan_postgres::migrate(&owner, migrator).await {
            panic!("failed to migrate schema {schema}: {error:?}");
        }
    }
    // Nobody may be connected to a database that is copied.
    admin.close().await.expect("a closed connection");
    templates.insert(key, name.clone());
    name
}

fn unique(prefix: &str) -> String {
    format!("{prefix}_{}", COUNTER.fetch_add(1, Ordering::Relaxed))
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.expect("a connection to the test server")
}

async fn open(config: &DatabaseConfig) -> PgPool {
    zhiyuan_postgres::connect(config, "test").await.expect("a pool on the test database")
}

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, sync::LazyLock};

    use sqlx::{
        SqlSafeStr,
        migrate::{Migration, MigrationType},
    };

    use super::*;

    static PORT: LazyLock<Migrator> =
        LazyLock::new(|| migrator("port", "CREATE TABLE port.t (id int)"));
    static STARBOARD: LazyLock<Migrator> =
        LazyLock::new(|| migrator("starboard", "CREATE TABLE starboard.t (id int)"));

    fn migrator(schema: &str, sql: &'static str) -> Migrator {
        let kind = MigrationType::Simple;
        let one = Migration::new(1, Cow::Borrowed("t"), kind, sql.into_sql_str(), false);
        let mut migrator = Migrator::with_migrations(vec![one]);
        migrator.dangerous_set_table_name(format!("{schema}._sqlx_migrations"));
        migrator
    }

    async fn count(pool: &PgPool) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM port.t").fetch_one(pool).await.unwrap()
    }

    /// Twice, so that the second runs in another runtime than the one that started the server.
    async fn no_test_sees_what_another_one_writes() {
        let database = TestDatabase::create("port", &PORT).await;
        let pool = database.pool().await;
        assert_eq!(count(&pool).await, 0);
        sqlx::query("INSERT INTO port.t VALUES (1)").execute(&pool).await.unwrap();
        assert_eq!(count(&pool).await, 1);
        let other = TestDatabase::create("port", &PORT).await;
        assert_eq!(count(&other.pool().await).await, 0);
    }

    #[tokio::test]
    async fn no_test_sees_what_another_one_writes_first() {
        no_test_sees_what_another_one_writes().await;
    }

    #[tokio::test]
    async fn no_test_sees_what_another_one_writes_second() {
        no_test_sees_what_another_one_writes().await;
    }

    #[tokio::test]
    async fn a_copy_has_the_rights_of_production() {
        let database =
            TestDatabase::create_many(&[("port", &PORT), ("starboard", &STARBOARD)]).await;
        let pool = database.pool_of("starboard").await;
        sqlx::query("SELECT id FROM starboard.t").execute(&pool).await.unwrap();
        for forbidden in ["SELECT id FROM port.t", "CREATE TABLE starboard.more (id int)"] {
            let error = sqlx::query(forbidden).execute(&pool).await.unwrap_err();
            let code = error.as_database_error().unwrap().code().unwrap().into_owned();
            assert_eq!(code, "42501", "{forbidden}");
        }
        let alone = TestDatabase::create("port", &PORT).await;
        let stranger = running().url("zhiyuan_starboard", "runtime-of-a-test", &alone.name);
        assert!(PgConnection::connect(&stranger).await.is_err());
    }

    #[tokio::test]
    async fn a_service_starts_and_migrates_with_the_configuration() {
        let database = TestDatabase::create("port", &PORT).await;
        let config = database.config();
        zhiyuan_postgres::migrate(&config.migration_url.unwrap(), &PORT).await.unwrap();
        let pool = database.pool().await;
        zhiyuan_postgres::ensure_up_to_date(&pool, &PORT).await.unwrap();
        connect(&database.owner_url()).await;
        connect(&database.runtime_url_of("port")).await;
        connect(&database.owner_url_of("port")).await;
        connect(&database.admin_url()).await;
    }
}
