//! Grants by which somebody does something within this service.

use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Grant, Permission, Verdict, db, decide};
use crate::error::{Error, Result};

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
    allowed(&reaching, permission)?;
    reaching.retain(|grant| grant.role.permissions().contains(&permission));
    Ok(reaching)
}

/// The same, of those alone that stand by themselves: whoever acts for somebody else changes
/// what the tree says of organizations, and not where these are, nor whether they are.
///
/// # Errors
/// As [`holding`]; [`Error::PermissionMissing`] also where all of them are delegated.
pub(crate) async fn holding_own(
    transaction: &mut PgConnection,
    account_id: Uuid,
    code: &str,
    permission: Permission,
    now: OffsetDateTime,
) -> Result<Vec<Grant>> {
    let mut held = holding(transaction, account_id, code, permission, now).await?;
    held.retain(|grant| grant.delegated_from.is_none());
    if held.is_empty() { Err(Error::PermissionMissing(permission)) } else { Ok(held) }
}

/// Whether somebody has a role at one of these: who loses what lies below them.
pub(crate) async fn is_held(
    transaction: &mut PgConnection,
    codes: &[&str],
    now: OffsetDateTime,
) -> Result<bool> {
    db::is_held(transaction, codes, now).await
}

/// Whether an account may do something at an organization now, to read.
///
/// # Errors
/// As [`holding`].
pub(crate) async fn require(
    executor: impl PgExecutor<'_>,
    account_id: Uuid,
    code: &str,
    permission: Permission,
    now: OffsetDateTime,
) -> Result<()> {
    allowed(&db::reaching(executor, account_id, code, now).await?, permission).map(|_grant| ())
}

/// The grant that allows something, of those that reach an organization.
///
/// # Errors
/// As [`holding`].
pub(super) fn allowed(reaching: &[Grant], permission: Permission) -> Result<&Grant> {
    match decide(reaching, permission) {
        Verdict::Allowed(grant) => Ok(grant),
        Verdict::Forbidden => Err(Error::PermissionMissing(permission)),
        Verdict::OutOfScope => Err(Error::OrganizationNotFound),
    }
}
