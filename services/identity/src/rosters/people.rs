//! People on rosters, whom others know by their ids: shown by the masked name, and forgotten.

use std::collections::HashMap;

use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::{PersonName, least_id_of};
use zhiyuan_postgres::again;
use zhiyuan_rpc::chain;

use super::{MOST, Rosters, db};
use crate::error::{Error, Result};
use crate::keys::Column;

/// Somebody on a roster, as may be shown.
#[derive(Debug)]
pub(crate) struct Masked {
    pub(crate) id: Uuid,
    pub(crate) masked_name: String,
    pub(crate) registered: bool,
    pub(crate) has_phone: bool,
}

impl Rosters {
    /// Those of the people who are known, in the order of the question.
    pub(crate) async fn people(&self, ids: &[Uuid]) -> Result<Vec<Masked>> {
        let found = db::shown(&mut *self.pool.acquire().await?, ids).await?;
        let mut found: HashMap<Uuid, db::Shown> =
            found.into_iter().map(|shown| (shown.id, shown)).collect();
        let keys = self.vault.keys(ids).await?;
        let mut people = Vec::new();
        for shown in ids.iter().filter_map(|id| found.remove(id)) {
            // Forgotten this very moment.
            let Some(key) = keys.get(&shown.id) else { continue };
            let column = if shown.registered { Column::AccountName } else { Column::RosterName };
            let name = self.vault.open(key, column, shown.id, &shown.name)?;
            let name = PersonName::parse(&name)
                .map_err(|_invalid| Error::Inconsistent("identity.roster_person"))?;
            people.push(Masked {
                id: shown.id,
                masked_name: name.masked(),
                registered: shown.registered,
                has_phone: shown.has_phone,
            });
        }
        Ok(people)
    }

    /// Those who were made known after somebody, and before a time, and have not registered;
    /// [`MOST`] at most.
    pub(crate) async fn made_known(
        &self,
        after: Uuid,
        before: OffsetDateTime,
    ) -> Result<Vec<Uuid>> {
        let most = i64::try_from(MOST).unwrap_or(i64::MAX);
        let mut conn = self.pool.acquire().await?;
        db::between(&mut conn, after, least_id_of(before), most).await
    }

    /// Forgets those of the people who have not registered.
    pub(crate) async fn forget(&self, ids: &[Uuid]) -> Result<()> {
        let work = || async {
            let mut tx = self.pool.begin().await?;
            let forgotten = db::forget(&mut tx, ids).await?;
            tx.commit().await?;
            Ok(forgotten)
        };
        let forgotten = again(Error::is_lost, work).await?;
        if let Err(error) = self.vault.destroy_keys(&forgotten).await {
            // They are forgotten all the same; the sweep of keys comes by.
            tracing::warn!(error = chain(&error), "data keys of people on rosters are left");
        }
        Ok(())
    }
}
