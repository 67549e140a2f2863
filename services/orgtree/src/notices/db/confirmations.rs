//! The SQL of confirmations.

use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::Result;

/// An organization that a notice is addressed to, and who has confirmed there, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::notices) struct Confirmed {
    pub(in crate::notices) code: String,
    pub(in crate::notices) name: String,
    pub(in crate::notices) by: Option<(Uuid, OffsetDateTime)>,
}

struct Found {
    code: String,
    name: String,
    confirmed_by: Option<Uuid>,
    confirmed_at: Option<OffsetDateTime>,
}

impl From<Found> for Confirmed {
    fn from(row: Found) -> Self {
        let by = row.confirmed_by.zip(row.confirmed_at);
        Self { code: row.code, name: row.name, by }
    }
}

/// Those that a notice is addressed to.
macro_rules! addressed {
    ($tail:literal, $($value:expr),* $(,)?) => {
        sqlx::query_as!(
            Found,
            "SELECT r.organization_code AS code, r.name,
                    c.confirmed_by AS \"confirmed_by?\", c.confirmed_at AS \"confirmed_at?\"
             FROM orgtree.notice_row r
             LEFT JOIN orgtree.notice_confirmation c
                 ON c.notice_id = r.notice_id AND c.organization_code = r.organization_code
             WHERE r.notice_id = $1 AND r.place > 0 " + $tail,
            $($value),*
        )
    };
}

/// One of them; none if the notice is not addressed to it.
#[tracing::instrument(name = "db.notice_confirmation.find", skip_all)]
pub(in crate::notices) async fn confirmation(
    transaction: &mut PgConnection,
    id: Uuid,
    code: &str,
) -> Result<Option<Confirmed>> {
    let found = addressed!("AND r.organization_code = $2", id, code);
    Ok(found.fetch_optional(transaction).await?.map(Confirmed::from))
}

/// All of them after one, by code.
#[tracing::instrument(name = "db.notice_confirmation.list", skip_all)]
pub(in crate::notices) async fn confirmations(
    executor: impl PgExecutor<'_>,
    id: Uuid,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Confirmed>> {
    let found = addressed!(
        "AND ($2::text IS NULL OR r.organization_code > $2) ORDER BY r.organization_code LIMIT $3",
        id,
        after,
        limit,
    );
    Ok(found.fetch_all(executor).await?.into_iter().map(Confirmed::from).collect())
}

#[tracing::instrument(name = "db.notice_confirmation.insert", skip_all)]
pub(in crate::notices) async fn confirm(
    transaction: &mut PgConnection,
    id: Uuid,
    code: &str,
    by: Uuid,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO orgtree.notice_confirmation
             (notice_id, organization_code, confirmed_by, confirmed_at)
         VALUES ($1, $2, $3, $4)",
        id,
        code,
        by,
        now,
    )
    .execute(transaction)
    .await?;
    Ok(())
}
