//! Which column is which, by the names that people give them.

use super::{Cell, Row};

/// Names, the surest first. Spaces, brackets and what is in them are no part of them.
const NAME: &[&str] =
    &["姓名", "团员姓名", "成员姓名", "学生姓名", "志愿者姓名", "真实姓名", "名字"];
const ID_NUMBER: &[&str] = &[
    "公民身份号码",
    "身份证号码",
    "身份证号",
    "居民身份证号码",
    "居民身份证号",
    "公民身份证号码",
    "公民身份证号",
    "身份证件号码",
    "身份证件号",
    "身份号码",
    "身份证",
    "证件号码",
    "证件号",
];
const PHONE: &[&str] = &[
    "手机号码",
    "手机号",
    "手机",
    "本人手机号码",
    "本人手机号",
    "本人手机",
    "移动电话",
    "联系手机",
    "联系电话",
    "电话号码",
    "电话",
    "联系方式",
];
/// The columns that a file of rejected rows has at its end.
pub(super) const OWN: [&str; 2] = ["行号", "问题"];

/// Where the headings are.
#[derive(Default, PartialEq)]
pub(super) struct Headings {
    pub(super) row_number: u32,
    pub(super) name: usize,
    pub(super) id_number: usize,
    pub(super) phone: Option<usize>,
    /// Of the columns that a file of rejected rows added.
    own: Vec<usize>,
    /// All of them, as they stand there.
    pub(super) cells: Vec<Cell>,
}

impl Headings {
    /// A row is one of headings if it names name and ID number.
    pub(super) fn find(row: &Row) -> Option<Self> {
        let named: Vec<String> = row.cells.iter().map(|cell| plain(&cell.text())).collect();
        let column = |names: &[&str]| {
            names.iter().find_map(|name| named.iter().position(|cell| cell == name))
        };
        let (name, id_number) = (column(NAME)?, column(ID_NUMBER)?);
        let is_own = |column: &usize| named.get(*column).is_some_and(|it| OWN.contains(&&**it));
        Some(Self {
            row_number: row.number,
            name,
            id_number,
            phone: column(PHONE),
            own: (0..named.len()).filter(is_own).collect(),
            cells: row.cells.clone(),
        })
    }

    /// Whether a column is one of the file's own, not of what was said about its rows.
    pub(super) fn keeps(&self, column: usize) -> bool {
        !self.own.contains(&column)
    }
}

/// A heading without what people put around it, such as `* 姓 名（必填）：`.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut within = 0_u32;
    for c in text.chars() {
        match c {
            '(' | '（' | '[' | '【' => within += 1,
            ')' | '）' | ']' | '】' => within = within.saturating_sub(1),
            _ if within > 0 || c.is_whitespace() => {}
            '*' | '＊' | '★' | ':' | '：' | '\u{FEFF}' | '\u{200B}' => {}
            _ => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Row {
        Row { number: 3, cells: cells.iter().map(|cell| Cell::of_text(cell)).collect() }
    }

    fn found(cells: &[&str]) -> Option<(usize, usize, Option<usize>)> {
        Headings::find(&row(cells)).map(|found| (found.name, found.id_number, found.phone))
    }

    #[test]
    fn headings_have_many_names_and_any_order() {
        for (cells, expected) in [
            (&["姓名", "身份证号", "手机"][..], Some((0, 1, Some(2)))),
            (&["序号", "联系电话", "证件号码", " 姓\u{3000}名 "], Some((3, 2, Some(1)))),
            (&["*姓名（必填）", "公民身份号码：", "备注"], Some((0, 1, None))),
            // The surer name of two.
            (&["姓名", "电话", "证件号", "身份证号码", "手机号"], Some((0, 3, Some(4)))),
            (&["姓名", "手机"], None),
            (&["身份证号", "手机"], None),
            (&["二〇二六年团员名册"], None),
            (&[], None),
        ] {
            assert_eq!(found(cells), expected, "{cells:?}");
        }
    }

    #[test]
    fn columns_that_were_added_are_known_again() {
        let found = Headings::find(&row(&["姓名", "行号", "身份证号", "问题"])).unwrap();
        let kept: Vec<bool> = (0..5).map(|column| found.keeps(column)).collect();
        assert_eq!(kept, [true, false, true, false, true]);
    }
}
