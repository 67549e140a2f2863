//! The table as a workbook for spreadsheets (.xlsx).

use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, Worksheet, XlsxError};

use super::document::{COLUMNS, HIDDEN, NONE, about, title};
use super::rendition::{Rendition, Shown};
use super::{Issued, Notice, WHOLE};

/// Where the rows of the table begin: below the title, what it is about, and the columns.
const FIRST_ROW: u32 = 3;

/// Writes a notice that was issued. Text is written as text: none of it is a formula.
pub(super) fn write(notice: &Notice, issued: &Issued, shown: &Rendition) -> Vec<u8> {
    // In memory, of a table that is no longer than a sheet: nothing fails.
    try_write(notice, issued, shown).unwrap_or_default()
}

fn try_write(notice: &Notice, issued: &Issued, shown: &Rendition) -> Result<Vec<u8>, XlsxError> {
    let mut workbook = Workbook::new();
    let created = ExcelDateTime::from_timestamp(issued.at.unix_timestamp())?;
    workbook.set_properties(&DocProperties::new().set_creation_datetime(&created));
    let percent = Format::new().set_num_format("0.00%");
    let sheet = workbook.add_worksheet().set_name("通报")?;
    sheet.write_string(0, 0, title(notice, issued))?;
    sheet.write_string(1, 0, about(notice))?;
    for (column, name) in (0..).zip(COLUMNS) {
        sheet.write_string(2, column, name)?;
    }
    for (place, row) in (FIRST_ROW..).zip(&shown.rows) {
        let mut line = Line { sheet, place, column: 0, percent: &percent };
        line.number(row.rank.map(i64::from))?;
        line.row(row)?;
    }
    let place = FIRST_ROW + u32::try_from(shown.rows.len()).unwrap_or(u32::MAX - FIRST_ROW);
    let mut line = Line { sheet, place, column: 0, percent: &percent };
    line.text("合计")?;
    line.row(&shown.total)?;
    workbook.save_to_buffer()
}

/// A line of the sheet, written cell by cell.
struct Line<'a> {
    sheet: &'a mut Worksheet,
    place: u32,
    column: u16,
    percent: &'a Format,
}

impl Line<'_> {
    fn text(&mut self, text: &str) -> Result<(), XlsxError> {
        self.sheet.write_string(self.place, self.column, text)?;
        self.column += 1;
        Ok(())
    }

    fn number(&mut self, number: Option<i64>) -> Result<(), XlsxError> {
        let Some(number) = number else { return self.text(NONE) };
        // Exact up to 2^53, which is more than there are people.
        #[expect(clippy::cast_precision_loss, reason = "numbers of people")]
        self.sheet.write_number(self.place, self.column, number as f64)?;
        self.column += 1;
        Ok(())
    }

    fn share(&mut self, share: Option<i32>) -> Result<(), XlsxError> {
        let Some(share) = share else { return self.text(NONE) };
        let number = f64::from(share) / f64::from(WHOLE);
        self.sheet.write_number_with_format(self.place, self.column, number, self.percent)?;
        self.column += 1;
        Ok(())
    }

    /// Everything behind the first cell, in the order of the columns.
    fn row(&mut self, row: &Shown) -> Result<(), XlsxError> {
        self.text(&row.code)?;
        self.text(&row.name)?;
        let Some(figures) = &row.figures else {
            while usize::from(self.column) < COLUMNS.len() {
                self.text(HIDDEN)?;
            }
            return Ok(());
        };
        let people = figures.people;
        self.number(Some(people.members))?;
        self.number(Some(people.stated_members))?;
        let stated = figures.stated.as_ref();
        self.text(stated.map_or("", |stated| stated.source.as_str()))?;
        self.text(&stated.map(|stated| stated.on.to_string()).unwrap_or_default())?;
        self.number(Some(people.registered_members))?;
        self.share(figures.rate)?;
        self.text(figures.met.map_or(NONE, |met| if met { "是" } else { "否" }))?;
        self.number(Some(figures.gap))?;
        self.share(figures.rate_change)?;
        self.number(figures.registered_change)?;
        self.number(Some(people.volunteers))?;
        self.number(figures.volunteers_change)?;
        self.share(figures.verified)?;
        Ok(())
    }
}
