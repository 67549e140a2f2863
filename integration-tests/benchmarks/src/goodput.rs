//! Three times as many registrations as there is capacity for.

use std::time::{Duration, Instant};

use crate::door::{Door, Outcome};
use crate::form;
use crate::load::{Answer, offer, percentile, rate};
use crate::part::Hashing;
use crate::registration::{CALLERS, count_for, register};
use crate::report::{Findings, Goal, Row, millis, per_second, say};
use crate::stage::Stage;

const TIMES: f64 = 3.0;
/// Probes of somebody who registers alone, before and after.
const PROBES: usize = 10;
/// Alone again, somebody may take so many times as long as before.
const NORMAL: u32 = 2;
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn measure(stage: &mut Stage, time: Duration) -> anyhow::Result<Findings> {
    stage.set_hashing(Hashing::Real).await?;
    let door = Door::open(stage, "gateway").await?;
    let alone = register(stage, &door, 1, PROBES).await?;
    let usual = alone.took / u32::try_from(alone.count)?;
    let count = count_for(stage, &door, CALLERS, time).await?;
    let peak = register(stage, &door, CALLERS, count).await?;
    let offered = TIMES * peak.rate() * peak.used.left();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of people within bounds"
    )]
    let forms = form::prepare(stage, (offered * time.as_secs_f64()) as usize).await?;
    let probes = form::prepare(stage, 600).await?;
    say(&format!("  peak {}, offering {}", per_second(peak.rate()), per_second(offered)));
    let before = stage.usage();
    let at_door = door.clone();
    let answers =
        offer(offered, forms, move |caller, form| at_door.clone().register(caller, form)).await?;
    let used = before.until(&stage.usage());
    let recovered = recover(&door, probes, usual).await;

    let good = count_of(&answers, |outcome| outcome == Outcome::Registered);
    let pending = count_of(&answers, |outcome| outcome == Outcome::Pending);
    let failed: Vec<Outcome> = answers
        .iter()
        .map(|answer| answer.what)
        .filter(|what| matches!(what, Outcome::Failed(_)))
        .collect();
    let took = |outcome: Outcome| -> Vec<Duration> {
        answers.iter().filter(|answer| answer.what == outcome).map(|answer| answer.took).collect()
    };
    let mut refusals = took(Outcome::ComeAgain);
    let mut registered = took(Outcome::Registered);
    // What comes after the end of the load does not count.
    let within = answers.iter().filter(|answer| answer.at <= time);
    let within = within.filter(|answer| answer.what == Outcome::Registered).count();
    let goodput = rate(within, time) / used.left();
    Ok(Findings {
        rows: vec![
            Row {
                what: "goodput at three times capacity",
                measured: per_second(goodput),
                against: format!("peak: {}", per_second(peak.rate())),
                ratio: Some(goodput / peak.rate()),
                goal: Goal::AtLeast(0.8),
            },
            Row {
                what: "a refusal then, p99",
                measured: millis(percentile(&mut refusals, 0.99)),
                against: format!(
                    "a success then, p99: {}",
                    millis(percentile(&mut registered, 0.99))
                ),
                ratio: None,
                goal: Goal::None,
            },
            Row {
                what: "until all is normal again, in seconds",
                measured: recovered.map_or_else(|| String::from("never"), millis),
                against: format!("alone before: {}", millis(usual)),
                ratio: Some(recovered.unwrap_or(PATIENCE).as_secs_f64()),
                goal: Goal::AtMost(10.0),
            },
        ],
        limits: vec![format!(
            "of {} forms {good} were registered, {} told to come again, {pending} kept to be \
             finished later, {} failed{}; {}",
            answers.len(),
            refusals.len(),
            failed.len(),
            failed.first().map(|what| format!(" such as {what:?}")).unwrap_or_default(),
            used.told(),
        )],
    })
}

fn count_of(answers: &[Answer<Outcome>], is: impl Fn(Outcome) -> bool) -> usize {
    answers.iter().filter(|answer| is(answer.what)).count()
}

/// How long it takes until three in a row, who register alone, wait no longer than usual.
async fn recover(
    door: &Door,
    probes: Vec<zhiyuan_contracts::registration::v1::RegisterRequest>,
    usual: Duration,
) -> Option<Duration> {
    let start = Instant::now();
    let (mut since, mut in_a_row) = (Duration::ZERO, 0);
    for form in probes {
        let began = Instant::now();
        let outcome = door.clone().register(0, form).await;
        if outcome == Outcome::Registered && began.elapsed() <= usual * NORMAL {
            in_a_row += 1;
        } else {
            (since, in_a_row) = (start.elapsed(), 0);
        }
        if in_a_row == 3 {
            return Some(since);
        }
        if start.elapsed() > PATIENCE {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    None
}
