//! The recovery task: finishes or undoes what no client carries on.

use std::time::Duration;

use time::OffsetDateTime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use zhiyuan_domain::{AccountId, EnrolmentId, VolunteerId};
use zhiyuan_rpc::chain;

use super::saga::Registrar;
use super::{Refusal, Saga, Step, db, schedule};
use crate::claims;
use crate::error::{Error, Result};
use crate::look_ups;
use crate::phone_recoveries;
use crate::requests;
use crate::rosters;
use crate::volunteers::{self, State};

const GATHER: Duration = Duration::from_millis(20);
/// Registrations worked on at once.
const BATCH: i64 = 16;
/// Rows deleted in one statement.
const PURGE: i64 = 1000;
/// Imports of rosters deleted in one statement, each with its rows.
const IMPORTS: i64 = 8;
/// After the database has not answered.
const LOOK_AGAIN: time::Duration = time::Duration::seconds(1);
/// Ends before the lease does.
const LONGEST_WORK: Duration = Duration::from_secs(15);

/// Carries on what is due, every `interval`, whenever the registrar's bell is rung, and
/// when what failed is to be tried again, until `stop`.
///
/// # Errors
/// Never: what fails is tried again.
pub(crate) async fn recover(
    registrar: Registrar,
    interval: Duration,
    stop: CancellationToken,
) -> Result<()> {
    let span = tracing::info_span!("job.registering.recover", service = "registration");
    let mut retry_at = None;
    let turn = async |pause: Duration| {
        tokio::select! {
            going_on = wait(pause, &stop) => going_on,
            // What becomes due together is looked at together.
            () = registrar.due.notified() => wait(GATHER, &stop).await,
        }
    };
    while turn(pause_until(retry_at, registrar.clock.now()).min(interval)).await {
        let now = registrar.clock.now();
        let waiting = retry_at.filter(|at| *at > now);
        retry_at = match recover_due(&registrar, &stop).instrument(span.clone()).await {
            Ok(failed) => failed.into_iter().chain(waiting).min(),
            Err(error) => {
                tracing::warn!(error = chain(&error), "failed to look for due registrations");
                Some(now + LOOK_AGAIN)
            }
        };
    }
    Ok(())
}

/// How long from now until then; for ever without a time.
fn pause_until(retry_at: Option<OffsetDateTime>, now: OffsetDateTime) -> Duration {
    retry_at.map_or(Duration::MAX, |at| (at - now).try_into().unwrap_or(Duration::ZERO))
}

/// Lets identity let go of accounts that no registration knows, and deletes finished
/// registrations, every `interval` until `stop`.
///
/// # Errors
/// Never: what fails is tried again.
pub(crate) async fn sweep(
    registrar: Registrar,
    interval: Duration,
    stop: CancellationToken,
) -> Result<()> {
    let span = tracing::info_span!("job.registering.sweep", service = "registration");
    while wait(interval, &stop).await {
        if let Err(error) = sweep_orphans(&registrar, &stop).instrument(span.clone()).await {
            tracing::warn!(error = chain(&error), "failed to sweep orphaned enrolments");
        }
        if let Err(error) = purge(&registrar).instrument(span.clone()).await {
            tracing::warn!(error = chain(&error), "failed to purge finished registrations");
        }
    }
    Ok(())
}

/// Waits for the next turn; `false` when there is none.
async fn wait(interval: Duration, stop: &CancellationToken) -> bool {
    stop.run_until_cancelled(tokio::time::sleep(interval)).await.is_some()
}

/// Carries on what is due; tells when the first of those that failed is tried again.
async fn recover_due(
    registrar: &Registrar,
    stop: &CancellationToken,
) -> Result<Option<OffsetDateTime>> {
    let mut retry_at: Option<OffsetDateTime> = None;
    let now = registrar.clock.now();
    let recalled = db::recall(&registrar.pool, now + schedule::LATEST, now).await?;
    if recalled > 0 {
        tracing::warn!(recalled, "registrations were planned by a clock that was ahead");
    }
    while !stop.is_cancelled() {
        let now = registrar.clock.now();
        let due = db::lease_due(&registrar.pool, now, schedule::LEASE, BATCH).await?;
        let full = due.len() >= usize::try_from(BATCH).unwrap_or(usize::MAX);
        let mut work = JoinSet::new();
        for saga in due {
            work.spawn(recover_one(registrar.clone(), saga).in_current_span());
        }
        while let Some(ended) = work.join_next().await {
            match ended {
                Ok(again) => retry_at = retry_at.into_iter().chain(again).min(),
                Err(_panicked) => tracing::error!("work on a registration panicked"),
            }
        }
        if !full {
            break;
        }
    }
    Ok(retry_at)
}

