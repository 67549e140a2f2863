//! The present state, page by page.

use prost::{Message, Name};
use prost_types::Any;
use zhiyuan_contracts::feed::v1::{Head, Record, SnapshotRequest, SnapshotResponse};
use zhiyuan_rpc::Error;
use zhiyuan_rpc::page::Page;

use super::head_on_wire;
use super::pull::{fault, partition, type_url};
use crate::error::{answered, type_unknown};
use crate::publisher::Publisher;
use crate::writer_db;

/// A page that is asked for. The service reads the rows; a short transaction, or none.
#[derive(Debug)]
pub struct Snapshot {
    /// Which partition.
    pub partition: i16,
    /// The full name of the message.
    pub kind: String,
    head: Head,
    page: Page,
}

/// One row of a snapshot.
#[derive(Debug)]
pub struct SnapshotRow {
    key: String,
    revision: i64,
    payload: Vec<u8>,
}

impl SnapshotRow {
    /// The present state of a key.
    pub fn new<M: Message + Name>(key: impl Into<String>, revision: i64, state: &M) -> Self {
        Self { key: key.into(), revision, payload: state.encode_to_vec() }
    }
}

impl Publisher {
    /// Parses what is asked for, and reads the head of the partition, before any row.
    ///
    /// # Errors
    /// `INVALID_FIELDS`, `PAGE_TOKEN_INVALID`; `FEED_TYPE_UNKNOWN` unless the type is one
    /// of `kinds`.
    pub async fn snapshot(
        &self,
        request: &SnapshotRequest,
        kinds: &[String],
    ) -> Result<Snapshot, Error> {
        let partition = partition(request.partition).ok_or_else(|| {
            let range = fault("partition", "PARTITION_RANGE", "分区应在 0 至 63 之间");
            Error::invalid_fields(vec![range])
        })?;
        if !kinds.contains(&request.r#type) {
            return Err(type_unknown());
        }
        let number = partition.to_string();
        let page =
            Page::parse(request.page_size, &request.page_token, &[&request.r#type, &number])?;
        let head = writer_db::head(&self.pool, self.schema, partition).await.map_err(answered)?;
        let head = head_on_wire(partition, head.as_ref());
        Ok(Snapshot { partition, kind: request.r#type.clone(), head, page })
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

    /// How many rows to read.
    pub fn fetch(&self) -> i64 {
        self.page.fetch()
    }

    /// Answers with the rows that were read, in the order of their keys.
    pub fn answer(self, rows: Vec<SnapshotRow>) -> SnapshotResponse {
        let (rows, next_page_token) = self.page.cut(rows, |row| row.key.clone());
        let type_url = type_url(&self.kind);
        let records = rows.into_iter().map(|row| Record {
            key: row.key,
            revision: row.revision,
            payload: Some(Any { type_url: type_url.clone(), value: row.payload }),
        });
        SnapshotResponse { records: records.collect(), next_page_token, head: Some(self.head) }
    }
}
