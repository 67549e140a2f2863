//! Tells identity what it was not told when it was decided, and looks again at what is approved.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use zhiyuan_rpc::chain;

use super::{PHONE_AWAITED, Recoveries, Step, db};
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
        let done = match recovery.step {
            Step::Approved => recoveries.look_again(&recovery).await,
            Step::Starting
            | Step::Started
            | Step::Approving
            | Step::Cancelling
            | Step::Cancelled
            | Step::Refused => recoveries.tell(&recovery).await,
        };
        if let Err(error) = done {
            tracing::warn!(
                recovery.id = %recovery.recovery_id,
                step = recovery.step.as_column(),
                error = chain(&error),
                "a recovery could not be carried on"
            );
        }
    }
    Ok(())
}
