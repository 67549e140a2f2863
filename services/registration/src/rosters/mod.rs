//! Rosters (团员名册): which members an organization has, whether they have registered or not.
//!
//! A file that an administrator uploads goes to identity in pieces, sealed; here it is read
//! from there, looked at row by row, and what becomes of each row is kept: its number, its
//! fate, who it is about. Nothing of what is in it is.

pub(crate) mod db;
mod fault;
pub(crate) mod feed;
mod file;
mod form;
pub(crate) mod grpc;
mod importing;
pub(crate) mod job;
mod judging;
mod leaving;
mod listing;
mod passes;
mod people;
mod permission;
mod showing;
mod staged;
mod strays;
mod uploading;
mod wire;

pub(crate) use fault::Fault;
pub(crate) use leaving::{closed, ended};
pub(crate) use people::People;

use std::sync::Arc;

use sqlx::PgPool;
use time::{Duration, OffsetDateTime};
use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;
use zhiyuan_audit::Trail;
use zhiyuan_contracts::registration::v1::{RosterFailure, RosterImportState};
use zhiyuan_crypto::KeyedDigest;
use zhiyuan_domain::{OrganizationCode, SharedClock};
use zhiyuan_feed::Outbox;
use zhiyuan_rpc::authority::Authority;

use crate::registering::organizations::Organizations;

/// How long identity keeps a file, from its first piece on.
pub(crate) const FILE_KEPT: Duration = Duration::days(7);
/// How long imports, and who was returned, are told of.
pub(crate) const KEPT: Duration = Duration::days(365);
/// The bytes of a piece of a file; the last one has the rest.
const PIECE: u64 = 128 * 1024;

/// Where an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Uploading,
    Checking,
    Checked,
    Importing,
    Done,
    Cancelled,
    Failed,
}

impl State {
    const ALL: [Self; 7] = [
        Self::Uploading,
        Self::Checking,
        Self::Checked,
        Self::Importing,
        Self::Done,
        Self::Cancelled,
        Self::Failed,
    ];

    /// As in the column `state`.
    pub(crate) fn as_column(self) -> &'static str {
        match self {
            Self::Uploading => "UPLOADING",
            Self::Checking => "CHECKING",
            Self::Checked => "CHECKED",
            Self::Importing => "IMPORTING",
            Self::Done => "DONE",
            Self::Cancelled => "CANCELLED",
            Self::Failed => "FAILED",
        }
    }

    /// From the column `state`.
    pub(crate) fn from_column(column: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_column() == column)
    }

    fn to_wire(self) -> RosterImportState {
        match self {
            Self::Uploading => RosterImportState::Uploading,
            Self::Checking => RosterImportState::Checking,
            Self::Checked => RosterImportState::Checked,
            Self::Importing => RosterImportState::Importing,
            Self::Done => RosterImportState::Done,
            Self::Cancelled => RosterImportState::Cancelled,
            Self::Failed => RosterImportState::Failed,
        }
    }
}

/// How many rows have each fate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) new: i32,
    pub(crate) registered: i32,
    pub(crate) unchanged: i32,
    pub(crate) updated: i32,
    pub(crate) rejected: i32,
}

/// An import.
#[derive(Debug, Clone)]
pub(crate) struct Import {
    pub(crate) id: Uuid,
    pub(crate) organization: OrganizationCode,
    pub(crate) started_by: Uuid,
    pub(crate) file_name: String,
    pub(crate) size_bytes: u64,
    pub(crate) sha256: Vec<u8>,
    /// Those of its pieces that identity keeps.
    pub(crate) pieces: Vec<i16>,
    pub(crate) state: State,
    /// Where it goes on when it is started again.
    pub(crate) cancelled_in: Option<State>,
    pub(crate) failure: Option<RosterFailure>,
    pub(crate) rows: i32,
    pub(crate) done_to: i32,
    pub(crate) rows_done: i32,
    pub(crate) counts: Counts,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) ended_at: Option<OffsetDateTime>,
    pub(crate) file_expires_at: Option<OffsetDateTime>,
    /// Whoever works on it, while somebody does.
    pub(crate) lease: Option<Uuid>,
    pub(crate) attempts: i32,
}

impl Import {
    /// How many pieces its file has.
    fn piece_count(&self) -> i16 {
        i16::try_from(self.size_bytes.div_ceil(PIECE)).unwrap_or(i16::MAX)
    }

    /// How large a piece is; `None` if there is none of that index.
    fn piece_size(&self, index: i16) -> Option<u64> {
        let before = u64::try_from(index).ok()? * PIECE;
        let rest = self.size_bytes.checked_sub(before).filter(|rest| *rest > 0)?;
        Some(rest.min(PIECE))
    }

