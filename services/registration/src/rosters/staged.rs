//! The file of an import, as identity keeps it.

use std::collections::BTreeMap;

use zhiyuan_contracts::registration::v1::RosterFailure;
use zhiyuan_crypto::digest::{equal, unkeyed};
use zhiyuan_domain::{AccountId, Remark};

use super::file::{self, Person, Piece, Unreadable};
use super::{Import, Rosters};
use crate::error::{Error, Result};

impl Unreadable {
    pub(super) fn to_wire(self) -> RosterFailure {
        match self {
            Self::Format => RosterFailure::Format,
            Self::Headings => RosterFailure::Headings,
            Self::Empty => RosterFailure::Empty,
            Self::Size => RosterFailure::Rows,
        }
    }
}

/// Work on a file takes a core for a while; one at a time does.
async fn read<T: Send + 'static>(
    work: impl FnOnce() -> std::result::Result<T, Unreadable> + Send + 'static,
) -> std::result::Result<T, Unreadable> {
    // What reads workbooks is somebody else's: a file over which it panics is broken.
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Unreadable::Format))
}

impl Rosters {
    /// The whole file: for somebody who is shown it, or else for the task, which goes on
    /// holding its lease meanwhile.
    ///
    /// # Errors
    /// `FileGone`.
    pub(super) async fn fetch(
        &self,
        import: &Import,
        viewer: Option<(AccountId, &Remark)>,
    ) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(usize::try_from(import.size_bytes).unwrap_or(0));
        for index in 0..import.piece_count() {
            // Shown is the file: identity records it once, not for each of its pieces.
            let recorded = viewer.filter(|_| index == 0);
            bytes.extend(self.people.piece(import.id, index, recorded).await?);
            if viewer.is_none() {
                self.renew(import).await?;
            }
        }
        Ok(bytes)
    }

    /// The people in a file; or why there are none.
    pub(super) async fn read_people(
        &self,
        import: &Import,
        bytes: Vec<u8>,
    ) -> std::result::Result<Vec<Person>, RosterFailure> {
        let expected = import.sha256.clone();
        let work = move || {
            let same = equal(&unkeyed(&bytes), &expected);
            Ok(same.then(|| file::people(&bytes)))
        };
        match read(work).await {
            Ok(Some(Ok(people))) => Ok(people),
            Ok(Some(Err(unreadable))) | Err(unreadable) => Err(unreadable.to_wire()),
            Ok(None) => Err(RosterFailure::Digest),
        }
    }

    /// A part of the file of rejected rows.
    pub(super) async fn render(
        &self,
        bytes: Vec<u8>,
        problems: BTreeMap<u32, String>,
        window: (usize, usize),
    ) -> Result<Piece> {
        let rendered = read(move || file::rejected(&bytes, &problems, window)).await;
        // It was read before.
        rendered.map_err(|_unreadable| Error::Inconsistent("roster file"))
    }
}
