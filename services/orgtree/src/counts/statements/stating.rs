//! Stating a number of members, and taking it back.

use std::sync::Arc;

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use tokio::sync::Notify;
use uuid::Uuid;
use zhiyuan_audit::{Actor, Record, Trail};
use zhiyuan_domain::{AccountId, OrganizationCode, SharedClock, new_id};
use zhiyuan_postgres::again;

use super::{Statement, ended};
use crate::authority::refusals::Refusals;
use crate::authority::{self, Permission};
use crate::counts::{Figures, db};
use crate::error::{Error, Result};
use crate::requests::{self, Request};

/// What the audit calls it.
const STATED: &str = "orgtree.members.stated";

/// Keeps what organizations state.
#[derive(Debug, Clone)]
pub(in crate::counts) struct Stating {
    pub(in crate::counts) pool: PgPool,
    pub(in crate::counts) clock: SharedClock,
    pub(in crate::counts) trail: Trail,
    pub(in crate::counts) refusals: Refusals,
    /// Rung when there is something to fold.
    pub(in crate::counts) fold: Arc<Notify>,
}

impl Stating {
    /// States a number of members, or nothing, once for each call.
    pub(super) async fn state(
        &self,
        call: &Request,
        code: &OrganizationCode,
        statement: Option<&Statement>,
    ) -> Result<()> {
        let (permission, now) = (Permission::ManageMembers, self.clock.now());
        let code = code.as_str();
        let stated = async {
            authority::admit(&self.pool, call, code, permission, now).await?;
            again(Error::is_lost, || self.try_state(call, code, statement)).await
        };
        let stated = stated.await;
        if let Some(reason) = stated.as_ref().err().and_then(Error::refusal) {
            let record = Record::refused(Actor::Person(AccountId::from(call.caller)), STATED)
                .within(code)
                .with("reason", reason);
            self.refusals.note(call, reason, &record).await?;
        }
        self.fold.notify_one();
        stated
    }

    async fn try_state(
        &self,
        call: &Request,
        code: &str,
        statement: Option<&Statement>,
    ) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        db::hold_cuts(&mut transaction, self.clock.now()).await?;
        // The organization stays where it is, and what it states as it is.
        db::keep_tree(&mut transaction).await?;
        db::statements::alone(&mut transaction).await?;
        let now = self.clock.now();
        if requests::db::find_answer(&mut transaction, call).await?.is_some() {
            return Ok(());
        }
        let permission = Permission::ManageMembers;
        let held = authority::holding(&mut transaction, call.caller, code, permission, now).await?;
        let right = held.first().ok_or(Error::OrganizationNotFound)?.id;
        let difference = self.change(&mut transaction, call, code, statement, now).await?;
        let record = Record::done(Actor::Person(AccountId::from(call.caller)), STATED)
            .within(code)
            .with("allowed_by", right)
            .with("members", statement.map_or(0, |statement| statement.members));
        let record = match statement {
            Some(statement) => record.because(&statement.source),
            None => record,
        };
        self.trail.append(&mut transaction, &record).await?;
        requests::db::insert(&mut transaction, call, &[], now).await?;
        let differences = [(code.to_owned(), difference)].into();
        db::append_deltas(&mut transaction, &differences).await?;
        Ok(transaction.commit().await?)
    }

    /// Ends what was stated, stores what is, and tells what follows for the figures.
    async fn change(
        &self,
        transaction: &mut PgConnection,
        call: &Request,
        code: &str,
        statement: Option<&Statement>,
        now: OffsetDateTime,
    ) -> Result<Figures> {
        let mut difference = ended(&mut *transaction, code, now).await?;
        let Some(statement) = statement else { return Ok(difference) };
        let own = db::statements::own(&mut *transaction, code).await?;
        authority::giving::require_open(&mut *transaction, code).await?;
        if own.members > 0 {
            return Err(Error::RosterExists);
        }
        let id: Uuid = new_id(self.clock.as_ref());
        db::statements::insert(transaction, id, code, statement, call.caller, now).await?;
        difference.stated_members += statement.members;
        difference.stated_registered += own.league_members;
        Ok(difference)
    }
}
