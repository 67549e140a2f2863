//! What of a notice who sees.
//!
//! Whoever administers the issuing organization sees all. Everybody else sees nothing that is
//! not a function of the rows that are shown to them, and of the total only where it tells
//! nothing about another one: so there is nothing to subtract. A *cell* is a number of people
//! that is told, or the difference of two that are told of the same people; it is small from 1
//! to 4. Rates, gaps and ranks are made of cells and go with them.

use std::collections::BTreeSet;

use super::{Notice, People, Row, Table, WHOLE};

/// From here on a number of people is not small.
const FEW: std::ops::RangeInclusive<i64> = 1..=4;

/// Who reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reader {
    /// Who administers the issuing organization.
    Issuer,
    /// Anybody else, who administers these organizations; maybe none.
    Addressed(BTreeSet<String>),
}

/// A row as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) code: String,
    pub(super) name: String,
    /// Among those that are shown; none without members, and of the total.
    pub(super) rank: Option<i32>,
    /// None if they are hidden.
    pub(super) figures: Option<ShownFigures>,
}

/// The figures of a row as they are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShownFigures {
    pub(super) people: People,
    pub(super) stated: Option<super::Stated>,
    pub(super) rate: Option<i32>,
    pub(super) met: Option<bool>,
    pub(super) gap: i64,
    pub(super) verified: Option<i32>,
    pub(super) without_administrator: i32,
    pub(super) rate_change: Option<i32>,
    pub(super) registered_change: Option<i64>,
    pub(super) volunteers_change: Option<i64>,
}

/// A notice as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rendition {
    pub(super) total: Shown,
    pub(super) rows: Vec<Shown>,
}

/// Whether one of these numbers is of few people.
fn is_small(people: People) -> bool {
    let People { members, stated_members, .. } = people;
    people.columns().iter().chain(&[members - stated_members]).any(|cell| FEW.contains(cell))
}

/// Whether nothing of a table is hidden from anybody: neither a row nor what is no row.
pub(super) fn is_open(table: &Table) -> bool {
    !table.rows.iter().any(|row| is_small(row.people)) && !is_small(remainder(table))
}

/// What is in no row: the organization's own people, and those of closed ones.
fn remainder(table: &Table) -> People {
    table.total.people.less(table.rows.iter().map(|row| &row.people))
}

/// A notice for a reader.
pub(super) fn render(notice: &Notice, table: &Table, reader: &Reader) -> Rendition {
    let target = notice.target;
    let is_own = |row: &Row| match reader {
        Reader::Issuer => true,
        Reader::Addressed(own) => own.contains(&row.code),
    };
    let (shown, mut hidden): (Vec<&Row>, Vec<&Row>) =
        table.rows.iter().partition(|row| is_own(row) || !is_small(row.people));
    hidden.sort_by(|a, b| a.code.cmp(&b.code));
    let reader_is_issuer = *reader == Reader::Issuer;
    let show_total = reader_is_issuer || hidden.is_empty() && !is_small(remainder(table));
    // A change tells what was: of a row, what was hidden of it; of the total, what was left.
    let show_total_change = reader_is_issuer || notice.previous_is_open;
    let mut rows: Vec<Shown> = Vec::with_capacity(table.rows.len());
    for (rank, row) in (1..).zip(shown) {
        let changes = is_own(row) || row.before.is_none_or(|before| !is_small(before));
        rows.push(Shown {
            code: row.code.clone(),
            name: row.name.clone(),
            rank: (row.people.members > 0).then_some(rank),
            figures: Some(figures(row, target, changes)),
        });
    }
    rows.extend(hidden.into_iter().map(without_figures));
    let total = if show_total {
        let figures = Some(figures(&table.total, target, show_total_change));
        Shown { figures, ..without_figures(&table.total) }
    } else {
        without_figures(&table.total)
    };
    Rendition { total, rows }
}

fn without_figures(row: &Row) -> Shown {
    Shown { code: row.code.clone(), name: row.name.clone(), rank: None, figures: None }
}

fn figures(row: &Row, target: i32, changes: bool) -> ShownFigures {
    let people = row.people;
    let before = row.before.filter(|_| changes);
    let rates = before.and_then(|before| people.rate().zip(before.rate()));
    ShownFigures {
        people,
        stated: row.stated.clone(),
        rate: people.rate(),
        met: people.meets(target),
        gap: people.gap(target),
        verified: people.verified(),
        without_administrator: row.without_administrator,
        rate_change: rates.map(|(now, before)| now - before),
        registered_change: before.map(|it| people.registered_members - it.registered_members),
        volunteers_change: before.map(|before| people.volunteers - before.volunteers),
    }
}

/// A share of ten thousand as people write it, such as `90.25%`.
pub(super) fn percent(share: i32) -> String {
    let (sign, share) = (if share < 0 { "-" } else { "" }, share.unsigned_abs());
    let hundredth = WHOLE.unsigned_abs() / 100;
    format!("{sign}{}.{:02}%", share / hundredth, share % hundredth)
}
