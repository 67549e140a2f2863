#![doc = include_str!("../README.md")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use serde::de::DeserializeOwned;
use zhiyuan_lifecycle::{Stop, signals};
use zhiyuan_telemetry::TelemetryConfig;

/// Wrong arguments or configuration: `EX_CONFIG` of sysexits.
const EX_CONFIG: u8 = 78;

/// A service as a binary.
pub trait Program: 'static {
    /// The name, such as `credit-export`; names the environment variables.
    const NAME: &'static str;
    /// The defaults of the configuration, as TOML.
    const DEFAULTS: &'static str;
    /// The configuration.
    type Config: DeserializeOwned + Send;
    /// What an operator may do besides, by commands of their own; [`NoOperation`] if
    /// nothing. What it has as `about` is told as that of the binary.
    type Operation: Subcommand + Send;

    /// The section that telemetry is set up from.
    fn telemetry(config: &Self::Config) -> &TelemetryConfig;

    /// Looks for what parsing alone doesn't find, without I/O beyond files that
    /// are named.
    ///
    /// # Errors
    /// Names the key that is wrong, never a secret.
    fn check(config: &Self::Config) -> anyhow::Result<()>;

    /// Brings the schema up to date.
    ///
    /// # Errors
    /// When the database can't be reached or a migration fails.
    fn migrate(config: Self::Config) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Recounts what is kept as figures, recomputes the audit, and tells what is not as it
    /// should be, a line each. `head` is a head of the audit that was kept elsewhere.
    ///
    /// # Errors
    /// When it can't be verified, or the service keeps nothing that could be.
    fn verify(
        config: Self::Config,
        head: Option<String>,
    ) -> impl Future<Output = anyhow::Result<Vec<String>>> + Send {
        drop((config, head));
        async { anyhow::bail!("{} keeps nothing that could be verified", Self::NAME) }
    }

    /// Does what an operator asks for, and tells what was done, a line each.
    ///
    /// # Errors
    /// When it can't be done, or the service has no such operation.
    fn operate(
        config: Self::Config,
        operation: Self::Operation,
    ) -> impl Future<Output = anyhow::Result<Vec<String>>> + Send {
        drop((config, operation));
        async { anyhow::bail!("{} has no such operation", Self::NAME) }
    }

    /// Serves until `stop`.
    ///
    /// # Errors
    /// When it can't start, or can't go on.
    fn serve(config: Self::Config, stop: Stop) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// No operation besides those of every service.
#[derive(Debug, Clone, Copy, Subcommand)]
// Else the line above would be told as what the binary is for.
#[command(about = None::<&str>)]
pub enum NoOperation {}

#[derive(Debug, Parser)]
struct Arguments<O: Subcommand> {
    #[command(subcommand)]
    command: Command<O>,
    /// A TOML file that goes over the defaults; the environment goes over both.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command<O: Subcommand> {
    /// Serve until SIGTERM or SIGINT.
    Serve,
    /// Bring the schema up to date, and end.
    Migrate,
    /// Recount what is kept as figures, recompute the audit, tell what is not as it should be,
    /// and end: with 0 if nothing is.
    Verify {
        /// A head of the audit that was kept elsewhere, such as in the log.
        #[arg(long, value_name = "SIZE:HASH")]
        head: Option<String>,
    },
    /// Check the configuration, and end.
    CheckConfig,
    #[command(flatten)]
    Operation(O),
}

/// Runs a binary: what its `main` does.
pub fn run<P: Program>() -> ExitCode {
    let arguments = Arguments::<P::Operation>::parse();
    let config =
        zhiyuan_settings::load::<P::Config>(P::NAME, P::DEFAULTS, arguments.config.as_deref())
            .map_err(anyhow::Error::from)
            .and_then(|config| P::check(&config).map(|()| config));
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            report(P::NAME, "configuration", &error);
            return ExitCode::from(EX_CONFIG);
        }
    };
    if matches!(arguments.command, Command::CheckConfig) {
        say(P::NAME, "the configuration is good");
        return ExitCode::SUCCESS;
    }
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("runtime")
        .and_then(|runtime| runtime.block_on(work::<P>(arguments.command, config)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(P::NAME, "ended", &error);
            ExitCode::FAILURE
        }
    }
}

async fn work<P: Program>(command: Command<P::Operation>, config: P::Config) -> anyhow::Result<()> {
    let telemetry = zhiyuan_telemetry::init(P::NAME, P::telemetry(&config)).context("telemetry")?;
    let ended = match command {
        Command::Serve => {
            let stop = Stop::new();
            signals::watch(&stop).context("signals")?;
            P::serve(config, stop).await
        }
        Command::Migrate => P::migrate(config).await,
        Command::Verify { head } => P::verify(config, head).await.and_then(|findings| {
            for finding in &findings {
                say(P::NAME, finding);
            }
            if !findings.is_empty() {
                anyhow::bail!("{} findings", findings.len());
            }
            say(P::NAME, "everything is as it should be");
            Ok(())
        }),
        Command::Operation(operation) => P::operate(config, operation).await.map(|lines| {
            for line in &lines {
                say(P::NAME, line);
            }
        }),
        Command::CheckConfig => Ok(()),
    };
    telemetry.shutdown().await;
    ended
}

#[expect(clippy::print_stdout, reason = "the answer of a command to who typed it")]
fn say(name: &str, text: &str) {
    println!("{name}: {text}");
}

#[expect(clippy::print_stderr, reason = "telemetry may not be there yet, or not any more")]
fn report(name: &str, what: &str, error: &anyhow::Error) {
    eprintln!("{name}: {what}: {error:#}");
}
