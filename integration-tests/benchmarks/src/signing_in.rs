//! Signing in by password, against argon2id alone; and who waits for locks meanwhile.

use std::time::{Duration, Instant};

use zhiyuan_contracts::identity::v1::SignInRequest;
use zhiyuan_contracts::identity::v1::sign_in_service_client::SignInServiceClient;

use crate::cpu::cores;
use crate::door::{Door, Outcome};
use crate::form;
use crate::hashing::hash;
use crate::load::{keep_up, rate, work_off};
use crate::part::Hashing;
use crate::registration::mean;
use crate::report::{Findings, Goal, Row, per_second, say};
use crate::stage::Stage;
use crate::waiting;

const ROUNDS: usize = 2;
/// People who sign in at once, again and again: enough that a hash is always waiting for a
/// core.
const CALLERS: usize = 16;

/// Sign-ins of one measurement.
struct SignedIn {
    /// A second, had the machine been ours alone.
    rate: f64,
    /// Milliseconds of a core of identity, of PostgreSQL, and of who calls, for each.
    costs: [f64; 3],
    /// The part of the time of working backends in which they waited for a lock.
    waiting: f64,
    used: String,
}

pub(crate) async fn measure(stage: &mut Stage, time: Duration) -> anyhow::Result<Findings> {
    stage.set_hashing(Hashing::Real).await?;
    let people = register(stage).await?;
    let (mut hashed, mut signed_in) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        hashed.push(hash(stage, time / 2).await?);
        signed_in.push(sign_in(stage, &people, time / 2).await?);
        if let Some((hashed, signed_in)) = hashed.last().zip(signed_in.last()) {
            say(&format!(
                "  argon2id {}, sign-ins {}",
                per_second(hashed.rate),
                per_second(signed_in.rate)
            ));
        }
    }
    let bare = mean(hashed.iter().map(|run| run.rate));
    let ours = mean(signed_in.iter().map(|run| run.rate));
    let hash_cost = mean(hashed.iter().map(|run| run.cost));
    let [identity, postgres, callers] =
        [0, 1, 2].map(|part| mean(signed_in.iter().filter_map(|run| run.costs.get(part).copied())));
    let waiting = mean(signed_in.iter().map(|run| run.waiting));
    let used = signed_in.last().map(|run| run.used.as_str()).unwrap_or_default();
    Ok(Findings {
        rows: vec![
            Row {
                what: "signing in by password",
                measured: per_second(ours),
                against: format!("argon2id alone on {} cores: {}", cores(), per_second(bare)),
                ratio: Some(ours / bare),
                goal: Goal::AtLeast(0.95),
            },
            waiting::row("waiting for locks then", waiting),
        ],
        limits: vec![format!(
            "the cores, {used}; a hash alone costs {hash_cost:.1} ms of a core; a sign-in costs \
             identity {identity:.1} with its hash, PostgreSQL {postgres:.1}, callers {callers:.1}: \
             {:.2} is what can be reached on cores that all share",
            hash_cost / (identity + postgres + callers),
        )],
    })
}

/// People with accounts.
async fn register(stage: &Stage) -> anyhow::Result<Vec<SignInRequest>> {
    let door = Door::open(stage, "registration").await?;
    let forms = form::prepare(stage, CALLERS).await?;
    let people = forms.iter().map(|form| SignInRequest {
        identifier: form.phone.clone(),
        password: form.password.clone(),
        ..Default::default()
    });
    let people = people.collect();
    let register = move |caller, form| door.clone().register(caller, form);
    let answers = work_off(4, forms, register).await?;
    let all = answers.iter().all(|answer| answer.what == Outcome::Registered);
    anyhow::ensure!(all, "not everybody was registered");
    Ok(people)
}

async fn sign_in(
    stage: &Stage,
    people: &[SignInRequest],
    time: Duration,
) -> anyhow::Result<SignedIn> {
    let channels = stage.channels("identity", 4).await?;
    let callers: Vec<_> = people
        .iter()
        .cloned()
        .zip(channels.into_iter().map(SignInServiceClient::new).cycle())
        .collect();
    let before = stage.usage();
    let start = Instant::now();
    let call = move |caller: usize| {
        let found = callers.get(caller).cloned();
        async move {
            let Some((request, mut client)) = found else { return false };
            client.sign_in(request).await.is_ok()
        }
    };
    let load = async { (keep_up(CALLERS, time, call).await, start.elapsed()) };
    let ((answers, took), waiting) = waiting::during(stage, load).await?;
    let answers = answers?;
    let used = before.until(&stage.usage());
    let count = answers.iter().filter(|answer| answer.what).count();
    anyhow::ensure!(count == answers.len(), "somebody was refused");
    let cost = |part: &str| {
        1000.0 * used.seconds(part) / u32::try_from(count).map_or(f64::INFINITY, f64::from)
    };
    Ok(SignedIn {
        rate: rate(count, took) / used.left(),
        costs: [cost("identity"), cost("PostgreSQL"), cost("load and simulators")],
        waiting,
        used: used.told(),
    })
}
