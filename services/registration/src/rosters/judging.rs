//! What becomes of a row.

use std::collections::HashMap;

use time::{Date, Month};
use zhiyuan_contracts::identity::v1::{RosterProblem, RosterVerdict};
use zhiyuan_contracts::registration::v1::{RosterRowFate as Fate, RosterRowProblem as Problem};
use zhiyuan_domain::{IdNumber, Mobile, PersonName, league_membership_ends_in, month_of};

use super::file::{IdCell, Person};

/// What people write where they have nothing to write.
const NONE: [&str; 8] = ["无", "暂无", "没有", "/", "-", "—", "——", "0"];

/// A row that may be a person's: what identity is asked about.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) row_number: i32,
    pub(super) name: String,
    pub(super) id_number: String,
    /// Empty if there is none.
    pub(super) phone: String,
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Candidate").field("row_number", &self.row_number).finish_non_exhaustive()
    }
}

/// What becomes of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) row_number: i32,
    pub(super) fate: Fate,
    pub(super) problems: Vec<Problem>,
    /// The row before that has the same ID number.
    pub(super) same_as: Option<i32>,
    pub(super) person: Option<uuid::Uuid>,
}

impl Judged {
    pub(super) fn rejected(row_number: i32, problems: Vec<Problem>) -> Self {
        Self { row_number, fate: Fate::Rejected, problems, same_as: None, person: None }
    }
}

/// Looks at the rows of a file, one after the other.
#[derive(Default)]
pub(super) struct Looker {
    /// In which row an ID number came first.
    firsts: HashMap<String, i32>,
}

impl Looker {
    /// A row by itself, and beside those before it.
    ///
    /// # Errors
    /// A row that is rejected, whoever it is about.
    pub(super) fn look(&mut self, person: &Person, today: Date) -> Result<Candidate, Judged> {
        let row_number = i32::try_from(person.row_number).unwrap_or(i32::MAX);
        let mut problems = Vec::new();
        let name = PersonName::parse(&person.name);
        if name.is_err() {
            problems.push(Problem::Name);
        }
        let id_number = id_number(&person.id_number, today);
        match &id_number {
            Ok(number) if is_too_old(number.birth_date(), today) => problems.push(Problem::TooOld),
            Ok(_) => {}
            Err(problem) => problems.push(*problem),
        }
        let phone = phone(&person.phone);
        if phone.is_none() {
            problems.push(Problem::Phone);
        }
        let (Ok(name), Ok(id_number), Some(phone), []) = (name, id_number, phone, &*problems)
        else {
            return Err(Judged::rejected(row_number, problems));
        };
        let id_number = id_number.as_str().to_owned();
        let first = *self.firsts.entry(id_number.clone()).or_insert(row_number);
        if first != row_number {
            let duplicate = Judged::rejected(row_number, vec![Problem::Duplicate]);
            return Err(Judged { same_as: Some(first), ..duplicate });
        }
        Ok(Candidate { row_number, name: name.as_str().to_owned(), id_number, phone })
    }
}

fn id_number(cell: &IdCell, today: Date) -> Result<IdNumber, Problem> {
    let text = match cell {
        IdCell::Rounded => return Err(Problem::IdNumberRounded),
        IdCell::Text(text) => text,
    };
    let parsed = IdNumber::parse(text, today).or_else(|_no| IdNumber::upgrade_legacy(text, today));
    // What a spreadsheet makes of 18 digits ends in zeros, and its check digit is no more right.
    let rounded = text.len() == 18 && text.ends_with("000");
    parsed.map_err(|_no| if rounded { Problem::IdNumberRounded } else { Problem::IdNumber })
}

/// The digits of a phone; empty if there is none, `None` if it is not one.
fn phone(text: &str) -> Option<String> {
    if text.is_empty() || NONE.contains(&text) {
        return Some(String::new());
    }
    Mobile::parse(text).ok().map(|mobile| mobile.national().to_owned())
}

/// Whether the month in which membership ends is over.
fn is_too_old(birth: Date, today: Date) -> bool {
    month_of(today) > league_membership_ends_in(birth)
}

/// Whether this is a month as it is told, such as `2027-05`.
pub(super) fn is_month(text: &str) -> bool {
    let Some((year, month)) = text.split_once('-') else { return false };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let known = |month: u8| Month::try_from(month).is_ok();
    year.len() == 4
        && digits(year)
        && month.len() == 2
        && digits(month)
        && month.parse().is_ok_and(known)
}

/// On which roster somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum On {
    None,
    This,
    /// On this one, by this very row: it was imported, and whether that was noted was not.
    ThisByThis,
    Other,
}

/// What becomes of the row of somebody of whom identity tells.
pub(super) fn judge(verdict: &RosterVerdict, person: Option<uuid::Uuid>, on: On) -> Judged {
    let rejected =
        |problem| Judged { person, ..Judged::rejected(verdict.row_number, vec![problem]) };
    let problem = match verdict.problem() {
        RosterProblem::Unspecified => None,
        RosterProblem::Name => Some(Problem::Name),
        RosterProblem::IdNumber => Some(Problem::IdNumber),
        RosterProblem::Phone => Some(Problem::Phone),
        RosterProblem::NameDiffers => Some(Problem::NameDiffers),
        RosterProblem::TooYoung => Some(Problem::TooYoung),
    };
    if let Some(problem) = problem {
        return rejected(problem);
    }
    let fate = match (on, verdict.registered) {
        (On::Other, _) => return rejected(Problem::OnOtherRoster),
        (On::This, _) if verdict.name_changed || verdict.phone_changed => Fate::Updated,
        (On::This, _) => Fate::Unchanged,
        (On::None | On::ThisByThis, true) => Fate::NewRegistered,
        (On::None | On::ThisByThis, false) => Fate::New,
    };
    let row_number = verdict.row_number;
    Judged { row_number, fate, problems: Vec::new(), same_as: None, person }
}

/// What to do about a row that is rejected.
pub(super) fn message(problems: &[Problem], same_as: Option<i32>) -> String {
    let told = problems.iter().map(|problem| match problem {
        Problem::Unspecified => String::new(),
        Problem::Name => "姓名缺失或不规范，请填写与身份证一致的姓名".to_owned(),
        Problem::IdNumber => "身份证号码缺失或有误，请与证件核对".to_owned(),
        Problem::IdNumberRounded => {
            "身份证号码被表格软件当作数字舍入，请把该列设为文本格式后重新填写".to_owned()
        }
        Problem::Phone => "手机号码有误，请填写 11 位手机号码，没有的可以留空".to_owned(),
        Problem::TooYoung => "未满 14 周岁，不能列入名册".to_owned(),
        Problem::NameDiffers => "本人已用另一姓名实名注册，请与证件核对姓名和身份证号码".to_owned(),
        Problem::OnOtherRoster => "已在其他组织的名册中，请先由该组织移出".to_owned(),
        Problem::Duplicate => match same_as {
            Some(row) => format!("身份证号码与第 {row} 行相同，请核对后保留一行"),
            None => "身份证号码与前面的一行相同，请核对后保留一行".to_owned(),
        },
        Problem::TooOld => "已超过 28 周岁，不再列入名册".to_owned(),
    });
    told.collect::<Vec<_>>().join("；")
}

#[cfg(test)]
mod tests;
