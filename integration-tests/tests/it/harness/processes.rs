//! The suite as it runs in production: each service a process of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use zhiyuan_standalone::{Options, Surroundings};

use super::http::Http;
use super::{Site, scratch};

/// In the order in which they are started, and stopped from the last to the first.
pub(crate) const SERVICES: [&str; 4] = ["identity", "orgtree", "registration", "gateway"];

const READY_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// What a test wants to have otherwise.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// Where traces go.
    pub(crate) otlp_endpoint: Option<String>,
    /// Which lines are logged (`telemetry.log`).
    pub(crate) log: Option<&'static str>,
    /// Whether PostgreSQL keeps what it acknowledges.
    pub(crate) durable: bool,
    /// Appended to the configuration file of identity.
    pub(crate) identity: String,
}

/// Four processes, with a PostgreSQL and simulators around them.
#[derive(Debug)]
pub(crate) struct Processes {
    pub(crate) site: Site,
    surroundings: Surroundings,
    running: Vec<Running>,
    folder: PathBuf,
}

#[derive(Debug)]
struct Running {
    service: &'static str,
    child: Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already, if the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Processes {
    /// Starts all and waits until they serve.
    pub(crate) async fn start(name: &str, settings: Settings) -> Self {
        let binaries = binaries();
        let folder = scratch::folder(name);
        let options = Options {
            durable: settings.durable,
            otlp_endpoint: settings.otlp_endpoint,
            ..Options::in_folder(&folder)
        };
        let surroundings = match Surroundings::start(&options).await {
            Ok(surroundings) => surroundings,
            Err(error) => panic!("the surroundings did not start: {error:#}"),
        };
        let (addresses, files) = (surroundings.addresses(), surroundings.files());
        let site = Site::new(addresses, surroundings.postgres(), files, &folder);
        let identity = files.of("identity");
        let text = fs::read_to_string(&identity).unwrap() + &settings.identity;
        fs::write(&identity, text).unwrap();
        let running = SERVICES
            .map(|service| Running {
                service,
                child: spawn(&binaries, service, &site, settings.log),
            })
            .into();
        let mut processes = Self { site, surroundings, running, folder };
        processes.wait_until_ready().await;
        processes
    }

    /// The log of a service so far.
    pub(crate) fn log(&self, service: &str) -> String {
        fs::read_to_string(log_file(&self.folder, service)).unwrap()
    }

    async fn wait_until_ready(&mut self) {
        let until = Instant::now() + READY_WITHIN;
        let http = Http::new();
        let page = format!("http://{}/readyz", self.site.addresses.gateway);
        loop {
            for running in &mut self.running {
                if let Some(status) = running.child.try_wait().unwrap() {
                    let service = running.service;
                    let log = fs::read_to_string(log_file(&self.folder, service)).unwrap();
                    panic!("{service} ended with {status}:\n{log}");
                }
            }
            let answer = http.send(http::Method::GET, &page, &[], Vec::new()).await;
            if answer.is_ok_and(|answer| answer.status.is_success()) {
                break;
            }
            assert!(Instant::now() < until, "the gateway is not ready after {READY_WITHIN:?}");
            tokio::time::sleep(POLL).await;
        }
        for service in SERVICES {
            let address = format!("http://{}", self.site.address_of(service));
            let channel = Endpoint::from_shared(address).unwrap().connect().await.unwrap();
            let check = HealthCheckRequest { service: String::new() };
            let health = HealthClient::new(channel).check(check).await.unwrap();
            assert_eq!(health.get_ref().status(), ServingStatus::Serving, "{service}");
        }
    }

    /// Asks each process to end (SIGTERM), the gateway first; each must end well and
    /// in time.
    pub(crate) async fn terminate(&mut self) {
        while let Some(mut running) = self.running.pop() {
            let pid = Pid::from_child(&running.child);
            kill_process(pid, Signal::TERM).unwrap();
            let status = ended(&mut running.child).await;
            let service = running.service;
            assert_eq!(status.code(), Some(0), "{service} {status}:\n{}", self.log(service));
        }
    }

    /// Stops everything.
    pub(crate) async fn stop(mut self) {
        self.terminate().await;
        self.surroundings.stop().await.unwrap();
        fs::remove_dir_all(self.folder).unwrap();
    }
}

async fn ended(child: &mut Child) -> ExitStatus {
    let until = Instant::now() + STOP_WITHIN;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < until, "still there {STOP_WITHIN:?} after SIGTERM");
        tokio::time::sleep(POLL).await;
    }
}

fn spawn(binaries: &Path, service: &str, site: &Site, log: Option<&str>) -> Child {
    let binary = binaries.join(format!("zhiyuan-{service}"));
    let mut command = with_us(&binary);
    let file = File::create(log_file(&site.folder, service)).unwrap();
    command
        .arg("serve")
        .arg("--config")
        .arg(site.files.of(service))
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file);
    if let Some(log) = log {
        let prefix = format!("ZHIYUAN_{}__", service.to_ascii_uppercase());
        command.env(format!("{prefix}TELEMETRY__LOG"), log);
    }
    command.spawn().unwrap()
}

/// A command that the kernel kills when the thread that starts it ends, which is the
/// test's own: a test that is killed leaves no process behind. Linux only.
fn with_us(binary: &Path) -> Command {
    let setpriv = Path::new("/usr/bin/setpriv");
    if !setpriv.exists() {
        return Command::new(binary);
    }
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL", "--"]).arg(binary);
    command
}

fn log_file(folder: &Path, service: &str) -> PathBuf {
    folder.join(format!("{service}.log"))
}

/// The folder with the binaries of this profile, beside the tests.
fn binaries() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().unwrap().parent().unwrap().to_owned();
    let missing: Vec<&str> = SERVICES
        .into_iter()
        .filter(|service| !folder.join(format!("zhiyuan-{service}")).is_file())
        .collect();
    assert!(
        missing.is_empty(),
        "no binaries of {missing:?} in {}; make them: cargo build --workspace --bins",
        folder.display()
    );
    folder
}
