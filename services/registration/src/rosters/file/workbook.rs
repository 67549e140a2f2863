//! Workbooks (.xlsx).

use std::io::{self, Cursor, Read as _, Write};
use std::ops::ControlFlow;

use calamine::{DataRef, Reader as _, SheetVisible, Xlsx};

use super::{CELL, COLUMNS, Cell, Look, Row, Unreadable};

/// What all that is in a workbook may unpack to, in bytes: a few kilobytes can unpack to
/// gigabytes.
const UNPACKED: u64 = 200 * 1024 * 1024;
/// Files in a workbook.
const ENTRIES: usize = 2_000;
/// Different texts of a workbook, as it says: whoever reads it makes room for so many.
const TEXTS: u32 = 2_000_000;
/// Where it says so: the end of a file's name, and an attribute.
const SHARED: &str = "sharedstrings.xml";
const COUNT: &[u8] = b"uniqueCount";
/// By what some encodings shift, and XML has nowhere.
const SHIFT: u8 = 0x1b;
/// The bytes within which a count follows its name.
const NEAR: usize = 64;
/// Sheets in which headings are looked for.
const SHEETS: usize = 16;

/// A workbook, and one of its sheets.
pub(super) struct Workbook<'a> {
    reader: Xlsx<Cursor<&'a [u8]>>,
    sheet: String,
}

/// Whether a file is packed as workbooks are.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

impl<'a> Workbook<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Unreadable> {
        check_unpacked(bytes, UNPACKED)?;
        let reader = Xlsx::new(Cursor::new(bytes)).map_err(|_broken| Unreadable::Format)?;
        Ok(Self { reader, sheet: String::new() })
    }

    /// Those that are shown.
    pub(super) fn sheets(&self) -> Vec<String> {
        let sheets = self.reader.sheets_metadata().iter();
        let shown = sheets.filter(|sheet| sheet.visible == SheetVisible::Visible);
        shown.take(SHEETS).map(|sheet| sheet.name.clone()).collect()
    }

    pub(super) fn turn_to(&mut self, sheet: String) {
        self.sheet = sheet;
    }

    /// Reads the rows of the sheet. Of a formula, what it came to when the workbook was saved.
    pub(super) fn read(&mut self, look: &mut Look<'_>) -> Result<(), Unreadable> {
        // Charts are sheets, too, without cells.
        let Ok(mut cells) = self.reader.worksheet_cells_reader(&self.sheet) else { return Ok(()) };
        let mut row = Row { number: 1, cells: Vec::new() };
        while let Some(cell) = cells.next_cell().map_err(|_broken| Unreadable::Format)? {
            let (at, column) = cell.get_position();
            let number = at.checked_add(1).ok_or(Unreadable::Format)?;
            let column = usize::try_from(column).map_err(|_wide| Unreadable::Format)?;
            let Some(value) = value_of(cell.get_value())? else { continue };
            if number < row.number {
                return Err(Unreadable::Format);
            }
            if column >= COLUMNS {
                return Err(Unreadable::Size);
            }
            if number > row.number {
                let before = std::mem::replace(&mut row, Row { number, cells: Vec::new() });
                if let ControlFlow::Break(()) = look(before) {
                    return Ok(());
                }
            }
            if row.cells.len() <= column {
                row.cells.resize(column + 1, Cell::Text(String::new()));
            }
            if let Some(place) = row.cells.get_mut(column) {
                *place = value;
            }
        }
        let _ = look(row);
        Ok(())
    }
}

