//! The SQL of targets.

use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Target;
use crate::error::{Error, Result};
use crate::organizations::Kind;

/// Sets the target of a kind below an organization, whatever there was.
#[tracing::instrument(name = "db.target.upsert", skip_all)]
pub(super) async fn upsert(
    transaction: &mut PgConnection,
    (organization_code, kind): (&str, Kind),
    target: Target,
    set_by: Uuid,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO orgtree.target
             (organization_code, kind, per_ten_thousand, deadline, set_by, set_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (organization_code, kind) DO UPDATE
         SET per_ten_thousand = excluded.per_ten_thousand, deadline = excluded.deadline,
             set_by = excluded.set_by, set_at = excluded.set_at",
        organization_code,
        kind.number(),
        target.per_ten_thousand,
        target.deadline,
        set_by,
        now,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Takes the target of a kind below an organization back, if there is one.
#[tracing::instrument(name = "db.target.delete", skip_all)]
pub(super) async fn delete(
    transaction: &mut PgConnection,
    (organization_code, kind): (&str, Kind),
) -> Result<()> {
    sqlx::query!(
        "DELETE FROM orgtree.target WHERE organization_code = $1 AND kind = $2",
        organization_code,
        kind.number(),
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// The target of a kind, and who has set it.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) kind: Kind,
    pub(super) target: Target,
    pub(super) set_by: String,
}

/// The targets that count for those below an organization, by kind: of each that of the topmost.
#[tracing::instrument(name = "db.target.list", skip_all)]
pub(super) async fn list(
    executor: impl PgExecutor<'_>,
    organization_code: &str,
    after: Option<Kind>,
    limit: i64,
) -> Result<Vec<Standing>> {
    let rows = sqlx::query!(
        "SELECT DISTINCT ON (t.kind) t.kind, t.organization_code, t.per_ten_thousand, t.deadline
         FROM orgtree.organization o
         JOIN orgtree.target t ON t.organization_code = ANY(o.ancestors || o.code)
         WHERE o.code = $1 AND t.kind > $2
         ORDER BY t.kind, array_position(o.ancestors || o.code, t.organization_code)
         LIMIT $3",
        organization_code,
        after.map_or(0, Kind::number),
        limit,
    )
    .fetch_all(executor)
    .await?;
    let standing = rows.into_iter().map(|row| {
        let kind = Kind::of_number(row.kind).ok_or(Error::Inconsistent("orgtree.target"))?;
        let target = Target { per_ten_thousand: row.per_ten_thousand, deadline: row.deadline };
        Ok(Standing { kind, target, set_by: row.organization_code })
    });
    standing.collect()
}

/// Makes targets that are data and nobody's act, where there are none.
#[tracing::instrument(name = "db.target.insert_given", skip_all)]
pub(crate) async fn insert_given(
    connection: &mut PgConnection,
    (organization_code, kinds): (&str, &[Kind]),
    target: Target,
    now: OffsetDateTime,
) -> std::result::Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO orgtree.target
             (organization_code, kind, per_ten_thousand, deadline, set_at)
         SELECT o.code, k.kind, $3, $4, $5
         FROM orgtree.organization o CROSS JOIN unnest($2::smallint[]) AS k (kind)
         WHERE o.code = $1
         ON CONFLICT DO NOTHING",
        organization_code,
        &kinds.iter().map(|kind| kind.number()).collect::<Vec<_>>(),
        target.per_ten_thousand,
        target.deadline,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}
