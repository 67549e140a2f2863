//! What can be asked for.

use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::report::{Report, say};
use crate::stage::Stage;
use crate::{counts, feed, goodput, hashing, hostile, passage, registration, signing_in, tokens};

/// Measures the suite, and prints ratios to something else measured in the same run.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// What to measure; everything if it is not said.
    #[arg(value_enum)]
    benchmarks: Vec<Benchmark>,
    /// How long each measurement takes, about. Below 10 the figures say little.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

/// In the order in which they run: the last one fills the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Benchmark {
    /// Registering, without the hash, against pgbench with the same statements.
    Registration,
    /// Registering, with the hash, against argon2id alone.
    Hashing,
    /// Signing in by password, against argon2id alone, and who waits for locks meanwhile.
    SigningIn,
    /// Checking an access token, against verifying its signature alone.
    Tokens,
    /// Three times as many registrations as there is capacity for.
    Goodput,
    /// The gateway against nginx in front of the same service.
    Gateway,
    /// Somebody who calls as one should, while others flood the gateway.
    Hostile,
    /// From the commit of a registration to its effect in orgtree.
    Feed,
    /// The figures of organizations against a recursive count.
    Counts,
}

impl Benchmark {
    fn name(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::Hashing => "hashing",
            Self::SigningIn => "signing-in",
            Self::Tokens => "tokens",
            Self::Goodput => "goodput",
            Self::Gateway => "gateway",
            Self::Hostile => "hostile",
            Self::Feed => "feed",
            Self::Counts => "counts",
        }
    }
}

/// Runs what was asked for.
pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let time = Duration::from_secs(arguments.seconds.max(1));
    let wanted = |benchmark: &&Benchmark| {
        arguments.benchmarks.is_empty() || arguments.benchmarks.contains(benchmark)
    };
    say("starting the suite");
    let mut stage = Stage::start().await?;
    let mut report = Report::default();
    for benchmark in Benchmark::value_variants().iter().filter(wanted) {
        say(benchmark.name());
        let findings = match benchmark {
            Benchmark::Registration => registration::measure(&mut stage, time).await?,
            Benchmark::Hashing => hashing::measure(&mut stage, time).await?,
            Benchmark::SigningIn => signing_in::measure(&mut stage, time).await?,
            Benchmark::Tokens => tokens::measure(time)?,
            Benchmark::Goodput => goodput::measure(&mut stage, time).await?,
            Benchmark::Gateway => passage::measure(&stage, time).await?,
            Benchmark::Hostile => hostile::measure(&stage, time).await?,
            Benchmark::Feed => feed::measure(&mut stage, time).await?,
            Benchmark::Counts => counts::measure(&stage, time).await?,
        };
        report.add(benchmark.name(), findings);
    }
    say(&report.table());
    stage.stop().await
}
