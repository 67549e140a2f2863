//! Registering, without the hash, against pgbench with the same statements.

mod pgbench;
mod scans;

use std::time::{Duration, Instant};

use sqlx::PgConnection;
use zhiyuan_contracts::registration::v1::RegisterRequest;

use crate::cpu::Used;
use crate::door::{Door, Outcome};
use crate::form;
use crate::load::{rate, work_off};
use crate::part::Hashing;
use crate::report::{Findings, Goal, Row, per_second, say};
use crate::stage::Stage;
use crate::waiting;

/// People who register at once, and clients of pgbench.
pub(crate) const CALLERS: usize = 32;
const ROUNDS: usize = 2;
/// Codes live for 5 minutes, and it takes a while to send them.
const MOST: usize = 20_000;

/// Registrations of one measurement.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) count: usize,
    pub(crate) took: Duration,
    pub(crate) used: Used,
    /// The part of the time of working backends in which they waited for a lock.
    pub(crate) waiting: f64,
}

impl Registered {
    /// A second, had the machine been ours alone.
    pub(crate) fn rate(&self) -> f64 {
        rate(self.count, self.took) / self.used.left()
    }

    /// Milliseconds of a core that a process used for each.
    pub(crate) fn cost(&self, process: &str) -> f64 {
        1000.0 * self.used.seconds(process) / u32::try_from(self.count).map_or(1.0, f64::from)
    }
}

/// Registers so many people, who have their codes, with some callers.
pub(crate) async fn register(
    stage: &Stage,
    door: &Door,
    callers: usize,
    count: usize,
) -> anyhow::Result<Registered> {
    let forms = form::prepare(stage, count).await?;
    register_these(stage, door, callers, forms).await
}

/// Sends these forms with some callers.
pub(crate) async fn register_these(
    stage: &Stage,
    door: &Door,
    callers: usize,
    forms: Vec<RegisterRequest>,
) -> anyhow::Result<Registered> {
    // What the codes have left to do is not to be counted.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = stage.usage();
    let start = Instant::now();
    let door = door.clone();
    let load = async {
        let register = move |caller, form| door.clone().register(caller, form);
        (work_off(callers, forms, register).await, start.elapsed())
    };
    let ((answers, took), waiting) = waiting::during(stage, load).await?;
    let answers = answers?;
    let used = before.until(&stage.usage());
    let count = answers.iter().filter(|answer| answer.what == Outcome::Registered).count();
    let others = answers.iter().find(|answer| answer.what != Outcome::Registered);
    if let Some(other) = others {
        say(&format!(
            "  {} of {} did not register at once, such as {:?}",
            answers.len() - count,
            answers.len(),
            other.what
        ));
    }
    anyhow::ensure!(count > 0, "nobody was registered");
    Ok(Registered { count, took, used, waiting })
}

/// How many registrations take about this time.
pub(crate) async fn count_for(
    stage: &Stage,
    door: &Door,
    callers: usize,
    time: Duration,
) -> anyhow::Result<usize> {
    let first = register(stage, door, callers, callers * 4).await?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of people within bounds"
    )]
    let rounds = (first.rate() * first.used.left() * time.as_secs_f64()) as usize / callers + 1;
    Ok((rounds * callers).min(MOST))
}

pub(crate) async fn measure(stage: &mut Stage, time: Duration) -> anyhow::Result<Findings> {
    stage.set_hashing(Hashing::None).await?;
    let door = Door::open(stage, "registration").await?;
    let count = count_for(stage, &door, CALLERS, time / 2).await?;
    let mut pgbench = pgbench::Pgbench::prepare(stage, CALLERS, count * ROUNDS).await?;
    let mut admin = stage.database("zhiyuan").await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut our_log, mut their_log) = (0, 0);
    let scans = scans::Scans::read(&mut admin).await?;
    for _ in 0..ROUNDS {
        let before = log_position(&mut admin).await?;
        ours.push(register(stage, &door, CALLERS, count).await?);
        our_log += log_position(&mut admin).await? - before;
        let before = log_position(&mut admin).await?;
        theirs.push(pgbench.run(stage, count).await?);
        their_log += log_position(&mut admin).await? - before;
        if let Some((ours, theirs)) = ours.last().zip(theirs.last()) {
            say(&format!(
                "  {} registrations {}, pgbench {}",
                ours.count,
                per_second(ours.rate()),
                per_second(theirs.rate)
            ));
        }
    }
    say(&format!("  read by scans: {}", scans.since(&mut admin, count * ROUNDS).await?));
    let our_rate = mean(ours.iter().map(Registered::rate));
    let their_rate = mean(theirs.iter().map(|run| run.rate));
    let cost = |process: &'static str| mean(ours.iter().map(|run| run.cost(process)));
    let their_cost = mean(theirs.iter().map(|run| run.postgres_ms));
    let last = ours.last().map(|run| run.used.told()).unwrap_or_default();
    let log = |bytes: i64| bytes / i64::try_from(count * ROUNDS).unwrap_or(1) / 1024;
    Ok(Findings {
        rows: vec![
            Row {
                what: "registering, without the hash",
                measured: per_second(our_rate),
                against: format!("pgbench, the same statements: {}", per_second(their_rate)),
                ratio: Some(our_rate / their_rate),
                goal: Goal::AtLeast(0.5),
            },
            waiting::row(
                "waiting for locks while 32 register",
                mean(ours.iter().map(|run| run.waiting)),
            ),
        ],
        limits: vec![
            format!(
                "the cores, {last}; a registration costs PostgreSQL {:.1} ms of a core (pgbench's \
                 {their_cost:.1} ms), identity {:.1}, registration {:.1}, orgtree {:.1}, caller and \
                 simulators {:.1}",
                cost("PostgreSQL"),
                cost("identity"),
                cost("registration"),
                cost("orgtree"),
                cost("load and simulators"),
            ),
            format!(
                "{} KiB of write-ahead log for each registration, {} KiB for pgbench's: the \
                 difference is what is told to others, and counted",
                log(our_log),
                log(their_log)
            ),
        ],
    })
}

/// Bytes of write-ahead log so far.
async fn log_position(admin: &mut PgConnection) -> anyhow::Result<i64> {
    let sql = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint";
    Ok(sqlx::query_scalar(sql).fetch_one(admin).await?)
}

/// The mean of a few values.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}
