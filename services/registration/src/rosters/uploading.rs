//! Pieces of a file, on their way to identity.

use std::time::Instant;

use uuid::Uuid;
use zhiyuan_domain::AccountId;
use zhiyuan_postgres::again;
use zhiyuan_rpc::Fields;
use zhiyuan_rpc::authority::Lease;

use super::permission::Act;
use super::{FILE_KEPT, Fault, Import, Rosters, State, db};
use crate::error::{Error, Result};

const UPLOADED: &str = "registration.roster.piece_uploaded";

impl Rosters {
    /// Hands a piece on, and notes that it is there; with the last one the file is looked at.
    /// One that is there already is compared by identity.
    ///
    /// # Errors
    /// See `RosterService.UploadRosterPiece`.
    pub(super) async fn upload(
        &self,
        me: AccountId,
        (id, index): (Uuid, i16),
        data: Vec<u8>,
    ) -> Result<Import> {
        let act = Act::change(me, UPLOADED, Fault::ImportNotFound);
        let import = self.find(id).await?;
        self.allowed(act, &import.organization).await?;
        import.check_begun_by(me)?;
        check_size(&import, index, data.len())?;
        let known = import.pieces.contains(&index);
        if import.state == State::Cancelled || import.state != State::Uploading && !known {
            return Err(Fault::ImportState.into());
        }
        let expires_at = self.clock.now() + FILE_KEPT;
        self.people.put(id, index, data).await?;
        if known {
            return Ok(import);
        }
        let noted = || async {
            let lease = self.allowed(act, &import.organization).await?;
            self.note_piece(&import, index, expires_at, &lease).await
        };
        if again(Error::is_lost, noted).await? {
            self.due.notify_one();
        }
        self.find(id).await
    }

    /// Notes a piece; tells whether it was the last one.
    async fn note_piece(
        &self,
        import: &Import,
        index: i16,
        expires_at: time::OffsetDateTime,
        lease: &Lease,
    ) -> Result<bool> {
        let mut transaction = self.pool.begin().await?;
        let locked = db::lock(&mut transaction, import.id).await?.ok_or(Fault::ImportNotFound)?;
        if locked.state != State::Uploading {
            // The same piece came twice at once, or the import was cancelled meanwhile.
            let there = locked.pieces.contains(&index);
            return if there { Ok(false) } else { Err(Fault::ImportState.into()) };
        }
        db::uploaded(&mut transaction, import.id, index, expires_at).await?;
        let last = locked.missing().all(|missing| missing == index);
        if last {
            let now = self.clock.now();
            db::set_state(&mut transaction, &locked, State::Checking, None, now).await?;
        }
        lease.check(Instant::now())?;
        transaction.commit().await?;
        Ok(last)
    }
}

/// # Errors
/// `INVALID_FIELDS`.
fn check_size(import: &Import, index: i16, size: usize) -> Result<()> {
    let mut fields = Fields::new();
    match import.piece_size(index) {
        None => fields.refuse("index", "PIECE_INDEX", "文件没有这一片，请重新选择文件"),
        Some(expected) if u64::try_from(size) != Ok(expected) => {
            fields.refuse("data", "PIECE_SIZE", "这一片的大小不对，请重新选择文件后再上传");
        }
        Some(_) => {}
    }
    Ok(fields.finish()?)
}
