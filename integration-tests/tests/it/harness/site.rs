//! Where a suite is, whichever way it runs.

use std::path::{Path, PathBuf};

use sqlx::{Connection as _, PgConnection};
use zhiyuan_postgres::private::PrivateServer;
use zhiyuan_standalone::{Addresses, ConfigFiles};

/// The addresses of a suite, its databases and its files.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) addresses: Addresses,
    pub(crate) files: ConfigFiles,
    pub(crate) folder: PathBuf,
    main: String,
    keys: String,
}

impl Site {
    pub(crate) fn new(
        addresses: Addresses,
        postgres: &PrivateServer,
        files: &ConfigFiles,
        folder: &Path,
    ) -> Self {
        Self {
            addresses,
            files: files.clone(),
            folder: folder.to_owned(),
            main: postgres.admin_url("zhiyuan"),
            keys: postgres.admin_url("zhiyuan_keys"),
        }
    }

    /// The database of the services, as its administrator.
    pub(crate) async fn main_database(&self) -> PgConnection {
        PgConnection::connect(&self.main).await.unwrap()
    }

    /// Where that is.
    pub(crate) fn main_url(&self) -> &str {
        &self.main
    }

    /// The database of the data keys, as its administrator.
    pub(crate) async fn key_database(&self) -> PgConnection {
        PgConnection::connect(&self.keys).await.unwrap()
    }

    /// The configuration of a service, as it stands in its file.
    pub(crate) fn config(&self, service: &str) -> toml::Table {
        std::fs::read_to_string(self.files.of(service)).unwrap().parse().unwrap()
    }

    /// The configuration of orgtree, read as the service reads it.
    pub(crate) fn orgtree(&self) -> zhiyuan_orgtree::Config {
        let (file, none) = (self.files.of("orgtree"), <[(String, String); 0]>::default());
        let defaults = zhiyuan_orgtree::DEFAULTS;
        let config = zhiyuan_settings::load_from("orgtree", defaults, Some(&file), none);
        let mut config: zhiyuan_orgtree::Config = config.unwrap();
        // Many suites start on few cores.
        config.database.acquire_timeout_ms = 30_000;
        config
    }

    /// Where the gateway or a service listens.
    pub(crate) fn address_of(&self, service: &str) -> std::net::SocketAddr {
        match service {
            "gateway" => self.addresses.gateway,
            "identity" => self.addresses.identity,
            "registration" => self.addresses.registration,
            "orgtree" => self.addresses.orgtree,
            unknown => panic!("{unknown} is new: tell the tests where it listens"),
        }
    }
}
