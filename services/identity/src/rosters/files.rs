//! Uploaded rosters, kept sealed for 7 days from their first piece: what an import is read from,
//! and what it is shown from to who uploaded it.

use time::Duration;
use uuid::Uuid;
use zeroize::Zeroizing;
use zhiyuan_audit::{Actor, Record};
use zhiyuan_domain::{AccountId, Remark, new_id};
use zhiyuan_postgres::again;
use zhiyuan_rpc::chain;

use super::Rosters;
use super::db::files;
use crate::error::{Error, Result};
use crate::keys::Column;

/// A file is kept that long.
const KEPT: Duration = Duration::days(7);
/// Bytes of a piece, at most.
pub(crate) const PIECE_BYTES: usize = 128 << 10;
/// Pieces of a file, at most.
pub(crate) const PIECES: i16 = 160;

/// A piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file_id: Uuid,
    pub(crate) index: i16,
}

impl Place {
    /// What its ciphertext is bound to: the file has a key of its own, and within the file no
    /// two pieces have the same.
    fn row(self) -> Uuid {
        Uuid::from_u128(self.file_id.as_u128() ^ u128::from(self.index.unsigned_abs()))
    }
}

/// Who is shown a piece, and why.
#[derive(Debug)]
pub(crate) struct Viewer {
    pub(crate) account_id: Uuid,
    pub(crate) purpose: Remark,
}

impl Rosters {
    /// Keeps a piece.
    ///
    /// # Errors
    /// `RosterFileNotFound` when the file was deleted, `RosterPieceDiffers` when another piece
    /// is there.
    pub(crate) async fn put_piece(&self, place: Place, data: &[u8]) -> Result<()> {
        let key_id = self.key_of(place.file_id).await?;
        let key = match self.vault.key(key_id).await {
            // Deleted this very moment.
            Err(Error::KeyMissing) => return Err(Error::RosterFileNotFound),
            key => key?,
        };
        let sealed = self.vault.seal_bytes(&key, Column::RosterPiece, place.row(), data)?;
        let work = || async {
            let mut tx = self.pool.begin().await?;
            if files::hold(&mut tx, place.file_id).await? != Some(key_id) {
                return Err(Error::RosterFileNotFound);
            }
            let new = files::insert_piece(&mut tx, place.file_id, place.index, &sealed).await?;
            tx.commit().await?;
            Ok(new)
        };
        if again(Error::is_lost, work).await? || *self.piece(place).await? == data {
            Ok(())
        } else {
            Err(Error::RosterPieceDiffers)
        }
    }

    /// The subject of the data key of a file, which begins with its first piece.
    async fn key_of(&self, file_id: Uuid) -> Result<Uuid> {
        let now = self.clock.now();
        let mut conn = self.pool.acquire().await?;
        let known = files::find(&mut conn, file_id).await?;
        drop(conn);
        let file = match known {
            Some(file) => file,
            None => {
                let key_id = new_id(self.clock.as_ref());
                self.vault.make_key(key_id).await?;
                let mut conn = self.pool.acquire().await?;
                if files::insert(&mut conn, file_id, key_id, now + KEPT, now).await? {
                    return Ok(key_id);
                }
                let first = files::find(&mut conn, file_id).await?;
                drop(conn);
                self.destroy(key_id).await;
                first.ok_or(Error::RosterFileNotFound)?
            }
        };
        file.key_id.filter(|_| now < file.expire_at).ok_or(Error::RosterFileNotFound)
    }

    /// Gives a piece back.
    ///
    /// # Errors
    /// `RosterFileNotFound`.
    pub(crate) async fn piece(&self, place: Place) -> Result<Zeroizing<Vec<u8>>> {
        let now = self.clock.now();
        let mut conn = self.pool.acquire().await?;
        let found = files::piece(&mut conn, place.file_id, place.index, now).await?;
        drop(conn);
        let (key_id, sealed) = found.ok_or(Error::RosterFileNotFound)?;
        match self.vault.key(key_id).await {
            Err(Error::KeyMissing) => Err(Error::RosterFileNotFound),
            key => self.vault.open_bytes(&key?, Column::RosterPiece, place.row(), &sealed),
        }
    }

    /// Gives a piece back to be shown to somebody who says why. Recorded before it is answered:
    /// what can't be recorded is not shown.
    ///
    /// # Errors
    /// `RosterFileNotFound`.
    pub(crate) async fn reveal(&self, place: Place, viewer: &Viewer) -> Result<Zeroizing<Vec<u8>>> {
        let data = self.piece(place).await?;
        let actor = Actor::Person(AccountId::from(viewer.account_id));
        let record = Record::done(actor, "identity.roster_file.revealed")
            .because(viewer.purpose.as_str())
            .with("file_id", place.file_id)
            .with("piece", place.index);
        again(Error::is_lost, || async {
            let mut tx = self.pool.begin().await?;
            self.trail.append(&mut tx, &record).await?;
            Ok::<_, Error>(tx.commit().await?)
        })
        .await?;
        Ok(data)
    }

    /// Deletes a file for good, known or not.
    pub(crate) async fn delete_file(&self, file_id: Uuid) -> Result<()> {
        let work = || async {
            let mut tx = self.pool.begin().await?;
            let key_id = files::delete(&mut tx, file_id, self.clock.now()).await?;
            tx.commit().await?;
            Ok(key_id)
        };
        if let Some(key_id) = again(Error::is_lost, work).await? {
            self.destroy(key_id).await;
        }
        Ok(())
    }

    /// Destroys the key of what is gone; if that fails, the sweep of keys comes by.
    async fn destroy(&self, key_id: Uuid) {
        if let Err(error) = self.vault.destroy_key(key_id).await {
            tracing::warn!(error = chain(&error), "the data key of a roster is left");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_pieces_of_a_file_are_bound_to_the_same() {
        let file_id = Uuid::from_u128(0x0193_5f00_0000_7000_8000_0000_0000_0015);
        let rows: std::collections::BTreeSet<_> =
            (0..PIECES).map(|index| Place { file_id, index }.row()).collect();
        assert_eq!(rows.len(), usize::try_from(PIECES).unwrap());
    }
}
