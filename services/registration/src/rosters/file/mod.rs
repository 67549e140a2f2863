//! Files with rosters: what people make with spreadsheets, read row by row.
//!
//! Pure: bytes in, rows out. Nothing of a file is kept that nobody asked for, since it holds
//! ID numbers; formulas are never evaluated, nor written back as what a spreadsheet would.

mod cell;
mod headings;
mod people;
mod rejected;
#[cfg(test)]
mod tests;
mod text;
mod workbook;

use std::ops::ControlFlow;

pub(super) use cell::Cell;
pub(super) use people::{IdCell, Person, people};
pub(super) use rejected::{Piece, rejected};

/// The largest file, in bytes.
pub(super) const LARGEST: u64 = 20 * 1024 * 1024;
/// Rows below the headings.
const ROWS: usize = 100_000;
/// Columns of a row.
const COLUMNS: usize = 64;
/// Characters of a cell.
const CELL: usize = 1_000;
/// Rows in which headings are looked for.
const ABOVE: usize = 50;

/// Why a file can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Neither text nor a workbook, or broken.
    Format,
    /// No row has headings for name and ID number.
    Headings,
    /// No rows below the headings.
    Empty,
    /// Too many rows or columns, or too much in a cell.
    Size,
}

/// A row, as it stands in the file. Not for logs.
struct Row {
    /// Counted from 1, as a spreadsheet does.
    number: u32,
    cells: Vec<Cell>,
}

impl Row {
    fn cell(&self, column: usize) -> Option<&Cell> {
        self.cells.get(column)
    }

    fn is_empty(&self) -> bool {
        self.cells.iter().all(Cell::is_empty)
    }
}

/// What looks at rows, one after the other, until it has seen enough.
type Look<'a> = dyn FnMut(Row) -> ControlFlow<()> + 'a;

/// A file that can be read again and again.
enum Opened<'a> {
    Text(text::Text),
    Workbook(Box<workbook::Workbook<'a>>),
}

/// A table of a file: that with the headings.
struct Table<'a> {
    opened: Opened<'a>,
    headings: headings::Headings,
}

impl<'a> Table<'a> {
    /// Finds the first table that has headings.
    fn open(bytes: &'a [u8]) -> Result<Self, Unreadable> {
        if workbook::is_one(bytes) {
            let mut workbook = workbook::Workbook::open(bytes)?;
            for sheet in workbook.sheets() {
                workbook.turn_to(sheet);
                if let Some(headings) = find(|look| workbook.read(look))? {
                    return Ok(Self { opened: Opened::Workbook(Box::new(workbook)), headings });
                }
            }
        } else {
            let mut text = text::Text::decode(bytes)?;
            for delimiter in text::DELIMITERS {
                text.delimiter = delimiter;
                if let Some(headings) = find(|look| text.read(look))? {
                    return Ok(Self { opened: Opened::Text(text), headings });
                }
            }
        }
        Err(Unreadable::Headings)
    }

    /// Reads the rows below the headings that hold anything.
    fn read(&mut self, look: &mut Look<'_>) -> Result<(), Unreadable> {
        let below = self.headings.row_number;
        let (mut rows, mut over) = (0, false);
        let mut counted = |row: Row| {
            if row.number <= below || row.is_empty() {
                return ControlFlow::Continue(());
            }
            rows += 1;
            if rows > ROWS {
                over = true;
                return ControlFlow::Break(());
            }
            look(row)
        };
        match &mut self.opened {
            Opened::Text(text) => text.read(&mut counted)?,
            Opened::Workbook(workbook) => workbook.read(&mut counted)?,
        }
        if over { Err(Unreadable::Size) } else { Ok(()) }
    }
}

/// Looks for headings in the first rows.
fn find(
    read: impl FnOnce(&mut Look<'_>) -> Result<(), Unreadable>,
) -> Result<Option<headings::Headings>, Unreadable> {
    let (mut found, mut seen) = (None, 0);
    read(&mut |row| {
        seen += 1;
        found = headings::Headings::find(&row);
        if found.is_some() || seen == ABOVE {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    Ok(found)
}
