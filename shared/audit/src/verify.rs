//! Recomputes a chain from what is stored, and names the first thing that is wrong with it.

use sqlx::PgPool;

use crate::chain::{Break, Walk, is_signed, was_sealed_as};
use crate::config::TrustedKeys;
use crate::db::{self, EntryRow, HeadRow};
use crate::finding::Finding;
use crate::head::Head;

/// Entries of one statement; each is a transaction of its own.
const PAGE: i64 = 1000;
/// Heads behind the end of the chain that are looked at.
const HEADS: i64 = 1000;
/// How far from its place an entry is looked for by its hash.
const SEARCHED: i64 = 10_000;

/// Recomputes the chain of a schema, and tells what is wrong, a line each: the first entry
/// that was edited, deleted, inserted or reordered, entries that were cut off from the end,
/// and heads that were forged or removed. Nothing if all is as it was sealed.
///
/// `known` is a head that was kept elsewhere, such as in the log: without one, a chain that
/// was cut off together with its heads looks like a shorter chain. May run beside the
/// service.
///
/// # Errors
/// Those of the database.
pub async fn verify(
    pool: &PgPool,
    schema: &'static str,
    keys: &TrustedKeys,
    known: Option<Head>,
) -> Result<Vec<String>, sqlx::Error> {
    let walk = Walk::begin(schema);
    let mut check =
        Check { pool, schema, keys, known, walk, anchor: 0, seen: 0, findings: Vec::new() };
    // In this order: what is committed meanwhile is no entry that is missing.
    let longest = db::longest_heads(pool, schema, HEADS).await?;
    let end = db::last(pool, schema).await?.map_or(0, |(index, _)| index);
    if let Some(finding) = check.walk_to(end).await? {
        check.findings.push(finding);
    }
    check.before_the_first().await?;
    check.end(end, &longest).await?;
    check.known_head().await?;
    Ok(check.findings.iter().map(Finding::to_string).collect())
}

struct Check<'a> {
    pool: &'a PgPool,
    schema: &'static str,
    keys: &'a TrustedKeys,
    known: Option<Head>,
    walk: Walk,
    /// The last entry whose hash a head has.
    anchor: i64,
    /// The size of the last head that was looked at.
    seen: i64,
    findings: Vec<Finding>,
}

