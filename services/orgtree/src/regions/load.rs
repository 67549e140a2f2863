//! Loads the regions that come with the product.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use sqlx::{Connection as _, PgConnection};
use time::Date;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;
use zhiyuan_domain::RegionCode;

use super::{Level, Region, db};

/// 民政部 国家地名信息库; the source is told beside the file.
const COUNTRY: &str = include_str!("../../data/regions.csv");

const DAY: StaticFormatDescription = format_description!("[year]-[month]-[day]");

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
    #[serde(default)]
    abolished_on: String,
    #[serde(default)]
    successors: String,
}

/// Loads the regions of a file, or those that come with the product: inserts those that are new
/// and updates those that differ; deletes none, for people are said to live in regions that were
/// abolished since. Returns how many rows changed.
pub(crate) async fn load(
    connection: &mut PgConnection,
    file: Option<&str>,
) -> Result<u64, DataError> {
    let regions = read(file.unwrap_or(COUNTRY))?;
    let mut tx = connection.begin().await?;
    let missing = db::missing(&mut tx, &regions).await?;
    // A binary of before may know less; a file that forgets one should say what became of it.
    if let Some(first) = missing.first() {
        tracing::warn!(count = missing.len(), %first, "regions are known that the file lacks");
    }
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
    let parents: HashSet<String> = regions
        .iter()
        .filter(|region| region.abolished_on.is_none())
        .filter_map(|region| region.parent_code.clone())
        .collect();
    let successions: HashMap<String, Vec<String>> = regions
        .iter()
        .filter(|region| region.abolished_on.is_some())
        .map(|region| (region.code.clone(), region.successors.clone()))
        .collect();
    for (region, line) in regions.iter_mut().zip(lines) {
        if region.parent_code.as_ref().is_some_and(|parent| !codes.contains(parent)) {
            return Err(DataError::Line { line, fault: "the parent does not exist" });
        }
        if region.successors.iter().any(|successor| !codes.contains(successor)) {
            return Err(DataError::Line { line, fault: "a successor does not exist" });
        }
        // Binaries of before read it; this one looks on the day.
        region.leaf = !parents.contains(&region.code);
        if succeeds_itself(&successions, &region.code) {
            return Err(DataError::Line { line, fault: "the region succeeds itself" });
        }
    }
    Ok(regions)
}

/// Whether a region comes back, some time after it was abolished, in the place of those that
/// followed it.
fn succeeds_itself(successions: &HashMap<String, Vec<String>>, code: &str) -> bool {
    let (mut seen, mut open) = (HashSet::new(), vec![code]);
    while let Some(here) = open.pop() {
        for next in successions.get(here).into_iter().flatten() {
            if next == code {
                return true;
            }
            if seen.insert(next.as_str()) {
                open.push(next);
            }
        }
    }
    false
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
    let abolished_on = match record.abolished_on.trim() {
        "" => None,
        day => Some(Date::parse(day, DAY).map_err(|_form| "abolished_on is no date")?),
    };
    let successors: Vec<String> =
        record.successors.split_whitespace().map(code).collect::<Result<_, _>>()?;
    if abolished_on.is_none() && !successors.is_empty() {
        return Err("successors need the day on which it was abolished");
    }
    Ok(Region {
        code: code(&record.code)?,
        name: record.name,
        level,
        parent_code,
        leaf: true,
        abolished_on,
        successors,
    })
}

#[cfg(test)]
mod tests {
    use time::macros::date;

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
    fn a_region_that_was_abolished_has_its_day_and_those_that_came_instead() {
        let text = "code,name,level,parent_code,abolished_on,successors
            340000,安徽省,province,,,
            341800,宣城市,city,340000,,
            341822,广德县,county,341800,2019-08-10,341882
            341882,广德市,county,341800,,
            340100,合肥市,city,340000,2030-01-01,341800
            341401,居巢区,county,341800,2011-08-22,341822 340181
            340181,巢湖市,county,340000,,
            341421,庐江县,county,341800,2011-08-22,
            "
        .replace("\n            ", "\n");
        let regions = read(&text).unwrap();
        let find = |code: &str| regions.iter().find(|region| region.code == code).unwrap();
        assert_eq!(find("341822").successors, ["341882"]);
        assert_eq!(find("341401").successors, ["341822", "340181"]);
        assert!(find("341421").successors.is_empty());
        assert!(find("341822").is_abolished(date!(2019 - 08 - 10)));
        assert!(!find("341822").is_abolished(date!(2019 - 08 - 09)));
        assert!(!find("340100").is_abolished(date!(2029 - 12 - 31)));
    }

    #[test]
    fn names_the_line_whose_end_is_wrong() {
        for (lines, expected) in [
            ("341822,x,county,340000,gone,", "line 3: abolished_on is no date"),
            ("341822,x,county,340000,2019-02-30,", "line 3: abolished_on is no date"),
            (
                "341822,x,county,340000,,341882",
                "line 3: successors need the day on which it was abolished",
            ),
            ("341822,x,county,340000,2019-08-10,341882", "line 3: a successor does not exist"),
            ("341822,x,county,340000,2019-08-10,3418", "line 3: a code is invalid"),
            ("341822,x,county,340000,2019-08-10,341822", "line 3: the region succeeds itself"),
            (
                "341822,x,county,340000,2019-08-10,341823\n\
                 341823,x,county,340000,2019-08-10,341822",
                "line 3: the region succeeds itself",
            ),
        ] {
            let text = format!(
                "code,name,level,parent_code,abolished_on,successors\n\
                 340000,安徽省,province,,,\n{lines}\n"
            );
            assert_eq!(read(&text).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn refuses_a_file_of_other_columns() {
        assert!(matches!(read("code,name\n110000,北京市\n"), Err(DataError::Csv(_))));
    }
}
