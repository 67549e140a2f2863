//! Registering, with the hash, against argon2id alone.

use std::time::{Duration, Instant};

use zhiyuan_crypto::password::{Params, PasswordHasher};

use crate::cpu::cores;
use crate::door::Door;
use crate::load::{keep_up, rate};
use crate::part::Hashing;
use crate::registration::{CALLERS, count_for, mean, register};
use crate::report::{Findings, Goal, Row, per_second, say};
use crate::stage::Stage;

const ROUNDS: usize = 2;

/// Hashes of one measurement.
pub(crate) struct Hashed {
    /// A second, had the machine been ours alone.
    pub(crate) rate: f64,
    /// Milliseconds of a core for each.
    pub(crate) cost: f64,
}

pub(crate) async fn measure(stage: &mut Stage, time: Duration) -> anyhow::Result<Findings> {
    stage.set_hashing(Hashing::Real).await?;
    let door = Door::open(stage, "registration").await?;
    let count = count_for(stage, &door, CALLERS, time / 2).await?;
    let (mut hashed, mut registered) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        hashed.push(hash(stage, time / 2).await?);
        registered.push(register(stage, &door, CALLERS, count).await?);
        if let Some((hashed, registered)) = hashed.last().zip(registered.last()) {
            say(&format!(
                "  argon2id {}, registrations {}",
                per_second(hashed.rate),
                per_second(registered.rate())
            ));
        }
    }
    let bare = mean(hashed.iter().map(|run| run.rate));
    let ours = mean(registered.iter().map(|run| run.rate()));
    let cost = |process: &'static str| mean(registered.iter().map(|run| run.cost(process)));
    let hash_cost = mean(hashed.iter().map(|run| run.cost));
    let last = registered.last().map(|run| run.used.told()).unwrap_or_default();
    let rest = cost("registration") + cost("orgtree");
    let all = cost("identity") + cost("PostgreSQL") + rest + cost("load and simulators");
    Ok(Findings {
        rows: vec![Row {
            what: "registering, with the hash",
            measured: per_second(ours),
            against: format!("argon2id alone on {} cores: {}", cores(), per_second(bare)),
            ratio: Some(ours / bare),
            goal: Goal::AtLeast(0.95),
        }],
        limits: vec![format!(
            "the cores, {last}; a hash alone costs {hash_cost:.1} ms of a core; in a registration \
             identity {:.1} with its hash, PostgreSQL {:.1}, registration and orgtree {rest:.1}, \
             caller and simulators {:.1}: {:.2} is what can be reached on cores that all share",
            cost("identity"),
            cost("PostgreSQL"),
            cost("load and simulators"),
            hash_cost / all,
        )],
    })
}

/// Hashes on all cores, as identity does it.
pub(crate) async fn hash(stage: &Stage, time: Duration) -> anyhow::Result<Hashed> {
    let callers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let hasher = PasswordHasher::new(Params::default(), callers, callers)?;
    let before = stage.usage();
    let start = Instant::now();
    let call = move |_caller| {
        let hasher = hasher.clone();
        async move { hasher.hash("tidal-Maple7").await.is_ok() }
    };
    let answers = keep_up(callers, time, call).await?;
    let took = start.elapsed();
    let used = before.until(&stage.usage());
    let count = answers.iter().filter(|answer| answer.what).count();
    anyhow::ensure!(count == answers.len(), "passwords could not be hashed");
    let rate = rate(count, took);
    let cost = 1000.0 * used.seconds("load and simulators") / (rate * took.as_secs_f64());
    Ok(Hashed { rate: rate / used.left(), cost })
}
