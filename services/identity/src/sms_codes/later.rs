//! Sends codes after the answer: however long whoever delivers them takes, and whether it does,
//! the answer tells nothing of it.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zhiyuan_domain::Mobile;
use zhiyuan_rpc::chain;

use crate::error::Result;
use crate::vendors::SmsVendor;

/// Codes that wait to be sent at most; a minute's budget for everybody is of this order.
pub(crate) const QUEUE: usize = 1_024;
const AT_ONCE: usize = 32;

/// A code on its way. Not for logs.
pub(crate) struct Message {
    pub(crate) phone: Mobile,
    pub(crate) text: String,
    pub(crate) code: String,
}

/// Sends what is queued until `stop`. A code that could not be sent is not sent later: the
/// person asks again after a minute.
pub(crate) async fn send(
    vendor: Arc<SmsVendor>,
    mut queue: mpsc::Receiver<Message>,
    stop: CancellationToken,
) -> Result<()> {
    let mut sending = JoinSet::new();
    while let Some(Some(message)) = stop.run_until_cancelled(queue.recv()).await {
        while sending.try_join_next().is_some() {}
        if sending.len() >= AT_ONCE {
            sending.join_next().await;
        }
        let vendor = Arc::clone(&vendor);
        sending.spawn(async move {
            let Message { phone, text, code } = message;
            if let Err(error) = vendor.send_code(&phone, &text, &code).await {
                tracing::warn!(error = chain(&error), "a code of an activation was not sent");
            }
        });
    }
    while sending.join_next().await.is_some() {}
    // Whoever still asks is answered; the queue outlives them.
    drop(queue);
    Ok(())
}
