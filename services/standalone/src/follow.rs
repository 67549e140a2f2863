//! `cargo run -- follow`: what an internal platform does, with the demonstration account.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use zhiyuan_auth::AssertionSigner;
use zhiyuan_contracts::feed::v1::{Cursor, Event, PullRequest};
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::{Clock as _, SystemClock};
use zhiyuan_feed::{PARTITIONS, Source};
use zhiyuan_lifecycle::{Stop, signals};
use zhiyuan_rpc::wire::from_timestamp;
use zhiyuan_rpc::{Remote, SuiteChannel, connect_lazy};
use zhiyuan_standalone::ACCOUNT;

/// What to follow, as whom.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The service.
    #[arg(value_enum)]
    service: Service,
    /// End once everything that has happened was shown.
    #[arg(long)]
    once: bool,
    /// The gateway; the one of the running suite if it is not said.
    #[arg(long)]
    gateway: Option<String>,
    /// The name of the service account.
    #[arg(long, default_value = ACCOUNT)]
    account: String,
    /// Its key: an Ed25519 seed in base64.
    #[arg(long)]
    key: Option<PathBuf>,
}

/// The services that internal platforms may follow.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Service {
    Registration,
    Orgtree,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::Orgtree => "orgtree",
        }
    }
}

/// Follows from the beginning, until Ctrl-C.
pub(crate) async fn run(arguments: &Arguments, data_dir: &Path, port: u16) -> anyhow::Result<()> {
    let source = source(arguments, data_dir, port)?;
    let cursor = |partition| Cursor { partition: i32::from(partition), ..Default::default() };
    let request = PullRequest { cursors: (0..PARTITIONS).map(cursor).collect() };
    let mut stream = source.pull(request).await.context("the service can't be followed")?;
    let pool = zhiyuan_contracts::descriptor_pool();
    let stop = Stop::new();
    signals::watch(&stop)?;
    loop {
        let next = tokio::select! {
            next = stream.message() => next.map_err(Remote::from)?,
            () = stop.requested() => return Ok(()),
        };
        let Some(message) = next else { bail!("the stream has ended") };
        for event in message.events {
            show(&pool, event)?;
        }
        if message.heartbeat.is_some() && arguments.once {
            return Ok(());
        }
    }
}

fn source(arguments: &Arguments, data_dir: &Path, port: u16) -> anyhow::Result<Source> {
    let path = arguments
        .key
        .clone()
        .unwrap_or_else(|| data_dir.join("accounts").join(format!("{}.key", arguments.account)));
    let key = std::fs::read_to_string(&path)
        .with_context(|| format!("{}: start the suite first: cargo run", path.display()))?;
    let key = SigningKey::from_base64(key.trim()).context("the key")?;
    let signer = AssertionSigner::new(&arguments.account, key, Arc::new(SystemClock));
    let gateway = arguments.gateway.clone().unwrap_or_else(|| format!("http://127.0.0.1:{port}"));
    let name = arguments.service.name();
    let channel = SuiteChannel::new(connect_lazy(&gateway)?, name, Arc::new(signer));
    Ok(Source::new(channel, &format!("zhiyuan.{name}.v1.FeedService")))
}

#[expect(clippy::print_stdout, reason = "the answer to who typed the command")]
fn show(pool: &DescriptorPool, event: Event) -> anyhow::Result<()> {
    println!("{}", line(pool, event)?);
    Ok(())
}

fn line(pool: &DescriptorPool, event: Event) -> anyhow::Result<Value> {
    let payload = event.payload.context("an event without payload")?;
    let name = payload.type_url.rsplit('/').next().unwrap_or_default();
    let kind = pool.get_message_by_name(name).with_context(|| format!("{name} is unknown"))?;
    let payload = DynamicMessage::decode(kind, payload.value.as_slice())?;
    let at = event.sequence_time.as_ref().and_then(from_timestamp);
    let at = at.unwrap_or_else(|| SystemClock.now()).format(&Rfc3339)?;
    Ok(json!({
        "partition": event.partition,
        "position": event.position,
        "sequenceTime": at,
        "key": event.key,
        "revision": event.revision,
        "type": name,
        "payload": serde_json::to_value(payload)?,
    }))
}
