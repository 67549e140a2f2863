//! What the applicant does: handing in, handing in again, taking back.

use prost::Message as _;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::{SubmitApplicationResponse, UpdateApplicationResponse};
use zhiyuan_domain::{new_id, next_shanghai_midnight};
use zhiyuan_postgres::again;
use zhiyuan_rpc::wire::timestamp;

use super::form::{Corrected, New};
use super::grpc::Applications;
use super::{Application, BROKEN, Fault, MOST_OPEN, MOST_PER_DAY, State, Step, WAITS, db, records};
use crate::counts;
use crate::error::{Error, Result};
use crate::organizations::changing::{Place, check_place};
use crate::requests::{self, Request};

/// By right of which somebody does something with the own application.
const OWN: &str = "own";

impl Applications {
    /// Hands an application in, once for each call.
    pub(super) async fn submit(
        &self,
        call: &Request,
        new: &New,
    ) -> Result<SubmitApplicationResponse> {
        again(Error::is_lost, async || self.submit_once(call, new).await).await
    }

    async fn submit_once(&self, call: &Request, new: &New) -> Result<SubmitApplicationResponse> {
        let mut transaction = self.0.pool.begin().await?;
        counts::db::keep_tree(&mut transaction).await?;
        db::lock_applicant(&mut transaction, call.caller).await?;
        // Not before: it may have waited.
        let now = self.0.clock.now();
        if let Some(before) = requests::db::find_answer(&mut transaction, call).await? {
            return SubmitApplicationResponse::decode(before.as_slice()).map_err(|_form| BROKEN);
        }
        let superior = new.superior.as_str();
        let place = Place { parent: superior, field: "superior_code", now };
        check_place(&mut transaction, place, &new.wanted.details).await?;
        let midnight = next_shanghai_midnight(now);
        let today = midnight - Duration::days(1);
        let (open, handed_in) = db::count(&mut transaction, call.caller, today, now).await?;
        may_apply(open, handed_in, midnight - now)?;
        let made = Application {
            id: new_id(self.0.clock.as_ref()),
            applicant: call.caller,
            superior_code: superior.to_owned(),
            superior_gone: false,
            kind: new.wanted.kind,
            said: new.wanted.said(),
            purpose: new.wanted.purpose.as_str().to_owned(),
            state: State::Submitted,
            revision: 1,
            submitted_at: now,
            changed_at: now,
            expires_at: now + WAITS,
            note: String::new(),
            decided_by: None,
            made: None,
        };
        db::insert(&mut transaction, &made).await?;
        let answer = SubmitApplicationResponse {
            application_id: made.id.to_string(),
            etag: made.revision.to_string(),
            expire_time: Some(timestamp(made.expires_at)),
        };
        requests::db::insert(&mut transaction, call, &answer.encode_to_vec(), now).await?;
        let record = records::done(call.caller, records::SUBMITTED, &made, OWN);
        self.0.trail.append(&mut transaction, &record).await?;
        transaction.commit().await?;
        tracing::info!(application.id = %made.id, caller.id = %call.caller, "somebody applies");
        Ok(answer)
    }

    /// Hands a returned application in again, once for each call.
    pub(super) async fn resubmit(
        &self,
        call: &Request,
        new: &Corrected,
    ) -> Result<UpdateApplicationResponse> {
        let step = Step::Resubmit;
        let done = again(Error::is_lost, async || self.resubmit_once(call, new).await).await;
        self.noted(call, (new.id, step), done).await
    }

    async fn resubmit_once(
        &self,
        call: &Request,
        new: &Corrected,
    ) -> Result<UpdateApplicationResponse> {
        let mut transaction = self.0.pool.begin().await?;
        counts::db::keep_tree(&mut transaction).await?;
        let found = db::hold(&mut transaction, new.id).await?;
        // Not before: the same call may have had the row.
        let now = self.0.clock.now();
        if let Some(before) = requests::db::find_answer(&mut transaction, call).await? {
            return UpdateApplicationResponse::decode(before.as_slice()).map_err(|_form| BROKEN);
        }
        let mut application = own(found, call.caller)?;
        let seen = application.seen(new.revision);
        application.step(Step::Resubmit, now)?;
        seen?;
        let superior = application.superior_code.as_str();
        let place = Place { parent: superior, field: "application_id", now };
        check_place(&mut transaction, place, &new.wanted.details).await?;
        application.kind = new.wanted.kind;
        application.said = new.wanted.said();
        application.purpose = new.wanted.purpose.as_str().to_owned();
        let answer = UpdateApplicationResponse {
            etag: application.revision.to_string(),
            expire_time: Some(timestamp(application.expires_at)),
        };
        self.finish(call, transaction, (&application, Step::Resubmit), &answer, now).await?;
        Ok(answer)
    }

    /// Takes an application back, once for each call.
    pub(super) async fn withdraw(&self, call: &Request, id: Uuid) -> Result<()> {
        let done = again(Error::is_lost, async || self.withdraw_once(call, id).await).await;
        self.noted(call, (id, Step::Withdraw), done).await
    }

    async fn withdraw_once(&self, call: &Request, id: Uuid) -> Result<()> {
        let mut transaction = self.0.pool.begin().await?;
        counts::db::keep_tree(&mut transaction).await?;
        let found = db::hold(&mut transaction, id).await?;
        let now = self.0.clock.now();
        if requests::db::find_answer(&mut transaction, call).await?.is_some() {
            return Ok(());
        }
        let mut application = own(found, call.caller)?;
        application.step(Step::Withdraw, now)?;
        self.finish(call, transaction, (&application, Step::Withdraw), &(), now).await
    }

    /// Stores a step of the applicant, with its record and its answer.
    async fn finish(
        &self,
        call: &Request,
        mut transaction: sqlx::Transaction<'static, sqlx::Postgres>,
        (application, step): (&Application, Step),
        answer: &impl prost::Message,
        now: OffsetDateTime,
    ) -> Result<()> {
        db::store(&mut transaction, application).await?;
        requests::db::insert(&mut transaction, call, &answer.encode_to_vec(), now).await?;
        let record = records::done(call.caller, step.action(), application, OWN);
        self.0.trail.append(&mut transaction, &record).await?;
        transaction.commit().await?;
        tracing::info!(
            application.id = %application.id,
            caller.id = %call.caller,
            method = call.method,
            "an application goes on"
        );
        Ok(())
    }

    /// Records what was refused to somebody who may not.
    pub(super) async fn noted<T>(
        &self,
        call: &Request,
        (id, step): (Uuid, Step),
        done: Result<T>,
    ) -> Result<T> {
        if let Some(reason) = done.as_ref().err().and_then(Error::refusal) {
            let found = db::find(&self.0.pool, id).await?;
            let record = records::refused(call.caller, step.action(), found.as_ref(), reason);
            self.0.refusals.note(call, reason, &record).await?;
        }
        done
    }
}

/// Whether an account that has so many open ones, and has applied so often today, applies again;
/// the day is over after `left`.
fn may_apply(open: i64, handed_in: i64, left: Duration) -> std::result::Result<(), Fault> {
    if open >= MOST_OPEN {
        return Err(Fault::TooMany);
    }
    if handed_in >= MOST_PER_DAY {
        return Err(Fault::TooManyToday { wait: left.unsigned_abs() });
    }
    Ok(())
}

/// An application of the caller's own; of another one it is not told that there is one.
pub(super) fn own(
    found: Option<Application>,
    caller: Uuid,
) -> std::result::Result<Application, Fault> {
    found.filter(|application| application.applicant == caller).ok_or(Fault::NotFound)
}
