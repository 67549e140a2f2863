//! Ending applications that nobody does anything about any more, and forgetting those that are
//! over.

use sqlx::{PgConnection, PgPool};
use time::{Duration, OffsetDateTime};
use zhiyuan_audit::Trail;

use super::records::SUPERIOR_CLOSED;
use super::{Application, State, Step, db, records};
use crate::counts;
use crate::error::Result;
use crate::forgetting::ROWS;

/// Applications are kept for so long after their end. The organization, the grant and the audit
/// stay.
const KEPT: Duration = Duration::days(180);
/// Applications that are ended in one transaction.
const AT_ONCE: i64 = 100;

/// Ends what is over, and deletes what has been so for long.
///
/// # Errors
/// Those of the database.
pub(crate) async fn forget(pool: &PgPool, trail: &Trail, now: OffsetDateTime) -> Result<()> {
    while end_some(pool, trail, now).await? > 0 {}
    while db::purge(pool, now - KEPT, ROWS).await? > 0 {}
    Ok(())
}

/// Ends some of what is over, each with its record; tells how many.
async fn end_some(pool: &PgPool, trail: &Trail, now: OffsetDateTime) -> Result<usize> {
    let mut transaction = pool.begin().await?;
    counts::db::keep_tree(&mut transaction).await?;
    // A replica of before has merged without them.
    db::follow(&mut transaction, None).await?;
    let over = db::over(&mut transaction, now, AT_ONCE).await?;
    for application in &over {
        let (step, why) = end_of(application, now);
        let mut application = application.clone();
        application.step(step, now)?;
        db::store(&mut transaction, &application).await?;
        trail.append(&mut transaction, &records::ended(step, &application, why)).await?;
        tracing::info!(application.id = %application.id, why, "an application ends by itself");
    }
    transaction.commit().await?;
    Ok(over.len())
}

/// Ends the applications that wait for a superior that is closed now and that nobody follows, or
/// for any such, each with its record; for who is alone with the tree. Whatever becomes of the
/// superior later, they have ended.
///
/// # Errors
/// Those of the database.
pub(crate) async fn lapse(
    transaction: &mut PgConnection,
    trail: &Trail,
    superior: Option<&str>,
    now: OffsetDateTime,
) -> std::result::Result<(), sqlx::Error> {
    for ended in db::lapse(transaction, superior, now).await? {
        trail.append(transaction, &records::lapsed(&ended)).await?;
        tracing::info!(application.id = %ended.id, "an application ends with its superior");
    }
    Ok(())
}

/// How an application ends that nobody ends.
fn end_of(application: &Application, now: OffsetDateTime) -> (Step, &'static str) {
    match application.standing(now) {
        State::Expired => (Step::Expire, "time"),
        State::Lapsed => (Step::Lapse, SUPERIOR_CLOSED),
        // None of both: there is no applicant any more.
        _ => (Step::Withdraw, "account_closed"),
    }
}
