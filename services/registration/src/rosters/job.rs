//! The task that looks at files, imports their rows, and has identity forget who is on no
//! roster any more.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use zhiyuan_domain::new_id;
use zhiyuan_rpc::chain;

use super::people::AT_ONCE;
use super::{Import, Rosters, db};
use crate::error::Result;

/// Whoever works on an import has it for so long, and longer with each step; after a crash
/// another one takes it then.
pub(super) const LEASE: time::Duration = time::Duration::seconds(60);
/// Nothing is planned for later than this.
const LATEST: time::Duration = time::Duration::minutes(10);
/// How often at most what failed is tried again, in seconds.
const LONGEST_PAUSE: i64 = 60;

/// Carries on what is due, every `interval` and whenever the bell is rung, until `stop`.
///
/// # Errors
/// Never: what fails is tried again.
pub(crate) async fn run(
    rosters: Rosters,
    interval: Duration,
    stop: CancellationToken,
) -> Result<()> {
    let span = tracing::info_span!("job.rosters", service = "registration");
    let turn = async || {
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = rosters.due.notified() => {}
        }
    };
    while stop.run_until_cancelled(turn()).await.is_some() {
        if let Err(error) = rosters.carry_on_due(&stop).instrument(span.clone()).await {
            tracing::warn!(error = chain(&error), "failed to look for imports of rosters");
        }
        if let Err(error) = rosters.look_for_strays().instrument(span.clone()).await {
            tracing::warn!(error = chain(&error), "failed to look for people on no roster");
        }
        if let Err(error) = rosters.forget_due().instrument(span.clone()).await {
            tracing::warn!(error = chain(&error), "failed to have identity forget people");
        }
    }
    Ok(())
}

impl Rosters {
    async fn carry_on_due(&self, stop: &CancellationToken) -> Result<()> {
        while !stop.is_cancelled() {
            let now = self.clock.now();
            let lease = new_id(self.clock.as_ref());
            let times = (now, now + LEASE, now + LATEST);
            let Some(import) = db::due(&self.pool, times, lease).await? else { break };
            if let Err(error) = self.carry_on(&import, stop).await {
                let (id, attempts) = (import.id, import.attempts);
                let error_chain = chain(&error);
                if error.is_transient() {
                    tracing::warn!(import.id = %id, attempts, error = error_chain, "an import has to wait");
                } else {
                    tracing::error!(import.id = %id, attempts, error = error_chain, "an import does not go on");
                }
                db::postpone(&self.pool, &import, self.clock.now() + pause(&import)).await?;
            }
        }
        Ok(())
    }

    /// Has identity forget people; those who have registered it keeps.
    async fn forget_due(&self) -> Result<()> {
        let most = i64::try_from(AT_ONCE).unwrap_or(i64::MAX);
        loop {
            let now = self.clock.now();
            let ids = db::ask_to_forget(&self.pool, now, now + LEASE, most).await?;
            if ids.is_empty() {
                return Ok(());
            }
            if let Err(error) = self.people.forget(&ids).await {
                let next = now + time::Duration::seconds(1);
                db::put_off_forgetting(&self.pool, &ids, next).await?;
                return Err(error);
            }
            db::forgotten(&self.pool, &ids).await?;
        }
    }
}

/// How long to wait after so many attempts in vain.
fn pause(import: &Import) -> time::Duration {
    // More doublings are far beyond the longest.
    let doubled = 1_i64 << import.attempts.clamp(0, 32);
    time::Duration::seconds(doubled.min(LONGEST_PAUSE))
}
