use std::time::Duration;

use tokio_util::sync::CancellationToken;
use zhiyuan_rpc::chain;

use super::SigningKeys;
use crate::error::Result;

/// Makes keys in time until `stop`.
pub(crate) async fn rotate(
    keys: SigningKeys,
    every: Duration,
    stop: CancellationToken,
) -> Result<()> {
    while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        if let Err(error) = keys.rotate().await {
            tracing::warn!(error = chain(&error), "signing keys could not be looked after");
        }
    }
    Ok(())
}
