//! `cargo run`: the whole suite in one process.

mod account;
mod banner;
mod count;
mod follow;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use zhiyuan_lifecycle::signals;
use zhiyuan_standalone::pages::{Pages, Workshop};
use zhiyuan_standalone::{Options, Suite};
use zhiyuan_telemetry::TelemetryConfig;

/// Zhiyuan (志愿): the whole suite in one process, on a private PostgreSQL, with
/// simulators for text messages and the real-name register.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The gateway's port on 127.0.0.1.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The simulators' port on 127.0.0.1.
    #[arg(long, default_value_t = 8090)]
    simulator_port: u16,
    /// Everything that is kept lies here.
    #[arg(long, default_value = ".zhiyuan")]
    data_dir: PathBuf,
    /// Forget what was kept, and begin anew.
    #[arg(long)]
    fresh: bool,
    /// Send traces to this OTLP/gRPC endpoint, such as http://127.0.0.1:4317.
    #[arg(long, env = "ZHIYUAN_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,
    /// Build no pages for browsers, even if npm is there.
    #[arg(long)]
    no_pages: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Follow the changes of a service of a running suite, as an internal platform would:
    /// one line of JSON for each.
    Follow(follow::Arguments),
    /// Tell how many volunteers organizations have, themselves and with all below them.
    Count(count::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("runtime")
        .and_then(|runtime| {
            runtime.block_on(async {
                match &arguments.command {
                    Some(Command::Follow(follow)) => {
                        follow::run(follow, &arguments.data_dir, arguments.port).await
                    }
                    Some(Command::Count(count)) => {
                        count::run(count, &arguments.data_dir, arguments.port).await
                    }
                    None => run(arguments).await,
                }
            })
        });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            banner::failure(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let began = Instant::now();
    let data_dir = std::path::absolute(&arguments.data_dir)?;
    if arguments.fresh {
        banner::step("forgetting what was kept");
        zhiyuan_standalone::forget(&data_dir)?;
    }
    zhiyuan_standalone::make_private(&data_dir)?;
    let log = data_dir.join("suite.log");
    let telemetry = TelemetryConfig {
        otlp_endpoint: arguments.otlp_endpoint.clone(),
        ..TelemetryConfig::default()
    };
    let telemetry = zhiyuan_telemetry::init_to_file("zhiyuan", &telemetry, &log)?;
    let pages = if arguments.no_pages {
        Pages::Missing("--no-pages was given".to_owned())
    } else {
        pages(&data_dir)
    };
    let options = Options {
        port: arguments.port,
        simulator_port: arguments.simulator_port,
        otlp_endpoint: arguments.otlp_endpoint,
        pages: pages.folder(),
        progress: Arc::new(banner::step),
        ..Options::in_folder(&data_dir)
    };
    let suite = Suite::start(options).await?;
    signals::watch(&suite.stop_handle())?;
    let administrator = suite.administrator().await;
    banner::ready(&suite, &pages, &log, began.elapsed());
    banner::administrator(&suite, administrator);
    suite.until_asked_to_stop().await;
    banner::step("stopping");
    let ended = suite.stop().await;
    telemetry.shutdown().await;
    ended?;
    banner::step("stopped; nothing is left running");
    Ok(())
}

/// Builds the pages, if their sources are here and npm is there.
fn pages(data_dir: &Path) -> Pages {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Some(workshop) = Workshop::find(data_dir, path) else {
        return Pages::Missing("the tree with their sources is not here".to_owned());
    };
    let pages = workshop.build(&banner::step);
    if let Pages::Missing(why) = &pages {
        banner::step(&format!("going on without pages: {}", why.lines().next().unwrap_or(why)));
    }
    pages
}
