//! What is given back can be sent again.

use proptest::prelude::*;

use super::*;

fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[汪李张小雨明·A-Za-z0-9 ,;\"'\n\t=+@-]{0,20}",
        1 => "[0-9]{11,18}",
        1 => Just("3.40822E+17".to_owned()),
    ]
}

proptest! {
    #[test]
    fn rows_that_are_given_back_are_read_as_the_same_rows(
        rows in prop::collection::vec((cell(), cell(), cell(), cell()), 1..20),
    ) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["班级", "姓名", "身份证号", "手机"]).unwrap();
        for (class, name, id_number, phone) in &rows {
            writer.write_record([class, name, id_number, phone]).unwrap();
        }
        let bytes = writer.into_inner().unwrap();
        let Ok(before) = told(&bytes) else { return Ok(()) };
        let problems: BTreeMap<u32, String> =
            before.iter().map(|row| (row.0, "姓名不对".to_owned())).collect();
        let again = rejected(&bytes, &problems, (0, usize::MAX / 2)).unwrap();
        let after = told(&again.bytes).unwrap();
        let content = |rows: &[Told]| {
            rows.iter().map(|row| (row.1.clone(), row.2.clone(), row.3.clone())).collect::<Vec<_>>()
        };
        prop_assert_eq!(content(&before), content(&after));
        // Given back once more, the columns that were added are not there twice.
        let problems = after.iter().map(|row| (row.0, "姓名不对".to_owned())).collect();
        let once_more = rejected(&again.bytes, &problems, (0, usize::MAX / 2)).unwrap();
        let head = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().next().map(str::to_owned);
        prop_assert_eq!(head(&again.bytes), head(&once_more.bytes));
    }

    #[test]
    fn pieces_are_the_whole(size in 1_usize..200) {
        let rows: String = (0..20).map(|n| format!("张三,{ONE},{n}\n")).collect();
        let text = format!("姓名,身份证号,手机\n{rows}");
        let problems: BTreeMap<u32, String> = (2..22).map(|n| (n, "问题".to_owned())).collect();
        let whole = rejected(text.as_bytes(), &problems, (0, 1 << 20)).unwrap().bytes;
        let mut pieces = Vec::new();
        loop {
            let piece = rejected(text.as_bytes(), &problems, (pieces.len(), size)).unwrap();
            pieces.extend(piece.bytes);
            if !piece.more {
                break;
            }
            prop_assert!(pieces.len() < whole.len());
        }
        prop_assert_eq!(pieces, whole);
    }
}
