//! Text with delimiters, in the encodings that spreadsheets of China write.

use std::ops::ControlFlow;

use encoding_rs::{Encoding, GB18030, UTF_8, UTF_16BE, UTF_16LE};

use super::{CELL, COLUMNS, Cell, Look, Row, Unreadable};

/// What separates cells; the first one that finds headings is it.
pub(super) const DELIMITERS: [u8; 3] = [b',', b'\t', b';'];

/// A file of text.
pub(super) struct Text {
    text: String,
    pub(super) delimiter: u8,
}

impl Text {
    /// Decodes UTF-8, with a mark or without, UTF-16 with one, or else GB18030.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let decoded = match Encoding::for_bom(bytes) {
            Some((encoding, mark)) => decode(encoding, bytes.get(mark..).unwrap_or_default()),
            None => decode(UTF_8, bytes).or_else(|| decode(GB18030, bytes)),
        };
        let text = decoded.filter(|text| !text.contains('\0')).ok_or(Unreadable::Format)?;
        // One kind of line end, so that lines are counted as a spreadsheet does.
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        Ok(Self { text, delimiter: b',' })
    }

    /// Reads the rows.
    pub(super) fn read(&self, look: &mut Look<'_>) -> Result<(), Unreadable> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.delimiter)
            .from_reader(self.text.as_bytes());
        let (mut record, mut number, mut line) = (csv::StringRecord::new(), 0, 1);
        while reader.read_record(&mut record).map_err(|_broken| Unreadable::Format)? {
            // Lines without anything are no records, and rows all the same.
            let next = reader.position().line();
            let within: usize = record.iter().map(|cell| cell.matches('\n').count()).sum();
            let within = u64::try_from(within).unwrap_or(u64::MAX);
            let empty = (next - line).saturating_sub(within).saturating_sub(1);
            number += 1 + u32::try_from(empty).unwrap_or(u32::MAX);
            line = next;
            let mut cells = Vec::with_capacity(record.len().min(COLUMNS));
            for (column, text) in record.iter().enumerate() {
                let cell = Cell::of_text(text);
                // Spreadsheets write the delimiters of columns that nobody used.
                if column >= COLUMNS && cell.is_empty() {
                    continue;
                }
                if column >= COLUMNS || text.chars().count() > CELL {
                    return Err(Unreadable::Size);
                }
                cells.push(cell);
            }
            if let ControlFlow::Break(()) = look(Row { number, cells }) {
                break;
            }
        }
        Ok(())
    }
}

fn decode(encoding: &'static Encoding, bytes: &[u8]) -> Option<String> {
    debug_assert!([UTF_8, UTF_16BE, UTF_16LE, GB18030].contains(&encoding));
    let text = encoding.decode_without_bom_handling_and_without_replacement(bytes)?;
    Some(text.into_owned())
}