impl Check<'_> {
    /// Walks to an entry; tells the first thing that is wrong on the way.
    async fn walk_to(&mut self, end: i64) -> Result<Option<Finding>, sqlx::Error> {
        while self.walk.index < end {
            let (from, to) = (self.walk.index + 1, end.min(self.walk.index + PAGE));
            let page = db::entries(self.pool, self.schema, from, to).await?;
            let heads = db::heads(self.pool, self.schema, from, to).await?;
            let mut heads = heads.iter().peekable();
            for entry in &page {
                if let Err(broken) = self.walk.step(entry) {
                    return self.diagnosed(broken, entry).await.map(Some);
                }
                while let Some(head) = heads.next_if(|head| head.size <= entry.index) {
                    if !self.agrees(head) {
                        return Ok(Some(self.rewritten()));
                    }
                }
                if let Some(known) = self.known.filter(|known| known.size == entry.index) {
                    if known.hash != self.walk.hash {
                        return Ok(Some(self.rewritten()));
                    }
                    self.anchor = known.size;
                }
            }
            if self.walk.index < to {
                return self.missing(end).await.map(Some);
            }
        }
        Ok(None)
    }

    /// Whether a head has the hash of the entry that was just passed. One that nobody signed
    /// says nothing.
    fn agrees(&mut self, head: &HeadRow) -> bool {
        let before = std::mem::replace(&mut self.seen, head.size);
        if !is_signed(self.schema, head, self.keys) {
            self.findings.push(Finding::Forged { size: head.size });
            return true;
        }
        if head.previous_size > before {
            self.findings.push(Finding::HeadRemoved { size: head.previous_size });
        }
        if *head.hash != self.walk.hash {
            return false;
        }
        self.anchor = head.size;
        true
    }

    fn rewritten(&self) -> Finding {
        Finding::Rewritten { from: self.anchor + 1, to: self.walk.index }
    }

    /// What was done to the entry after the last good one.
    async fn diagnosed(&self, broken: Break, entry: &EntryRow) -> Result<Finding, sqlx::Error> {
        let index = self.walk.index + 1;
        match broken {
            Break::Missing => self.missing(entry.index).await,
            Break::Twice => Ok(Finding::Inserted { from: entry.index, to: entry.index }),
            Break::Edited => Ok(Finding::Edited { index }),
            // A head vouches for the one before, or nobody.
            Break::Unlinked if self.anchor == self.walk.index => Ok(Finding::Replaced { index }),
            Break::Unlinked => Ok(Finding::Replaced { index: self.walk.index }),
            Break::Misplaced => self.misplaced(index, entry).await,
        }
    }

    /// The entry after the last good one is not at its place; `end` is at its place again,
    /// or behind.
    async fn missing(&self, end: i64) -> Result<Finding, sqlx::Error> {
        let index = self.walk.index + 1;
        if let Some(now) = db::follower_of(self.pool, self.schema, &self.walk.hash).await? {
            return Ok(Finding::Moved { index, now });
        }
        let next = db::next_index(self.pool, self.schema, index).await?.unwrap_or(end);
        Ok(Finding::Deleted { from: index, to: (next - 1).max(index) })
    }

    /// What stands at an index belongs elsewhere.
    async fn misplaced(&self, index: i64, entry: &EntryRow) -> Result<Finding, sqlx::Error> {
        if let Some(now) = db::follower_of(self.pool, self.schema, &self.walk.hash).await? {
            return Ok(Finding::Moved { index, now });
        }
        let near = (index - SEARCHED).max(1)..=index + SEARCHED;
        let Some(was) = near.into_iter().find(|was| was_sealed_as(self.schema, entry, *was)) else {
            return Ok(Finding::Edited { index });
        };
        if was > index {
            return Ok(Finding::Deleted { from: index, to: was - 1 });
        }
        let there = db::entries(self.pool, self.schema, was, was).await?;
        if there.iter().any(|there| there.hash == entry.hash) {
            // A copy of an earlier entry, written over this one.
            return Ok(Finding::Edited { index });
        }
        Ok(Finding::Inserted { from: was, to: index - 1 })
    }

    /// Entries in front of the first index, where nobody walks.
    async fn before_the_first(&mut self) -> Result<(), sqlx::Error> {
        let lowest = db::next_index(self.pool, self.schema, i64::MIN).await?;
        if let Some(index) = lowest.filter(|index| *index < 1) {
            self.findings.push(Finding::Inserted { from: index, to: index });
        }
        Ok(())
    }

    /// What heads say of entries behind the end.
    async fn end(&mut self, end: i64, longest: &[HeadRow]) -> Result<(), sqlx::Error> {
        let mut known = self.known.map_or(0, |known| known.size);
        for head in longest.iter().rev().filter(|head| head.size > end) {
            if is_signed(self.schema, head, self.keys) {
                known = known.max(head.size);
            } else {
                self.findings.push(Finding::Forged { size: head.size });
            }
        }
        if known > end {
            self.findings.push(Finding::CutOff { from: end + 1, to: known });
        }
        // The first entries are signed in the transaction that seals them.
        let bare = end > 0 && longest.is_empty();
        if bare && db::longest_heads(self.pool, self.schema, 1).await?.is_empty() {
            self.findings.push(Finding::HeadsRemoved);
        }
        Ok(())
    }

    /// Whether the head that the operator has is still there.
    async fn known_head(&mut self) -> Result<(), sqlx::Error> {
        let Some(known) = self.known else { return Ok(()) };
        let stored = db::heads(self.pool, self.schema, known.size, known.size).await?;
        let finding = match stored.first() {
            None => Finding::HeadRemoved { size: known.size },
            Some(head) if *head.hash != known.hash => Finding::HeadReplaced { size: known.size },
            Some(_) => return Ok(()),
        };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
        Ok(())
    }
}
