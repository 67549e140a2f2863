//! Bytes that were made to do harm.

use proptest::prelude::*;

use super::books::{book, pack, text};
use super::*;

const MEGABYTE: usize = 1024 * 1024;

/// More than a workbook may unpack to, in a fraction of a file.
#[test]
fn a_workbook_that_unpacks_to_too_much_is_refused() {
    let zeros = vec![b' '; MEGABYTE];
    let bomb = pack(&[("xl/workbook.xml", &zeros), ("xl/sharedStrings.xml", &zeros)]);
    assert!(bomb.len() < MEGABYTE / 10, "{}", bomb.len());
    let unpacked = |most: usize| workbook::check_unpacked(&bomb, most as u64);
    assert_eq!(unpacked(2 * MEGABYTE), Ok(()));
    assert_eq!(unpacked(2 * MEGABYTE - 1), Err(Unreadable::Size));
    assert_eq!(unpacked(MEGABYTE / 2), Err(Unreadable::Size));
}

/// A number for which nobody has the memory.
#[test]
fn a_workbook_that_says_it_has_more_texts_than_a_roster_is_refused() {
    let told = |head: &str| {
        let strings = format!("<?xml version=\"1.0\"?>{}{head}<si/></sst>", " ".repeat(20_000));
        let book = pack(&[("xl/SharedStrings.xml", strings.as_bytes())]);
        workbook::check_unpacked(&book, MEGABYTE as u64)
    };
    for modest in ["<sst>", "<sst count=\"1\" uniqueCount=\"1\">", "<sst uniqueCount = '2000000' >"]
    {
        assert_eq!(told(modest), Ok(()), "{modest}");
    }
    for number in ["1000000000000000", "2000001", "-1", "", "x", &" ".repeat(100)] {
        let head = format!("<s:sst count=\"1\" uniqueCount=\"{number}\">");
        assert_eq!(told(&head), Err(Unreadable::Format), "{number}");
    }
    assert_eq!(told("<sst unique\u{1b}(JCount=\"1\">"), Err(Unreadable::Format));
    let wide: Vec<u8> = "\u{feff}<sst uniqueCount=\"1000000000000000\"/>"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let book = pack(&[("xl/sharedStrings.xml", &wide)]);
    assert_eq!(workbook::check_unpacked(&book, MEGABYTE as u64), Err(Unreadable::Format));
}

/// A sheet is read cell by cell: one that says it is as large as can be takes no room.
#[test]
fn cells_at_the_far_end_of_a_sheet_take_no_room() {
    let headings = "<row r=\"1\">".to_owned() + &text("A1", "姓名") + &text("B1", "身份证号");
    let rows = headings + "</row><row r=\"1048576\">" + &text("A1048576", "张三") + "</row>";
    assert_eq!(told(&book(&[("", &rows)])).unwrap(), [row(1_048_576, "张三", "", "")]);
    let wide = rows.replace("A1048576", "XFD1048576");
    assert_eq!(told(&book(&[("", &wide)])), Err(Unreadable::Size));
}

#[test]
fn of_a_cell_that_is_too_long_for_anything_little_is_kept() {
    let long = "汪".repeat(65);
    let text = format!("姓名,身份证号,手机\n{long},{long},{long}\n汪,{},\n", "汪".repeat(64));
    let expected = [row(2, "…", "…", "…"), row(3, "汪", &"汪".repeat(64), "")];
    assert_eq!(told(text.as_bytes()).unwrap(), expected);
    assert!(zhiyuan_domain::PersonName::parse("…").is_err());
}

#[test]
fn a_workbook_whose_size_lies_is_refused_all_the_same() {
    let zeros = vec![b' '; MEGABYTE];
    let mut bomb = pack(&[("xl/workbook.xml", &zeros)]);
    // What is said of the unpacked size, wherever it is said.
    let size = u32::try_from(zeros.len()).unwrap().to_le_bytes();
    let places: Vec<usize> = (0..bomb.len() - 4).filter(|at| bomb[*at..*at + 4] == size).collect();
    assert!(!places.is_empty());
    for at in places {
        bomb[at..at + 4].copy_from_slice(&1_u32.to_le_bytes());
    }
    assert!(workbook::check_unpacked(&bomb, 1000).is_err());
}

/// Row 15: cells that a spreadsheet would take for formulas are given back as text.
#[test]
fn what_looks_like_a_formula_is_given_back_as_text() {
    let text = "姓名,身份证号,=备注\n=cmd|' /C calc'!A0,+86,\"@SUM(1)\"\n-1,340822199901011234,\"\ttab\"\n";
    let problems = BTreeMap::from([(2, "=1".to_owned()), (3, "姓名不对".to_owned())]);
    let piece = rejected(text.as_bytes(), &problems, (0, 10_000)).unwrap();
    let given = String::from_utf8(piece.bytes).unwrap();
    let expected = "\u{feff}姓名,身份证号,'=备注,行号,问题\r\n\
                    '=cmd|' /C calc'!A0,'+86,'@SUM(1),2,'=1\r\n\
                    '-1,'340822199901011234,tab,3,姓名不对\r\n";
    assert_eq!(given, expected);
    assert!(!piece.more);
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let cells = ["姓名", "身份证号", "手机", "汪小雨", ONE];
    let rows: String = (1..4)
        .map(|n| {
            let cells = cells.iter().zip(["A", "B", "C", "D", "E"]);
            let cells: String =
                cells.map(|(it, column)| text(&format!("{column}{n}"), it)).collect();
            format!("<row r=\"{n}\">{cells}</row>")
        })
        .collect();
    let whole = book(&[("", &rows)]);
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8);
    changes.prop_map(move |changes| {
        let mut bytes = whole.clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = people(&bytes);
        let _ = people(&[b"PK\x03\x04", &*bytes].concat());
        let headed = ["姓名,身份证号\n".as_bytes(), &bytes].concat();
        let _ = people(&headed);
        let _ = rejected(&headed, &BTreeMap::from([(2, String::new())]), (0, 10));
    }

    #[test]
    fn no_workbook_is_too_broken(bytes in mutated()) {
        let _ = people(&bytes);
    }
}