/// One registration, as far as it goes now; tells when it is tried again if it failed.
async fn recover_one(registrar: Registrar, saga: Saga) -> Option<OffsetDateTime> {
    let (request_id, last_call_at) = (saga.request_id, saga.last_call_at);
    let (enrolment_id, attempts) = (saga.enrolment_id, saga.attempts);
    let mut step = saga.step;
    let work = registrar.advance(saga, None);
    let went = match zhiyuan_rpc::deadline::run(LONGEST_WORK, work).await {
        Ok(went) => went,
        Err(late) => Err(Error::from(late)),
    };
    match went {
        // Final, or the change itself said when to look again.
        Ok(saga) if saga.step.is_final() || saga.step.waits() => return None,
        Ok(saga) => step = saga.step,
        Err(error) if error.is_transient() => tracing::warn!(
            enrolment.id = %enrolment_id,
            step = step.as_column(),
            attempts,
            error = chain(&error),
            "registration has to wait"
        ),
        Err(error) => tracing::error!(
            enrolment.id = %enrolment_id,
            step = step.as_column(),
            attempts,
            error = chain(&error),
            "registration does not go on"
        ),
    }
    let next = schedule::after_attempt(step, attempts, last_call_at, registrar.clock.now());
    // A registration that got further meanwhile has a lease, which is as good.
    if let Err(error) = db::postpone(&registrar.pool, request_id, step, next).await {
        tracing::warn!(error = chain(&error), "failed to postpone a registration");
    }
    Some(next)
}

/// Claimed accounts that are not active hold an ID number for nobody once their
/// registration is gone: it was refused, or this service was restored to an older
/// state.
async fn sweep_orphans(registrar: &Registrar, stop: &CancellationToken) -> Result<()> {
    let before = registrar.clock.now() - schedule::ORPHANED_AFTER;
    let mut token = String::new();
    loop {
        let (claims, next) = registrar.enrolments.list_claimed(before, token).await?;
        for (id, account) in claims {
            if stop.is_cancelled() {
                return Ok(());
            }
            if let Err(error) = settle(registrar, id, account).await {
                tracing::warn!(enrolment.id = %id, error = chain(&error), "failed to settle a claim");
            }
        }
        if next.is_empty() {
            return Ok(());
        }
        token = next;
    }
}

async fn settle(registrar: &Registrar, id: EnrolmentId, account: AccountId) -> Result<()> {
    let active = match db::find_step_of_enrolment(&registrar.pool, id).await? {
        Some(Step::Done) => true,
        // The registration of a volunteer is forgotten one day, and who was refused
        // here may have been adopted by another one. The account tells.
        None | Some(Step::Refused) => {
            let volunteer = VolunteerId::from(account.as_uuid());
            let found = volunteers::db::find(&registrar.pool, volunteer).await?;
            match found.map(|found| (found.state, found.closed)) {
                // Closed for good, whatever state identity was restored to.
                Some((State::Active, closed)) => !closed,
                None | Some((State::Void, _)) => false,
                // Another registration is about to show the volunteer.
                Some((State::Inactive, _)) => return Ok(()),
            }
        }
        Some(
            Step::Started
            | Step::Pending
            | Step::Review
            | Step::Claimed
            | Step::Registered
            | Step::Undoing,
        ) => return Ok(()),
    };
    if active {
        // identity was restored to a state before the activation.
        registrar.enrolments.activate(id).await?;
        tracing::warn!(enrolment.id = %id, "account of a volunteer activated again");
    } else {
        registrar.enrolments.discard(id).await?;
        tracing::warn!(enrolment.id = %id, "orphaned enrolment discarded");
    }
    Ok(())
}

async fn purge(registrar: &Registrar) -> Result<()> {
    let now = registrar.clock.now();
    let junk: Vec<String> = Refusal::all(None)
        .iter()
        .filter(|refusal| refusal.precedes_the_code())
        .map(|refusal| refusal.as_column().to_owned())
        .collect();
    let (pool, full) = (&registrar.pool, PURGE.unsigned_abs());
    while db::delete_refused(pool, &junk, now - schedule::JUNK_KEPT, PURGE).await? >= full {}
    while db::delete_finished(pool, now - schedule::KEPT, PURGE).await? >= full {}
    let before = now - phone_recoveries::KEPT;
    while phone_recoveries::db::delete_old(pool, before, PURGE).await? >= full {}
    while claims::db::delete_old(pool, now - claims::KEPT, PURGE).await? >= full {}
    while requests::db::delete_old(pool, now - requests::KEPT, PURGE).await? >= full {}
    let uploads = rosters::db::expire_uploads(pool, now - rosters::FILE_KEPT, now).await?;
    if uploads > 0 {
        tracing::info!(uploads, "files of rosters were not uploaded to their end");
    }
    while rosters::db::delete_old(pool, now - rosters::KEPT, IMPORTS).await? > 0 {}
    let before = zhiyuan_domain::shanghai_date(now - look_ups::KEPT);
    while look_ups::db::delete_old(pool, before, PURGE).await? >= full {}
    Ok(())
}
