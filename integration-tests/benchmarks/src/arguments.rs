//! What can be asked for.

use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use zhiyuan_testkit::Country;

use crate::country::{self, Loaded};
use crate::report::{Report, say};
use crate::stage::Stage;
use crate::{
    counts, feed, fold, goodput, hashing, hostile, moving, passage, registration, rosters,
    signing_in, tokens,
};

/// Measures the suite, and prints ratios to something else measured in the same run.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// What to measure; everything if it is not said.
    #[arg(value_enum)]
    benchmarks: Vec<Benchmark>,
    /// How long each measurement takes, about. Below 10 the figures say little.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Rows of the roster, 100,000 at most.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2_000..=100_000))]
    rows: u32,
    /// People of the country that is counted and moved.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(20_000..=100_000_000))]
    people: u64,
    /// Its organizations.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1_000..=2_000_000))]
    organizations: u32,
    /// Those of its people who are told of by the feed; the others are copied.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    told: u64,
}

/// One seed, so that the next run has the same country.
const SEED: u32 = 2;

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
    /// Importing a roster, against COPY of the same rows; registering beside it.
    Rosters,
    /// Loading the country: its organizations, and its people by the feed.
    Country,
    /// The figures of organizations against a recursive count, with few people and with many.
    Counts,
    /// Taking differences up the tree.
    Fold,
    /// Moving a tenth of the country while others register.
    Move,
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
            Self::Rosters => "rosters",
            Self::Country => "country",
            Self::Counts => "counts",
            Self::Fold => "fold",
            Self::Move => "move",
        }
    }

    /// Whether the large country has to be there.
    fn needs_a_country(self) -> bool {
        matches!(self, Self::Country | Self::Counts | Self::Fold | Self::Move)
    }
}

/// Runs what was asked for.
pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let time = Duration::from_secs(arguments.seconds.max(1));
    let wanted = |benchmark: &&Benchmark| {
        arguments.benchmarks.is_empty() || arguments.benchmarks.contains(benchmark)
    };
    let country = Country {
        organizations: arguments.organizations,
        people: arguments.people,
        levels: counts::LEVELS,
        seed: SEED,
    };
    anyhow::ensure!(arguments.told < arguments.people, "--told is to be less than --people");
    say("starting the suite");
    let mut stage = Stage::start().await?;
    let mut report = Report::default();
    let chosen = || Benchmark::value_variants().iter().filter(wanted);
    // It is read while there is no large one.
    let mut small = None;
    let mut large: Option<Loaded> = None;
    for benchmark in chosen() {
        say(benchmark.name());
        if benchmark.needs_a_country() && large.is_none() {
            if chosen().any(|other| *other == Benchmark::Counts) {
                small = Some(counts::small(&mut stage, time).await?);
            }
            large = Some(country::load(&mut stage, &country, arguments.told).await?);
        }
        let findings = match (benchmark, &mut large) {
            (Benchmark::Registration, _) => registration::measure(&mut stage, time).await?,
            (Benchmark::Hashing, _) => hashing::measure(&mut stage, time).await?,
            (Benchmark::SigningIn, _) => signing_in::measure(&mut stage, time).await?,
            (Benchmark::Tokens, _) => tokens::measure(time)?,
            (Benchmark::Goodput, _) => goodput::measure(&mut stage, time).await?,
            (Benchmark::Gateway, _) => passage::measure(&stage, time).await?,
            (Benchmark::Hostile, _) => hostile::measure(&stage, time).await?,
            (Benchmark::Feed, _) => feed::measure(&mut stage, time).await?,
            (Benchmark::Rosters, _) => rosters::measure(&mut stage, arguments.rows).await?,
            (Benchmark::Country, Some(large)) => large.findings(),
            (Benchmark::Counts, Some(large)) => {
                let small = small.take().context("the small country")?;
                counts::measure(&stage, small, large, time).await?
            }
            (Benchmark::Fold, Some(large)) => fold::measure(&stage, large).await?,
            (Benchmark::Move, Some(large)) => moving::measure(&mut stage, large).await?,
            (_, None) => anyhow::bail!("{} without a country", benchmark.name()),
        };
        report.add(benchmark.name(), findings);
    }
    say(&report.table());
    stage.stop().await
}
