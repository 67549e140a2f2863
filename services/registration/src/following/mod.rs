//! What identity tells by its feed: a verdict has fallen, an account is there.
//!
//! A verdict only makes its registration due; what it is, the registration asks. So an
//! event that is lost, late or repeated can't lead it anywhere else.

mod db;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::PgConnection;
use tokio::sync::Notify;
use uuid::Uuid;
use zhiyuan_audit::{Actor, Record, Trail};
use zhiyuan_contracts::identity::v1::{
    AccountChanged, AccountState, EnrolmentChanged, RosterPersonEnded,
};
use zhiyuan_domain::{AccountId, SharedClock};
use zhiyuan_feed::reader::{EffectError, decode};
use zhiyuan_feed::{Event, NewEvent, Outbox, Page, Projection};

use crate::{profiles, rosters, volunteers};

/// The name of the feed.
pub(crate) const FEED: &str = "identity";
/// Longer than it takes from an activation until identity's feed tells of it.
const FRESH: time::Duration = time::Duration::minutes(15);
const ACCOUNT: &str = "zhiyuan.identity.v1.AccountChanged";

/// Applies what identity tells.
#[derive(Debug)]
pub(crate) struct FromIdentity {
    pub(crate) clock: SharedClock,
    pub(crate) outbox: Outbox,
    pub(crate) trail: Trail,
    /// Rung when a registration may be due.
    pub(crate) due: Arc<Notify>,
    /// Whether one was found since it was rung.
    pub(crate) found: AtomicBool,
}

/// An account, as identity tells of it.
#[derive(Debug, Clone, Copy)]
struct Account {
    id: Uuid,
    level: i16,
    /// By its owner, for good.
    closed: bool,
    revision: i64,
}

impl Account {
    fn parse(changed: &AccountChanged, revision: i64) -> Result<Option<Self>, EffectError> {
        let closed = match changed.state() {
            AccountState::Active => false,
            AccountState::Closed => true,
            AccountState::Unspecified => return Ok(None),
        };
        let (id, level) = (Uuid::try_parse(&changed.account_id)?, i16::try_from(changed.level)?);
        Ok(Some(Self { id, level, closed, revision }))
    }
}

#[async_trait::async_trait]
impl Projection for FromIdentity {
    fn snapshots(&self) -> &'static [&'static str] {
        &[ACCOUNT]
    }

    async fn apply(
        &self,
        transaction: &mut PgConnection,
        events: &[Event],
    ) -> Result<(), EffectError> {
        let (mut enrolments, mut accounts, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        for event in events {
            if let Some(changed) = decode::<EnrolmentChanged>(&event.payload)? {
                enrolments.push(Uuid::try_parse(&changed.enrolment_id)?);
            } else if let Some(changed) = decode::<AccountChanged>(&event.payload)? {
                accounts.extend(Account::parse(&changed, event.revision)?);
            } else if let Some(person) = decode::<RosterPersonEnded>(&event.payload)? {
                ended.push(Uuid::try_parse(&person.person_id)?);
            }
        }
        if !enrolments.is_empty() {
            let due = db::make_due(transaction, &enrolments, self.clock.now()).await?;
            self.found.fetch_or(due, Ordering::SeqCst);
        }
        let mut events = Vec::new();
        if !accounts.is_empty() {
            let ids: Vec<Uuid> = accounts.iter().map(|account| account.id).collect();
            // The volunteers first: who makes one visible holds the row while it reads the
            // account.
            volunteers::db::lock(transaction, &ids).await?;
            db::upsert_newer(transaction, &accounts).await?;
            events.extend(self.retell(transaction, &ids).await?);
            events.extend(self.take_off(transaction, &accounts).await?);
        }
        if !ended.is_empty() {
            events.extend(rosters::ended(transaction, &ended, self.clock.now()).await?);
        }
        // All rows are locked: only now.
        Ok(self.outbox.append(transaction, &events).await?)
    }

    async fn replace(
        &self,
        transaction: &mut PgConnection,
        page: &Page,
    ) -> Result<(), EffectError> {
        let mut accounts = Vec::new();
        for record in &page.records {
            if let Some(changed) = decode::<AccountChanged>(&record.payload)? {
                accounts.extend(Account::parse(&changed, record.revision)?);
            }
        }
        let end = |key: &Option<String>| key.as_deref().map(Uuid::try_parse).transpose();
        let (after, until) = (end(&page.after)?, end(&page.until)?);
        let range = db::Range {
            partition: page.partition,
            after: after.unwrap_or(Uuid::nil()),
            until: until.unwrap_or(Uuid::max()),
        };
        let ids =
            volunteers::db::lock_range(transaction, range.partition, range.after, range.until)
                .await?;
        let now = self.clock.now();
        db::replace(transaction, &range, &accounts, now - FRESH).await?;
        let mut events = self.retell(transaction, &ids).await?;
        events.extend(self.take_off(transaction, &accounts).await?);
        // Verdicts that fell meanwhile are in no snapshot.
        let due = db::make_waiting_due(transaction, page.partition, now).await?;
        self.found.fetch_or(due, Ordering::SeqCst);
        Ok(self.outbox.append(transaction, &events).await?)
    }

    fn committed(&self) {
        self.outbox.wake();
        if self.found.swap(false, Ordering::SeqCst) {
            self.due.notify_one();
        }
    }
}

