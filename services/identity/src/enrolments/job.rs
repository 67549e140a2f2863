//! Background work: pending checks are tried again, overdue ones end, and what
//! nobody needs any more is deleted.

use std::time::Duration as StdDuration;

use time::Duration;
use tokio_util::sync::CancellationToken;

use zhiyuan_rpc::chain;

use super::{Enrolments, LEASE, LONGEST_WAIT, Refusal, db};
use crate::clock::AgreedClock;
use crate::error::Result;
use crate::{activations, challenges, claims, delays, devices, recoveries, sms_codes};

const BATCH: i64 = 32;
const PURGE_EVERY: StdDuration = StdDuration::from_secs(600);
/// Longer than a verdict is awaited: a claim marks its code as used.
const SMS_KEPT: Duration = Duration::days(8);
const ENDED_KEPT: Duration = Duration::days(30);
/// Refused before the code was right, or never gone on with: anybody can make such rows.
const IDLE_KEPT: Duration = Duration::days(1);

/// Tries pending checks again until `stop`.
pub(crate) async fn checks(
    enrolments: Enrolments,
    every: StdDuration,
    stop: CancellationToken,
) -> Result<()> {
    while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        if let Err(error) = pass(&enrolments).await {
            tracing::warn!(error = chain(&error), "pending checks could not be tried");
        }
    }
    Ok(())
}

async fn pass(enrolments: &Enrolments) -> Result<()> {
    let now = enrolments.clock.now();
    let mut conn = enrolments.pool.acquire().await?;
    let due = db::due(&mut conn, now, BATCH).await?;
    let overdue = db::overdue_reviews(&mut conn, now, BATCH).await?;
    drop(conn);
    for (id, claim) in overdue {
        let refusal = if claim { Refusal::ClaimExpired } else { Refusal::IdCheckExpired };
        if let Err(error) = enrolments.refuse(id, refusal).await {
            tracing::warn!(enrolment.id = %id, error = chain(&error), "a review could not end");
        }
    }
    for id in due {
        let now = enrolments.clock.now();
        let mut conn = enrolments.pool.acquire().await?;
        let leased = db::lease(&mut conn, id, now + LEASE, now).await?;
        drop(conn);
        if leased && let Err(error) = enrolments.check(id).await {
            tracing::warn!(enrolment.id = %id, error = chain(&error), "a pending check failed");
            // What passes by itself is tried again as soon as the lease is over.
            if error.is_transient() {
                continue;
            }
            let next = now + LONGEST_WAIT;
            db::postpone(&mut *enrolments.pool.acquire().await?, id, next, now).await?;
        }
    }
    Ok(())
}

/// Deletes what nobody needs any more, until `stop`.
pub(crate) async fn purge(
    enrolments: Enrolments,
    clock: AgreedClock,
    stop: CancellationToken,
) -> Result<()> {
    while stop.run_until_cancelled(tokio::time::sleep(PURGE_EVERY)).await.is_some() {
        if let Err(error) = purge_once(&enrolments, &clock).await {
            tracing::warn!(error = chain(&error), "purge failed");
        }
    }
    Ok(())
}

async fn purge_once(enrolments: &Enrolments, clock: &AgreedClock) -> Result<()> {
    let mut conn = enrolments.pool.acquire().await?;
    let now = clock.now(&mut conn).await?;
    sms_codes::db::purge(&mut conn, now - SMS_KEPT).await?;
    activations::db::purge(&mut conn, now - SMS_KEPT).await?;
    delays::db::purge(&mut conn, now).await?;
    devices::db::purge(&mut conn, now).await?;
    challenges::db::purge(&mut conn, now).await?;
    claims::db::purge(&mut conn, now).await?;
    recoveries::db::expire(&mut conn, now).await?;
    recoveries::db::purge(&mut conn, now - recoveries::KEPT).await?;
    let yesterday = enrolments.today().previous_day().unwrap_or(time::Date::MIN);
    db::purge(&mut conn, now - ENDED_KEPT, now - IDLE_KEPT, yesterday, now).await?;
    crate::notices::db::purge(&mut conn, now - ENDED_KEPT).await
}
