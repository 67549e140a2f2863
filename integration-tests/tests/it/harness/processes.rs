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
use super::{Postgres, Site, scratch};

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
    /// Appended to the configuration files of services.
    pub(crate) config: Vec<(&'static str, String)>,
}

/// Four processes, with a PostgreSQL and simulators around them.
#[derive(Debug)]
pub(crate) struct Processes {
    pub(crate) site: Site,
    pub(crate) postgres: Postgres,
    running: Vec<Running>,
    surroundings: Surroundings,
    folder: PathBuf,
    log: Option<&'static str>,
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
        for (service, more) in settings.config {
            let file = files.of(service);
            let text = fs::read_to_string(&file).unwrap() + &more;
            fs::write(&file, text).unwrap();
        }
        let postgres = Postgres::of(&site).await;
        let (running, log) = (Vec::new(), settings.log);
        let mut processes = Self { site, postgres, running, surroundings, folder, log };
        for service in SERVICES {
            processes.spawn(service);
        }
        processes.wait_until_ready().await;
        processes
    }

    fn spawn(&mut self, service: &'static str) {
        let child = spawn(&binaries(), service, &self.site, self.log);
        self.running.push(Running { service, child });
    }

    /// Ends a service by SIGKILL.
    pub(crate) fn kill(&mut self, service: &str) {
        self.running.retain(|running| running.service != service);
    }

    /// Starts a service that was killed, and waits until it serves. To be called from the
    /// test's own thread, with which it ends.
    pub(crate) async fn start_again(&mut self, service: &'static str) {
        self.spawn(service);
        let address = format!("http://{}", self.site.address_of(service));
        let endpoint = Endpoint::from_shared(address).unwrap();
        let until = Instant::now() + READY_WITHIN;
        loop {
            self.assert_running();
            if let Ok(channel) = endpoint.connect().await {
                let check = HealthCheckRequest { service: String::new() };
                let health = HealthClient::new(channel).check(check).await;
                if health.is_ok_and(|health| health.get_ref().status() == ServingStatus::Serving) {
                    return;
                }
            }
            assert!(Instant::now() < until, "{service} does not serve after {READY_WITHIN:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Sends a signal to a service.
    pub(crate) fn signal(&self, service: &str, signal: Signal) {
        let running = self.running.iter().find(|running| running.service == service).unwrap();
        kill_process(Pid::from_child(&running.child), signal).unwrap();
    }

    /// Stops a service where it is (SIGSTOP); returns once none of its threads runs.
    pub(crate) async fn freeze(&self, service: &str) {
        self.signal(service, Signal::STOP);
        let running = self.running.iter().find(|running| running.service == service).unwrap();
        let threads = format!("/proc/{}/task", running.child.id());
        let until = Instant::now() + STOP_WITHIN;
        while !fs::read_dir(&threads).unwrap().flatten().all(|thread| is_stopped(&thread.path())) {
            assert!(Instant::now() < until, "{service} runs on after SIGSTOP");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits for the end of a service that was asked to end, which must be a good one.
    pub(crate) async fn ended(&mut self, service: &str) {
        let at = self.running.iter().position(|running| running.service == service).unwrap();
        let mut running = self.running.remove(at);
        let status = ended(&mut running.child).await;
        assert_eq!(status.code(), Some(0), "{service} {status}:\n{}", self.log(service));
    }

    fn assert_running(&mut self) {
        for running in &mut self.running {
            if let Some(status) = running.child.try_wait().unwrap() {
                let service = running.service;
                let log = fs::read_to_string(log_file(&self.folder, service)).unwrap();
                panic!("{service} ended with {status}:\n{log}");
            }
        }
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
            self.assert_running();
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
        let order = |running: &Running| SERVICES.iter().position(|name| *name == running.service);
        self.running.sort_by_key(order);
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
        drop(self.postgres);
        self.surroundings.stop().await.unwrap();
        fs::remove_dir_all(self.folder).unwrap();
    }
}

/// Whether a thread is stopped; one that is gone does nothing either.
fn is_stopped(thread: &Path) -> bool {
    let Ok(stat) = fs::read_to_string(thread.join("stat")) else { return true };
    // The name stands in brackets and may hold anything; the state follows.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
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
    let file =
        File::options().create(true).append(true).open(log_file(&site.folder, service)).unwrap();
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

/// The binary of a service, for its other commands.
pub(crate) fn binary(service: &str) -> PathBuf {
    binaries().join(format!("zhiyuan-{service}"))
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
