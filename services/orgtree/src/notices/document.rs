//! The files of a notice. Each is a function of what is kept, in one spelling: times in UTC,
//! numbers as integers, fields in one order.

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zhiyuan_domain::shanghai_date;

use super::rendition::{Rendition, Shown, ShownFigures, percent};
use super::{Issued, Notice, workbook};

/// What kind of file. The numbers are those of the contract and of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json = 1,
    Csv = 2,
    Workbook = 3,
}

impl Format {
    pub(super) const ALL: [Self; 3] = [Self::Json, Self::Csv, Self::Workbook];

    pub(super) fn number(self) -> i16 {
        self as i16
    }

    pub(super) fn of_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|format| i32::from(format.number()) == number)
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv",
            Self::Workbook => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        }
    }

    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Workbook => "xlsx",
        }
    }

    /// Writes a notice that was issued.
    pub(super) fn write(self, notice: &Notice, issued: &Issued, shown: &Rendition) -> Vec<u8> {
        match self {
            Self::Json => json(notice, issued, shown),
            Self::Csv => csv(notice, issued, shown),
            Self::Workbook => workbook::write(notice, issued, shown),
        }
    }
}

/// The record. A field that is added later is added at the end, with another number here.
const VERSION: i32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: i32,
    number: String,
    notice_id: String,
    organization_code: &'a str,
    organization_name: &'a str,
    issue_time: String,
    as_of: String,
    tree_time: String,
    target_per_ten_thousand: i32,
    deadline: String,
    previous_notice_id: Option<String>,
    supersedes_notice_id: Option<String>,
    hidden_rows: usize,
    total: Entry<'a>,
    rows: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    rank: Option<i32>,
    organization_code: &'a str,
    organization_name: &'a str,
    figures: Option<Figures<'a>>,
}

#[derive(Serialize)]
struct Figures<'a> {
    members: i64,
    stated_members: i64,
    statement_source: Option<&'a str>,
    stated_on: Option<String>,
    registered_members: i64,
    registered_per_ten_thousand: Option<i32>,
    met: Option<bool>,
    gap: i64,
    volunteers: i64,
    verified_per_ten_thousand: Option<i32>,
    organizations_without_administrator: i32,
    rate_change: Option<i32>,
    registered_members_change: Option<i64>,
    volunteers_change: Option<i64>,
}

impl<'a> From<&'a Shown> for Entry<'a> {
    fn from(row: &'a Shown) -> Self {
        Self {
            rank: row.rank,
            organization_code: &row.code,
            organization_name: &row.name,
            figures: row.figures.as_ref().map(Figures::from),
        }
    }
}

impl<'a> From<&'a ShownFigures> for Figures<'a> {
    fn from(figures: &'a ShownFigures) -> Self {
        Self {
            members: figures.people.members,
            stated_members: figures.people.stated_members,
            statement_source: figures.stated.as_ref().map(|stated| stated.source.as_str()),
            stated_on: figures.stated.as_ref().map(|stated| stated.on.to_string()),
            registered_members: figures.people.registered_members,
            registered_per_ten_thousand: figures.rate,
            met: figures.met,
            gap: figures.gap,
            volunteers: figures.people.volunteers,
            verified_per_ten_thousand: figures.verified,
            organizations_without_administrator: figures.without_administrator,
            rate_change: figures.rate_change,
            registered_members_change: figures.registered_change,
            volunteers_change: figures.volunteers_change,
        }
    }
}

fn json(notice: &Notice, issued: &Issued, shown: &Rendition) -> Vec<u8> {
    let document = Document {
        version: VERSION,
        number: issued.number(),
        notice_id: notice.id.to_string(),
        organization_code: &notice.issuer_code,
        organization_name: &notice.issuer_name,
        issue_time: moment(issued.at),
        as_of: moment(notice.as_of),
        tree_time: moment(notice.tree_at),
        target_per_ten_thousand: notice.target,
        deadline: notice.deadline.to_string(),
        previous_notice_id: notice.previous.map(|id| id.to_string()),
        supersedes_notice_id: issued.supersedes.map(|id| id.to_string()),
        hidden_rows: shown.rows.iter().filter(|row| row.figures.is_none()).count(),
        total: (&shown.total).into(),
        rows: shown.rows.iter().map(Entry::from).collect(),
    };
    // Text, numbers and lists: there is nothing that could not be written.
    serde_json::to_vec(&document).unwrap_or_default()
}

