//! Grants of accounts that are closed.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_audit::{Actor, Trail};

use super::records::{self, Right};
use super::{Grant, Role, db};
use crate::error::Result;
use crate::run::NAME;

/// Ends what grants there are of accounts that were closed, and remembers that they were: the
/// last administrator of the root as well, whose grant is worth nothing without a session.
pub(crate) async fn end_of(
    transaction: &mut PgConnection,
    accounts: &[Uuid],
    trail: &Trail,
    now: OffsetDateTime,
) -> Result<()> {
    if accounts.is_empty() {
        return Ok(());
    }
    // Who is given a role just now has it before, or is known to be closed.
    db::lock(transaction).await?;
    db::close(transaction, accounts, now).await?;
    let ended: Vec<Grant> = db::end_all(transaction, accounts, now).await?;
    for grant in &ended {
        let record = records::revoked(Actor::Service(NAME.to_owned()), grant, Right::Closed);
        trail.append(transaction, &record).await?;
        tracing::info!(grant.id = %grant.id, "a grant ends with its account");
        let code = grant.organization_code.as_str();
        let administered = grant.role != Role::Administrator
            || !db::at(transaction, code, Role::Administrator, now).await?.is_empty();
        if !administered && db::is_root(transaction, code).await? {
            tracing::warn!(
                organization.code = code,
                "the root has no administrator any more: the operator is to make one"
            );
        }
    }
    Ok(())
}
