//! Setting a target, and taking it back.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use zhiyuan_audit::{Record, Trail};
use zhiyuan_domain::SharedClock;
use zhiyuan_postgres::again;

use super::grpc::Wanted;
use super::{Target, db};
use crate::authority::giving::require_open;
use crate::authority::records::person;
use crate::authority::refusals::Refusals;
use crate::authority::{self, Permission};
use crate::counts::db::keep_tree;
use crate::error::{Error, Result};
use crate::requests::{self, Request};

/// What the audit calls it.
const SET: &str = "orgtree.target.set";

/// Sets and lists targets.
#[derive(Debug, Clone)]
pub(in crate::counts) struct Targets {
    pub(in crate::counts) pool: PgPool,
    pub(in crate::counts) clock: SharedClock,
    pub(in crate::counts) trail: Trail,
    pub(in crate::counts) refusals: Refusals,
}

impl Targets {
    /// Sets a target, or takes it back, once for each call.
    pub(super) async fn set(&self, call: &Request, wanted: &Wanted) -> Result<()> {
        let set = again(Error::is_lost, async || self.set_once(call, wanted).await).await;
        if let Some(reason) = set.as_ref().err().and_then(Error::refusal) {
            let record = Record::refused(person(call.caller), SET)
                .within(wanted.organization.as_str())
                .with("reason", reason);
            self.refusals.note(call, reason, &record).await?;
        }
        set
    }

    async fn set_once(&self, call: &Request, wanted: &Wanted) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        keep_tree(&mut transaction).await?;
        let now = self.clock.now();
        if requests::db::find_answer(&mut transaction, call).await?.is_some() {
            return Ok(());
        }
        let (code, permission) = (wanted.organization.as_str(), Permission::ManageOrganization);
        let held = authority::holding(&mut transaction, call.caller, code, permission, now).await?;
        let allowed_by = held.first().ok_or(Error::Inconsistent("orgtree.authority_grant"))?.id;
        let record = Record::done(person(call.caller), SET)
            .within(code)
            .with("allowed_by", allowed_by)
            .with("kind", wanted.kind.name());
        let record = change(&mut transaction, call, wanted, record, now).await?;
        self.trail.append(&mut transaction, &record).await?;
        requests::db::insert(&mut transaction, call, &[], now).await?;
        Ok(transaction.commit().await?)
    }
}

async fn change(
    transaction: &mut PgConnection,
    call: &Request,
    wanted: &Wanted,
    record: Record,
    now: OffsetDateTime,
) -> Result<Record> {
    let whose = (wanted.organization.as_str(), wanted.kind);
    let Some(target) = wanted.target else {
        db::delete(transaction, whose).await?;
        return Ok(record.with("registered_per_ten_thousand", 0));
    };
    let Target { per_ten_thousand, deadline } = target;
    require_open(transaction, whose.0).await?;
    db::upsert(transaction, whose, target, call.caller, now).await?;
    let record = record.with("registered_per_ten_thousand", per_ten_thousand);
    Ok(record.with("deadline", deadline))
}
