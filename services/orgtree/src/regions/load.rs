//! Loads the regions that come with the product.

use std::collections::HashSet;

use serde::Deserialize;
use sqlx::{Connection as _, PgConnection};
use zhiyuan_domain::RegionCode;

use super::{Level, Region, db};

/// 民政部 国家地名信息库; the source is told beside the file.
const COUNTRY: &str = include_str!("../../data/regions.csv");

/// Why the regions could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file is no CSV of the expected columns.
    #[error("failed to read")]
    Csv(#[from] csv::Error),
    /// A line is wrong.
    #[error("line {line}: {fault}")]
    Line {
        /// The line in the file; the header is line 1.
        line: u64,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// The database.
    #[error("database")]
    Database(#[from] sqlx::Error),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    code: String,
    name: String,
    level: String,
    parent_code: String,
}

/// Inserts the regions that are new and updates those that differ; deletes none, for
/// people live in regions that were dissolved since. Returns how many rows changed.
pub(crate) async fn load(connection: &mut PgConnection) -> Result<u64, DataError> {
    let regions = read(COUNTRY)?;
    let mut tx = connection.begin().await?;
    let changed = db::upsert(&mut tx, &regions).await?;
    if changed > 0 {
        db::analyze(&mut tx).await?;
    }
    tx.commit().await?;
    Ok(changed)
}

fn read(text: &str) -> Result<Vec<Region>, DataError> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let mut lines = Vec::new();
    let mut regions = Vec::new();
    let headers = reader.headers()?.clone();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record)? {
        let line = record.position().map_or(0, csv::Position::line);
        let parsed = region(record.deserialize(Some(&headers))?);
        regions.push(parsed.map_err(|fault| DataError::Line { line, fault })?);
        lines.push(line);
    }
    let mut codes = HashSet::new();
    for (region, &line) in regions.iter().zip(&lines) {
        if !codes.insert(region.code.clone()) {
            return Err(DataError::Line { line, fault: "the code occurs twice" });
        }
    }
    let parents: HashSet<String> =
        regions.iter().filter_map(|region| region.parent_code.clone()).collect();
    for (region, line) in regions.iter_mut().zip(lines) {
        if region.parent_code.as_ref().is_some_and(|parent| !codes.contains(parent)) {
            return Err(DataError::Line { line, fault: "the parent does not exist" });
        }
        region.leaf = !parents.contains(&region.code);
    }
    Ok(regions)
}

fn region(record: Record) -> Result<Region, &'static str> {
    let code = |text: &str| {
        RegionCode::parse(text).map(|code| code.to_string()).map_err(|_| "a code is invalid")
    };
    let level = Level::parse(&record.level).ok_or("the level is unknown")?;
    let parent_code = match record.parent_code.as_str() {
        "" => None,
        text => Some(code(text)?),
    };
    if parent_code.is_none() != (level == Level::Province) {
        return Err("provinces, and only they, have no parent");
    }
    if record.name.trim().is_empty() {
        return Err("the name is empty");
    }
    Ok(Region { code: code(&record.code)?, name: record.name, level, parent_code, leaf: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_comes_with_the_product_is_right() {
        let regions = read(COUNTRY).unwrap();
        assert_eq!(regions.len(), 3214);
        let find = |code: &str| regions.iter().find(|region| region.code == code).unwrap();
        for (code, leaf) in [
            ("110000", false),
            ("110101", true),
            ("340000", false),
            ("341800", false),
            ("341882", true),
            ("441900", true),
            ("710000", true),
            ("810000", true),
            ("820000", true),
        ] {
            assert_eq!(find(code).leaf, leaf, "{code}");
        }
        assert_eq!(find("341882").parent_code.as_deref(), Some("341800"));
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        for (lines, expected) in [
            ("11,x,province,", "line 3: a code is invalid"),
            ("120000,x,town,", "line 3: the level is unknown"),
            ("120000,x,city,", "line 3: provinces, and only they, have no parent"),
            ("120000, ,province,", "line 3: the name is empty"),
            ("110000,x,province,", "line 3: the code occurs twice"),
            ("120101,x,county,120000", "line 3: the parent does not exist"),
        ] {
            let text = format!("code,name,level,parent_code\n110000,北京市,province,\n{lines}\n");
            assert_eq!(read(&text).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn refuses_a_file_of_other_columns() {
        assert!(matches!(read("code,name\n110000,北京市\n"), Err(DataError::Csv(_))));
    }
}
