//! Loads organizations from a file, all or none.

use std::collections::{HashMap, HashSet, hash_map};
use std::fmt::Write as _;
use std::io::Read;

use sqlx::{Connection as _, PgConnection};
use zhiyuan_audit::{Record, Trail};
use zhiyuan_domain::Partition;
use zhiyuan_feed::Outbox;

use super::State;
use super::db::{self, Existing, Moved, Written};
use super::feed;
use super::file::{self, Entry, Fault, Problem};
use super::tree::{self, Link, Place};
use crate::{applications, counts, regions};

/// Rows of one statement.
const BATCH: usize = 2_000;
/// Faults that are told; whoever has more will want to begin with these.
const TOLD: usize = 20;

/// What the audit calls a load.
const LOADED: &str = "orgtree.organizations.loaded";

/// Why organizations were not loaded. None was.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file can't be read, or its header is not the expected one.
    #[error("failed to read")]
    Csv(#[from] csv::Error),
    /// Lines are wrong.
    #[error("{}", summary(.0))]
    Faults(Vec<Fault>),
    /// The database.
    #[error("database")]
    Database(#[from] sqlx::Error),
}

fn summary(faults: &[Fault]) -> String {
    let mut text = format!("{} faults", faults.len());
    for (index, fault) in faults.iter().take(TOLD).enumerate() {
        // Writing to a string does not fail.
        let _ = write!(text, "{} {fault}", if index == 0 { ":" } else { ";" });
    }
    text
}

/// Who is told of a load.
#[derive(Debug)]
pub(crate) struct Told {
    /// Those who follow the organizations.
    pub(crate) outbox: Outbox,
    /// Those who ask later who loaded what.
    pub(crate) trail: Trail,
}

/// What a load did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The lines of the file.
    pub lines: usize,
    /// Codes that were not known.
    pub new: Vec<String>,
    /// Codes of which something has changed.
    pub changed: Vec<String>,
    /// Those that lie below others than before: who administers those has lost them.
    pub moved: Vec<String>,
    /// Those that are as an administrator has made or changed them, whatever the file says.
    pub kept: Vec<String>,
}

impl Loaded {
    /// In a line.
    pub fn summary(&self) -> String {
        let Self { lines, new, changed, moved, kept } = self;
        let (new, changed, moved, kept) = (new.len(), changed.len(), moved.len(), kept.len());
        format!(
            "{lines} lines: {new} new, {changed} changed, {moved} moved, {kept} kept as \
             administrators have made them"
        )
    }

    /// Which those are, a line for each kind that there are any of; the first ones.
    pub fn lists(&self) -> Vec<String> {
        let all = [
            ("new", &self.new),
            ("changed", &self.changed),
            ("moved", &self.moved),
            ("kept", &self.kept),
        ];
        let some = all.into_iter().filter(|(_, codes)| !codes.is_empty());
        some.map(|(name, codes)| {
            let more = if codes.len() > TOLD { " …" } else { "" };
            let first: Vec<&str> = codes.iter().take(TOLD).map(String::as_str).collect();
            format!("{name}: {}{more}", first.join(" "))
        })
        .collect()
    }
}

/// Inserts the organizations that are new and updates those that differ, and tells of
/// them; the audit has who did it. What the file doesn't name stays, and moves along when
/// the one above it moves; so does what an administrator has made or changed. A dry run does
/// all of it, and takes it back.
///
/// # Errors
/// [`LoadError`]; nothing was changed then.
pub(crate) async fn load(
    connection: &mut PgConnection,
    told: &Told,
    source: impl Read,
    dry_run: bool,
) -> Result<Loaded, LoadError> {
    let (entries, mut faults) = file::read(source)?;
    let lines = entries.len();
    let mut tx = connection.begin().await?;
    db::lock(&mut tx).await?;
    let existing = db::existing(&mut tx).await?;
    let by_call: HashSet<&str> =
        existing.iter().filter(|old| old.by_call).map(|old| old.code.as_str()).collect();
    let (kept, entries): (Vec<Entry>, Vec<Entry>) =
        entries.into_iter().partition(|entry| by_call.contains(entry.code.as_str()));
    let regions: HashSet<String> = regions::codes(&mut tx).await?.into_iter().collect();

    let links = links(&existing, &entries);
    faults.extend(unknown(&entries, &links, &regions));
    faults.extend(taken(&existing, &entries));
    let places = match tree::places(&links) {
        Ok(places) if faults.is_empty() => places,
        Ok(_) => return Err(LoadError::Faults(in_order(faults))),
        Err(more) => {
            faults.extend(more);
            return Err(LoadError::Faults(in_order(faults)));
        }
    };

    let mut written = Vec::new();
    for batch in entries.chunks(BATCH) {
        let rows: Vec<(&Entry, &Place<'_>)> = batch
            .iter()
            .filter_map(|entry| Some((entry, places.get(entry.code.as_str())?)))
            .collect();
        written.append(&mut db::upsert(&mut tx, &rows).await?);
    }
    let mut changed = u64::try_from(written.len()).unwrap_or(u64::MAX);
    let moved = moved(&existing, &links, &places);
    for batch in moved.chunks(BATCH) {
        changed += db::relocate(&mut tx, batch).await?;
    }
    if changed > 0 {
        applications::follow(&mut tx, None).await?;
        let now = db::now(&mut tx).await?;
        applications::lapse(&mut tx, &told.trail, None, now).await?;
        counts::db::refold(&mut tx).await?;
        db::analyze(&mut tx).await?;
        let act = Record::done(zhiyuan_audit::operator(&mut tx).await?, LOADED)
            .with("lines", lines)
            .with("written", written.len())
            .with("moved", moved.len());
        // What calls have changed, if the file says otherwise or not.
        let act = if kept.is_empty() { act } else { act.with("kept", kept.len()) };
        told.trail.append(&mut tx, &act).await?;
        tell(&mut tx, &told.outbox, &different(&existing, &written)).await?;
    }
    // What the table looks at last it looks at in a trial too.
    db::look_now(&mut tx).await?;
    if dry_run {
        tx.rollback().await?;
    } else {
        tx.commit().await?;
        told.outbox.wake();
    }
    let before: HashSet<&str> = existing.iter().map(|old| old.code.as_str()).collect();
    let written = written.into_iter().map(|written| written.code);
    let (changed, new) = written.partition(|code: &String| before.contains(code.as_str()));
    let elsewhere = |old: &&Existing| {
        places.get(old.code.as_str()).is_some_and(|place| place.ancestors != old.ancestors)
    };
    let moved = existing.iter().filter(elsewhere).map(|old| old.code.clone()).collect();
    let kept = kept.into_iter().map(|entry| entry.code).collect();
    Ok(Loaded { lines, new, changed, moved, kept })
}

/// Those of which something is different that is told, in the order of partition and
/// code.
fn different<'a>(existing: &[Existing], written: &'a [Written]) -> Vec<&'a str> {
    let before: HashMap<&str, i64> =
        existing.iter().map(|old| (old.code.as_str(), old.revision)).collect();
    let mut codes: Vec<&str> = written
        .iter()
        .filter(|new| before.get(new.code.as_str()) != Some(&new.revision))
        .map(|new| new.code.as_str())
        .collect();
    codes.sort_by_cached_key(|code| (Partition::of_key(code), *code));
    codes
}

