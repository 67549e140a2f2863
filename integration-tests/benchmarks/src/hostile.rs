//! Somebody who calls as one should, while others flood the gateway.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use zhiyuan_contracts::orgtree::v1::GetRegionRequest;
use zhiyuan_contracts::orgtree::v1::region_service_client::RegionServiceClient;
use zhiyuan_testkit::raw;

use crate::form::REGION;
use crate::load::{offer, percentile};
use crate::report::{Findings, Goal, Row, millis, say};
use crate::stage::{self, Stage};

/// Calls a second of whoever calls as one should: far below what there is room for.
const RATE: u16 = 200;
/// Attackers at once; each begins again when its connection is cut, after a pause.
const ATTACKERS: usize = 4;
const PAUSE: Duration = Duration::from_millis(50);
/// Connections of who only holds them: more than the gateway keeps.
const SILENT: usize = 2_200;
const PATH: &str = "/zhiyuan.orgtree.v1.RegionService/GetRegion";

#[derive(Debug, Clone, Copy)]
enum Attack {
    /// Calls that are reset at once.
    RapidReset,
    /// Headers that never end.
    Continuation,
    /// Connections that say nothing.
    Silence,
    /// Calls whose body never comes.
    SlowBodies,
}

const ATTACKS: [(Attack, &str, &str); 4] = [
    (Attack::RapidReset, "a call while streams are reset, p99", "more memory then, in MiB"),
    (Attack::Continuation, "a call while headers never end, p99", "more memory then, in MiB"),
    (Attack::Silence, "a call beside 2,200 silent connections, p99", "more memory then, in MiB"),
    (Attack::SlowBodies, "a call while bodies never come, p99", "more memory then, in MiB"),
];

pub(crate) async fn measure(stage: &Stage, time: Duration) -> anyhow::Result<Findings> {
    let address = stage.address("gateway");
    let each = time / 2;
    let (alone, _) = calls(address, each).await?;
    let (mut rows, mut limits) = (Vec::new(), Vec::new());
    for (attack, what, memory) in ATTACKS {
        say(&format!("  {attack:?}"));
        let before = resident(stage)?;
        let mut attackers = JoinSet::new();
        for _ in 0..ATTACKERS {
            attackers.spawn(go_on(attack, address));
        }
        // Until they have their connections.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (took, failed) = calls(address, each).await?;
        let grown = resident(stage)? - before;
        attackers.shutdown().await;
        rows.push(Row {
            what,
            measured: millis(took),
            against: format!("alone: {}", millis(alone)),
            ratio: Some(took.as_secs_f64() / alone.as_secs_f64()),
            goal: Goal::AtMost(2.0),
        });
        rows.push(Row {
            what: memory,
            measured: format!("{:.0} MiB", grown.max(0.0)),
            against: format!("before: {before:.0} MiB"),
            ratio: Some(grown.max(0.0)),
            goal: Goal::AtMost(64.0),
        });
        if failed > 0 {
            limits.push(format!("{attack:?}: {failed} calls of who calls as one should failed"));
        }
    }
    limits.push("the attackers' own work, which shares the cores with what they attack".to_owned());
    Ok(Findings { rows, limits })
}

/// Calls at a fixed rate, on one connection: the 99th percentile, and how many failed.
async fn calls(address: SocketAddr, time: Duration) -> anyhow::Result<(Duration, usize)> {
    let client = RegionServiceClient::new(stage::connect(address).await?);
    let count = usize::from(RATE) * usize::try_from(time.as_secs().max(1))?;
    let answers = offer(f64::from(RATE), vec![(); count], move |_caller, ()| {
        let mut client = client.clone();
        async move { client.get_region(GetRegionRequest { code: REGION.to_owned() }).await.is_ok() }
    })
    .await?;
    let failed = answers.iter().filter(|answer| !answer.what).count();
    let mut times: Vec<Duration> = answers.iter().map(|answer| answer.took).collect();
    Ok((percentile(&mut times, 0.99), failed))
}

/// What the gateway has in memory, in MiB.
fn resident(stage: &Stage) -> anyhow::Result<f64> {
    let pid = stage.pid("gateway").context("no gateway")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok());
    Ok(kib.context("VmRSS")? / 1024.0)
}

/// Attacks until it is stopped.
async fn go_on(attack: Attack, address: SocketAddr) {
    loop {
        // Cut off is what it is meant to be.
        let _cut = once(attack, address).await;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn once(attack: Attack, address: SocketAddr) -> std::io::Result<()> {
    match attack {
        Attack::RapidReset => {
            let stream = greet(address).await?;
            let (mut reader, mut writer) = stream.into_split();
            let drain = async { while matches!(reader.read(&mut [0; 4096]).await, Ok(1..)) {} };
            let flood = async {
                for stream in (1..2_000_000).step_by(2) {
                    let call = raw::frame(raw::HEADERS, raw::END_HEADERS, stream, &raw::call(PATH));
                    let reset = raw::frame(raw::RST_STREAM, 0, stream, &8_u32.to_be_bytes());
                    writer.write_all(&[call, reset].concat()).await?;
                }
                Ok(())
            };
            tokio::select! {
                flooded = flood => flooded,
                () = drain => Ok(()),
            }
        }
        Attack::Continuation => {
            let mut stream = greet(address).await?;
            stream.write_all(&raw::frame(raw::HEADERS, 0, 1, &raw::call(PATH))).await?;
            let more = raw::header("x-more", &"7".repeat(100)).repeat(100);
            let more = raw::frame(raw::CONTINUATION, 0, 1, &more);
            loop {
                stream.write_all(&more).await?;
            }
        }
        Attack::Silence => {
            let mut held = Vec::new();
            for _ in 0..SILENT / ATTACKERS {
                held.push(TcpStream::connect(address).await?);
            }
            // They are closed one by one; then all over again.
            tokio::time::sleep(Duration::from_secs(5)).await;
            Ok(())
        }
        Attack::SlowBodies => {
            let mut stream = greet(address).await?;
            for number in (1..200).step_by(2) {
                let call = raw::frame(raw::HEADERS, raw::END_HEADERS, number, &raw::call(PATH));
                stream.write_all(&call).await?;
            }
            let _gone = raw::closes(&mut stream).await;
            Ok(())
        }
    }
}

async fn greet(address: SocketAddr) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    raw::hello(&mut stream).await?;
    Ok(stream)
}
