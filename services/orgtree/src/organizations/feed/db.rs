use sqlx::{PgConnection, PgExecutor};

use super::Told;

/// Organizations, in the order of partition and code.
#[tracing::instrument(name = "db.organization.told", skip_all)]
pub(in crate::organizations) async fn told(
    connection: &mut PgConnection,
    codes: &[&str],
) -> Result<Vec<Told>, sqlx::Error> {
    sqlx::query_as!(
        Told,
        "SELECT code, revision, name, kind, parent_code, region_code, state, successor_code,
                contact_phone, contact_group_number, contact_note, credit_code
         FROM orgtree.organization WHERE code = ANY($1) ORDER BY partition, code",
        codes as &[&str],
    )
    .fetch_all(connection)
    .await
}

/// The organizations of a partition, after a code.
#[tracing::instrument(name = "db.organization.told_after", skip_all)]
pub(super) async fn told_after(
    executor: impl PgExecutor<'_>,
    partition: i16,
    after: &str,
    limit: i64,
) -> Result<Vec<Told>, sqlx::Error> {
    sqlx::query_as!(
        Told,
        "SELECT code, revision, name, kind, parent_code, region_code, state, successor_code,
                contact_phone, contact_group_number, contact_note, credit_code
         FROM orgtree.organization WHERE partition = $1 AND code > $2 ORDER BY code LIMIT $3",
        partition,
        after,
        limit,
    )
    .fetch_all(executor)
    .await
}
