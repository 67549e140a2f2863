use sqlx::PgConnection;

use super::{Level, Region};
use crate::error::{Error, Result};

struct Row {
    code: String,
    name: String,
    level: i16,
    parent_code: Option<String>,
    leaf: bool,
}

impl TryFrom<Row> for Region {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let level = Level::of_number(row.level).ok_or(Error::Inconsistent("orgtree.region"))?;
        let Row { code, name, parent_code, leaf, .. } = row;
        Ok(Self { code, name, level, parent_code, leaf })
    }
}

/// The regions directly below `parent`, or the provinces; by code.
#[tracing::instrument(name = "db.region.list", skip_all)]
pub(crate) async fn list(
    connection: &mut PgConnection,
    parent: Option<&str>,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Region>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT code, name, level, parent_code, leaf FROM orgtree.region
         WHERE (parent_code = $1 OR $1::text IS NULL AND parent_code IS NULL)
           AND ($2::text IS NULL OR code > $2)
         ORDER BY code LIMIT $3",
        parent,
        after,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Region::try_from).collect()
}

/// A region.
#[tracing::instrument(name = "db.region.find", skip_all)]
pub(crate) async fn find(connection: &mut PgConnection, code: &str) -> Result<Option<Region>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT code, name, level, parent_code, leaf FROM orgtree.region WHERE code = $1",
        code,
    )
    .fetch_optional(connection)
    .await?;
    row.map(Region::try_from).transpose()
}

/// The codes of all regions.
#[tracing::instrument(name = "db.region.codes", skip_all)]
pub(crate) async fn codes(
    connection: &mut PgConnection,
) -> std::result::Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!("SELECT code FROM orgtree.region").fetch_all(connection).await
}

/// Inserts what is new and updates what differs; returns how many rows that were.
#[tracing::instrument(name = "db.region.upsert", skip_all)]
pub(crate) async fn upsert(
    connection: &mut PgConnection,
    regions: &[Region],
) -> std::result::Result<u64, sqlx::Error> {
    let codes: Vec<&str> = regions.iter().map(|region| region.code.as_str()).collect();
    let names: Vec<&str> = regions.iter().map(|region| region.name.as_str()).collect();
    let levels: Vec<i16> = regions.iter().map(|region| region.level.number()).collect();
    let parents: Vec<Option<&str>> =
        regions.iter().map(|region| region.parent_code.as_deref()).collect();
    let leaves: Vec<bool> = regions.iter().map(|region| region.leaf).collect();
    let result = sqlx::query!(
        "INSERT INTO orgtree.region AS old (code, name, level, parent_code, leaf)
         SELECT * FROM UNNEST($1::text[], $2::text[], $3::smallint[], $4::text[], $5::boolean[])
         ON CONFLICT (code) DO UPDATE
         SET name = excluded.name, level = excluded.level,
             parent_code = excluded.parent_code, leaf = excluded.leaf
         WHERE (old.name, old.level, old.parent_code, old.leaf)
             IS DISTINCT FROM (excluded.name, excluded.level, excluded.parent_code, excluded.leaf)",
        &codes as &[&str],
        &names as &[&str],
        &levels,
        &parents as &[Option<&str>],
        &leaves,
    )
    .execute(connection)
    .await?;
    Ok(result.rows_affected())
}

/// Tells the planner of a table that was just filled; autovacuum comes too late for
/// the first visitors.
#[tracing::instrument(name = "db.region.analyze", skip_all)]
pub(crate) async fn analyze(connection: &mut PgConnection) -> std::result::Result<(), sqlx::Error> {
    sqlx::query!("ANALYZE orgtree.region").execute(connection).await.map(drop)
}
