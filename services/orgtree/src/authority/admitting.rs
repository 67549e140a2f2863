//! Who may not waits for nobody, and keeps nobody waiting.

use sqlx::PgPool;
use time::OffsetDateTime;

use super::{Permission, require};
use crate::error::Result;
use crate::requests::{self, Request};

/// Whether a call may come to where it is alone with something: a call that was answered
/// before, or one by somebody who may do this at the organization. Who is alone asks again.
///
/// # Errors
/// As [`require`]; [`crate::error::Error::RequestIdReused`].
pub(crate) async fn admit(
    pool: &PgPool,
    call: &Request,
    code: &str,
    permission: Permission,
    now: OffsetDateTime,
) -> Result<()> {
    let mut connection = pool.acquire().await?;
    if requests::db::find_answer(&mut connection, call).await?.is_some() {
        return Ok(());
    }
    require(&mut *connection, call.caller, code, permission, now).await
}
