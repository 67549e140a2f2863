//! Files as people make them, and as nobody should.

mod books;
mod hostile;
mod round_trip;

use std::collections::BTreeMap;

use encoding_rs::GB18030;

use super::*;

/// Row number, name, ID number and phone; `~` for one that was rounded.
type Told = (u32, String, String, String);

fn told(bytes: &[u8]) -> Result<Vec<Told>, Unreadable> {
    let told = people(bytes)?.into_iter().map(|person| {
        let id_number = match person.id_number {
            IdCell::Text(text) => text,
            IdCell::Rounded => "~".to_owned(),
        };
        (person.row_number, person.name, id_number, person.phone)
    });
    Ok(told.collect())
}

fn row(number: u32, name: &str, id_number: &str, phone: &str) -> Told {
    (number, name.into(), id_number.into(), phone.into())
}

const ONE: &str = "340822199901011234";
const TWO: &str = "34082219990202123x";

fn expected() -> Vec<Told> {
    vec![row(2, "汪小雨", ONE, "13812345678"), row(3, "李·明", TWO, "")]
}

fn table(delimiter: &str) -> String {
    format!("姓名,身份证号,手机号\r\n汪小雨,{ONE},13812345678\r\n李·明,{TWO},\r\n")
        .replace(',', delimiter)
}

/// Row 15: a mark before the text, GB18030.
#[test]
fn reads_all_encodings_and_delimiters_that_spreadsheets_write() {
    for delimiter in [",", "\t", ";"] {
        let text = table(delimiter);
        let marked = ["\u{feff}".as_bytes(), text.as_bytes()].concat();
        let (gb18030, _, _) = GB18030.encode(&text);
        let wide = |mark: [u8; 2], bytes: fn(u16) -> [u8; 2]| {
            let units = text.encode_utf16().flat_map(bytes);
            mark.into_iter().chain(units).collect::<Vec<u8>>()
        };
        for bytes in [
            text.as_bytes(),
            &marked,
            &gb18030,
            &wide([0xff, 0xfe], u16::to_le_bytes),
            &wide([0xfe, 0xff], u16::to_be_bytes),
        ] {
            assert_eq!(told(bytes).unwrap(), expected(), "{delimiter:?}");
        }
    }
    for end in ["\n", "\r"] {
        assert_eq!(told(table(",").replace("\r\n", end).as_bytes()).unwrap(), expected());
    }
}

#[test]
fn titles_empty_rows_numbered_rows_and_notes_are_about_nobody() {
    let text = format!(
        "2026 年团员名册,,,\n,,,\n序号,姓 名,证件号码,联系电话\n1,汪小雨,'{ONE},1381234567８\n\
         \n2,,,\n3,\u{a0}李·明\u{3000},\t{TWO}\t,　\n4,张三,,\n,合计：3 人,,\n备注：以上属实,,,\n"
    );
    let expected = [
        row(4, "汪小雨", ONE, "1381234567８"),
        row(7, "李·明", TWO, ""),
        // Somebody whose number is missing.
        row(8, "张三", "", ""),
    ];
    assert_eq!(told(text.as_bytes()).unwrap(), expected);
}

#[test]
fn a_name_alone_is_somebody_whose_number_is_missing_and_a_note_is_not() {
    let text = "姓名,身份证号\n张三,\n注：以上属实,\n制表人 张三,\n";
    assert_eq!(told(text.as_bytes()).unwrap(), [row(2, "张三", "", "")]);
}

#[test]
fn rows_are_counted_as_a_spreadsheet_counts_them() {
    let text =
        format!("\n\n姓名,身份证号,\"备\n注\"\n\n汪小雨,{ONE},\"a\n\nb\"\n\n\n李明,{TWO},\n");
    let rows: Vec<u32> = told(text.as_bytes()).unwrap().into_iter().map(|row| row.0).collect();
    assert_eq!(rows, [5, 8]);
}

#[test]
fn a_number_that_was_rounded_is_told_to_be() {
    let text = "姓名,身份证号\n汪小雨,3.40822E+17\n";
    assert_eq!(told(text.as_bytes()).unwrap(), [row(2, "汪小雨", "~", "")]);
}

#[test]
fn tells_why_a_file_is_none() {
    let headings = "姓名,身份证号\n";
    let line = format!("汪小雨,{ONE}\n");
    let deep = "题\n".repeat(60) + headings + &line;
    let wide = format!("{headings}汪小雨,{ONE}{}x\n", ",".repeat(64));
    let tall = headings.to_owned() + &line.repeat(100_001);
    let long = format!("{headings}{},{ONE}\n", "汪".repeat(1_001));
    for (text, expected) in [
        ("", Unreadable::Headings),
        ("汪小雨,1\n", Unreadable::Headings),
        (&deep, Unreadable::Headings),
        (headings, Unreadable::Empty),
        ("姓名,身份证号\n,\n合计,\n", Unreadable::Empty),
        (&wide, Unreadable::Size),
        (&tall, Unreadable::Size),
        (&long, Unreadable::Size),
        ("姓名,身份证号\n汪\0,1\n", Unreadable::Format),
    ] {
        assert_eq!(told(text.as_bytes()), Err(expected), "{:.40}", text);
    }
    let most = headings.to_owned() + &line.repeat(100_000);
    assert_eq!(told(most.as_bytes()).unwrap().len(), 100_000);
    // Columns that nobody used are none.
    let unused = format!("{headings}汪小雨,{ONE}{}\n", ",".repeat(200));
    assert_eq!(told(unused.as_bytes()).unwrap().len(), 1);
    assert_eq!(told(&[0xff, 0xff, 0x80, 0x81]), Err(Unreadable::Format));
    assert_eq!(
        told(&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1, 0, 0]),
        Err(Unreadable::Format)
    );
}
