//! How far the service has sequenced, shared by all streams of the process.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use zhiyuan_rpc::chain;

use crate::config::FeedConfig;
use crate::writer_db::{self, HeadRow};

/// A watermark and the heads that belong to it, from one read of the database.
#[derive(Debug, Clone)]
pub(crate) struct Heads {
    pub(crate) watermark: OffsetDateTime,
    by_partition: Arc<HashMap<i16, HeadRow>>,
}

impl Heads {
    /// Nothing has been read yet.
    pub(crate) fn none() -> Self {
        Self { watermark: OffsetDateTime::UNIX_EPOCH, by_partition: Arc::default() }
    }

    fn new(watermark: OffsetDateTime, heads: Vec<HeadRow>) -> Self {
        let by_partition = heads.into_iter().map(|head| (head.partition, head)).collect();
        Self { watermark, by_partition: Arc::new(by_partition) }
    }

    /// The last event of a partition, if there is one.
    pub(crate) fn of(&self, partition: i16) -> Option<&HeadRow> {
        self.by_partition.get(&partition)
    }
}

/// Reads the heads whenever it is woken, and each second, until `stop`; then the
/// streams that watch end.
pub(crate) async fn follow(
    pool: PgPool,
    schema: &'static str,
    config: FeedConfig,
    woken: Arc<Notify>,
    heads: watch::Sender<Heads>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        match writer_db::heads(&pool, schema).await {
            Ok((watermark, rows)) => {
                heads.send_replace(Heads::new(watermark, rows));
            }
            Err(error) => tracing::warn!(error = chain(&error), "failed to read the feed's heads"),
        }
        tokio::select! {
            () = woken.notified() => {}
            () = tokio::time::sleep(config.poll()) => {}
            () = stop.cancelled() => {}
        }
    }
}