/// Tells of organizations as they are now. The whole table is locked, so their rows are;
/// the last thing to do before the commit.
async fn tell(tx: &mut PgConnection, outbox: &Outbox, codes: &[&str]) -> Result<(), sqlx::Error> {
    for batch in codes.chunks(BATCH) {
        let told = feed::db::told(&mut *tx, batch).await?;
        let events: Vec<_> = told.iter().map(feed::changed).collect();
        outbox.append(&mut *tx, &events).await?;
    }
    Ok(())
}

/// The tree as it will be: what the file says goes over what is there.
fn links<'a>(existing: &'a [Existing], entries: &'a [Entry]) -> HashMap<&'a str, Link<'a>> {
    let old = existing.iter().map(|old| {
        (old.code.as_str(), Link { parent_code: old.parent_code.as_deref(), line: None })
    });
    let new = entries.iter().map(|new| {
        let link = Link { parent_code: new.parent_code.as_deref(), line: Some(new.line) };
        (new.code.as_str(), link)
    });
    old.chain(new).collect()
}

/// Codes that refer to nothing; parents are looked after by the tree.
fn unknown(
    entries: &[Entry],
    links: &HashMap<&str, Link<'_>>,
    regions: &HashSet<String>,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    for entry in entries {
        if entry.region_code.as_ref().is_some_and(|code| !regions.contains(code)) {
            faults.push(Fault { line: entry.line, problem: Problem::Unknown("region_code") });
        }
        if entry.successor_code.as_deref().is_some_and(|code| !links.contains_key(code)) {
            faults.push(Fault { line: entry.line, problem: Problem::Unknown("successor_code") });
        }
    }
    faults
}

/// Credit codes that two open organizations would have.
fn taken<'a>(existing: &'a [Existing], entries: &'a [Entry]) -> Vec<Fault> {
    let named: HashSet<&str> = entries.iter().map(|entry| entry.code.as_str()).collect();
    let stays = existing.iter().filter(|old| !named.contains(old.code.as_str()));
    let held = |old: &'a Existing| Some((old.credit_code.as_deref()?, old.code.as_str()));
    let mut held: HashMap<&str, &str> = stays.filter_map(held).collect();
    let mut faults = Vec::new();
    for entry in entries.iter().filter(|entry| entry.state == State::Active) {
        let Some(code) = entry.credit_code.as_deref() else { continue };
        match held.entry(code) {
            hash_map::Entry::Vacant(free) => {
                free.insert(&entry.code);
            }
            hash_map::Entry::Occupied(taken) => {
                let problem = Problem::CreditCodeTaken { by: (*taken.get()).to_owned() };
                faults.push(Fault { line: entry.line, problem });
            }
        }
    }
    faults
}

fn in_order(mut faults: Vec<Fault>) -> Vec<Fault> {
    faults.sort_by_key(|fault| fault.line);
    faults
}

/// Those that the file doesn't name, and whose place changes nevertheless.
fn moved<'a>(
    existing: &[Existing],
    links: &HashMap<&str, Link<'_>>,
    places: &'a HashMap<&'a str, Place<'a>>,
) -> Vec<Moved<'a>> {
    let stays =
        |old: &Existing| links.get(old.code.as_str()).is_some_and(|link| link.line.is_none());
    existing
        .iter()
        .filter(|old| stays(old))
        .filter_map(|old| {
            let (&code, place) = places.get_key_value(old.code.as_str())?;
            let same = place.leaf == old.leaf && place.ancestors == old.ancestors;
            (!same).then_some(Moved { code, place })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_how_many_faults_and_the_first_of_them() {
        let faults = (2..40).map(|line| Fault { line, problem: Problem::Kind }).collect();
        let text = LoadError::Faults(faults).to_string();
        assert!(text.starts_with("38 faults: line 2: kind is unknown; line 3: "), "{text}");
        assert!(text.ends_with("line 21: kind is unknown"), "{text}");
    }
}
