use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::Result;

/// What is told of an account.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) account_id: Uuid,
    pub(crate) revision: i64,
    pub(crate) level: i16,
    pub(crate) closed: bool,
}

/// The accounts of a partition that are told of, after one of them.
#[tracing::instrument(name = "db.feed.accounts", skip_all)]
pub(crate) async fn accounts(
    conn: &mut PgConnection,
    partition: i16,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Account>> {
    Ok(sqlx::query_as!(
        Account,
        r#"SELECT account_id, revision, level, state = 'CLOSED' AS "closed!"
           FROM identity.account
           WHERE partition = $1 AND account_id > $2 AND state IN ('ACTIVE', 'CLOSED')
           ORDER BY account_id LIMIT $3"#,
        partition,
        after,
        limit,
    )
    .fetch_all(conn)
    .await?)
}
