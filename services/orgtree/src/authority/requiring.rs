//! What somebody must hold for a change within this service.

use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Grant, Permission, Verdict, db, decide};
use crate::error::{Error, Result};

/// Whether an account may do something at an organization now; the grant that allows it.
///
/// # Errors
/// [`Error::PermissionMissing`] for who administers it in another role,
/// [`Error::OrganizationNotFound`] for everybody else.
pub(crate) async fn require(
    executor: impl PgExecutor<'_>,
    account_id: Uuid,
    code: &str,
    permission: Permission,
    now: OffsetDateTime,
) -> Result<Uuid> {
    allowed(&db::reaching(executor, account_id, code, now).await?, permission)
}

/// The same, and keeps it so until the transaction ends: whoever revokes the grant waits for
/// what is done under it.
///
/// # Errors
/// As [`require`].
pub(crate) async fn hold(
    transaction: &mut PgConnection,
    account_id: Uuid,
    code: &str,
    permission: Permission,
    now: OffsetDateTime,
) -> Result<Uuid> {
    allowed(&db::hold(transaction, account_id, code, now).await?, permission)
}

fn allowed(reaching: &[Grant], permission: Permission) -> Result<Uuid> {
    match decide(reaching, permission) {
        Verdict::Allowed(grant) => Ok(grant.id),
        Verdict::Forbidden => Err(Error::PermissionMissing(permission)),
        Verdict::OutOfScope => Err(Error::OrganizationNotFound),
    }
}
