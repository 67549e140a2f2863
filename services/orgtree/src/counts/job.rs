//! Taking differences up the tree, and recounting.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use zhiyuan_domain::SharedClock;
use zhiyuan_rpc::chain;

use super::FEED;
use super::db::{self, Difference};
use crate::error::Result;

/// Differences folded in one transaction.
const BATCH: i64 = 2_000;
/// Differences are kept for so long: a figure as of a cut is the counter less what came
/// after it.
const KEPT: time::Duration = time::Duration::days(35);
/// Rows deleted in one statement.
const PURGE: i64 = 5_000;
/// Changes that come together are folded together.
const GATHER: Duration = Duration::from_millis(20);
/// Differences that are told; whoever has more will want to begin with these.
const TOLD: usize = 20;

/// Folds whenever `woken` is rung, and every `interval`, until `stop`.
///
/// # Errors
/// Never: what fails is tried again.
pub(crate) async fn fold(
    pool: PgPool,
    interval: Duration,
    woken: Arc<Notify>,
    stop: CancellationToken,
) -> Result<()> {
    while !stop.is_cancelled() {
        if let Err(error) = fold_all(&pool).await {
            tracing::warn!(error = chain(&error), "failed to fold the figures");
        }
        tokio::select! {
            () = woken.notified() => tokio::time::sleep(GATHER).await,
            () = tokio::time::sleep(interval) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

/// Folds all there is, and then notes up to when the figures are complete: as far as the
/// feed had been read *before*, whose differences are all among those that were there
/// then.
pub(crate) async fn fold_all(pool: &PgPool) -> Result<()> {
    let as_of = zhiyuan_feed::reader::as_of(pool, "orgtree", &[FEED]).await?;
    let last = db::last_delta(pool).await?;
    loop {
        let mut transaction = pool.begin().await?;
        db::keep_tree(&mut transaction).await?;
        let folded = db::fold(&mut transaction, BATCH).await?;
        transaction.commit().await?;
        if folded < BATCH {
            break;
        }
    }
    match as_of {
        Some(as_of) => db::advance(pool, as_of, last).await,
        None => Ok(()),
    }
}

/// Recounts every `interval` until `stop`, says what differs, and deletes differences
/// that are no longer needed.
///
/// # Errors
/// Never: what fails is tried again.
pub(crate) async fn verify(
    pool: PgPool,
    clock: SharedClock,
    interval: Duration,
    stop: CancellationToken,
) -> Result<()> {
    while stop.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
        match db::verify(&pool).await {
            Ok(differences) => report(&differences),
            Err(error) => tracing::warn!(error = chain(&error), "failed to recount"),
        }
        if let Err(error) = purge(&pool, &clock).await {
            tracing::warn!(error = chain(&error), "failed to delete folded differences");
        }
    }
    Ok(())
}

fn report(differences: &[Difference]) {
    for difference in differences.iter().take(TOLD) {
        tracing::error!(
            organization.code = difference.organization_code,
            figure = difference.figure,
            kept = difference.kept,
            recounted = difference.recounted,
            "a figure is not what a recount finds"
        );
    }
    if differences.len() > TOLD {
        tracing::error!(differences = differences.len(), "more figures are wrong than are told");
    }
}

async fn purge(pool: &PgPool, clock: &SharedClock) -> Result<()> {
    while db::purge(pool, clock.now() - KEPT, PURGE).await? > 0 {}
    Ok(())
}

/// Every difference, a line each.
///
/// # Errors
/// Those of the database.
pub(crate) async fn differences(pool: &PgPool) -> Result<Vec<String>> {
    let line = |difference: Difference| {
        let Difference { organization_code, figure, kept, recounted } = difference;
        format!("{organization_code} {figure}: kept {kept}, recounted {recounted}")
    };
    Ok(db::verify(pool).await?.into_iter().map(line).collect())
}