fn value_of(value: &DataRef<'_>) -> Result<Option<Cell>, Unreadable> {
    let text = |text: &str| {
        let fits = text.chars().count() <= CELL;
        if fits { Ok(Some(Cell::of_text(text))) } else { Err(Unreadable::Size) }
    };
    match value {
        DataRef::Empty => Ok(None),
        DataRef::String(value) | DataRef::DateTimeIso(value) | DataRef::DurationIso(value) => {
            text(value)
        }
        DataRef::SharedString(value) => text(value),
        #[expect(clippy::cast_precision_loss, reason = "a spreadsheet has no others")]
        DataRef::Int(number) => Ok(Some(Cell::Number(*number as f64))),
        DataRef::Float(number) => Ok(Some(Cell::Number(*number))),
        DataRef::Bool(yes) => text(if *yes { "TRUE" } else { "FALSE" }),
        DataRef::DateTime(at) if at.is_datetime() => {
            let (year, month, day, hour, minute, ..) = at.to_ymd_hms_milli();
            let date = format!("{year:04}-{month:02}-{day:02}");
            let time = format!(" {hour:02}:{minute:02}");
            text(&if (hour, minute) == (0, 0) { date } else { date + &time })
        }
        DataRef::DateTime(at) => Ok(Some(Cell::Number(at.as_f64()))),
        DataRef::Error(_of_a_formula) => text("#N/A"),
    }
}

/// Unpacks everything once, to nowhere: what a file says of its size may be anything.
pub(super) fn check_unpacked(bytes: &[u8], most: u64) -> Result<(), Unreadable> {
    let mut archive =
        zip::ZipArchive::new(Cursor::new(bytes)).map_err(|_broken| Unreadable::Format)?;
    if archive.len() > ENTRIES {
        return Err(Unreadable::Size);
    }
    let mut left = most;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|_broken| Unreadable::Format)?;
        let name = entry.name().map_err(|_broken| Unreadable::Format)?;
        let shared = name.to_lowercase().ends_with(SHARED);
        drop(name);
        let mut some = entry.take(left + 1);
        let unpacked = if shared {
            let mut counts = Counts::default();
            let unpacked = io::copy(&mut some, &mut counts);
            counts.end().and(unpacked)
        } else {
            io::copy(&mut some, &mut io::sink())
        };
        let unpacked = unpacked.map_err(|_broken| Unreadable::Format)?;
        left = left.checked_sub(unpacked).ok_or(Unreadable::Size)?;
    }
    Ok(())
}

/// Looks at what is said of the number of shared texts, wherever it is said, and keeps nothing.
#[derive(Default)]
struct Counts {
    /// The end of what came before, as something may begin in it.
    rest: Vec<u8>,
}

impl Counts {
    fn look(&mut self, ended: bool) -> io::Result<()> {
        let mut from = 0;
        while let Some(bytes) = self.rest.get(from..) {
            let found = bytes.windows(COUNT.len()).position(|bytes| bytes == COUNT);
            let Some(at) = found else { break };
            let near = bytes.get(at + COUNT.len()..).unwrap_or_default();
            if near.len() < NEAR && !ended {
                from += at;
                self.rest.drain(..from);
                return Ok(());
            }
            if !is_modest(near.get(..NEAR).unwrap_or(near)) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            from += at + COUNT.len();
        }
        let kept = self.rest.len().saturating_sub(COUNT.len() - 1).max(from);
        self.rest.drain(..kept.min(self.rest.len()));
        Ok(())
    }

    fn end(mut self) -> io::Result<()> {
        self.look(true)
    }
}

impl Write for Counts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Whoever reads it decodes it: two bytes a character, or a shift in the middle of a word.
        if bytes.contains(&SHIFT) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.rest.extend(bytes.iter().filter(|byte| **byte != 0));
        self.look(false)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether what follows the name of a count is a number that a roster can have.
fn is_modest(near: &[u8]) -> bool {
    let near = near.trim_ascii_start();
    let Some(near) = near.strip_prefix(b"=").map(<[u8]>::trim_ascii_start) else { return false };
    let Some((quote, near)) = near.split_first().filter(|(quote, _)| b"\"'".contains(quote)) else {
        return false;
    };
    let Some(end) = near.iter().position(|byte| byte == quote) else { return false };
    let number = near.get(..end).and_then(|number| std::str::from_utf8(number).ok());
    number.and_then(|number| number.parse().ok()).is_some_and(|number: u32| number <= TEXTS)
}
