//! Looking at whom to ask about an application.

use uuid::Uuid;
use zhiyuan_domain::Remark;
use zhiyuan_postgres::again;

use super::deciding::hidden;
use super::grpc::Applications;
use super::{Application, Fault, db, records};
use crate::authority::{self, Permission};
use crate::counts;
use crate::error::{Error, Result};

impl Applications {
    /// An application, for who may decide about it and says why. Recorded before it is answered.
    pub(super) async fn reveal(&self, me: Uuid, id: Uuid, purpose: &Remark) -> Result<Application> {
        let work = async || self.reveal_once(me, id, purpose).await;
        let shown = again(Error::is_lost, work).await;
        if let Some(reason) = shown.as_ref().err().and_then(Error::refusal) {
            let found = db::find(&self.0.pool, id).await?;
            let record = records::refused(me, records::REVEALED, found.as_ref(), reason);
            self.0.refusals.note_of(me, "RevealApplication", reason, &record).await?;
        }
        shown
    }

    async fn reveal_once(&self, me: Uuid, id: Uuid, purpose: &Remark) -> Result<Application> {
        let mut transaction = self.0.pool.begin().await?;
        counts::db::keep_tree(&mut transaction).await?;
        let now = self.0.clock.now();
        let found = db::find(&mut *transaction, id).await?.ok_or(Fault::NotFound)?;
        let (superior, permission) = (&found.superior_code, Permission::ManageOrganization);
        let held = authority::holding(&mut transaction, me, superior, permission, now).await;
        let held = held.map_err(hidden)?;
        let nearest = held.first().ok_or(Error::Inconsistent("orgtree.authority_grant"))?;
        let record = records::done(me, records::REVEALED, &found, nearest.id);
        self.0.trail.append(&mut transaction, &record.because(purpose.as_str())).await?;
        transaction.commit().await?;
        Ok(found)
    }
}
