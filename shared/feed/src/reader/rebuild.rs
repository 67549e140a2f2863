//! Reading everything again: at the first start, and when a feed was cut or restored.

use std::time::Duration;

use uuid::Uuid;
use zhiyuan_contracts::feed::v1::{SnapshotRequest, SnapshotResponse};

use super::db::CursorRow;
use super::follow::read_again;
use super::{Inner, Page, Record, db};
use crate::cuts;
use crate::error::Error;

/// Rows on a page.
const PAGE: i32 = 500;
/// What a page says may be stamped by a clock that is ahead by so much.
const SKEW: Duration = Duration::from_secs(60);

/// Rebuilds those partitions of a slot that need it, from where it was left.
pub(super) async fn where_needed(
    inner: &Inner,
    slot: i16,
    partitions: &[i16],
) -> Result<(), Error> {
    db::insert_missing(&inner.pool, inner.schema, inner.feed, partitions).await?;
    for cursor in db::cursors(&inner.pool, inner.schema, inner.feed, partitions).await? {
        if cursor.rebuild_type.is_some() {
            rebuild(inner, slot, cursor).await?;
        }
    }
    Ok(())
}

/// Reads the snapshots of one partition, a transaction for each page, and then goes on
/// from the head that was there before the first page.
async fn rebuild(inner: &Inner, slot: i16, mut cursor: CursorRow) -> Result<(), Error> {
    let kinds = inner.projection.snapshots();
    let mut pages = 0_u64;
    while let Some(reading) = cursor.rebuild_type.clone() {
        let Some(kind) = kinds.iter().copied().find(|kind| reading.is_empty() || *kind == reading)
        else {
            // A kind of an older version of this service: from the beginning.
            db::mark_for_rebuild(&inner.pool, inner.schema, inner.feed, cursor.partition).await?;
            return Err(Error::Outrun);
        };
        let request = SnapshotRequest {
            partition: i32::from(cursor.partition),
            r#type: kind.to_owned(),
            page_size: PAGE,
            page_token: cursor.rebuild_token.clone().unwrap_or_default(),
            // All pages of all kinds are of one scope.
            scope_version: if reading.is_empty() {
                String::new()
            } else {
                cursor.scope_version.clone()
            },
        };
        let answer = inner.source.snapshot(request).await.map_err(read_again)?;
        cursor = store(inner, cursor, kind, answer).await?;
        pages += 1;
        inner.keep(slot, None).await?;
    }
    tracing::debug!(feed = inner.feed, partition = cursor.partition, pages, "read from snapshots");
    Ok(())
}

/// One page and the way to the next one, in one transaction.
async fn store(
    inner: &Inner,
    cursor: CursorRow,
    kind: &'static str,
    answer: SnapshotResponse,
) -> Result<CursorRow, Error> {
    let SnapshotResponse { records, next_page_token, head, scope_version } = answer;
    let records = records
        .into_iter()
        .map(|record| {
            let payload = record.payload.ok_or(Error::Contract("payload"))?;
            Ok(Record { key: record.key, revision: record.revision, payload })
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let sorted = records.is_sorted_by(|one, other| one.key < other.key);
    if !sorted {
        return Err(Error::Contract("the order of a snapshot"));
    }
    // Who is restricted may be shown nothing on a page that is not the last one; the next page
    // then begins where this one did.
    let nothing = records.is_empty() && !next_page_token.is_empty();
    let last = records.last().map(|record| record.key.clone());
    let last = if nothing { cursor.rebuild_after.clone() } else { last };
    let page = Page {
        partition: cursor.partition,
        kind,
        after: cursor.rebuild_after.clone(),
        until: if next_page_token.is_empty() { None } else { last.clone() },
        records,
    };
    let mut next = cursor.clone();
    if cursor.rebuild_type.as_deref() == Some("") {
        let head = head.ok_or(Error::Contract("head"))?;
        next.scope_version = scope_version;
        next.rebuild_position = Some(head.position);
        next.rebuild_event_id = match head.event_id.as_str() {
            "" => None,
            id => Some(Uuid::try_parse(id).map_err(|_form| Error::Contract("head"))?),
        };
    } else if next.scope_version != scope_version {
        return Err(Error::ScopeChanged { version: Some(scope_version) });
    }
    (next.rebuild_type, next.rebuild_token, next.rebuild_after) = if next_page_token.is_empty() {
        (after(inner.projection.snapshots(), kind), None, None)
    } else {
        (Some(kind.to_owned()), Some(next_page_token), last)
    };
    if next.rebuild_type.is_none() {
        next.position = next.rebuild_position.take().unwrap_or_default();
        next.event_id = next.rebuild_event_id.take();
    }
    let mut transaction = inner.pool.begin().await?;
    cuts::db::hold(&mut transaction, inner.schema).await?;
    // What the page says may be stamped as late as now: no cut before that is exact.
    let now = cuts::db::now(&mut *transaction).await?;
    next.stamped_to = next.stamped_to.max(Some(now + SKEW));
    let locked =
        db::lock_cursors(&mut transaction, inner.schema, inner.feed, &[cursor.partition]).await?;
    if locked.as_slice() != [cursor] {
        return Err(Error::Outrun);
    }
    if !nothing {
        inner.projection.replace(&mut transaction, &page).await.map_err(Error::Apply)?;
    }
    db::set_cursor(&mut transaction, inner.schema, inner.feed, &next).await?;
    transaction.commit().await?;
    inner.projection.committed();
    Ok(next)
}

/// The kind that is read after this one.
fn after(kinds: &[&'static str], kind: &str) -> Option<String> {
    let mut rest = kinds.iter().skip_while(|other| **other != kind);
    rest.next();
    rest.next().map(|next| (*next).to_owned())
}
