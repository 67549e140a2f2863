//! Grants by which somebody changes the tree itself.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_audit::{Record, Trail};
use zhiyuan_domain::SharedClock;
use zhiyuan_postgres::again;

use super::refusals::{self, Told};
use super::{Grant, Permission, Verdict, db, decide, records};
use crate::error::{Error, Result};
use crate::requests::Request;

/// The grants by which somebody may do something at an organization, the nearest first, never
/// none; they are kept as they are until the transaction ends.
///
/// # Errors
/// [`Error::OrganizationNotFound`] where no grant reaches, [`Error::PermissionMissing`] where
/// one does without the permission.
pub(crate) async fn holding(
    transaction: &mut PgConnection,
    account_id: Uuid,
    code: &str,
    permission: Permission,
    now: OffsetDateTime,
) -> Result<Vec<Grant>> {
    let mut reaching = db::hold(transaction, account_id, code, now).await?;
    match decide(&reaching, permission) {
        Verdict::Forbidden => return Err(Error::PermissionMissing(permission)),
        Verdict::OutOfScope => return Err(Error::OrganizationNotFound),
        Verdict::Allowed(_) => {}
    }
    reaching.retain(|grant| grant.role.permissions().contains(&permission));
    Ok(reaching)
}

/// Whether somebody has a role at one of these: who loses what lies below them.
pub(crate) async fn is_held(
    transaction: &mut PgConnection,
    codes: &[&str],
    now: OffsetDateTime,
) -> Result<bool> {
    db::is_held(transaction, codes, now).await
}

/// Records that a change was refused to somebody who may not make it. What can't be recorded is
/// not told as a refusal either: who tries hears that nothing works.
pub(crate) async fn note_refusal(
    pool: &PgPool,
    clock: &SharedClock,
    trail: &Trail,
    (call, reason): (&Request, &'static str),
    record: &Record,
) -> Result<()> {
    tracing::warn!(
        caller.id = %call.caller,
        method = call.method,
        why = reason,
        "a change was refused"
    );
    again(Error::is_lost, async || {
        let mut transaction = pool.begin().await?;
        let count = refusals::db::count(&mut transaction, call.caller, clock.now()).await?;
        match refusals::told(count) {
            Told::Whole => trail.append(&mut transaction, record).await?,
            Told::Number => {
                let record = records::went_on(records::person(call.caller), count);
                trail.append(&mut transaction, &record).await?;
            }
            Told::Counted => {}
        }
        Ok(transaction.commit().await?)
    })
    .await
}
