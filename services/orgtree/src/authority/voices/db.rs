//! The SQL of who stands behind grants.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;
use uuid::Uuid;

use crate::authority::{Permission, Role};
use crate::error::Result;

/// Who stands behind some grants, by their ids: who gave one or invited to it, and who stands
/// behind the grants by which those could, whether these have ended or not. Those are the ones
/// that were there when it was given; no two clocks are an hour apart. Whoever makes one who has
/// given roles before an administrator once more does not stand behind them. The walk ends where
/// it has been: however many stand between two, they are found.
#[tracing::instrument(name = "db.grant.behind", skip_all)]
pub(super) async fn behind(
    transaction: &mut PgConnection,
    grants: &[Uuid],
) -> Result<HashMap<Uuid, HashSet<Uuid>>> {
    let rows = sqlx::query!(
        r#"WITH RECURSIVE walk (root, grant_id) AS (
               SELECT g, g FROM unnest($1::uuid[]) AS g
               UNION
               SELECT w.root, by.grant_id
               FROM walk w
               JOIN orgtree.authority_grant g ON g.grant_id = w.grant_id
               JOIN orgtree.authority_grant by
                 ON by.account_id IN (g.granted_by, g.invited_by)
                AND by.role = ANY($2::smallint[]) AND by.delegated_from IS NULL
                AND by.created_at <= g.created_at + interval '1 hour')
           SELECT DISTINCT w.root AS "root!", giver.account_id AS "account_id!"
           FROM walk w
           JOIN orgtree.authority_grant g ON g.grant_id = w.grant_id,
                LATERAL (VALUES (g.granted_by), (g.invited_by)) giver (account_id)
           WHERE giver.account_id IS NOT NULL"#,
        grants,
        &Role::with(Permission::Grant),
    )
    .fetch_all(transaction)
    .await?;
    let mut behind: HashMap<Uuid, HashSet<Uuid>> = HashMap::new();
    for row in rows {
        behind.entry(row.root).or_default().insert(row.account_id);
    }
    Ok(behind)
}
