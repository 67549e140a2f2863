//! One server for all tests of this binary.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{Connection, PgConnection};
use tokio::sync::OnceCell;
use zhiyuan_postgres::{
    ServiceRoles, create_database_if_missing,
    private::{Options, PrivateServer, scratch_folder},
    provision,
};

static SERVER: OnceCell<PrivateServer> = OnceCell::const_new();
static PROVISIONING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
static COUNTER: AtomicU32 = AtomicU32::new(0);

pub(crate) async fn server() -> &'static PrivateServer {
    let start = || async {
        let options = Options { data_dir: scratch_folder("postgres-it"), durable: true };
        PrivateServer::start(options, |_| ()).await.expect("a private PostgreSQL")
    };
    SERVER.get_or_init(start).await
}

/// An empty database with the roles of the services `alpha` and `beta`.
pub(crate) struct Database {
    pub(crate) name: String,
    pub(crate) alpha: ServiceRoles,
    pub(crate) beta: ServiceRoles,
}

impl Database {
    pub(crate) async fn create() -> Self {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("it \"{number}\" 库");
        let mut admin = connect(&server().await.admin_url("postgres")).await;
        create_database_if_missing(&mut admin, &name).await.unwrap();
        let database = Self {
            name,
            alpha: ServiceRoles::new("alpha", "own:er's@pw\\", "run/time'pw%"),
            beta: ServiceRoles::new("beta", "b", "b"),
        };
        let mut admin = connect(&database.admin().await).await;
        let _one_at_a_time = PROVISIONING.lock().await;
        provision(&mut admin, &database.alpha).await.unwrap();
        provision(&mut admin, &database.beta).await.unwrap();
        database
    }

    pub(crate) async fn admin(&self) -> String {
        server().await.admin_url(&self.name)
    }

    pub(crate) async fn owner(&self, service: &ServiceRoles) -> String {
        server().await.url(&service.owner_role, &service.owner_password, &self.name)
    }

    pub(crate) async fn runtime(&self, service: &ServiceRoles) -> String {
        server().await.url(&service.runtime_role, &service.runtime_password, &self.name)
    }
}

pub(crate) async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// Returns the SQLSTATE that a statement fails with, or `ok`.
pub(crate) async fn sqlstate(connection: &mut PgConnection, sql: &'static str) -> String {
    match sqlx::raw_sql(sql).execute(connection).await {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.as_database_error().unwrap().code().unwrap().into_owned(),
    }
}
