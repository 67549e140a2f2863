//! Tells identity what it was not told when it was decided, and looks again at what is accepted,
//! until it is carried out.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use zhiyuan_rpc::chain;

use super::{Claims, LOOK_AGAIN, Step, db};
use crate::error::Result;

const BATCH: i64 = 32;

/// Carries on what is due, every `interval`, until `stop`.
///
/// # Errors
/// Never: what fails is tried again.
pub(crate) async fn carry_on(
    claims: Claims,
    interval: Duration,
    stop: CancellationToken,
) -> Result<()> {
    while stop.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
        if let Err(error) = pass(&claims).await {
            tracing::warn!(error = chain(&error), "failed to look for claims");
        }
    }
    Ok(())
}

async fn pass(claims: &Claims) -> Result<()> {
    let now = claims.clock.now();
    let due = db::lease_due(&claims.pool, now, claims.later(), now + 2 * LOOK_AGAIN, BATCH).await?;
    for id in due {
        let Some(claim) = db::find(&claims.pool, id).await? else { continue };
        let done = match claim.step {
            Step::Accepted => claims.look_again(&claim).await,
            Step::Open | Step::Accepting | Step::Rejecting | Step::Rejected | Step::Over => {
                claims.tell(&claim).await
            }
        };
        if let Err(error) = done {
            tracing::warn!(
                claim.id = %id,
                step = claim.step.as_column(),
                error = chain(&error),
                "a claim could not be carried on"
            );
        }
    }
    Ok(())
}
