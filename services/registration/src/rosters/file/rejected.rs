//! Rows that were rejected, as a file to be corrected and sent again.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::headings::OWN;
use super::{Row, Table, Unreadable};

/// The mark by which spreadsheets know UTF-8.
const MARK: &[u8] = "\u{FEFF}".as_bytes();
/// Digits in a row that a spreadsheet takes for a number, and rounds or shows otherwise.
const LONG: usize = 12;

/// A part of the file that is rendered. Not for logs.
#[derive(PartialEq, Eq)]
pub(in crate::rosters) struct Piece {
    pub(in crate::rosters) bytes: Vec<u8>,
    /// Whether there is more.
    pub(in crate::rosters) more: bool,
}

/// What is wanted of a file that is rendered, of which nothing else is kept.
struct Window {
    offset: usize,
    size: usize,
    /// How much was rendered.
    passed: usize,
    bytes: Vec<u8>,
}

impl Window {
    fn take(&mut self, rendered: &[u8]) {
        let from = self.offset.saturating_sub(self.passed).min(rendered.len());
        let room = self.size - self.bytes.len();
        let wanted = rendered.get(from..).unwrap_or_default();
        self.bytes.extend(wanted.iter().take(room));
        self.passed += rendered.len();
    }

    fn is_past(&self) -> bool {
        self.passed > self.offset.saturating_add(self.size)
    }
}

/// Renders the rows that are told, from an offset on: the columns of the file, then the number
/// of the row in it and what is wrong. The same of the same each time.
///
/// # Errors
/// Why the file can't be read.
pub(in crate::rosters) fn rejected(
    bytes: &[u8],
    problems: &BTreeMap<u32, String>,
    (offset, size): (usize, usize),
) -> Result<Piece, Unreadable> {
    let mut table = Table::open(bytes)?;
    let headings = std::mem::take(&mut table.headings);
    table.headings.row_number = headings.row_number;
    let columns = headings.cells.len();
    let line = |row: &Row, aside: [&str; 2]| {
        let text = |column| row.cell(column).map_or_else(String::new, |it| it.text().into_owned());
        let headed = (0..columns).filter(|column| headings.keeps(*column)).map(text);
        // Cells beyond the headings are kept, behind what stands below headings.
        let beyond = (columns..row.cells.len()).map(text);
        let all = headed.chain(aside.map(str::to_owned)).chain(beyond);
        render(all.map(|cell| harmless(&cell)))
    };
    let mut window = Window { offset, size, passed: 0, bytes: Vec::new() };
    window.take(MARK);
    window.take(&line(&Row { number: 0, cells: headings.cells.clone() }, OWN));
    table.read(&mut |row| {
        if let Some(problem) = problems.get(&row.number) {
            window.take(&line(&row, [&row.number.to_string(), problem]));
        }
        if window.is_past() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let more = window.is_past();
    Ok(Piece { bytes: window.bytes, more })
}

fn render(cells: impl Iterator<Item = String>) -> Vec<u8> {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    // Memory takes what is written.
    let _ = writer.write_record(cells);
    writer.into_inner().unwrap_or_default()
}

/// A cell that no spreadsheet takes for a formula, or for a number that it would round: with an
/// apostrophe before it, which is no part of it when it is read.
fn harmless(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if formula || digits >= LONG { format!("'{text}") } else { text.to_owned() }
}
