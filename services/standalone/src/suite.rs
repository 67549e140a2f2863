//! The whole suite in one process.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use zhiyuan_domain::{SharedClock, SystemClock};
use zhiyuan_lifecycle::{Ready, ReadySignal, ReadyWait, Stop, Tasks};
use zhiyuan_postgres::private::{Options as PrivateOptions, PrivateServer};

use crate::administrator::{Administrator, Making};
use crate::configuration::{self, Addresses, ConfigFiles, Plan};
use crate::database;
use crate::secrets::Secrets;
use crate::simulators::Simulators;

const READY_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(25);

/// How the suite is started.
#[derive(Clone)]
pub struct Options {
    /// Everything that is kept lies here.
    pub data_dir: PathBuf,
    /// The gateway's port on 127.0.0.1; 0 for a free one.
    pub port: u16,
    /// The simulators' port on 127.0.0.1; 0 for a free one.
    pub simulator_port: u16,
    /// Whether a crash of the machine loses nothing; tests do without.
    pub durable: bool,
    /// Where traces go.
    pub otlp_endpoint: Option<String>,
    /// The time.
    pub clock: SharedClock,
    /// Whether that is the machine's: nothing is sequenced while the clocks of a service
    /// and of its database are far apart, unless this says that they may be.
    pub system_clock: bool,
    /// The folder of built pages that the gateway serves; none for those that this program
    /// was built with, if any.
    pub pages: Option<PathBuf>,
    /// Hears of every step.
    pub progress: Arc<dyn Fn(&str) + Send + Sync>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("data_dir", &self.data_dir).finish_non_exhaustive()
    }
}

impl Options {
    /// A suite that is kept in a folder, on free ports, without a word.
    pub fn in_folder(data_dir: &Path) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            port: 0,
            simulator_port: 0,
            durable: true,
            otlp_endpoint: None,
            clock: Arc::new(SystemClock),
            system_clock: true,
            pages: None,
            progress: Arc::new(|_step| {}),
        }
    }
}

/// What stands around the services: the private PostgreSQL with its schemas, the
/// simulators, and a configuration file for each service.
#[derive(Debug)]
pub struct Surroundings {
    tasks: Tasks,
    stop: Stop,
    server: PrivateServer,
    simulators: Simulators,
    addresses: Addresses,
    files: ConfigFiles,
}

/// Ports that are bound and wait for their service.
struct Listeners {
    gateway: TcpListener,
    identity: TcpListener,
    registration: TcpListener,
    orgtree: TcpListener,
}

impl Surroundings {
    /// Brings up everything but the services, which a test starts as processes of
    /// their own with the files of [`Surroundings::files`]. The ports that they are
    /// told to listen on were free a moment ago.
    ///
    /// # Errors
    /// Says what is missing, or which step failed.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        Ok(prepare(options).await?.0)
    }

    /// Where everything listens, or is to listen.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The configuration files.
    pub fn files(&self) -> &ConfigFiles {
        &self.files
    }

    /// The private PostgreSQL.
    pub fn postgres(&self) -> &PrivateServer {
        &self.server
    }

    /// Stops all of it.
    ///
    /// # Errors
    /// When something did not end in time.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.request();
        let ended = self.tasks.finish(STOP_WITHIN).await;
        self.server.stop().await.context("the private PostgreSQL")?;
        ended.context("simulators")
    }
}

