//! The present state, page by page.

use std::collections::BTreeSet;

use prost::{Message, Name};
use prost_types::Any;
use uuid::Uuid;
use zhiyuan_contracts::feed::v1::{Head, Record, SnapshotRequest, SnapshotResponse};
use zhiyuan_rpc::Error;
use zhiyuan_rpc::page::Page;

use super::head_on_wire;
use super::pull::{fault, is_scope_version, partition, scope_fault, type_url};
use crate::error::{answered, scope_changed, type_unknown};
use crate::publisher::Publisher;
use crate::scope::{Follower, Lens, version_of};
use crate::writer_db;

/// Rows that are looked through at once for somebody who is restricted: no more organizations
/// than are told of in one answer.
const LOOK: usize = 1000;
/// How often a call looks before it answers with what it has found.
const LOOKS: usize = 4;

/// A page that is asked for. The service reads the rows; a short transaction, or none.
#[derive(Debug)]
pub struct Snapshot {
    /// Which partition.
    pub partition: i16,
    /// The full name of the message.
    pub kind: String,
    head: Head,
    page: Page,
    lens: Option<Lens>,
}

/// One row of a snapshot.
#[derive(Debug)]
pub struct SnapshotRow {
    key: String,
    revision: i64,
    payload: Vec<u8>,
    place: Option<String>,
}

impl SnapshotRow {
    /// The present state of a key.
    pub fn new<M: Message + Name>(key: impl Into<String>, revision: i64, state: &M) -> Self {
        Self { key: key.into(), revision, payload: state.encode_to_vec(), place: None }
    }

    /// The organization at which the key is, by which readers who are restricted see it; at
    /// none, they don't.
    #[must_use]
    pub fn at(self, organization: Option<&str>) -> Self {
        let organization = organization.filter(|code| !code.is_empty());
        Self { place: organization.map(str::to_owned), ..self }
    }
}

impl Publisher {
    /// Parses what is asked for, and reads the head of the partition, before any row.
    ///
    /// # Errors
    /// `INVALID_FIELDS`, `PAGE_TOKEN_INVALID`; `FEED_TYPE_UNKNOWN` unless the type is one
    /// of `kinds`; `FEED_NOT_SCOPED`; `FEED_SCOPE_CHANGED` since the page before.
    pub async fn snapshot(
        &self,
        follower: &Follower,
        request: &SnapshotRequest,
        kinds: &[String],
    ) -> Result<Snapshot, Error> {
        let partition = partition(request.partition).ok_or_else(|| {
            let range = fault("partition", "PARTITION_RANGE", "分区应在 0 至 63 之间");
            Error::invalid_fields(vec![range])
        })?;
        if !is_scope_version(&request.scope_version) {
            return Err(Error::invalid_fields(vec![scope_fault("scope_version")]));
        }
        if !kinds.contains(&request.r#type) {
            return Err(type_unknown());
        }
        let number = partition.to_string();
        let page =
            Page::parse(request.page_size, &request.page_token, &[&request.r#type, &number])?;
        let lens = self.lens(follower).await?;
        let version = version_of(lens.as_ref());
        let first = request.page_token.is_empty() && request.scope_version.is_empty();
        if !first && request.scope_version != version {
            return Err(scope_changed(version));
        }
        let head = writer_db::head(&self.pool, self.schema, partition).await.map_err(answered)?;
        let head = head_on_wire(partition, head.as_ref());
        Ok(Snapshot { partition, kind: request.r#type.clone(), head, page, lens })
    }
}

impl Snapshot {
    /// The key to read after, by bytes, parsed.
    ///
    /// # Errors
    /// `PAGE_TOKEN_INVALID` for a key that can't be one.
    pub fn after_key<T>(&self, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Error> {
        self.page.after_key(parse)
    }

    /// Answers with what `read` reads: rows after a key (empty: from the first), in the order
    /// of their keys, so many at most. Once for who sees everything; until the page is full
    /// for who is restricted.
    ///
    /// # Errors
    /// Those of `read`; `FEED_SCOPE_CHANGED` while it was read.
    pub async fn answer<E, F>(
        self,
        mut read: impl FnMut(String, i64) -> F,
    ) -> Result<SnapshotResponse, E>
    where
        E: From<Error>,
        F: Future<Output = Result<Vec<SnapshotRow>, E>>,
    {
        let mut after = self.page.after.clone().unwrap_or_default();
        let Some(lens) = &self.lens else {
            let rows = read(after, self.page.fetch()).await?;
            return Ok(self.cut(rows, None));
        };
        let wanted = usize::try_from(self.page.fetch()).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        for looks in 1.. {
            // One more tells where the next look begins.
            let mut rows = read(after, i64::try_from(LOOK + 1).unwrap_or(i64::MAX)).await?;
            let next = rows.get(LOOK).map(|row| row.key.clone());
            rows.truncate(LOOK);
            let last = rows.last().map(|row| row.key.clone());
            let places: BTreeSet<String> =
                rows.iter().filter_map(|row| row.place.clone()).collect();
            let seen = lens.look(places).await?;
            let is_seen =
                |row: &SnapshotRow| row.place.as_ref().is_some_and(|place| seen.contains(place));
            found.extend(rows.into_iter().filter(is_seen));
            let (Some(last), Some(next)) = (last, next) else { break };
            if found.len() >= wanted {
                break;
            }
            if looks >= LOOKS
                && let Some(behind) = between(&last, &next)
            {
                return Ok(self.cut(found, Some(behind)));
            }
            after = last;
        }
        Ok(self.cut(found, None))
    }

    /// What was read, or what of it the page holds; after `behind` there may be more.
    fn cut(self, rows: Vec<SnapshotRow>, behind: Option<String>) -> SnapshotResponse {
        let (rows, mut next_page_token) = self.page.cut(rows, |row| row.key.clone());
        if let (true, Some(behind)) = (next_page_token.is_empty(), behind) {
            next_page_token = self.page.go_on_after(&behind);
        }
        let type_url = type_url(&self.kind);
        let records = rows.into_iter().map(|row| Record {
            key: row.key,
            revision: row.revision,
            payload: Some(Any { type_url: type_url.clone(), value: row.payload }),
        });
        SnapshotResponse {
            records: records.collect(),
            next_page_token,
            head: Some(self.head),
            scope_version: version_of(self.lens.as_ref()).to_owned(),
        }
    }
}

/// Where to go on between two keys that are nobody's business: a token is no secret. Only ids
/// have room between them; of other keys there are few, and they are looked through to the end.
fn between(last: &str, next: &str) -> Option<String> {
    let id =
        |text: &str| text.parse::<uuid::fmt::Hyphenated>().ok().map(|id| Uuid::from(id).as_u128());
    let (last, next) = (id(last)?, id(next)?);
    let between = last + next.checked_sub(last)? / 2;
    Some(Uuid::from_u128(between).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_two_ids_is_an_id_of_neither() {
        let [one, other] = [7, 1_000_000].map(|number| Uuid::from_u128(number).to_string());
        let found = between(&one, &other).unwrap();
        assert!(one < found && found < other);
        assert_eq!(between(&other, &one), None);
        assert_eq!(between("AH-1", "AH-2"), None);
        let largest = Uuid::max().to_string();
        assert!(between(&one, &largest).is_some_and(|found| found < largest));
    }
}
