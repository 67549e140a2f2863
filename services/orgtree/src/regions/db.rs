use sqlx::PgConnection;
use time::Date;

use super::{Level, Region};
use crate::error::{Error, Result};

struct Row {
    code: String,
    name: String,
    level: i16,
    parent_code: Option<String>,
    leaf: bool,
    abolished_on: Option<Date>,
    successors: Vec<String>,
}

impl TryFrom<Row> for Region {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let level = Level::of_number(row.level).ok_or(Error::Inconsistent("orgtree.region"))?;
        let Row { code, name, parent_code, leaf, abolished_on, successors, .. } = row;
        Ok(Self { code, name, level, parent_code, leaf, abolished_on, successors })
    }
}

/// The regions of today directly below `parent`, or the provinces; by code.
#[tracing::instrument(name = "db.region.list", skip_all)]
pub(crate) async fn list(
    connection: &mut PgConnection,
    parent: Option<&str>,
    after: Option<&str>,
    today: Date,
    limit: i64,
) -> Result<Vec<Region>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT r.code, r.name, r.level, r.parent_code, r.abolished_on, r.successors,
                  NOT EXISTS (SELECT FROM orgtree.region below
                              WHERE below.parent_code = r.code
                                AND (below.abolished_on IS NULL OR below.abolished_on > $3))
                  AS "leaf!"
           FROM orgtree.region r
           WHERE (r.parent_code = $1 OR $1::text IS NULL AND r.parent_code IS NULL)
             AND ($2::text IS NULL OR r.code > $2)
             AND (r.abolished_on IS NULL OR r.abolished_on > $3)
           ORDER BY r.code LIMIT $4"#,
        parent,
        after,
        today,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Region::try_from).collect()
}

/// A region as it is today, one that was abolished too.
#[tracing::instrument(name = "db.region.find", skip_all)]
pub(crate) async fn find(
    connection: &mut PgConnection,
    code: &str,
    today: Date,
) -> Result<Option<Region>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT r.code, r.name, r.level, r.parent_code, r.abolished_on, r.successors,
                  NOT EXISTS (SELECT FROM orgtree.region below
                              WHERE below.parent_code = r.code
                                AND (below.abolished_on IS NULL OR below.abolished_on > $2))
                  AS "leaf!"
           FROM orgtree.region r WHERE r.code = $1"#,
        code,
        today,
    )
    .fetch_optional(connection)
    .await?;
    row.map(Region::try_from).transpose()
}

/// Codes and names of what is there today instead of a region, by code: successors whose day has
/// come are followed by their own.
#[tracing::instrument(name = "db.region.successors", skip_all)]
pub(crate) async fn successors(
    connection: &mut PgConnection,
    code: &str,
    today: Date,
) -> Result<Vec<(String, String)>> {
    let rows = sqlx::query!(
        r#"WITH RECURSIVE followed (code, name, abolished_on, successors) AS (
               SELECT s.code, s.name, s.abolished_on, s.successors
               FROM orgtree.region r JOIN orgtree.region s ON s.code = ANY (r.successors)
               WHERE r.code = $1
               UNION
               SELECT s.code, s.name, s.abolished_on, s.successors
               FROM followed f JOIN orgtree.region s ON s.code = ANY (f.successors)
               WHERE f.abolished_on <= $2)
           SELECT code AS "code!", name AS "name!" FROM followed
           WHERE abolished_on IS NULL OR abolished_on > $2 ORDER BY code"#,
        code,
        today,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.code, row.name)).collect())
}

/// The codes of all regions, those that were abolished too.
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
    let abolished: Vec<Option<Date>> = regions.iter().map(|region| region.abolished_on).collect();
    // Arrays of arrays are of one length each: joined here, taken apart there.
    let successors: Vec<String> =
        regions.iter().map(|region| region.successors.join(" ")).collect();
    let result = sqlx::query!(
        "INSERT INTO orgtree.region AS old
             (code, name, level, parent_code, leaf, abolished_on, successors)
         SELECT code, name, level, parent_code, leaf, abolished_on,
                string_to_array(successors, ' ')
         FROM UNNEST($1::text[], $2::text[], $3::smallint[], $4::text[], $5::boolean[],
                     $6::date[], $7::text[])
              AS new (code, name, level, parent_code, leaf, abolished_on, successors)
         ON CONFLICT (code) DO UPDATE
         SET name = excluded.name, level = excluded.level,
             parent_code = excluded.parent_code, leaf = excluded.leaf,
             abolished_on = excluded.abolished_on, successors = excluded.successors
         WHERE (old.name, old.level, old.parent_code, old.leaf, old.abolished_on, old.successors)
             IS DISTINCT FROM (excluded.name, excluded.level, excluded.parent_code, excluded.leaf,
                               excluded.abolished_on, excluded.successors)",
        &codes as &[&str],
        &names as &[&str],
        &levels,
        &parents as &[Option<&str>],
        &leaves,
        &abolished as &[Option<Date>],
        &successors,
    )
    .execute(connection)
    .await?;
    Ok(result.rows_affected())
}

/// Regions that are known, that a file does not have, and that nobody has abolished; by code.
#[tracing::instrument(name = "db.region.missing", skip_all)]
pub(crate) async fn missing(
    connection: &mut PgConnection,
    regions: &[Region],
) -> std::result::Result<Vec<String>, sqlx::Error> {
    let codes: Vec<String> = regions.iter().map(|region| region.code.clone()).collect();
    sqlx::query_scalar!(
        "SELECT code FROM orgtree.region
         WHERE abolished_on IS NULL AND NOT code = ANY ($1) ORDER BY code",
        &codes,
    )
    .fetch_all(connection)
    .await
}

/// Tells the planner of a table that was just filled; autovacuum comes too late for
/// the first visitors.
#[tracing::instrument(name = "db.region.analyze", skip_all)]
pub(crate) async fn analyze(connection: &mut PgConnection) -> std::result::Result<(), sqlx::Error> {
    sqlx::query!("ANALYZE orgtree.region").execute(connection).await.map(drop)
}
