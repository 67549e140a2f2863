//! The gateway against nginx (`grpc_pass`), in front of the same service.

mod nginx;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tonic::transport::Channel;
use zhiyuan_contracts::orgtree::v1::GetRegionRequest;
use zhiyuan_contracts::orgtree::v1::region_service_client::RegionServiceClient;

use crate::cpu::Used;
use crate::form::REGION;
use crate::load::{keep_up, percentile, rate};
use crate::registration::mean;
use crate::report::{Findings, Goal, Row, millis, per_second, say};
use crate::stage::{self, Stage};

use nginx::Nginx;

const CONNECTIONS: usize = 4;
const CALLERS: usize = 64;
const ROUNDS: usize = 3;
const WARM_UP: Duration = Duration::from_millis(500);

/// What a way to the service has shown.
#[derive(Debug)]
struct Round {
    /// A second, had the machine been ours alone.
    rate: f64,
    /// Microseconds of a core that the way itself cost, for each call.
    cpu: f64,
    median: Duration,
    used: Used,
}

pub(crate) async fn measure(stage: &Stage, time: Duration) -> anyhow::Result<Findings> {
    let upstream = stage.address("orgtree");
    let nginx = match Nginx::start(stage.folder(), upstream).await {
        Ok(nginx) => nginx,
        Err(error) => {
            say(&format!("  skipped: {error:#}"));
            let limits = vec![format!("not compared with nginx: {error:#}")];
            return Ok(Findings { rows: Vec::new(), limits });
        }
    };
    let each = time / 2;
    let (mut gateway, mut other, mut direct) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let more = [("nginx", nginx.pid)];
        gateway.push(round(stage, &more, "gateway", stage.address("gateway"), each).await?);
        other.push(round(stage, &more, "nginx", nginx.address, each).await?);
        direct.push(round(stage, &more, "", upstream, each).await?);
    }
    let rate_of = |rounds: &[Round]| mean(rounds.iter().map(|round| round.rate));
    let cpu_of = |rounds: &[Round]| mean(rounds.iter().map(|round| round.cpu));
    let median_of = |rounds: &[Round]| rounds.last().map(|round| round.median).unwrap_or_default();
    let told = |rounds: &[Round]| rounds.last().map(|round| round.used.told()).unwrap_or_default();
    Ok(Findings {
        rows: vec![
            Row {
                what: "the gateway, calls",
                measured: per_second(rate_of(&gateway)),
                against: format!("nginx: {}", per_second(rate_of(&other))),
                ratio: Some(rate_of(&gateway) / rate_of(&other)),
                goal: Goal::AtLeast(1.0),
            },
            Row {
                what: "the gateway, processor for a call",
                measured: format!("{:.0} µs", cpu_of(&gateway)),
                against: format!("nginx: {:.0} µs", cpu_of(&other)),
                ratio: Some(cpu_of(&gateway) / cpu_of(&other)),
                goal: Goal::AtMost(1.2),
            },
            Row {
                what: "the service, reached without either",
                measured: per_second(rate_of(&direct)),
                against: format!("the gateway: {}", per_second(rate_of(&gateway))),
                ratio: Some(rate_of(&direct) / rate_of(&gateway)),
                goal: Goal::None,
            },
        ],
        limits: vec![
            format!("the cores: with the gateway {}", told(&gateway)),
            format!(
                "with nginx {}; medians: gateway {}, nginx {}, direct {}",
                told(&other),
                millis(median_of(&gateway)),
                millis(median_of(&other)),
                millis(median_of(&direct))
            ),
        ],
    })
}

/// The same load for each: so many connections, so many calls at once.
async fn round(
    stage: &Stage,
    more: &[(&'static str, u32)],
    way: &'static str,
    address: SocketAddr,
    time: Duration,
) -> anyhow::Result<Round> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(RegionServiceClient::new(stage::connect(address).await?));
    }
    let call = move |caller: usize| {
        let client = clients.get(caller % CONNECTIONS).cloned();
        async move {
            match client {
                Some(client) => get_region(client).await,
                None => false,
            }
        }
    };
    keep_up(CALLERS, WARM_UP, call.clone()).await?;
    let before = stage.usage_with(more);
    let start = Instant::now();
    let answers = keep_up(CALLERS, time, call).await?;
    let took = start.elapsed();
    let used = before.until(&stage.usage_with(more));
    let good = answers.iter().filter(|answer| answer.what).count();
    anyhow::ensure!(
        good == answers.len(),
        "{} of {} calls failed",
        answers.len() - good,
        answers.len()
    );
    let mut times: Vec<Duration> = answers.iter().map(|answer| answer.took).collect();
    let rate = rate(good, took);
    let cpu = 1_000_000.0 * used.seconds(way) / (rate * took.as_secs_f64());
    let rate = rate / used.left();
    Ok(Round { rate, cpu, median: percentile(&mut times, 0.5), used })
}

/// A small call: one row by its key. Tells whether it was answered.
async fn get_region(mut client: RegionServiceClient<Channel>) -> bool {
    client.get_region(GetRegionRequest { code: REGION.to_owned() }).await.is_ok()
}
