use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::Result;

/// Takes the next look, if it is due, so that nobody else does until then; after whom it is.
#[tracing::instrument(name = "db.roster_look.take", skip_all)]
pub(crate) async fn take_look(
    executor: impl PgExecutor<'_>,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<Option<Uuid>> {
    Ok(sqlx::query_scalar!(
        "UPDATE registration.roster_look SET next_at = $2 WHERE next_at <= $1 RETURNING up_to",
        now,
        until,
    )
    .fetch_optional(executor)
    .await?)
}

/// Notes up to whom it was looked, and when it goes on; whom another process has passed by then
/// stays passed.
#[tracing::instrument(name = "db.roster_look.looked", skip_all)]
pub(crate) async fn looked(
    executor: impl PgExecutor<'_>,
    up_to: Uuid,
    next: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE registration.roster_look
         SET up_to = greatest(up_to, $1), next_at = $2",
        up_to,
        next,
    )
    .execute(executor)
    .await?;
    Ok(())
}
