//! Tells identity what it was not told when it was decided.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use zhiyuan_rpc::chain;

use super::{PHONE_AWAITED, Recoveries, db};
use crate::error::Result;

const BATCH: i64 = 32;

/// Tells identity what it is to be told, every `interval`, until `stop`.
///
/// # Errors
/// Never: what fails is tried again.
pub(crate) async fn tell(
    recoveries: Recoveries,
    interval: Duration,
    stop: CancellationToken,
) -> Result<()> {
    while stop.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
        if let Err(error) = pass(&recoveries).await {
            tracing::warn!(error = chain(&error), "failed to look for recoveries of phones");
        }
    }
    Ok(())
}

async fn pass(recoveries: &Recoveries) -> Result<()> {
    let now = recoveries.clock.now();
    let latest = now + 2 * PHONE_AWAITED;
    let due = db::lease_due(&recoveries.pool, now, recoveries.later(), latest, BATCH).await?;
    for recovery in due {
        if let Err(error) = recoveries.tell(&recovery).await {
            tracing::warn!(
                recovery.id = %recovery.recovery_id,
                step = recovery.step.as_column(),
                error = chain(&error),
                "identity could not be told of a recovery"
            );
        }
    }
    Ok(())
}
