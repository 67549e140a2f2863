//! The people in a file.

use std::ops::ControlFlow;

use zhiyuan_domain::PersonName;

use super::headings::Headings;
use super::{Cell, Row, Table, Unreadable};

/// What notes below a table begin with.
const NOTES: [&str; 14] = [
    "注", "备注", "说明", "填表", "填报", "制表", "审核", "合计", "总计", "共计", "小计", "单位",
    "日期", "签",
];

/// More characters than any name, number or phone has.
const LONG: usize = 64;
/// What is kept of a cell that has more: it is none of them either. A thousand characters that
/// all rows of a file share would be a gigabyte.
const TOO_LONG: &str = "…";

/// What stands where the ID number belongs. Not for logs.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::rosters) enum IdCell {
    Text(String),
    /// A spreadsheet has taken it for a number, and rounded it.
    Rounded,
}

/// A row about a person, as it stands in the file.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::rosters) struct Person {
    pub(in crate::rosters) row_number: u32,
    pub(in crate::rosters) name: String,
    pub(in crate::rosters) id_number: IdCell,
    /// Empty if there is none.
    pub(in crate::rosters) phone: String,
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Person").field("row_number", &self.row_number).finish_non_exhaustive()
    }
}

impl Person {
    /// Of a row below the headings; `None` if it is about nobody: numbered and empty, or a
    /// note.
    pub(super) fn of(row: &Row, headings: &Headings) -> Option<Self> {
        let text = |column| row.cell(column).map_or_else(String::new, kept);
        let name = text(headings.name);
        let id_number = match row.cell(headings.id_number) {
            Some(cell) if cell.is_rounded() => IdCell::Rounded,
            Some(cell) => IdCell::Text(kept(cell)),
            None => IdCell::Text(String::new()),
        };
        let phone = headings.phone.map(text).unwrap_or_default();
        let nothing_else = id_number == IdCell::Text(String::new()) && phone.is_empty();
        if nothing_else && (name.is_empty() || is_note(&name, row)) {
            return None;
        }
        Some(Self { row_number: row.number, name, id_number, phone })
    }
}

fn kept(cell: &Cell) -> String {
    let text = cell.text();
    if text.chars().nth(LONG).is_some() { TOO_LONG.to_owned() } else { text.into_owned() }
}

/// Whether what stands where the name belongs, and is all that is said of a person, is a note.
fn is_note(name: &str, row: &Row) -> bool {
    let alone = row.cells.iter().filter(|cell| !Cell::is_empty(cell)).count() == 1;
    alone && (NOTES.iter().any(|note| name.starts_with(note)) || PersonName::parse(name).is_err())
}

/// Reads the people in a file.
///
/// # Errors
/// Why it can't be read.
pub(in crate::rosters) fn people(bytes: &[u8]) -> Result<Vec<Person>, Unreadable> {
    let mut table = Table::open(bytes)?;
    let headings = std::mem::take(&mut table.headings);
    table.headings.row_number = headings.row_number;
    let mut people = Vec::new();
    table.read(&mut |row| {
        people.extend(Person::of(&row, &headings));
        ControlFlow::Continue(())
    })?;
    if people.is_empty() { Err(Unreadable::Empty) } else { Ok(people) }
}
