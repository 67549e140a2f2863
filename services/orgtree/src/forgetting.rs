//! Forgetting what nobody asks about any more, and ending what nobody has done anything about.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use zhiyuan_audit::Trail;
use zhiyuan_domain::SharedClock;
use zhiyuan_rpc::chain;

use crate::error::Result;
use crate::{applications, authority, invitations, organizations, requests};

/// How often.
const EVERY: Duration = Duration::from_hours(1);
/// Rows deleted in one statement.
pub(crate) const ROWS: i64 = 1_000;

/// Deletes what is old, and ends what has waited too long, at once and every hour, until `stop`.
///
/// # Errors
/// Never: what fails is tried again, and keeps nothing else from being forgotten.
pub(crate) async fn forget(
    pool: PgPool,
    clock: SharedClock,
    trail: Trail,
    stop: CancellationToken,
) -> Result<()> {
    loop {
        let now = clock.now();
        for (what, forgotten) in [
            ("requests", requests::job::forget(&pool, now).await),
            ("refusals", authority::refusals::job::forget(&pool, now).await),
            ("invitations", invitations::job::forget(&pool, now).await),
            ("parts", organizations::changing::job::forget(&pool, now).await),
            ("applications", applications::job::forget(&pool, &trail, now).await),
        ] {
            if let Err(error) = forgotten {
                tracing::warn!(error = chain(&error), what, "failed to delete what is old");
            }
        }
        if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
            return Ok(());
        }
    }
}
