//! Imports and their rows, as they are told.

use zhiyuan_contracts::registration::v1::{
    RosterImport, RosterImportRow, RosterRowCounts, RosterRowFate,
};
use zhiyuan_rpc::wire::timestamp;

use super::{Counts, Import, State, db, judging};

/// Missing pieces that are told of.
const MISSING: usize = 32;

/// An import, as it is now.
pub(super) fn import(import: &Import) -> RosterImport {
    let uploading = import.state == State::Uploading;
    let missing = import.missing().map(i32::from).take(MISSING);
    let Counts { new, registered, unchanged, updated, rejected } = import.counts;
    RosterImport {
        id: import.id.to_string(),
        organization_code: import.organization.as_str().to_owned(),
        file_name: import.file_name.clone(),
        size_bytes: i64::try_from(import.size_bytes).unwrap_or(i64::MAX),
        state: import.state.to_wire().into(),
        failure: import.failure.unwrap_or_default().into(),
        missing_pieces: if uploading { missing.collect() } else { Vec::new() },
        rows: import.rows,
        rows_done: import.rows_done,
        counts: Some(RosterRowCounts {
            new,
            new_registered: registered,
            unchanged,
            updated,
            rejected,
        }),
        create_time: Some(timestamp(import.created_at)),
        end_time: import.ended_at.map(timestamp),
        file_expire_time: import.file_expires_at.map(timestamp),
    }
}

/// What became of a row.
pub(super) fn row(row: &db::Row) -> RosterImportRow {
    let rejected = row.fate == RosterRowFate::Rejected;
    let message = || judging::message(&row.problems, row.same_as_row);
    RosterImportRow {
        row_number: row.row_number,
        fate: row.fate.into(),
        problems: row.problems.iter().map(|problem| i32::from(*problem)).collect(),
        message: if rejected { message() } else { String::new() },
        same_as_row: row.same_as_row.unwrap_or_default(),
    }
}
