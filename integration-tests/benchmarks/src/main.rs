#![doc = include_str!("../README.md")]

mod administrator;
mod arguments;
mod country;
mod counts;
mod cpu;
mod door;
mod feed;
mod fold;
mod folder;
mod form;
mod goodput;
mod hashing;
mod hostile;
mod load;
mod moving;
mod part;
mod passage;
mod program;
mod registration;
mod report;
mod rosters;
mod signing_in;
mod stage;
mod tokens;
mod waiting;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use zhiyuan_lifecycle::signals;

use arguments::Arguments;

fn main() -> ExitCode {
    if let Some(code) = part::play() {
        return code;
    }
    let arguments = Arguments::parse();
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("runtime")
        // On this thread, with which every process that is started ends.
        .and_then(|runtime| runtime.block_on(until_told(&arguments)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::say(&format!("ended: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs the benchmarks; Ctrl-C ends them and everything that was started for them.
async fn until_told(arguments: &Arguments) -> anyhow::Result<()> {
    tokio::select! {
        ended = arguments::run(arguments) => ended,
        signal = signals::until_signal() => anyhow::bail!("{}", signal?),
    }
}
