//! Whom identity knows from a roster, and who is on none: a batch made them known, and the
//! process died before it put them on the roster, of an import that nobody went on with.

use std::collections::HashSet;

use sqlx::Connection as _;
use time::Duration;
use uuid::Uuid;
use zhiyuan_postgres::again;

use super::{Rosters, db, job};
use crate::error::{Error, Result};

/// Nobody is looked at before: an import ends with its file, after 7 days.
const SETTLED: Duration = Duration::days(8);
/// How long until it is looked for more, once everybody was looked at.
const PAUSE: Duration = Duration::hours(1);

impl Rosters {
    /// Looks at some of those whom identity knows, after those of the last time; has it forget
    /// who is on no roster. Everybody is looked at once: who leaves a roster later is forgotten
    /// by leaving.
    pub(super) async fn look_for_strays(&self) -> Result<()> {
        let now = self.clock.now();
        let Some(after) = db::take_look(&self.pool, now, now + job::LEASE).await? else {
            return Ok(());
        };
        let known = self.people.made_known(after, now - SETTLED).await?;
        let Some(last) = known.last().copied() else {
            return db::looked(&self.pool, after, now + PAUSE).await;
        };
        let standing = db::standing(&self.pool, &known).await?;
        let on_roster = standing.iter().filter(|one| one.organization_code.is_some());
        let on_roster: HashSet<Uuid> = on_roster.map(|one| one.person_id).collect();
        let strays: Vec<Uuid> =
            known.into_iter().filter(|person| !on_roster.contains(person)).collect();
        if !strays.is_empty() {
            tracing::info!(count = strays.len(), "people of interrupted imports are let go");
            again(Error::is_lost, || self.let_strays_go(&strays)).await?;
        }
        db::looked(&self.pool, last, now).await
    }

    /// An import that names one of them at the same time holds the row, or finds it marked.
    async fn let_strays_go(&self, strays: &[Uuid]) -> Result<()> {
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        db::hold(&mut transaction, strays).await?;
        db::unclaimed(&mut transaction, strays, self.clock.now()).await?;
        Ok(transaction.commit().await?)
    }
}
