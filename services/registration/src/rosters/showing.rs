//! Rejected rows, given back to who uploaded them.

use std::time::Instant;

use uuid::Uuid;
use zhiyuan_domain::{AccountId, Remark};
use zhiyuan_postgres::again;
use zhiyuan_rpc::Error as RpcError;

use super::file::Piece;
use super::permission::Act;
use super::{Fault, Import, Rosters, db, judging};
use crate::error::{Error, Result};

/// The most that is given back in one call, in bytes.
const MOST: usize = 1024 * 1024;

impl Rosters {
    /// Gives a part of the file of rejected rows back.
    ///
    /// # Errors
    /// See `RosterService.GetRejectedRosterRows`.
    pub(super) async fn rejected(
        &self,
        me: AccountId,
        id: Uuid,
        offset: usize,
        purpose: &Remark,
    ) -> Result<Piece> {
        let act = Act::show(me);
        let import = self.find(id).await?;
        self.allowed(act, &import.organization).await?;
        import.check_begun_by(me)?;
        if !import.is_settled() {
            return Err(Fault::ImportState.into());
        }
        if import.file_expires_at.is_none_or(|at| at <= self.clock.now()) {
            return Err(Fault::FileGone.into());
        }
        again(Error::is_lost, || self.note_shown(act, &import, offset, purpose)).await?;
        let reading = self.showing.acquire().await;
        let _reading = reading.map_err(|_closed| Error::from(RpcError::draining()))?;
        let rows = db::problems(&self.pool, id).await?;
        let told = |row: &db::Row| judging::message(&row.problems, row.same_as_row);
        let problems = rows.iter().map(|(number, row)| (*number, told(row))).collect();
        let bytes = self.fetch(&import, Some((me, purpose))).await?;
        let piece = self.render(bytes, problems, (offset, MOST)).await?;
        // Whose right ended while the file was read is not shown what was recorded.
        self.allowed(act, &import.organization).await?;
        Ok(piece)
    }

    /// Records that rows are shown before they are.
    async fn note_shown(
        &self,
        act: Act,
        import: &Import,
        offset: usize,
        purpose: &Remark,
    ) -> Result<()> {
        let lease = self.allowed(act, &import.organization).await?;
        let mut transaction = self.pool.begin().await?;
        let record = act.done(&import.organization).with("import", import.id);
        let record = record.with("offset", offset).because(purpose.as_str());
        self.trail.append_under(&mut transaction, record, &lease).await?;
        lease.check(Instant::now())?;
        Ok(transaction.commit().await?)
    }
}
