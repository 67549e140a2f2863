//! Workbooks.

use std::io::{Cursor, Write as _};

use zip::write::{SimpleFileOptions, ZipWriter};

use super::{ONE, TWO, Told, Unreadable, row, told};

const NAMESPACE: &str = "xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"";

/// A sheet: its attributes in the workbook, and the XML of its rows.
pub(super) type Sheet<'a> = (&'a str, &'a str);

/// Packs files as they are.
pub(super) fn pack(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A workbook.
pub(super) fn book(sheets: &[Sheet<'_>]) -> Vec<u8> {
    let relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let package = "http://schemas.openxmlformats.org/package/2006";
    let mut listed = String::new();
    let mut related = String::new();
    let mut files = Vec::new();
    for (n, (attributes, rows)) in sheets.iter().enumerate() {
        let n = n + 1;
        listed += &format!("<sheet name=\"s{n}\" sheetId=\"{n}\" r:id=\"r{n}\" {attributes}/>");
        related += &format!(
            "<Relationship Id=\"r{n}\" Type=\"{relations}/worksheet\" \
             Target=\"worksheets/sheet{n}.xml\"/>"
        );
        let sheet = format!("<worksheet {NAMESPACE}><sheetData>{rows}</sheetData></worksheet>");
        files.push((format!("xl/worksheets/sheet{n}.xml"), sheet));
    }
    files.push((
        "xl/workbook.xml".to_owned(),
        format!(
            "<workbook {NAMESPACE} xmlns:r=\"{relations}\"><sheets>{listed}</sheets></workbook>"
        ),
    ));
    files.push((
        "xl/_rels/workbook.xml.rels".to_owned(),
        format!("<Relationships xmlns=\"{package}/relationships\">{related}</Relationships>"),
    ));
    files.push((
        "_rels/.rels".to_owned(),
        format!(
            "<Relationships xmlns=\"{package}/relationships\"><Relationship Id=\"r1\" \
             Type=\"{relations}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
        ),
    ));
    files.push((
        "[Content_Types].xml".to_owned(),
        format!("<Types xmlns=\"{package}/content-types\"/>"),
    ));
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, content)| (&**name, content.as_bytes())).collect();
    pack(&files)
}

/// A cell of text.
pub(super) fn text(at: &str, text: &str) -> String {
    format!("<c r=\"{at}\" t=\"inlineStr\"><is><t>{text}</t></is></c>")
}

fn number(at: &str, number: &str) -> String {
    format!("<c r=\"{at}\"><v>{number}</v></c>")
}

fn line(number: u32, cells: &[String]) -> String {
    format!("<row r=\"{number}\">{}</row>", cells.concat())
}

fn headings(at: u32) -> String {
    let cell = |column: &str, name: &str| text(&format!("{column}{at}"), name);
    line(at, &[cell("B", "姓名"), cell("C", "身份证号"), cell("D", "手机")])
}

fn read(rows: &[String]) -> Result<Vec<Told>, Unreadable> {
    told(&book(&[("", &rows.concat())]))
}

#[test]
fn reads_a_workbook_with_its_gaps_numbers_and_formulas() {
    let rows = [
        line(1, &[text("A1", "团员名册")]),
        headings(3),
        line(
            4,
            &[
                number("A4", "1"),
                text("B4", "汪小雨"),
                text("C4", ONE),
                number("D4", "13812345678"),
            ],
        ),
        // A number that was rounded; one of 15 digits, which was not.
        line(6, &[text("B6", "李明"), number("C6", "3.40822199902021E17")]),
        line(7, &[text("B7", "李明"), number("C7", "340822990202123")]),
        // What a formula came to.
        line(8, &[text("B8", "张三"), format!("<c r=\"C8\" t=\"str\"><f>A1</f><v>{TWO}</v></c>")]),
        // Formatted, and empty.
        line(9, &["<c r=\"B9\" s=\"1\"/>".to_owned()]),
    ];
    let expected = [
        row(4, "汪小雨", ONE, "13812345678"),
        row(6, "李明", "~", ""),
        row(7, "李明", "340822990202123", ""),
        row(8, "张三", TWO, ""),
    ];
    assert_eq!(read(&rows).unwrap(), expected);
}

#[test]
fn the_first_shown_sheet_with_headings_is_the_roster() {
    let somebody = |name: &str| headings(1) + &line(2, &[text("B2", name), text("C2", ONE)]);
    let notes = line(1, &[text("A1", "填表说明")]);
    let (hidden, shown) = (somebody("藏起来"), somebody("汪小雨"));
    let bytes = book(&[("", &notes), ("state=\"hidden\"", &hidden), ("", &shown), ("", &hidden)]);
    assert_eq!(told(&bytes).unwrap(), [row(2, "汪小雨", ONE, "")]);
    assert_eq!(told(&book(&[("state=\"hidden\"", &hidden)])), Err(Unreadable::Headings));
}

#[test]
fn too_wide_too_much_and_broken_workbooks_are_refused() {
    let wide = line(2, &[text("B2", "汪小雨"), text("BM2", "x")]);
    assert_eq!(read(&[headings(1), wide]), Err(Unreadable::Size));
    let long = line(2, &[text("B2", &"汪".repeat(1_001))]);
    assert_eq!(read(&[headings(1), long]), Err(Unreadable::Size));
    let backwards = line(3, &[text("B3", "汪小雨")]) + &line(2, &[text("B2", "汪小雨")]);
    assert_eq!(read(&[headings(1), backwards]), Err(Unreadable::Format));
    assert_eq!(read(&[headings(1)]), Err(Unreadable::Empty));
    let whole = book(&[("", &headings(1))]);
    assert_eq!(told(&whole[..whole.len() / 2]), Err(Unreadable::Format));
    assert_eq!(told(&pack(&[("a.txt", b"x")])), Err(Unreadable::Format));
}
