//! The suite that is measured: a durable PostgreSQL of its own, the simulators, and each
//! service as a process.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use zhiyuan_auth::AssertionSigner;
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::SystemClock;
use zhiyuan_postgres::private::PrivateServer;
use zhiyuan_rpc::SuiteChannel;
use zhiyuan_standalone::{ACCOUNT, Options, Surroundings};

use crate::cpu::Usage;
use crate::folder::Folder;
use crate::part::{self, Hashing, Part};
use crate::report::say;

const IDENTITY: &str = "identity";
const SERVICES: [&str; 4] = [IDENTITY, "orgtree", "registration", "gateway"];
/// A clone of all tables, keys included, as empty as a new suite's: pgbench works on it.
pub(crate) const CLONE: &str = "zhiyuan_clone";
const READY_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// Everything that runs. Ends, and leaves nothing behind, when it is dropped.
#[derive(Debug)]
pub(crate) struct Stage {
    // In the order in which they end.
    parts: BTreeMap<&'static str, Part>,
    surroundings: Surroundings,
    hashing: Hashing,
    postmaster: u32,
    people: AtomicU32,
    folder: Folder,
}

impl Stage {
    /// Starts everything.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let folder = Folder::make()?;
        let options = Options {
            durable: true,
            progress: Arc::new(|step| say(&format!("  {step}"))),
            ..Options::in_folder(folder.path())
        };
        let surroundings = Surroundings::start(&options).await?;
        let postmaster = postmaster(&surroundings.postgres().admin_url("postgres")).await?;
        clone(surroundings.postgres()).await.context("a clone of the tables")?;
        let mut stage = Self {
            parts: BTreeMap::new(),
            surroundings,
            hashing: Hashing::Real,
            postmaster,
            people: AtomicU32::new(0),
            folder,
        };
        say("  starting the services");
        for service in SERVICES {
            stage.start_part(service).await?;
        }
        Ok(stage)
    }

    /// Starts a service, and waits until it serves.
    pub(crate) async fn start_part(&mut self, service: &'static str) -> anyhow::Result<()> {
        let hashing = if service == IDENTITY { self.hashing } else { Hashing::Real };
        let config = self.surroundings.files().of(service);
        let log = self.folder.path().join(format!("{service}.log"));
        let mut part = Part::start(service, hashing, &config, &log)?;
        let endpoint = endpoint(self.address(service))?;
        let until = Instant::now() + READY_WITHIN;
        while !serves(&endpoint).await {
            part.ensure_running().with_context(|| {
                let log = fs::read_to_string(&log).unwrap_or_default();
                format!("{service}:\n{}", log.lines().last().unwrap_or_default())
            })?;
            anyhow::ensure!(Instant::now() < until, "{service} does not serve in time");
            tokio::time::sleep(POLL).await;
        }
        self.parts.insert(service, part);
        Ok(())
    }

    /// Stops a service, until [`Stage::start_part`].
    pub(crate) fn stop_part(&mut self, service: &'static str) {
        self.parts.remove(service);
    }

    /// Has a service do something once, as its operator does; how long that takes.
    pub(crate) async fn operate(
        &self,
        service: &str,
        arguments: &[&str],
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Duration> {
        let config = self.surroundings.files().of(service);
        part::operate(service, arguments, &config, settings).await
    }

    /// Starts identity again if passwords are to cost something else.
    pub(crate) async fn set_hashing(&mut self, hashing: Hashing) -> anyhow::Result<()> {
        if self.hashing != hashing {
            self.hashing = hashing;
            self.parts.remove(IDENTITY);
            self.start_part(IDENTITY).await?;
        }
        Ok(())
    }

    /// Where a service listens.
    pub(crate) fn address(&self, service: &str) -> SocketAddr {
        let addresses = self.surroundings.addresses();
        match service {
            IDENTITY => addresses.identity,
            "orgtree" => addresses.orgtree,
            "registration" => addresses.registration,
            "simulators" => addresses.simulators,
            _ => addresses.gateway,
        }
    }

    /// The process of a service.
    pub(crate) fn pid(&self, service: &str) -> Option<u32> {
        self.parts.get(service).map(Part::pid)
    }

    /// A connection to a service.
    pub(crate) async fn channel(&self, service: &str) -> anyhow::Result<Channel> {
        connect(self.address(service)).await
    }

    /// Connections to a service, among which callers are shared out.
    pub(crate) async fn channels(
        &self,
        service: &str,
        count: usize,
    ) -> anyhow::Result<Vec<Channel>> {
        let mut channels = Vec::new();
        for _ in 0..count {
            channels.push(self.channel(service).await?);
        }
        Ok(channels)
    }

    /// A connection to orgtree as the service account of an internal platform.
    pub(crate) async fn platform(&self) -> anyhow::Result<SuiteChannel> {
        let key = fs::read_to_string(self.surroundings.files().key())?;
        let key = SigningKey::from_base64(key.trim()).context("the key of the account")?;
        let signer = AssertionSigner::new(ACCOUNT, key, Arc::new(SystemClock));
        Ok(SuiteChannel::new(self.channel("orgtree").await?, "orgtree", Arc::new(signer)))
    }

    /// A connection of the administrator to a database of the private server.
    pub(crate) async fn database(&self, name: &str) -> anyhow::Result<PgConnection> {
        Ok(PgConnection::connect(&self.admin_url(name)).await?)
    }

    /// Where that is.
    pub(crate) fn admin_url(&self, database: &str) -> String {
        self.surroundings.postgres().admin_url(database)
    }

    /// The folder with the server's programs.
    pub(crate) fn postgres_programs(&self) -> anyhow::Result<PathBuf> {
        let program = fs::read_link(format!("/proc/{}/exe", self.postmaster))?;
        Ok(program.parent().context("postgres lies nowhere")?.to_owned())
    }

    /// The folder for everything that goes in the end.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Takes people that nobody else has taken: the number of the first.
    pub(crate) fn take_people(&self, count: usize) -> u32 {
        self.people.fetch_add(u32::try_from(count).unwrap_or(u32::MAX), Ordering::Relaxed)
    }

    /// Who has used how much of the processors so far.
    pub(crate) fn usage(&self) -> Usage {
        self.usage_with(&[])
    }

    /// The same, with processes besides.
    pub(crate) fn usage_with(&self, more: &[(&'static str, u32)]) -> Usage {
        let mut processes: Vec<(&'static str, u32)> =
            self.parts.iter().map(|(service, part)| (*service, part.pid())).collect();
        processes.push(("PostgreSQL", self.postmaster));
        processes.extend_from_slice(more);
        Usage::of(&processes, ("load and simulators", std::process::id()))
    }

    /// Stops everything.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let Self { mut parts, surroundings, folder, .. } = self;
        for service in SERVICES.iter().rev() {
            drop(parts.remove(service));
        }
        surroundings.stop().await?;
        drop(folder);
        Ok(())
    }
}

fn endpoint(address: SocketAddr) -> anyhow::Result<Endpoint> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true))
}