async fn prepare(options: &Options) -> anyhow::Result<(Surroundings, Listeners)> {
    let progress = &options.progress;
    make_private(&options.data_dir)?;
    let gateway = listen(options.port, "--port").await?;
    let simulators = listen(options.simulator_port, "--simulator-port").await?;
    let listeners = Listeners {
        gateway,
        identity: listen(0, "").await?,
        registration: listen(0, "").await?,
        orgtree: listen(0, "").await?,
    };
    let addresses = Addresses {
        gateway: listeners.gateway.local_addr()?,
        simulators: simulators.local_addr()?,
        identity: listeners.identity.local_addr()?,
        registration: listeners.registration.local_addr()?,
        orgtree: listeners.orgtree.local_addr()?,
    };

    let stop = Stop::new();
    let tasks = Tasks::new(stop.clone());
    progress("starting a private PostgreSQL");
    let report = Arc::clone(progress);
    let server = PrivateServer::start(
        PrivateOptions { data_dir: options.data_dir.join("postgres"), durable: options.durable },
        move |step| report(step),
    )
    .await?;
    progress("preparing databases, roles and schemas");
    let secrets = Secrets::of(&options.data_dir)?;
    database::prepare(&server, &secrets).await?;
    let plan = Plan {
        addresses,
        server: &server,
        secrets: &secrets,
        durable: options.durable,
        system_clock: options.system_clock,
        otlp_endpoint: options.otlp_endpoint.as_deref(),
        pages: options.pages.as_deref(),
    };
    let files = configuration::write(&options.data_dir, &plan)?;
    progress("bringing schemas up to date");
    zhiyuan_identity::migrate(&load("identity", zhiyuan_identity::DEFAULTS, &files)?).await?;
    zhiyuan_registration::migrate(&load("registration", zhiyuan_registration::DEFAULTS, &files)?)
        .await?;
    progress("loading regions and the organizations of Anhui");
    zhiyuan_orgtree::migrate(&load("orgtree", zhiyuan_orgtree::DEFAULTS, &files)?).await?;

    let port = simulators;
    let simulators = Simulators::new(Arc::new(SystemClock), stop.soft());
    tasks.start("simulators", simulators.clone().serve(port));
    Ok((Surroundings { tasks, stop, server, simulators, addresses, files }, listeners))
}

async fn listen(port: u16, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.with_context(|| {
        format!("port {port} of 127.0.0.1 is not free; choose another one with {flag}")
    })
}

/// Reads a configuration as the service's own binary would, less the environment: a
/// variable that is meant for a binary changes nothing here.
fn load<T: DeserializeOwned>(
    service: &str,
    defaults: &str,
    files: &ConfigFiles,
) -> anyhow::Result<T> {
    let file = files.of(service);
    let none: [(String, String); 0] = [];
    Ok(zhiyuan_settings::load_from(service, defaults, Some(&file), none)?)
}

/// The suite, running.
#[derive(Debug)]
pub struct RunningSuite {
    tasks: Tasks,
    surroundings: Surroundings,
    clock: SharedClock,
    has_pages: bool,
}

/// The suite.
#[derive(Debug)]
pub struct Suite;

impl Suite {
    /// Starts everything and waits until it is ready.
    ///
    /// # Errors
    /// Says what is missing, or which step failed.
    pub async fn start(options: Options) -> anyhow::Result<RunningSuite> {
        let (surroundings, listeners) = prepare(&options).await?;
        (options.progress)("starting identity, orgtree, registration and the gateway");
        let tasks = Tasks::new(surroundings.stop.child());
        let waits = start_services(&tasks, &surroundings.files, listeners, &options.clock)?;
        let all = async {
            for wait in waits {
                wait.wait().await.ok();
            }
        };
        tokio::select! {
            failure = tasks.failed() => return Err(failure.into()),
            ready = tokio::time::timeout(READY_WITHIN, all) => ready.context("not ready in time")?,
        }
        let has_pages = options.pages.is_some() || zhiyuan_gateway::has_pages();
        Ok(RunningSuite { tasks, surroundings, clock: options.clock, has_pages })
    }
}