fn moment(at: OffsetDateTime) -> String {
    // Out of range only before the year 0.
    at.to_offset(time::UtcOffset::UTC).format(&Rfc3339).unwrap_or_default()
}

/// The columns of the table.
pub(super) const COLUMNS: [&str; 16] = [
    "名次",
    "组织代码",
    "组织名称",
    "团员数",
    "其中填报数",
    "填报来源",
    "填报日期",
    "已注册团员数",
    "注册率",
    "是否达标",
    "差额（人）",
    "注册率较上期增减",
    "注册团员较上期增减",
    "志愿者数",
    "志愿者较上期增减",
    "志愿者实名率",
];

/// What stands where there is no rate.
pub(super) const NONE: &str = "—";
/// What stands where figures are hidden.
pub(super) const HIDDEN: &str = "*";

/// Makes a byte order mark tell spreadsheets the encoding.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// What stands above the table.
pub(super) fn title(notice: &Notice, issued: &Issued) -> String {
    format!("{}关于团员注册志愿者情况的通报{}", notice.issuer_name, issued.number())
}

/// As of when it is, and what it is compared with.
pub(super) fn about(notice: &Notice) -> String {
    format!(
        "统计截至{}零时；目标{}，应于{}前达到；标*的数据因人数较少不予公布",
        shanghai_date(notice.as_of),
        percent(notice.target),
        notice.deadline,
    )
}

fn csv(notice: &Notice, issued: &Issued, shown: &Rendition) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .flexible(true)
        .from_writer(MARK.to_vec());
    // Memory takes what is written.
    let _ = writer.write_record([harmless(&title(notice, issued))]);
    let _ = writer.write_record([harmless(&about(notice))]);
    let _ = writer.write_record(COLUMNS);
    for row in &shown.rows {
        let _ = writer.write_record(cells(row, row.rank.map(|rank| rank.to_string())));
    }
    let _ = writer.write_record(cells(&shown.total, Some("合计".to_owned())));
    writer.into_inner().unwrap_or_default()
}

/// A row of the table; `first` is its place.
fn cells(row: &Shown, first: Option<String>) -> Vec<String> {
    let mut cells =
        vec![first.unwrap_or_else(|| NONE.to_owned()), harmless(&row.code), harmless(&row.name)];
    let Some(figures) = &row.figures else {
        cells.resize(COLUMNS.len(), HIDDEN.to_owned());
        return cells;
    };
    let or_none = |text: Option<String>| text.unwrap_or_else(|| NONE.to_owned());
    let stated = figures.stated.as_ref();
    let people = figures.people;
    cells.extend([
        people.members.to_string(),
        people.stated_members.to_string(),
        stated.map(|stated| harmless(&stated.source)).unwrap_or_default(),
        stated.map(|stated| stated.on.to_string()).unwrap_or_default(),
        people.registered_members.to_string(),
        or_none(figures.rate.map(percent)),
        or_none(figures.met.map(|met| if met { "是" } else { "否" }.to_owned())),
        figures.gap.to_string(),
        or_none(figures.rate_change.map(percent)),
        or_none(figures.registered_change.map(|change| change.to_string())),
        people.volunteers.to_string(),
        or_none(figures.volunteers_change.map(|change| change.to_string())),
        or_none(figures.verified.map(percent)),
    ]);
    cells
}

/// A cell that no spreadsheet takes for a formula: with an apostrophe before it. Numbers that
/// are made here are none of these.
fn harmless(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    if formula { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_taken_for_a_formula() {
        for (text, cell) in [
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("－1", "'－1"),
            ("+86", "'+86"),
            ("\t=1", "'\t=1"),
            ("团市委", "团市委"),
        ] {
            assert_eq!(harmless(text), cell);
        }
    }

    #[test]
    fn shares_are_written_with_two_digits() {
        for (share, text) in [
            (0, "0.00%"),
            (9_000, "90.00%"),
            (9_025, "90.25%"),
            (-5, "-0.05%"),
            (10_100, "101.00%"),
        ] {
            assert_eq!(percent(share), text);
        }
    }
}
