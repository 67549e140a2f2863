//! Looking up, and binding ids of platforms.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_audit::{Actor, Record, Trail};
use zhiyuan_auth::quota::day_of;
use zhiyuan_domain::{AccountId, SharedClock, next_shanghai_midnight};
use zhiyuan_postgres::again;

use super::db;
use super::{Answer, ExternalId, Found, Subject};
use crate::error::{Error, Result};
use crate::keys::{self, Vault};
use crate::service_accounts;

/// What it takes to look people up.
#[derive(Debug, Clone)]
pub(crate) struct LookUps {
    pub(crate) pool: PgPool,
    pub(crate) vault: Vault,
    pub(crate) clock: SharedClock,
    pub(crate) trail: Trail,
    /// Look-ups a day of a platform that the configuration names.
    pub(crate) per_day: i32,
}

impl LookUps {
    /// Who is meant, told to a platform that says why it asks.
    ///
    /// # Errors
    /// `LookUpsExhausted`, when it has asked as often as it may today.
    pub(crate) async fn look_up(
        &self,
        platform: &str,
        subject: &Subject,
        purpose: &'static str,
    ) -> Result<Answer> {
        let work = || async {
            let now = self.clock.now();
            let mut tx = self.pool.begin().await?;
            let (found, by) = match subject {
                Subject::External(id) => {
                    // What it was told before: counted nowhere else than for its calls.
                    return Ok(Answer::of(&db::of_external_id(&mut tx, platform, id).await?));
                }
                Subject::Number(number) => {
                    let versions = keys::db::active_index_keys(&mut tx).await?;
                    let indexes = self.vault.number_indexes(versions, number)?;
                    (db::of_number(&mut tx, &indexes).await?, "id_number")
                }
                Subject::Phone(phone) => {
                    let versions = keys::db::active_index_keys(&mut tx).await?;
                    let indexes = self.vault.phone_indexes(versions, phone)?;
                    (db::of_phone(&mut tx, &indexes).await?, "phone")
                }
            };
            // Last, since all look-ups of the platform wait for each other from here on.
            self.spend(&mut tx, platform, now).await?;
            for record in records(platform, &found, by, purpose) {
                self.trail.append(&mut tx, &record).await?;
            }
            tx.commit().await?;
            Ok(Answer::of(&found))
        };
        again(Error::is_lost, work).await
    }

    async fn spend(
        &self,
        tx: &mut PgConnection,
        platform: &str,
        now: OffsetDateTime,
    ) -> Result<()> {
        let account = service_accounts::db::find(tx, platform).await?;
        let most = account.map_or(self.per_day, |(_title, look_ups)| look_ups);
        let spent = db::count(tx, platform, day_of(now.unix_timestamp())).await?;
        if spent <= most {
            return Ok(());
        }
        let wait = (next_shanghai_midnight(now) - now).try_into().unwrap_or_default();
        Err(Error::LookUpsExhausted { wait })
    }

    /// Binds an id of a platform to a volunteer. Once more, it is bound as it was.
    ///
    /// # Errors
    /// `VolunteerNotFound`; `ExternalIdTaken`, when it is another volunteer's.
    pub(crate) async fn bind(
        &self,
        platform: &str,
        external_id: &ExternalId,
        account_id: Uuid,
    ) -> Result<()> {
        let work = || async {
            let now = self.clock.now();
            let mut tx = self.pool.begin().await?;
            if !db::lock_registered(&mut tx, account_id).await? {
                return Err(Error::VolunteerNotFound);
            }
            if db::bind(&mut tx, platform, external_id, account_id, now).await? {
                let record = by_platform(platform, "identity.external_id.bound");
                let record = record.about(AccountId::from(account_id));
                self.trail.append(&mut tx, &record).await?;
                tx.commit().await?;
                return Ok(());
            }
            match db::bound_to(&mut tx, platform, external_id).await? {
                Some(owner) if owner == account_id => Ok(()),
                _ => Err(Error::ExternalIdTaken),
            }
        };
        again(Error::is_lost, work).await
    }

    /// Frees an id of a platform. One that is free stays so.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) async fn unbind(&self, platform: &str, external_id: &ExternalId) -> Result<()> {
        let work = || async {
            let mut tx = self.pool.begin().await?;
            if let Some(owner) = db::unbind(&mut tx, platform, external_id).await? {
                let record = by_platform(platform, "identity.external_id.unbound");
                let record = record.about(AccountId::from(owner));
                self.trail.append(&mut tx, &record).await?;
            }
            tx.commit().await?;
            Ok(())
        };
        again(Error::is_lost, work).await
    }
}

fn by_platform(platform: &str, action: &'static str) -> Record {
    Record::done(Actor::ServiceAccount(platform.to_owned()), action)
}

/// A record for each person that was found, who can read it; one without a person if nobody
/// was, so that both are the same work.
fn records(
    platform: &str,
    found: &[Found],
    by: &'static str,
    purpose: &'static str,
) -> Vec<Record> {
    let record =
        || by_platform(platform, "identity.volunteer.looked_up").because(purpose).with("by", by);
    if found.is_empty() {
        return vec![record()];
    }
    found.iter().map(|found| record().about(AccountId::from(found.account_id))).collect()
}
