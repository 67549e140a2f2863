use std::collections::{BTreeMap, HashSet};

use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;
use zhiyuan_contracts::registration::v1::{RosterRowFate as Fate, RosterRowProblem as Problem};

use crate::error::{Error, Result};
use crate::rosters::judging::Judged;

const CORRUPT: Error = Error::Inconsistent("roster_import_row");

/// What became of a row.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) row_number: i32,
    pub(crate) fate: Fate,
    pub(crate) problems: Vec<Problem>,
    pub(crate) same_as_row: Option<i32>,
}

fn parsed(row_number: i32, fate: i16, problems: &[i16], same: Option<i32>) -> Result<Row> {
    let problem = |number: &i16| Problem::try_from(i32::from(*number)).map_err(|_| CORRUPT);
    Ok(Row {
        row_number,
        fate: Fate::try_from(i32::from(fate)).map_err(|_| CORRUPT)?,
        problems: problems.iter().map(problem).collect::<Result<_>>()?,
        same_as_row: same,
    })
}

/// Rows as columns; the problems of each as the text of an array.
struct Columns {
    numbers: Vec<i32>,
    fates: Vec<i16>,
    problems: Vec<String>,
    same: Vec<Option<i32>>,
    people: Vec<Option<Uuid>>,
}

impl Columns {
    fn of(rows: &[Judged]) -> Self {
        let array = |row: &Judged| {
            let numbers = row.problems.iter().map(|problem| (*problem as i32).to_string());
            format!("{{{}}}", numbers.collect::<Vec<_>>().join(","))
        };
        Self {
            numbers: rows.iter().map(|row| row.row_number).collect(),
            fates: rows.iter().map(|row| row.fate as i16).collect(),
            problems: rows.iter().map(array).collect(),
            same: rows.iter().map(|row| row.same_as).collect(),
            people: rows.iter().map(|row| row.person).collect(),
        }
    }
}

/// Notes what would become of rows.
#[tracing::instrument(name = "db.roster_import_row.insert", skip_all)]
pub(in crate::rosters) async fn insert(
    transaction: &mut PgConnection,
    import: Uuid,
    rows: &[Judged],
) -> Result<()> {
    let columns = Columns::of(rows);
    sqlx::query!(
        "INSERT INTO registration.roster_import_row
             (import_id, row_number, fate, problems, same_as_row, person_id)
         SELECT $1, n, fate, problems::smallint[], same, person
         FROM unnest($2::integer[], $3::smallint[], $4::text[], $5::integer[], $6::uuid[])
              AS new (n, fate, problems, same, person)",
        import,
        &columns.numbers,
        &columns.fates,
        &columns.problems,
        &columns.same as &[Option<i32>],
        &columns.people as &[Option<Uuid>],
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Notes what became of rows.
#[tracing::instrument(name = "db.roster_import_row.update", skip_all)]
pub(in crate::rosters) async fn update(
    transaction: &mut PgConnection,
    import: Uuid,
    rows: &[Judged],
) -> Result<()> {
    let columns = Columns::of(rows);
    sqlx::query!(
        "UPDATE registration.roster_import_row r
         SET fate = new.fate, problems = new.problems::smallint[], person_id = new.person
         FROM unnest($2::integer[], $3::smallint[], $4::text[], $5::uuid[])
              AS new (n, fate, problems, person)
         WHERE r.import_id = $1 AND r.row_number = new.n",
        import,
        &columns.numbers,
        &columns.fates,
        &columns.problems,
        &columns.people as &[Option<Uuid>],
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// The rows that are to be imported, after one of them.
#[tracing::instrument(name = "db.roster_import_row.good", skip_all)]
pub(crate) async fn good(
    executor: impl PgExecutor<'_>,
    import: Uuid,
    after: i32,
) -> Result<HashSet<i32>> {
    let rows = sqlx::query_scalar!(
        "SELECT row_number FROM registration.roster_import_row
         WHERE import_id = $1 AND row_number > $2 AND fate <> 5",
        import,
        after,
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().collect())
}

/// What became of rows, after one of them.
#[tracing::instrument(name = "db.roster_import_row.list", skip_all)]
pub(crate) async fn list(
    executor: impl PgExecutor<'_>,
    import: Uuid,
    rejected_only: bool,
    after: i32,
    limit: i64,
) -> Result<Vec<Row>> {
    let rows = sqlx::query!(
        "SELECT row_number, fate, problems, same_as_row FROM registration.roster_import_row
         WHERE import_id = $1 AND row_number > $2 AND (fate = 5 OR NOT $3)
         ORDER BY row_number LIMIT $4",
        import,
        after,
        rejected_only,
        limit,
    )
    .fetch_all(executor)
    .await?;
    rows.into_iter()
        .map(|row| parsed(row.row_number, row.fate, &row.problems, row.same_as_row))
        .collect()
}

/// How many rows have a problem.
#[tracing::instrument(name = "db.roster_import_row.count_problem", skip_all)]
pub(crate) async fn count_problem(
    executor: impl PgExecutor<'_>,
    import: Uuid,
    problem: Problem,
) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM registration.roster_import_row
           WHERE import_id = $1 AND fate = 5 AND $2::smallint = ANY (problems)"#,
        import,
        problem as i16,
    )
    .fetch_one(executor)
    .await?)
}

/// All rows that are rejected.
#[tracing::instrument(name = "db.roster_import_row.problems", skip_all)]
pub(crate) async fn problems(
    executor: impl PgExecutor<'_>,
    import: Uuid,
) -> Result<BTreeMap<u32, Row>> {
    let rows = sqlx::query!(
        "SELECT row_number, fate, problems, same_as_row FROM registration.roster_import_row
         WHERE import_id = $1 AND fate = 5",
        import,
    )
    .fetch_all(executor)
    .await?;
    let row = |number, fate, problems: &[i16], same| {
        let key = u32::try_from(number).map_err(|_| CORRUPT)?;
        Ok((key, parsed(number, fate, problems, same)?))
    };
    rows.into_iter()
        .map(|found| row(found.row_number, found.fate, &found.problems, found.same_as_row))
        .collect()
}
