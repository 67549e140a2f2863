//! Commands of volunteers about their own record.
//!
//! Each is looked for first, as it may have been carried out before; then the other services
//! are asked, with no transaction open; then all of it is done in one.

use sqlx::{Connection as _, PgPool};
use zhiyuan_audit::{Actor, Record as Act, Trail};
use zhiyuan_crypto::KeyedDigest;
use zhiyuan_domain::{AccountId, SharedClock, VolunteerId};
use zhiyuan_feed::Outbox;
use zhiyuan_postgres::again;

use super::accounts::Accounts;
use super::form::{NewOrganization, Update, etag};
use super::{Record, db};
use crate::error::{Error, Result};
use crate::registering::organizations::Organizations;
use crate::requests::Command;
use crate::volunteers;

/// Shows and changes what volunteers have of their own.
#[derive(Debug, Clone)]
pub(crate) struct Profiles {
    pub(crate) pool: PgPool,
    pub(crate) clock: SharedClock,
    pub(crate) accounts: Accounts,
    pub(crate) organizations: Organizations,
    pub(crate) digests: KeyedDigest,
    pub(crate) outbox: Outbox,
    pub(crate) trail: Trail,
}

impl Profiles {
    /// The record of a volunteer as it stands.
    ///
    /// # Errors
    /// `VolunteerNotFound`.
    pub(crate) async fn get(&self, id: VolunteerId) -> Result<Record> {
        db::find(&self.pool, id).await?.ok_or(Error::VolunteerNotFound)
    }

    /// Changes what a volunteer states. Sent again, it is known.
    ///
    /// # Errors
    /// See `ProfileService.UpdateMyProfile`.
    pub(crate) async fn update(&self, id: VolunteerId, update: &Update) -> Result<()> {
        let mut says = update.change.says();
        says.push(("etag", etag(update.revision).into_bytes()));
        let command = Command {
            caller: AccountId::from(id.as_uuid()),
            method: "registration.UpdateMyProfile",
            request_id: update.request_id,
            says,
        };
        if self.is_done(&command).await? {
            return Ok(());
        }
        if let Some(region) = update.change.region {
            self.organizations.check_residence("details.region_code", region).await?;
        }
        again(Error::is_lost, || self.try_update(id, update, &command)).await?;
        self.outbox.wake();
        Ok(())
    }

    async fn try_update(&self, id: VolunteerId, update: &Update, command: &Command) -> Result<()> {
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        let locked = db::lock(&mut transaction, id).await?.ok_or(Error::VolunteerNotFound)?;
        if command.is_done(&mut transaction, &self.digests).await? {
            return Ok(());
        }
        if locked.revision != update.revision {
            return Err(Error::EtagStale);
        }
        command.note(&mut transaction, &self.digests, self.clock.now()).await?;
        let details = locked.details.after(&update.change);
        if details != locked.details {
            let told = details.is_told_unlike(&locked.details);
            let changed = db::update(&mut transaction, id, &details, told).await?;
            let names = update.change.says().into_iter().map(|(name, _)| name);
            let act = by_owner(id, "registration.profile.changed")
                .with("fields", names.collect::<Vec<_>>().join(" "));
            self.trail.append(&mut transaction, &act).await?;
            if told {
                let events = [volunteers::feed::changed(&changed)];
                self.outbox.append(&mut transaction, &events).await?;
            }
        }
        Ok(transaction.commit().await?)
    }

    /// Puts a volunteer with another organization. Sent again, it is known.
    ///
    /// # Errors
    /// See `ProfileService.ChangeMyOrganization`.
    pub(crate) async fn change_organization(
        &self,
        id: VolunteerId,
        new: &NewOrganization,
    ) -> Result<()> {
        let mut says = vec![("organization_code", new.organization.as_str().as_bytes().to_vec())];
        says.extend(new.revision.map(|revision| ("etag", etag(revision).into_bytes())));
        let command = Command {
            caller: AccountId::from(id.as_uuid()),
            method: "registration.ChangeMyOrganization",
            request_id: new.request_id,
            says,
        };
        if self.is_done(&command).await? {
            return Ok(());
        }
        if let Some(refusal) = self.organizations.refusal(&new.organization).await? {
            return Err(Error::Refused(refusal));
        }
        again(Error::is_lost, || self.try_change_organization(id, new, &command)).await?;
        self.outbox.wake();
        Ok(())
    }

    async fn try_change_organization(
        &self,
        id: VolunteerId,
        new: &NewOrganization,
        command: &Command,
    ) -> Result<()> {
        let now = self.clock.now();
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        let locked = db::lock(&mut transaction, id).await?.ok_or(Error::VolunteerNotFound)?;
        if command.is_done(&mut transaction, &self.digests).await? {
            return Ok(());
        }
        if new.revision.is_some_and(|revision| revision != locked.revision) {
            return Err(Error::EtagStale);
        }
        command.note(&mut transaction, &self.digests, now).await?;
        let organization = &new.organization;
        if locked.organization != *organization {
            let changed = db::change_organization(&mut transaction, id, organization, now).await?;
            let act = by_owner(id, "registration.organization.changed")
                .within(organization.as_str())
                .with("from", locked.organization.as_str());
            self.trail.append(&mut transaction, &act).await?;
            let events = [volunteers::feed::from(Some(locked.organization.as_str()), &changed)];
            self.outbox.append(&mut transaction, &events).await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn is_done(&self, command: &Command) -> Result<bool> {
        let mut connection = self.pool.acquire().await?;
        command.is_done(&mut connection, &self.digests).await
    }
}

/// A volunteer did something to the own record.
fn by_owner(id: VolunteerId, action: &'static str) -> Act {
    let account = AccountId::from(id.as_uuid());
    Act::done(Actor::Person(account), action).about(account)
}