    /// Those of its pieces that are missing.
    fn missing(&self) -> impl Iterator<Item = i16> + '_ {
        (0..self.piece_count()).filter(|index| !self.pieces.contains(index))
    }

    /// Whether the fate of every row was found, and none changes now.
    fn is_settled(&self) -> bool {
        match self.state {
            State::Checked | State::Done => true,
            State::Cancelled => {
                matches!(self.cancelled_in, Some(State::Checked | State::Importing))
            }
            State::Uploading | State::Checking | State::Importing | State::Failed => false,
        }
    }

    /// The state in which it goes on when it is started.
    ///
    /// # Errors
    /// `ImportState`.
    fn started(&self) -> Result<State, Fault> {
        match (self.state, self.cancelled_in) {
            (State::Checked, _) | (State::Cancelled, Some(State::Checked)) => Ok(State::Importing),
            (State::Cancelled, Some(before)) => Ok(before),
            _ => Err(Fault::ImportState),
        }
    }

    /// Whether it has an end already.
    fn is_over(&self) -> bool {
        matches!(self.state, State::Done | State::Cancelled | State::Failed)
    }
}

/// What it takes to keep rosters.
#[derive(Debug, Clone)]
pub(crate) struct Rosters {
    pub(crate) pool: PgPool,
    pub(crate) clock: SharedClock,
    pub(crate) people: People,
    pub(crate) organizations: Organizations,
    pub(crate) authority: Authority,
    pub(crate) digests: KeyedDigest,
    pub(crate) trail: Trail,
    pub(crate) outbox: Outbox,
    /// Rung when there is something to do.
    pub(crate) due: Arc<Notify>,
    /// One file at a time is read in this process.
    pub(crate) reading: Arc<Semaphore>,
    /// Besides, one at a time is read to be shown: who is shown files keeps no import waiting.
    pub(crate) showing: Arc<Semaphore>,
    pub(crate) limits: ImportLimits,
}

/// How many imports may be begun in 24 hours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ImportLimits {
    /// By one administrator.
    pub(crate) per_administrator: u32,
    /// Of one organization.
    pub(crate) per_organization: u32,
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn import(state: State, cancelled_in: Option<State>) -> Import {
        Import {
            id: Uuid::from_u128(1),
            organization: OrganizationCode::parse("AH").unwrap(),
            started_by: Uuid::from_u128(2),
            file_name: "a.csv".to_owned(),
            size_bytes: 2 * PIECE + 1,
            sha256: Vec::new(),
            pieces: vec![1],
            state,
            cancelled_in,
            failure: None,
            rows: 0,
            done_to: 0,
            rows_done: 0,
            counts: Counts::default(),
            created_at: datetime!(2026-11-23 4:00 UTC),
            ended_at: None,
            file_expires_at: None,
            lease: None,
            attempts: 0,
        }
    }

    #[test]
    fn states_survive_their_column_and_the_wire() {
        for state in State::ALL {
            assert_eq!(State::from_column(state.as_column()), Some(state));
            let wire = format!("ROSTER_IMPORT_STATE_{}", state.as_column());
            assert_eq!(state.to_wire().as_str_name(), wire);
        }
    }

    #[test]
    fn a_file_is_cut_into_pieces_of_which_the_last_has_the_rest() {
        let import = import(State::Uploading, None);
        let sizes: Vec<Option<u64>> = (-1..4).map(|index| import.piece_size(index)).collect();
        assert_eq!(sizes, [None, Some(PIECE), Some(PIECE), Some(1), None]);
        assert_eq!(import.missing().collect::<Vec<_>>(), [0, 2]);
        let largest = Import { size_bytes: file::LARGEST, ..import };
        assert_eq!(largest.piece_count(), 160);
    }

    #[test]
    fn an_import_is_started_once_it_was_looked_at_and_goes_on_where_it_was_cancelled() {
        for state in State::ALL {
            let started = import(state, None).started();
            assert_eq!(started.ok(), (state == State::Checked).then_some(State::Importing));
        }
        for (before, after) in [
            (State::Uploading, State::Uploading),
            (State::Checking, State::Checking),
            (State::Checked, State::Importing),
            (State::Importing, State::Importing),
        ] {
            let import = import(State::Cancelled, Some(before));
            assert_eq!(import.started().ok(), Some(after));
            let settled = matches!(before, State::Checked | State::Importing);
            assert_eq!(import.is_settled(), settled, "{before:?}");
        }
    }
}