impl FromIdentity {
    /// What is to be told of volunteers, whose rows are locked, of whom an account says otherwise
    /// than was told. Of those who closed it, what they stated is erased.
    async fn retell(
        &self,
        transaction: &mut PgConnection,
        ids: &[Uuid],
    ) -> Result<Vec<NewEvent>, EffectError> {
        let changed = volunteers::db::adopt_accounts(transaction, ids).await?;
        for volunteer in changed.iter().filter(|volunteer| volunteer.account_missing) {
            tracing::error!(
                volunteer.id = %volunteer.volunteer_id,
                "identity does not have the account of a volunteer any more"
            );
        }
        let closed: Vec<Uuid> = changed
            .iter()
            .filter(|volunteer| volunteer.closed)
            .map(|volunteer| volunteer.volunteer_id)
            .collect();
        if !closed.is_empty() {
            profiles::db::erase(transaction, &closed).await?;
        }
        for id in closed {
            let service = Actor::Service("registration".to_owned());
            let act = Record::done(service, "registration.volunteer.closed");
            self.trail.append(transaction, &act.about(AccountId::from(id))).await?;
        }
        Ok(changed.iter().map(volunteers::feed::changed).collect())
    }

    /// Takes those off their rosters who closed their accounts.
    async fn take_off(
        &self,
        transaction: &mut PgConnection,
        accounts: &[Account],
    ) -> Result<Vec<NewEvent>, EffectError> {
        let closed = accounts.iter().filter(|account| account.closed);
        let closed: Vec<Uuid> = closed.map(|account| account.id).collect();
        if closed.is_empty() {
            return Ok(Vec::new());
        }
        let (events, records) = rosters::closed(transaction, &closed).await?;
        for record in records {
            self.trail.append(transaction, &record).await?;
        }
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_goes_on_or_is_closed_and_of_another_state_nothing_is_known() {
        let parsed = |state: i32| {
            let account_id = "01938f2e-7b5a-7c6d-8e9f-0a1b2c3d4e5f".to_owned();
            let changed = AccountChanged { account_id, state, level: 2 };
            Account::parse(&changed, 7).unwrap().map(|account| (account.closed, account.revision))
        };
        assert_eq!(parsed(AccountState::Active.into()), Some((false, 7)));
        assert_eq!(parsed(AccountState::Closed.into()), Some((true, 7)));
        for unknown in [0, 99] {
            assert_eq!(parsed(unknown), None);
        }
    }
}
