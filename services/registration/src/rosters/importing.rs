//! Beginning an import, starting and cancelling it.

use std::time::Instant;

use uuid::Uuid;
use zhiyuan_domain::{AccountId, OrganizationCode, new_id};
use zhiyuan_postgres::again;

use super::form::NewImport;
use super::permission::Act;
use super::{Counts, Fault, Import, Rosters, State, db};
use crate::error::{Error, Result};
use crate::registering::Refusal;
use crate::requests::Command;

/// Over which imports that were begun are counted.
const DAY: time::Duration = time::Duration::DAY;
const CREATED: &str = "registration.roster.import_begun";
const STARTED: &str = "registration.roster.import_started";
const CANCELLED: &str = "registration.roster.import_cancelled";

impl Rosters {
    /// Begins an import. Sent again, it is known.
    ///
    /// # Errors
    /// See `RosterService.CreateRosterImport`.
    pub(super) async fn create(&self, me: AccountId, new: &NewImport) -> Result<Import> {
        let command = new.command(me);
        let act = Act::change(me, CREATED, Fault::OrganizationNotFound);
        self.allowed(act, &new.organization).await?;
        if command.is_done(&mut *self.pool.acquire().await?, &self.digests).await? {
            return self.created(me, new).await;
        }
        self.check_open(&new.organization).await?;
        again(Error::is_lost, || self.try_create(act, new, &command)).await?;
        self.created(me, new).await
    }

    async fn try_create(&self, act: Act, new: &NewImport, command: &Command) -> Result<()> {
        let lease = self.allowed(act, &new.organization).await?;
        let now = self.clock.now();
        let import = Import {
            id: new_id(self.clock.as_ref()),
            organization: new.organization.clone(),
            started_by: act.me.as_uuid(),
            file_name: new.file_name.clone(),
            size_bytes: new.size_bytes,
            sha256: new.sha256.to_vec(),
            pieces: Vec::new(),
            state: State::Uploading,
            cancelled_in: None,
            failure: None,
            rows: 0,
            done_to: 0,
            rows_done: 0,
            counts: Counts::default(),
            created_at: now,
            ended_at: None,
            file_expires_at: None,
            lease: None,
            attempts: 0,
        };
        let mut transaction = self.pool.begin().await?;
        command.note(&mut transaction, &self.digests, now).await?;
        db::lock_beginning(&mut transaction, &import).await?;
        let full = db::full_since(&mut transaction, &import, self.limits, now - DAY).await?;
        if let Some(oldest) = full {
            let wait = (oldest + DAY - now).max(time::Duration::SECOND);
            return Err(Fault::ImportsTooMany { wait: wait.unsigned_abs() }.into());
        }
        db::insert(&mut transaction, &import, new.request_id).await?;
        let record = act.done(&import.organization).with("import", import.id);
        self.trail.append_under(&mut transaction, record, &lease).await?;
        lease.check(Instant::now())?;
        Ok(transaction.commit().await?)
    }

    async fn created(&self, me: AccountId, new: &NewImport) -> Result<Import> {
        let found = db::found_by_request(&self.pool, me.as_uuid(), new.request_id).await?;
        // Deleted a year later; the request is forgotten sooner.
        self.find(found.ok_or(Error::Inconsistent("roster_import"))?).await
    }

    /// Imports the rows that are well, or goes on where the import was cancelled.
    ///
    /// # Errors
    /// See `RosterService.StartRosterImport`.
    pub(super) async fn start(
        &self,
        me: AccountId,
        (command, id): (&Command, Uuid),
    ) -> Result<Import> {
        let act = Act::change(me, STARTED, Fault::ImportNotFound);
        let import = self.find(id).await?;
        self.allowed(act, &import.organization).await?;
        if command.is_done(&mut *self.pool.acquire().await?, &self.digests).await? {
            return self.find(id).await;
        }
        import.check_begun_by(me)?;
        import.started()?;
        self.check_open(&import.organization).await?;
        again(Error::is_lost, || self.try_go_on(act, &import, command, Import::started)).await?;
        self.due.notify_one();
        self.find(id).await
    }

    /// Ends an import where it is.
    ///
    /// # Errors
    /// See `RosterService.CancelRosterImport`.
    pub(super) async fn cancel(
        &self,
        me: AccountId,
        (command, id): (&Command, Uuid),
    ) -> Result<Import> {
        let act = Act::change(me, CANCELLED, Fault::ImportNotFound);
        let import = self.find(id).await?;
        self.allowed(act, &import.organization).await?;
        if command.is_done(&mut *self.pool.acquire().await?, &self.digests).await? {
            return self.find(id).await;
        }
        let cancelled = |import: &Import| {
            if import.is_over() { Err(Fault::ImportState) } else { Ok(State::Cancelled) }
        };
        cancelled(&import)?;
        again(Error::is_lost, || self.try_go_on(act, &import, command, cancelled)).await?;
        self.find(id).await
    }

    async fn try_go_on(
        &self,
        act: Act,
        import: &Import,
        command: &Command,
        next: impl Fn(&Import) -> std::result::Result<State, Fault>,
    ) -> Result<()> {
        let lease = self.allowed(act, &import.organization).await?;
        let now = self.clock.now();
        let mut transaction = self.pool.begin().await?;
        let locked = db::lock(&mut transaction, import.id).await?.ok_or(Fault::ImportNotFound)?;
        if command.is_done(&mut transaction, &self.digests).await? {
            return Ok(());
        }
        let next = next(&locked)?;
        command.note(&mut transaction, &self.digests, now).await?;
        let begins = locked.state == State::Checked || locked.cancelled_in == Some(State::Checked);
        if next == State::Importing && begins {
            db::restart(&mut transaction, locked.id).await?;
        }
        db::set_state(&mut transaction, &locked, next, None, now).await?;
        let record = act.done(&locked.organization).with("import", locked.id);
        self.trail.append_under(&mut transaction, record, &lease).await?;
        lease.check(Instant::now())?;
        Ok(transaction.commit().await?)
    }

    /// # Errors
    /// `ImportNotFound`.
    pub(super) async fn find(&self, id: Uuid) -> Result<Import> {
        Ok(db::find(&self.pool, id).await?.ok_or(Fault::ImportNotFound)?)
    }

    /// # Errors
    /// `OrganizationNotFound`, `OrganizationClosed`.
    pub(super) async fn check_open(&self, organization: &OrganizationCode) -> Result<()> {
        match self.organizations.refusal(organization).await? {
            Some(Refusal::OrganizationNotFound) => Err(Fault::OrganizationNotFound.into()),
            Some(Refusal::OrganizationClosed { .. }) => Err(Fault::OrganizationClosed.into()),
            // One that takes no registrations has members all the same.
            _ => Ok(()),
        }
    }
}

impl Import {
    /// # Errors
    /// `ImportOfAnother`.
    pub(super) fn check_begun_by(&self, me: AccountId) -> std::result::Result<(), Fault> {
        if self.started_by == me.as_uuid() { Ok(()) } else { Err(Fault::ImportOfAnother) }
    }
}