fn start_services(
    tasks: &Tasks,
    files: &ConfigFiles,
    listeners: Listeners,
    clock: &SharedClock,
) -> anyhow::Result<Vec<ReadyWait>> {
    let mut waits = Vec::new();
    let mut ready = || -> ReadySignal {
        let (signal, wait) = Ready::channel();
        waits.push(wait);
        signal
    };
    let stop = tasks.stop().clone();

    let config = load("identity", zhiyuan_identity::DEFAULTS, files)?;
    let deps = zhiyuan_identity::Deps::new(clock.clone());
    tasks.start(
        "identity",
        zhiyuan_identity::run(config, deps, listeners.identity, stop.clone(), ready()),
    );

    let config: zhiyuan_orgtree::Config = load("orgtree", zhiyuan_orgtree::DEFAULTS, files)?;
    let deps = config.deps(clock.clone())?;
    tasks.start(
        "orgtree",
        zhiyuan_orgtree::run(config, deps, listeners.orgtree, stop.clone(), ready()),
    );

    let config: zhiyuan_registration::Config =
        load("registration", zhiyuan_registration::DEFAULTS, files)?;
    let deps = config.deps(clock.clone())?;
    tasks.start(
        "registration",
        zhiyuan_registration::run(config, deps, listeners.registration, stop.clone(), ready()),
    );

    let config: zhiyuan_gateway::Config = load("gateway", zhiyuan_gateway::DEFAULTS, files)?;
    let deps = zhiyuan_gateway::Deps::new(clock.clone())?;
    tasks.start("gateway", zhiyuan_gateway::run(config, deps, listeners.gateway, stop, ready()));
    Ok(waits)
}

impl RunningSuite {
    /// Where everything listens.
    pub fn addresses(&self) -> Addresses {
        self.surroundings.addresses
    }

    /// The private PostgreSQL.
    pub fn postgres(&self) -> &PrivateServer {
        &self.surroundings.server
    }

    /// The configuration files of the services.
    pub fn files(&self) -> &ConfigFiles {
        &self.surroundings.files
    }

    /// Whether the gateway serves pages to browsers.
    pub fn has_pages(&self) -> bool {
        self.has_pages
    }

    /// The first administrator of the province, who is made if there is none yet.
    ///
    /// # Errors
    /// When they can't register, or can't be given the role.
    pub async fn administrator(&self) -> anyhow::Result<Administrator> {
        let surroundings = &self.surroundings;
        Administrator::of(Making {
            gateway: format!("http://{}", surroundings.addresses.gateway),
            simulators: &surroundings.simulators,
            files: &surroundings.files,
            orgtree: load("orgtree", zhiyuan_orgtree::DEFAULTS, &surroundings.files)?,
            clock: self.clock.clone(),
        })
        .await
    }

    /// Asks for the end, or hears of it: a signal handler holds this.
    pub fn stop_handle(&self) -> Stop {
        self.surroundings.stop.clone()
    }

    /// Waits until somebody asks for the end, or a service dies.
    pub async fn until_asked_to_stop(&self) {
        self.surroundings.stop.requested().await;
    }

    /// Stops the services, then what stands around them.
    ///
    /// # Errors
    /// When a service had died, or did not end in time.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.tasks.stop().request();
        let ended = self.tasks.finish(STOP_WITHIN).await;
        self.surroundings.stop().await?;
        Ok(ended?)
    }
}

/// Makes the data folder, where secrets and logs lie, and keeps others from reading it.
/// The private PostgreSQL of a root user runs as somebody else, who passes through
/// without reading.
///
/// # Errors
/// When the folder can't be made.
pub fn make_private(data_dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(data_dir).with_context(|| data_dir.display().to_string())?;
    let mode = std::fs::Permissions::from_mode(0o711);
    std::fs::set_permissions(data_dir, mode).with_context(|| data_dir.display().to_string())
}

/// Forgets what a suite kept in its folder: the private PostgreSQL and the secrets.
/// Files that are not the suite's stay.
///
/// # Errors
/// When a suite is running on the folder, or a file can't be deleted.
pub fn forget(data_dir: &Path) -> anyhow::Result<()> {
    zhiyuan_postgres::private::remove(&data_dir.join("postgres"))?;
    for file in ["secrets.json", "suite.log", "pages.log"] {
        remove(std::fs::remove_file(data_dir.join(file)))?;
    }
    for folder in ["config", "accounts", "pages"] {
        remove(std::fs::remove_dir_all(data_dir.join(folder)))?;
    }
    Ok(())
}

fn remove(done: std::io::Result<()>) -> anyhow::Result<()> {
    match done {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
