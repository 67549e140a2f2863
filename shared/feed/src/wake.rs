//! Waking other processes of the service, and being woken by them.
//!
//! Only a matter of speed: what nobody is woken for is found by looking, a second later.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use zhiyuan_rpc::chain;

use crate::writer_db;

/// A process sends one `NOTIFY` in this time at most.
const NOTIFY_EVERY: Duration = Duration::from_millis(50);
const RECONNECT: Duration = Duration::from_secs(5);

/// Sends a `NOTIFY` after `woken` was rung, until `stop`.
pub(crate) async fn tell(
    pool: PgPool,
    schema: &'static str,
    process: Uuid,
    woken: Arc<Notify>,
    stop: CancellationToken,
) {
    let channel = channel(schema);
    while stop.run_until_cancelled(woken.notified()).await.is_some() {
        if let Err(error) = writer_db::notify(&pool, &channel, process).await {
            tracing::debug!(error = chain(&error), "failed to wake the other processes");
        }
        tokio::time::sleep(NOTIFY_EVERY).await;
    }
}

/// Rings `woken` when another process sends a `NOTIFY`, until `stop`. Keeps one
/// connection, which must lead to PostgreSQL itself and not to a pooler that hands it
/// out by transaction.
pub(crate) async fn listen(
    pool: PgPool,
    schema: &'static str,
    process: Uuid,
    woken: Arc<Notify>,
    stop: CancellationToken,
) {
    let own = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(RECONNECT)
        .connect_lazy_with((*pool.connect_options()).clone());
    let me = process.to_string();
    loop {
        let heard = stop.run_until_cancelled(hear(&own, schema, &me, &woken)).await;
        match heard {
            None => break,
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::debug!(error = chain(&error), "failed to listen");
                if stop.run_until_cancelled(tokio::time::sleep(RECONNECT)).await.is_none() {
                    break;
                }
            }
        }
    }
    own.close().await;
}

async fn hear(
    own: &PgPool,
    schema: &'static str,
    me: &str,
    woken: &Notify,
) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(own).await?;
    listener.listen(&channel(schema)).await?;
    // `None`: the connection was lost, and is made again.
    while let Some(told) = listener.try_recv().await? {
        if told.payload() != me {
            woken.notify_one();
        }
    }
    Ok(())
}

fn channel(schema: &str) -> String {
    format!("{schema}_feed")
}
