//! `cargo run -- follow`: what an internal platform does, with the demonstration account.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use prost_reflect::{DescriptorPool, DynamicMessage};
use prost_types::Any;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use zhiyuan_contracts::feed::v1::{
    Cursor, ErrorReason as FeedReason, Event, Head, PullRequest, Record, SnapshotRequest,
};
use zhiyuan_contracts::orgtree::v1::OrganizationChanged;
use zhiyuan_contracts::reason::Reason as _;
use zhiyuan_contracts::registration::v1::{RosterMemberChanged, VolunteerChanged};
use zhiyuan_contracts::rpc::v1::ErrorReason as Reason;
use zhiyuan_domain::{Clock as _, SystemClock};
use zhiyuan_feed::{Error, PARTITIONS, Source, name_of};
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

    /// The messages of which there are snapshots.
    fn kinds(self) -> Vec<String> {
        match self {
            Self::Registration => {
                vec![name_of::<VolunteerChanged>(), name_of::<RosterMemberChanged>()]
            }
            Self::Orgtree => vec![name_of::<OrganizationChanged>()],
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
            // The first events are not kept for ever: the present state instead.
            Err(Error::Source(remote)) if remote.reason == FeedReason::FeedTrimmed.wire() => {
                cursors = present_state(&source, arguments.service).await?;
            }
            // What the account may see is not what it was, or was not known yet: whatever was
            // shown until now counts no more.
            Err(Error::Source(remote)) if remote.reason == FeedReason::FeedScopeChanged.wire() => {
                if cursors.iter().any(|cursor| !cursor.scope_version.is_empty()) {
                    show(&json!({ "forgetAll": remote.reason }));
                }
                cursors = present_state(&source, arguments.service).await?;
            }
            Err(error) => return Err(error).context("the service can't be followed"),
        }
    }
}

/// Shows the present state of everything, and tells from where to follow it.
async fn present_state(source: &Source, service: Service) -> anyhow::Result<Vec<Cursor>> {
    let pool = zhiyuan_contracts::descriptor_pool();
    let mut cursors = Vec::new();
    for partition in 0..i32::from(PARTITIONS) {
        let (mut head, mut scope_version) = (None, String::new());
        for kind in service.kinds() {
            let mut page_token = String::new();
            loop {
                let request = SnapshotRequest {
                    partition,
                    r#type: kind.clone(),
                    page_size: 500,
                    page_token,
                    scope_version,
                };
                let page = source.snapshot(request).await.context("the state can't be read")?;
                head = head.or(page.head);
                for record in page.records {
                    show(&state(&pool, record)?);
                }
                (page_token, scope_version) = (page.next_page_token, page.scope_version);
                if page_token.is_empty() {
                    break;
                }
            }
        }
        let head = head.context("a snapshot without head")?;
        let Head { position, event_id, .. } = head;
        cursors.push(Cursor { partition, position, event_id, scope_version });
    }
    Ok(cursors)
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
            // Something that is none of the account's.
            if event.payload.is_none() {
                continue;
            }
            show(&line(&pool, event).map_err(|error| Error::Apply(error.into()))?);
        }
        if message.heartbeat.is_some() && once {
            return Ok(());
        }
    }
    Err(Error::Unreachable)
}

#[expect(clippy::print_stdout, reason = "the answer to who typed the command")]
fn show(line: &Value) {
    println!("{line}");
}

/// The name of a payload's message, and the message.
fn open(pool: &DescriptorPool, payload: Option<Any>) -> anyhow::Result<(String, Value)> {
    let payload = payload.context("no payload")?;
    let name = payload.type_url.rsplit('/').next().unwrap_or_default();
    let kind = pool.get_message_by_name(name).with_context(|| format!("{name} is unknown"))?;
    let message = DynamicMessage::decode(kind, payload.value.as_slice())?;
    Ok((name.to_owned(), serde_json::to_value(message)?))
}

fn state(pool: &DescriptorPool, record: Record) -> anyhow::Result<Value> {
    let (name, payload) = open(pool, record.payload)?;
    Ok(json!({
        "key": record.key,
        "revision": record.revision,
        "type": name,
        "payload": payload,
    }))
}

fn line(pool: &DescriptorPool, event: Event) -> anyhow::Result<Value> {
    let (name, payload) = open(pool, event.payload)?;
    let at = event.sequence_time.as_ref().and_then(from_timestamp);
    let at = at.unwrap_or_else(|| SystemClock.now()).format(&Rfc3339)?;
    Ok(json!({
        "partition": event.partition,
        "position": event.position,
        "sequenceTime": at,
        "key": event.key,
        "revision": event.revision,
        "type": name,
        "payload": payload,
    }))
}
