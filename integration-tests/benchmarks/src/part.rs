//! The services, each a process of its own: this very program, told to be one of them.

use std::env;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};
use tokio::net::TcpListener;
use zhiyuan_crypto::password::Params;
use zhiyuan_domain::SystemClock;
use zhiyuan_identity::Deps;
use zhiyuan_lifecycle::{ReadySignal, Stop};
use zhiyuan_process::Program;
use zhiyuan_telemetry::TelemetryConfig;

/// Tells this program which part it plays, and for whom.
const PART: &str = "ZHIYUAN_BENCHMARKS_PART";
const PARENT: &str = "ZHIYUAN_BENCHMARKS_PARENT";

const STOP_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

/// What passwords cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hashing {
    /// What they cost in production.
    Real,
    /// The least that argon2 takes: some microseconds.
    None,
}

/// A service that runs.
#[derive(Debug)]
pub(crate) struct Part {
    child: Child,
}

impl Part {
    /// Starts a service with its configuration. To be called from the main thread, with
    /// which it ends, however that ends.
    pub(crate) fn start(
        service: &str,
        hashing: Hashing,
        config: &Path,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let part = match hashing {
            Hashing::None => format!("{service}-without-hash"),
            Hashing::Real => service.to_owned(),
        };
        let output = File::options().create(true).append(true).open(log)?;
        let child = Command::new(env::current_exe()?)
            .args(["serve", "--config"])
            .arg(config)
            .env(PART, part)
            .env(PARENT, std::process::id().to_string())
            // Everybody is sent a code before the measurement.
            .env("ZHIYUAN_IDENTITY__SMS__MINUTE_BUDGET", "1000000")
            .env("ZHIYUAN_IDENTITY__CHALLENGE__NORMAL_PER_MINUTE", "1000000")
            // How two people agree on a move is not what is measured.
            .env("ZHIYUAN_ORGTREE__CHANGES__MASS_PEOPLE", "1000000000")
            .env("ZHIYUAN_ORGTREE__CHANGES__MASS_ORGANIZATIONS", "1000000000")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // Ctrl-C is for us; we stop them.
            .process_group(0)
            .spawn()
            .with_context(|| format!("{service} as a process"))?;
        Ok(Self { child })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// An error if it ended by itself.
    pub(crate) fn ensure_running(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => anyhow::bail!("a service ended with {status}"),
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let until = Instant::now() + STOP_WITHIN;
        while Instant::now() < until {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(POLL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Has a service do something once, as its operator does, and end; how long that takes. To be
/// called from the main thread, with which it ends.
pub(crate) async fn operate(
    service: &str,
    arguments: &[&str],
    config: &Path,
    settings: &[(&str, &str)],
) -> anyhow::Result<Duration> {
    let mut command = tokio::process::Command::new(env::current_exe()?);
    command
        .args(arguments)
        .arg("--config")
        .arg(config)
        .env(PART, service)
        .env(PARENT, std::process::id().to_string())
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    let began = Instant::now();
    let output = command.output().await?;
    let took = began.elapsed();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    anyhow::ensure!(
        output.status.success(),
        "{service} {}: {}\n{}\n{}",
        arguments.join(" "),
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    Ok(took)
}

/// Plays the part that this process was told to play, if any.
pub(crate) fn play() -> Option<ExitCode> {
    let part = env::var(PART).ok()?;
    // From now on the kernel ends us with whoever started us; who is gone already
    // started nobody.
    let parent = env::var(PARENT).ok().and_then(|parent| parent.parse().ok());
    if set_parent_process_death_signal(Some(Signal::KILL)).is_err()
        || getppid() != parent.and_then(Pid::from_raw)
    {
        return Some(ExitCode::FAILURE);
    }
    Some(match part.as_str() {
        "identity" => zhiyuan_process::run::<zhiyuan_identity::Program>(),
        "identity-without-hash" => zhiyuan_process::run::<WithoutHash>(),
        "orgtree" => zhiyuan_process::run::<zhiyuan_orgtree::Program>(),
        "registration" => zhiyuan_process::run::<zhiyuan_registration::Program>(),
        "gateway" => zhiyuan_process::run::<zhiyuan_gateway::Program>(),
        _ => ExitCode::FAILURE,
    })
}

/// Identity as it is, with passwords that cost next to nothing.
struct WithoutHash;

impl Program for WithoutHash {
    const NAME: &'static str = zhiyuan_identity::Program::NAME;
    const DEFAULTS: &'static str = zhiyuan_identity::Program::DEFAULTS;
    type Config = zhiyuan_identity::Config;
    type Operation = zhiyuan_process::NoOperation;

    fn telemetry(config: &Self::Config) -> &TelemetryConfig {
        zhiyuan_identity::Program::telemetry(config)
    }

    fn check(config: &Self::Config) -> anyhow::Result<()> {
        zhiyuan_identity::Program::check(config)
    }

    async fn migrate(config: Self::Config) -> anyhow::Result<()> {
        zhiyuan_identity::Program::migrate(config).await
    }

    async fn serve(config: Self::Config, stop: Stop) -> anyhow::Result<()> {
        let listener = TcpListener::bind(&config.server.listen).await?;
        let password_costs = Params { memory_kib: 8, iterations: 1, lanes: 1 };
        let deps = Deps { password_costs, ..Deps::new(Arc::new(SystemClock)) };
        Ok(zhiyuan_identity::run(config, deps, listener, stop, ReadySignal::unobserved()).await?)
    }
}
