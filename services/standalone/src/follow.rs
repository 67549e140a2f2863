//! `cargo run -- follow`: what an internal platform does, with the demonstration account.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use zhiyuan_contracts::feed::v1::{Cursor, Event, PullRequest};
use zhiyuan_contracts::reason::Reason as _;
use zhiyuan_contracts::rpc::v1::ErrorReason as Reason;
use zhiyuan_domain::{Clock as _, SystemClock};
use zhiyuan_feed::{Error, PARTITIONS, Source};
use zhiyuan_lifecycle::{Stop, signals};
use zhiyuan_rpc::Remote;
use zhiyuan_rpc::wire::from_timestamp;

use crate::account::Account;

const AGAIN: Duration = Duration::from_millis(200);

/// What to follow, as whom.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The service.
    #[arg(value_enum)]
    service: Service,
    /// End once everything that has happened was shown.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    account: Account,
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

/// Follows from the beginning, until Ctrl-C; over and over, as a stream ends with its
/// connection.
pub(crate) async fn run(arguments: &Arguments, data_dir: &Path, port: u16) -> anyhow::Result<()> {
    let name = arguments.service.name();
    let channel = arguments.account.channel(name, data_dir, port)?;
    let source = Source::new(channel, &format!("zhiyuan.{name}.v1.FeedService"));
    let cursor = |partition| Cursor { partition: i32::from(partition), ..Default::default() };
    let mut cursors: Vec<Cursor> = (0..PARTITIONS).map(cursor).collect();
    let stop = Stop::new();
    signals::watch(&stop)?;
    loop {
        let ended = tokio::select! {
            ended = until_it_ends(&source, &mut cursors, arguments.once) => ended,
            () = stop.requested() => return Ok(()),
        };
        match ended {
            Ok(()) => return Ok(()),
            // Nothing is wrong: the stream is to be opened again from where it was.
            Err(Error::Source(remote)) if remote.reason == Reason::Draining.wire() => {
                tokio::time::sleep(remote.retry_after.unwrap_or(AGAIN)).await;
            }
            Err(error) => return Err(error).context("the service can't be followed"),
        }
    }
}

/// Shows what comes and moves the cursors; ends well once everything that has happened
/// was shown, if that is `once`.
async fn until_it_ends(source: &Source, cursors: &mut [Cursor], once: bool) -> Result<(), Error> {
    let pool = zhiyuan_contracts::descriptor_pool();
    let mut stream = source.pull(PullRequest { cursors: cursors.to_vec() }).await?;
    while let Some(message) = stream.message().await.map_err(Remote::from)? {
        for event in message.events {
            if let Some(cursor) =
                cursors.iter_mut().find(|cursor| cursor.partition == event.partition)
            {
                cursor.position = event.position;
                cursor.event_id.clone_from(&event.event_id);
            }
            show(&pool, event).map_err(|error| Error::Apply(error.into()))?;
        }
        if message.heartbeat.is_some() && once {
            return Ok(());
        }
    }
    Err(Error::Unreachable)
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