/// A connection to whatever speaks gRPC there.
pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<Channel> {
    endpoint(address)?.connect().await.with_context(|| format!("{address}"))
}

async fn serves(endpoint: &Endpoint) -> bool {
    let Ok(channel) = endpoint.connect().await else { return false };
    let check = HealthCheckRequest { service: String::new() };
    let health = HealthClient::new(channel).check(check).await;
    health.is_ok_and(|health| health.get_ref().status() == ServingStatus::Serving)
}

/// Makes the clone, while nobody is connected to the database.
async fn clone(server: &PrivateServer) -> anyhow::Result<()> {
    let mut admin = PgConnection::connect(&server.admin_url("postgres")).await?;
    let make = format!("CREATE DATABASE {CLONE} TEMPLATE zhiyuan");
    sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut admin).await?;
    let mut admin = PgConnection::connect(&server.admin_url(CLONE)).await?;
    sqlx::raw_sql("CREATE SCHEMA keys").execute(&mut admin).await?;
    Ok(zhiyuan_identity::key_migrator().run(&mut admin).await?)
}

/// The process of the private server.
async fn postmaster(url: &str) -> anyhow::Result<u32> {
    let mut connection = PgConnection::connect(url).await?;
    let folder: String = sqlx::query_scalar("SELECT current_setting('data_directory')")
        .fetch_one(&mut connection)
        .await?;
    let pid = fs::read_to_string(Path::new(&folder).join("postmaster.pid"))?;
    pid.lines().next().unwrap_or_default().parse().context("the pid of PostgreSQL")
}
