//! Recording what was refused.

use sqlx::PgPool;
use uuid::Uuid;
use zhiyuan_audit::{Record, Trail};
use zhiyuan_domain::SharedClock;
use zhiyuan_postgres::again;

use super::{Told, db, told};
use crate::authority::records;
use crate::error::{Error, Result};
use crate::requests::Request;

/// Records what was refused to people.
#[derive(Debug, Clone)]
pub(crate) struct Refusals {
    pool: PgPool,
    clock: SharedClock,
    trail: Trail,
}

impl Refusals {
    pub(crate) fn new(pool: PgPool, clock: SharedClock, trail: Trail) -> Self {
        Self { pool, clock, trail }
    }

    /// Records that a change was refused to somebody who may not make it. What can't be
    /// recorded is not told as a refusal either: who tries hears that nothing works.
    pub(crate) async fn note(
        &self,
        call: &Request,
        reason: &'static str,
        record: &Record,
    ) -> Result<()> {
        self.note_of(call.caller, call.method, reason, record).await
    }

    /// The same of a call that has no id.
    pub(crate) async fn note_of(
        &self,
        caller: Uuid,
        method: &'static str,
        reason: &'static str,
        record: &Record,
    ) -> Result<()> {
        tracing::warn!(caller.id = %caller, method, why = reason, "a call was refused");
        again(Error::is_lost, async || {
            let mut transaction = self.pool.begin().await?;
            let now = self.clock.now();
            let count = db::count(&mut transaction, caller, now).await?;
            match told(count) {
                Told::Whole => self.trail.append(&mut transaction, record).await?,
                Told::Number => {
                    let record = records::went_on(records::person(caller), count);
                    self.trail.append(&mut transaction, &record).await?;
                }
                Told::Counted => {}
            }
            Ok(transaction.commit().await?)
        })
        .await
    }
}
